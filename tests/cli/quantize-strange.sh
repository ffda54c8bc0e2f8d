# Pictures and models that are hard on frcnn-quantize: it warns by name, and keeps the accuracy where it can.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
need_cases

# Scenes are measured on; what is calibrated with is alike, or not.
pictures scene report 1 8
pictures scene alike 11 8
pictures noise noise 1 8
pictures black black 1 8
mkdir inverted
for picture in alike/*; do
	"$cases" change invert "$picture" "inverted/$(basename "$picture")"
done
{
	printf '{"categories":[],"annotations":[],"images":['
	separator=
	for i in 1 2 3 4 5 6 7 8; do
		printf '%s{"id":%s,"file_name":"%s.png","width":160,"height":120}' "$separator" $i $i
		separator=,
	done
	printf ']}'
} >measured.json
# shellcheck disable=SC2086
set -- $tiny_options -o q.safetensors --format json --measure-gt measured.json --measure-root report

runs 0 "$quantize" "$@" alike
lacks err 'calibration images'
lacks err 'for calibration'
# All black: blank, dark, flat, and channels never stir. It is a model all the same, unless a gate says no.
runs 0 "$quantize" "$@" black
has err "warning: brightness of the calibration images is unlike the report's: median 0, not "
has err "warning: contrast of the calibration images is unlike the report's: median 0, not "
has err 'warning: 8 of 8 calibration images show nothing but one colour: black/1.png and others'
has err 'channels never changed ('
has out '"kind":"dead-channels","name":"input of '
runs 1 "$quantize" "$@" --min found=0.9999 --max-float 0 black
has err 'gate failed: found is '
has out '"float_share":0,'
# Nothing may be left float: what each layer costs alone is of no use.
has err 'the gates fail on the search set, and no further layer may be left float (--max-float 0)'
lacks out '"sensed"'
has out '"holds":false,"steps":[]'
# The search has no ground truth where the report alone has: it says so, and judges what it can.
sed 's/"categories":\[\],"annotations":\[\]/"categories":[{"id":1,"name":"part"}],"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[9,9,50,50],"area":2500,"iscrowd":0}]/' \
	measured.json >judged.json
runs 0 "$quantize" "$@" --measure-gt judged.json --max-drop AP=1 alike
has err 'warning: the search cannot judge AP: its images have no ground truth (--gt)'
has err 'warning: the search can judge no gate: no layer is left float to meet them'
lacks out '"search":{"found"'
runs 0 "$quantize" "$@" --measure-gt judged.json --max-drop AP=1 --min found=0 alike -v
has err 'gates hold, but for those that cannot be judged'
has out '"holds":true'
# One image.
runs 0 "$quantize" "$@" alike/11.png
has err 'warning: 1 picture for calibration: ranges may be too narrow'
has out '"kind":"few-images"'
lacks err 'calibration images'
# Another domain.
runs 0 "$quantize" "$@" inverted
has err "warning: brightness of the calibration images is unlike the report's"
has err 'inverted/1'
runs 0 "$quantize" "$@" noise
has err "warning: contrast of the calibration images is unlike the report's: median 49, not "
has err ' and 5 more'
# One stranger among others is named, the others are not.
runs 0 "$quantize" "$@" alike noise/1.png black/2.png
has err 'warning: brightness of 2 of 10 calibration images lies far from the report'
grep -q 'black/2.png has 0, noise/1.png has 127$' err || fail "the strangers are not named"
has err 'warning: 1 of 10 calibration images shows nothing but one colour: black/2.png'

# Filters too long for sums in 32 bits stay float whatever is asked.
"$cases" model wide "$tiny" wide.safetensors || fail "no model"
set -- "$@" --model wide.safetensors --quantize-all -o w.safetensors --images 2
runs 0 "$quantize" "$@" --sensitivity alike
tr '{' '\n' <out | grep '^"name":"roi_heads.box_head.fc6",' >layer || fail "fc6 is not told of"
has layer '"dtype":"float32","why":"filters too long for int8"'
# In int8 it was never looked at.
has layer '"output_snr":null,"found":-1,"shift":-1,'
runs 0 "$quantize" "$@" --format text alike
has out 'Layers: 34 of 35 int8, '
runs 0 "$BUILD/bin/frcnn-model" info w.safetensors
has out '34 of 35 layers, '
echo '{"roi_heads.box_head.fc6":"int8"}' >long.json
runs 2 "$quantize" --model wide.safetensors --plan long.json -o v.safetensors alike
says err 'frcnn-quantize: long.json: layer "roi_heads.box_head.fc6" cannot be int8: its filters are too long'
absent v.safetensors

[ -f "$small" ] || skip "share/models is not there: models not tried"
sanitized && exit 0

# Channels that are 4096 times as large as the others of their tensors: minmax leaves nothing of those.
mkdir photos
cp "$share"/images/* photos
for i in 0 1 2 3; do
	"$cases" change mirror photos/parts-42-0000$i.jpg photos/$i.png
done
"$cases" model outlier "$small" outlier.safetensors || fail "no model"
set -- --min-size 128 --max-size 200 -j 2 -q --format json --holdout 0.25
runs 0 "$quantize" "$@" --model outlier.safetensors -o o.safetensors --quantize-all --observer minmax --no-equalize photos
above 0.1 "$(number found)"
has out '"kind":"dictator-channel","name":"input of backbone.body.layer1.0.conv2"'
runs 0 "$quantize" "$@" --model outlier.safetensors -o o.safetensors --quantize-all photos
above "$(number found)" 0.6
# And where its layers may stay float they do, by name.
runs 0 "$quantize" "$@" --model outlier.safetensors -o o.safetensors --observer minmax --no-equalize photos
above "$(number found)" 0.6
has out '"name":"backbone.body.layer2.0.conv2","dtype":"float32","why":"signal to noise"'
has out '"text":"layer backbone.body.layer2.0.conv2 stays float: in int8 its signal to noise would be '

# A layer that no scale suits: the search leaves it float, gates hold, and without them it is left float at sight.
"$cases" model stubborn "$small" stubborn.safetensors || fail "no model"
runs 0 "$quantize" "$@" --model stubborn.safetensors -o s.safetensors --no-equalize photos
has out '"name":"roi_heads.box_head.fc7","dtype":"float32","why":"signal to noise"'
runs 0 "$quantize" "$@" --model stubborn.safetensors -o s.safetensors --no-equalize --quantize-all --min found=0.6 \
	--write-plan s.json photos
has out '"layer":"roi_heads.box_head.fc7"'
has s.json '"roi_heads.box_head.fc7":	"float32"'
has s.json '"roi_heads.box_head.fc6":	"int8"'
above "$(number found)" 0.6
