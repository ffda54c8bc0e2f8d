# The bytes of an int8 model depend on pictures and options, and on nothing else; what they depend on can be read back.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
need_cases
cp -r "$share/images" photos
pictures scene scenes 1 4
cp "$tiny" tiny.safetensors
cp "$share/annotations/parts.json" gt.json
options="--min-size 64 --max-size 96 -q"

# Not on the order of operands, their names and copies, threads, the folder, or what is told of it.
# shellcheck disable=SC2086
{
	runs 0 "$quantize" --model tiny.safetensors $options -j 2 -o a.safetensors photos scenes
	runs 0 "$quantize" --model tiny.safetensors $options -j 1 -o b.safetensors $(ls -r scenes/* photos/*) photos
	same a.safetensors b.safetensors
	cp scenes/1.png again.png
	ls scenes/* photos/* again.png | runs 0 "$quantize" --model tiny.safetensors $options -j 3 -o c.safetensors \
		--report c.html --write-plan c.json --format json -
	same a.safetensors c.safetensors
	mkdir -p elsewhere/pictures
	for picture in photos/* scenes/*; do
		cp "$picture" "elsewhere/pictures/$(basename "$picture" | tr 0-9 9876543210)"
	done
	(
		cd elsewhere
		runs 0 "$quantize" --model ../tiny.safetensors $options -j 2 -o d.safetensors pictures
		same ../a.safetensors d.safetensors
	) || exit 1
	# With gates and ground truth, that is with a search, just as little; but other pictures are calibrated with.
	gates="--gt gt.json --min found=0.999 --max-drop AP=1"
	runs 1 "$quantize" --model tiny.safetensors $options -j 2 -o e.safetensors --write-plan e.json $gates photos scenes
	runs 1 "$quantize" --model tiny.safetensors $options -j 1 -o e.safetensors --write-plan f.json $gates $(ls -r scenes/* photos/*)
	same e.json f.json
	gates="--gt gt.json --min found=0.01 --max-drop AP=1"
	runs 0 "$quantize" --model tiny.safetensors $options -j 2 -o e.safetensors $gates photos scenes
	runs 0 "$quantize" --model tiny.safetensors $options -j 1 -o f.safetensors $gates $(ls -r scenes/* photos/*)
	same e.safetensors f.safetensors
	! cmp -s a.safetensors e.safetensors || fail "gates change nothing"
	runs 0 "$quantize" --model tiny.safetensors $options -o g.safetensors --observer minmax photos scenes
	! cmp -s a.safetensors g.safetensors || fail "--observer changes nothing"
	runs 0 "$quantize" --model tiny.safetensors $options -o g.safetensors photos
	! cmp -s a.safetensors g.safetensors || fail "pictures change nothing"
}

# What was asked for is read back: source, version, options, gates, digests of the sets.
sha=$(sha256sum tiny.safetensors | cut -d' ' -f1)
truth=$(sha256sum gt.json | cut -d' ' -f1)
version=$("$quantize" --version | sed -n '1s/^frcnn-quantize //p' | cut -d' ' -f1)
printf '{"backbone.body.conv1": "int8"}' >plan.json
runs 0 "$quantize" --model tiny.safetensors -o h.safetensors --format json --min-size 66 --max-size 99 --images 5 \
	--holdout 0.25 --observer kl --keep-float 'backbone.fpn.*' --plan plan.json --max-pixels 9000000 \
	--gt gt.json --min found=0.01 --max shift=0.5 --max-drop AP=0.875 photos scenes
sets=$(sed -n 's/.*\("sets":{.*"report":{"images":[0-9]*,"sha256":"[0-9a-f]*"}}\).*/\1/p' out)
[ -n "$sets" ] || fail "no sets in the report"
runs 0 "$BUILD/bin/frcnn-model" info h.safetensors
grep '^quantization ' out >said || fail "frcnn-model info tells nothing of it"
for text in '"program":"frcnn-quantize"' "\"version\":\"$version\"" "\"source_sha256\":\"$sha\"" \
	"\"plan_sha256\":\"$(sha256sum plan.json | cut -d' ' -f1)\"" "\"search_truth_sha256\":\"$truth\"" \
	'"observer":"kl"' '"min-size":"66"' '"max-size":"99"' '"images":"5"' '"holdout":"0.25"' \
	'"keep-float":"backbone.fpn.*"' '"max-pixels":"9000000"' \
	'"gates":["min found=0.01","max shift=0.5","max-drop AP=0.875"]' "$sets"; do
	has said "$text"
done
has out 'shorter side 66, longer at most 99'
runs 0 "$BUILD/bin/frcnn-model" info --json h.safetensors
has out "$sets"
# The digest of a set is that of its pictures' digests, a line each, in ascending order.
runs 0 "$quantize" --model tiny.safetensors $options -o i.safetensors --format json --holdout 0 photos
has out "\"sha256\":\"$(sha256sum photos/* | cut -d' ' -f1 | sort | sha256sum | cut -d' ' -f1)\""

# As little depends on threads where there is more to share among them.
if ! sanitized; then
	for jobs in 1 2; do
		runs 0 "$quantize" --model "$small" --no-equalize --min-size 128 --max-size 200 -q -j $jobs -o $jobs.safetensors photos
	done
	same 1.safetensors 2.safetensors
fi
