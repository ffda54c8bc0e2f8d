# A usage error of frcnn-eval is one line, "Try 'frcnn-eval --help'", status 2, and nothing on stdout.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/eval.inc"

wrong() {
	message=$1
	shift
	runs 2 "$eval" "$@"
	lines out 0
	lines err 2
	says err "frcnn-eval: $message"
	says err "Try 'frcnn-eval --help'"
}

wrong 'no ground truth given (-g PATH)' dets.jsonl
wrong 'standard input can be read only once' -g gt.json - -
wrong '--baseline cannot be standard input' -g gt.json --baseline - dets.jsonl
wrong '--max-drop needs --baseline' -g gt.json --max-drop AP=0.1 dets.jsonl
wrong '--significant needs --baseline' -g gt.json --significant dets.jsonl
wrong '--significant does not go with --resamples 0' -g gt.json --significant --baseline dets.json --resamples 0 dets.jsonl
wrong '--resamples needs --baseline' -g gt.json --resamples 3 dets.jsonl
wrong '--seed needs --baseline' -g gt.json --seed 3 dets.jsonl
wrong '--cells takes one file of detections, not 2' -g gt.json --cells x dets.jsonl dets.json
wrong '--iou: "a" is not a number' --iou a
wrong '--iou: 1.5 is outside 0 to 1' --iou 0.5,1.5
wrong '--iou: thresholds must ascend' --iou 0.75,0.5
wrong '--iou: a threshold must be above 0' --iou 0
wrong '--iou: "0.5:0.9" is not of the form FIRST:LAST:STEP' --iou 0.5:0.9
wrong '--iou: the range must go up from 0.9 to 0.5 in steps above 0' --iou 0.9:0.5:0.1
wrong '--iou: 501 thresholds, at most 32 are possible' --iou 0.5:1:0.001
wrong '--iou: 0.9 is no whole number of steps of 0.3 from 0.5' --iou 0.5:0.9:0.3
wrong '--area: "small" is not of the form NAME=LOW:HIGH' --area small
wrong '--area: "small=5" is not of the form NAME=LOW:HIGH' --area small=5
wrong '--area: "small=5:4": 4 is below 5' --area small=5:4
wrong '--area: two areas of one name' --area a=0:1,a=1:2
wrong '--area: "all" is always there' --area all=0:1
wrong '--area: "a b=0:1": names are of letters, digits, "-" and "_"' --area 'a b=0:1'
wrong '--max-dets: numbers must ascend' --max-dets 10,1
wrong '--max-dets: 0 is outside 1 to 1000000' --max-dets 0
wrong '--max-dets: "x" is not a whole number' --max-dets 1,x
wrong '--min: "AP" is not of the form METRIC=V or CLASS:METRIC=V' --min AP
wrong '--min: "AP=x": "x" is not a number' --min AP=x
wrong '--max-drop: "AP=-1": a drop is 0 or more' --max-drop AP=-1
wrong '--voc: "12" is none of 11|all' --voc 12
wrong '--format: "xml" is none of text|json|csv|markdown|junit' --format xml
