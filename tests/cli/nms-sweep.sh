# frcnn-nms --sweep: AP of each row is what frcnn-eval says of the records written with the same options.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/eval.inc"
. "$ROOT/tests/cli/nms.inc"

cat >many.jsonl <<'END'
{"image_id":1,"file_name":"a.png","width":100,"height":100,"detections":[{"bbox":[12,10,20,20],"score":0.95,"category_id":1,"category":"cat"},{"bbox":[10,10,20,20],"score":0.9,"category_id":1,"category":"cat"},{"bbox":[52,50,40,40],"score":0.8,"category_id":2,"category":"dog"}]}
{"image_id":2,"file_name":"b.png","width":100,"height":100,"detections":[{"bbox":[0,0,50,45],"score":0.7,"category_id":1,"category":"cat"},{"bbox":[0,3,50,47],"score":0.65,"category_id":1,"category":"cat"},{"bbox":[60,61,10,10],"score":0.6,"category_id":1,"category":"cat"}]}
{"image_id":3,"file_name":"c.png","width":100,"height":100,"detections":[]}
END
runs 0 "$nms" --sweep -g gt.json many.jsonl
lines out 27 # a heading, 4 methods at 6 thresholds, 2 without
grep -q '\*$' out || fail "no best row"
cp out table

runs 0 "$nms" --sweep -g gt.json --method soft-gaussian,hard --iou 0.5,0.9 many.jsonl
lines out 4
for row in 'hard 0.5' 'hard 0.9' 'soft-gaussian -'; do
	set -- $row
	iou=
	[ "$2" = - ] || iou="--iou $2"
	# shellcheck disable=SC2086
	"$nms" --method "$1" $iou many.jsonl >left || fail "$row"
	ap=$("$eval" -g gt.json --format json left | tr ',{' '\n\n' | sed -n 's/^"AP"://p' | head -n 1)
	awk -v m="$1" -v t="$2" -v ap="$ap" '$1 == m && $2 == t { found = 1; if ($3 != sprintf("%.4f", ap)) exit 1 }
		END { exit !found }' out || fail "$row: eval says $ap: $(cat out)"
done
runs 0 "$nms" --sweep -g gt.json --iou 0.5 many.jsonl many.jsonl
grep -q '^wbf ' out || fail "several files are not fused"
"$nms" many.jsonl | runs 0 "$eval" -g gt.json -

# One image twice would count twice: the first record counts, as frcnn-eval has it; an unknown class is told.
runs 0 "$nms" --sweep -g gt.json --method hard --iou 0.5 many.jsonl
cp out once
cat many.jsonl many.jsonl >twice.jsonl
runs 2 "$nms" --sweep -g gt.json --method hard --iou 0.5 twice.jsonl
same once out
lines err 1
says err "frcnn-nms: gt.json: image 1 has several records of detections: 3 left out, the first ones count"
sed 's/"category_id":2,"category":"dog"/"category":"cow"/' many.jsonl >cow.jsonl
runs 0 "$nms" --sweep -g gt.json --method hard --iou 0.5 cow.jsonl
says err 'frcnn-nms: warning: gt.json: classes of the detections that the ground truth lacks: 1 ("cow")'

echo '{"image_id":77,"detections":[]}' >>many.jsonl
runs 2 "$nms" --sweep -g gt.json --iou 0.5 many.jsonl
says err "frcnn-nms: gt.json: images of the detections that the ground truth lacks: 1"
runs 2 "$nms" --sweep -g missing.json many.jsonl
