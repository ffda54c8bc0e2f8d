# frcnn-nms: usage errors, bad lines, files that are not there; what goes through all the same.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/nms.inc"

usage() { # usage MESSAGE OPTION...
	message=$1
	shift
	runs 2 "$nms" "$@"
	says err "frcnn-nms: $message"
	says err "Try 'frcnn-nms --help'"
	lines out 0
}
usage "several methods need --sweep" --method hard,diou dets.jsonl
usage "several thresholds need --sweep" --iou 0.5,0.6 dets.jsonl
usage "--sweep needs ground truth (-g PATH)" --sweep dets.jsonl
usage "--gt needs --sweep" -g gt.json dets.jsonl
usage "--weights needs --method wbf or nmw" --weights 1 dets.jsonl
usage "--weights has 1 numbers for 2 files" --method wbf --weights 1 dets.jsonl dets.jsonl
usage "--weights are all 0" --method wbf --weights 0,0 dets.jsonl dets.jsonl
usage "--sigma needs --method soft-gaussian or matrix" --sigma 1 dets.jsonl
usage "--sigma needs --method soft-gaussian or matrix" --method soft-linear --sigma 1 dets.jsonl
usage "--sigma needs --method soft-gaussian or matrix" --sweep -g gt.json --method hard,diou --sigma 1 dets.jsonl
usage "standard input can be read only once" - -
for bad in '--method none' '--iou 1.5' '--iou x' '--weights -1' '--convention voc' '--sigma 0' '--min-size -1' '--stable-by id'; do
	# shellcheck disable=SC2086
	runs 2 "$nms" $bad dets.jsonl
	lines out 0
done

echo '{"images":[],"annotations":[],"categories":[]}' >gt.json
usage "-o would write over gt.json, which is read" --sweep -g gt.json -o ./gt.json dets.jsonl
runs 0 "$nms" dets.jsonl
cp out filtered
cp dets.jsonl place.jsonl
runs 0 "$nms" -o place.jsonl place.jsonl # detections in place are fine
same filtered place.jsonl
rm gt.json

runs 2 "$nms" missing.jsonl
says err "frcnn-nms: missing.jsonl: no such file or directory"
runs 2 "$nms" -o written missing.jsonl
[ ! -e written ] && [ ! -e written.part ] || fail "something was written"
runs 2 "$nms" .
lines err 1
printf 'cat 0.3\ncat 0.4\n' >twice
runs 2 "$nms" --thresholds twice dets.jsonl
says err 'frcnn-nms: twice: line 2: "cat" has a threshold already'
printf 'cat\n' >short
runs 2 "$nms" --thresholds short dets.jsonl
says err 'frcnn-nms: short: line 1: not a class and a threshold'
printf 'cat 2\n' >large
runs 2 "$nms" --thresholds large dets.jsonl
says err 'frcnn-nms: large: line 1: "2" is no threshold between 0 and 1'

# A bad line is named; the lines around it go through.
{
	head -n 1 dets.jsonl
	echo '{"file_name":"c.png","detections":[{"bbox":[1,2,-3,4],"score":1,"category_id":1}]}'
	echo '{"file_name":"c.png"'
	tail -n 1 dets.jsonl
} >bad.jsonl
runs 2 "$nms" bad.jsonl
lines out 2
lines err 2
grep -q '^frcnn-nms: bad.jsonl:2: detections\[0\]: bbox has a negative width$' err || fail "$(cat err)"
echo '[{"image_id":1,"category_id":1,"bbox":[0,0,1,1],"score":null},{"image_id":1,"category_id":1,"bbox":[0,0,1,1],"score":1}]' >bad.json
runs 2 "$nms" bad.json
lines err 1
lines out 3

[ ! -c /dev/full ] || {
	status=0
	"$nms" dets.jsonl >/dev/full 2>err || status=$?
	[ "$status" = 2 ] || fail "/dev/full: status $status"
	lines err 1
	says err "frcnn-nms: standard output: no space left on device"
}

# The name under which it writes is not free for an input.
cp dets.jsonl held.part
usage "-o would write over held.part, which is read" held.part -o held
[ "$(cksum <dets.jsonl)" = "$(cksum <held.part)" ] || fail "the input was touched"
