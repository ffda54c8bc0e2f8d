# frcnn-eval: the cells and the 12 numbers of files as others write them, against pycocotools' (tests/golden/eval).
. "$ROOT/tests/cli/common.inc"
eval=$BUILD/bin/frcnn-eval
files=$ROOT/tests/golden/eval/files

# tensor FILE NAME: its bytes
tensor() {
	length=$(od -An -t u8 -N 8 "$1" | tr -d ' ')
	offsets=$(tail -c +9 "$1" | head -c "$length" |
		sed -n 's/.*"'"$2"'":{[^}]*"data_offsets":\[\([0-9]*\),\([0-9]*\)\].*/\1 \2/p')
	[ -n "$offsets" ] || fail "$1 has no tensor $2"
	tail -c +$((9 + length + ${offsets% *})) "$1" | head -c $((${offsets#* } - ${offsets% *}))
}

# check NAME WHAT EXPECTED
check() {
	got=$(tensor cells.safetensors "$2" | sha256sum | cut -d' ' -f1)
	[ "$got" = "$3" ] || fail "$1: $2 is not pycocotools'"
}

# The 12 numbers are means of these cells, and compared in the unit tests.
count=0
while read -r name options precision recall scores _; do
	[ "$options" != - ] || options=
	for threads in 1 3; do
		# shellcheck disable=SC2086 # one option or none
		runs 0 "$eval" -q -j "$threads" $options -g "$files/$name.gt.json" --cells cells.safetensors "$files/$name.dt.json"
		check "$name" precision "$precision"
		check "$name" recall "$recall"
		check "$name" scores "$scores"
	done
	# From standard input too.
	# shellcheck disable=SC2086
	"$eval" -q $options -g "$files/$name.gt.json" --cells piped.safetensors - <"$files/$name.dt.json" >out2 ||
		fail "$name from standard input: status $?"
	same cells.safetensors piped.safetensors
	same out out2
	count=$((count + 1))
done <"$files/expected.txt"
[ "$count" = 9 ] || fail "$count files, not 9"

# The traps are evaluated rightly by default, which is not what pycocotools says, and with a warning.
for name in id-zero duplicates; do
	runs 0 "$eval" -g "$files/$name.gt.json" --cells default.safetensors "$files/$name.dt.json"
	grep -q warning err || fail "$name: no warning"
	"$eval" -q --pycocotools -g "$files/$name.gt.json" --cells trap.safetensors "$files/$name.dt.json" >/dev/null ||
		fail "$name: status $?"
	! cmp -s default.safetensors trap.safetensors || fail "$name: no difference"
done
# NaN is refused by default.
runs 2 "$eval" -g "$files/not-numbers.gt.json" "$files/not-numbers.dt.json"

[ -n "$FRCNN_DATA" ] || exit 0
runs 0 "$eval" -q --format json -g "$FRCNN_DATA/cocoapi100/instances_val2014_100.json" \
	"$FRCNN_DATA/cocoapi100/instances_val2014_fakebbox100_results.json"
grep -q '"stats":\[0.5045806987249628,0.6969727247299577,0.5729816669904824,0.5856257209410443,0.5193996948036719,0.5013978986347466,0.38681277964578054,0.5936795762842003,0.595352982877607,0.6398109626113442,0.5664205978994309,0.5642905982905982\]' out ||
	fail "other numbers for COCO's example: $(head -c 400 out)"
