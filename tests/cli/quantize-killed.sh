# A run of frcnn-quantize that is killed leaves no model or the old one, and the next run is none the worse.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
cp -r "$share/images" photos
# shellcheck disable=SC2086
set -- $tiny_options -q photos
runs 0 "$quantize" "$@" -o whole.safetensors

# interrupt SIGNAL: while it is at work, that is once the part is there
interrupt() {
	rm -f z.html
	"$quantize" --model "$tiny" --min-size 800 --max-size 1333 -j 1 -q -o z.safetensors --report z.html photos \
		>/dev/null 2>&1 &
	pid=$!
	n=0
	while [ ! -e z.safetensors.part ] && [ $n -lt 1000 ]; do
		sleep 0.01
		n=$((n + 1))
	done
	sleep 0.05
	kill -"$1" $pid
	! wait $pid || fail "it was not killed"
}

# not INT: a shell's children in the background ignore it
for signal in TERM HUP; do
	interrupt $signal
	absent z.safetensors
	absent z.html
done
echo old >z.safetensors
interrupt TERM
[ "$(cat z.safetensors)" = old ] || fail "the old file was touched"
[ ! -e z.safetensors.part ] || fail "a part is left"
interrupt KILL
[ "$(cat z.safetensors)" = old ] || fail "the old file was touched"
[ ! -e z.html ] || fail "half a page"
# The part that nobody could take away is in nobody's way.
runs 0 "$quantize" "$@" -o z.safetensors --report z.html
same whole.safetensors z.safetensors
for left in z.safetensors.part* z.html.part*; do
	[ ! -e "$left" ] || fail "$left is left"
done

# Beyond the limit on the size of files: trouble, one line, nothing half done.
rm z.safetensors
for old in no yes; do
	[ $old = no ] || echo old >z.safetensors
	status=0
	(
		ulimit -f 40
		exec "$quantize" "$@" -o z.safetensors >/dev/null 2>err
	) || status=$?
	[ "$status" = 2 ] || fail "status $status"
	has err 'file too large'
	[ ! -e z.safetensors.part ] || fail "a part is left"
	if [ $old = no ]; then
		[ ! -e z.safetensors ] || fail "half a model"
	else
		[ "$(cat z.safetensors)" = old ] || fail "the old file was touched"
	fi
done

# What a run reads may not lie where it would write, nor two outputs in one place.
cp "$tiny" y.safetensors.part
runs 2 "$quantize" --model y.safetensors.part -o y.safetensors photos
has err '-o y.safetensors: that is read by this run'
same "$tiny" y.safetensors.part
runs 2 "$quantize" "$@" -o x.safetensors --write-plan x.safetensors.part
has err '--write-plan x.safetensors.part: that is what -o writes'
runs 2 "$BUILD/bin/frcnn-model" convert y.safetensors.part -o y.safetensors
same "$tiny" y.safetensors.part
rm y.safetensors.part
runs 2 "$quantize" --model "$tiny" -o '' photos
has err 'no file given'
runs 0 "$quantize" "$@" -o z.safetensors
same whole.safetensors z.safetensors
absent z.safetensors.part
