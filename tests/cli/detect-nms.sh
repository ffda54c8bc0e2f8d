# frcnn-detect --nms-method: hard is what it was; the others agree with frcnn-nms on what nothing was suppressed in.
. "$ROOT/tests/cli/common.inc"
nms=$BUILD/bin/frcnn-nms

# shellcheck disable=SC2086
run() {
	runs 0 "$detect" $quick "$@" "$data/square.jpg"
}
run --score 0
cp out plain
run --score 0 --nms-method hard
same plain out
run --score 0.000001 --nms 1 --max-dets 100000
cp out all
[ "$(grep -o '"bbox"' all | wc -l)" -gt 40 ] || fail "too few boxes to tell anything"
for method in hard soft-linear soft-gaussian diou matrix; do
	run --score 0.000001 --nms 0.5 --nms-method $method --max-dets 100000
	# scaling to the image comes after suppression here, and before it there: scores may differ in the last digits
	tr '{' '\n' <out | sed -n 's/.*"score":\([0-9.e-]*\).*/\1/p' >ours
	"$nms" --method $method --iou 0.5 --score 0.000001 all | tr '{' '\n' | sed -n 's/.*"score":\([0-9.e-]*\).*/\1/p' >theirs
	paste ours theirs | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 || NF != 2) bad++ } END { exit bad > NR / 50 }' ||
		fail "$method: $(paste ours theirs | head -n 20)"
	cp ours "$method"
done
cmp -s hard soft-gaussian && fail "soft-gaussian is as hard"
cmp -s soft-linear soft-gaussian && fail "soft-linear is as soft-gaussian"
run --score 0.000001 --nms-method soft-gaussian --nms-sigma 0.1 --max-dets 100000
tr '{' '\n' <out | sed -n 's/.*"score":\([0-9.e-]*\).*/\1/p' >sharp
cmp -s sharp soft-gaussian && fail "sigma changes nothing"
runs 2 "$detect" --nms-method wbf "$data/square.jpg"
lines out 0
