# frcnn-nms: what stays, in which form and order; texts that pass; every input form.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/nms.inc"

cat >hard.jsonl <<'END'
{"image_id":1,"file_name":"a.png","width":100,"height":100,"model":"m@1","x-key":[1, 2],"detections":[{"bbox":[10,10,20,20],"score":0.90,"category_id":1,"category":"cat","mine":1.50},{"bbox":[11,10,20,20],"score":0.80,"category_id":2,"category":"dog"}],"tail":null}
{"image_id":2,"file_name":"b.png","width":100,"height":100,"detections":[]}
END
cat >hard.json <<'END'
[
{"image_id":8,"category_id":1,"bbox":[10,10,20,20],"score":0.9},
{"image_id":9,"category_id":1,"bbox":[10,11,20,20.50],"score":0.95,"u":1e2},
{"image_id":8,"category_id":1,"bbox":[70,10,20,20],"score":0.91}
]
END
gives hard.jsonl dets.jsonl
gives hard.jsonl --method diou dets.jsonl
runs 0 "$nms" <dets.jsonl
same hard.jsonl out
runs 0 "$nms" - <dets.jsonl
same hard.jsonl out
gives hard.json results.json
runs 0 "$nms" <results.json
same hard.json out
sed 's/^\[//; s/\]$//; s/,$//; s/}, {/}\n{/' results.json | sed 's/]$/]/' >lines.json
sed -i 's/"score":0.91}\]/"score":0.91}/' lines.json
sed -n 's/,$//; /^{/p' hard.json >hard.lines
gives hard.lines lines.json
runs 0 "$nms" -o written.jsonl dets.jsonl
lines out 0
same hard.jsonl written.jsonl
[ ! -e written.jsonl.part ] || fail "the part is left"
for jobs in 1 2 5; do gives hard.json -j $jobs results.json; done

# A box is new, or a score: nothing else changes.
cat >vote.jsonl <<'END'
{"image_id":1,"file_name":"a.png","width":100,"height":100,"model":"m@1","x-key":[1, 2],"detections":[{"bbox":[10.470589,10,20,20],"score":0.90,"category_id":1,"category":"cat","mine":1.50},{"bbox":[11,10,20,20],"score":0.80,"category_id":2,"category":"dog"}],"tail":null}
{"image_id":2,"file_name":"b.png","width":100,"height":100,"detections":[]}
END
gives vote.jsonl --method vote dets.jsonl
cat >soft.jsonl <<'END'
{"image_id":1,"file_name":"a.png","width":100,"height":100,"model":"m@1","x-key":[1, 2],"detections":[{"bbox":[10,10,20,20],"score":0.90,"category_id":1,"category":"cat","mine":1.50},{"bbox":[11,10,20,20],"score":0.80,"category_id":2,"category":"dog"},{"bbox":[11,10,20.0,20],"score":0.15562099,"category_id":1,"category":"cat"}],"tail":null}
{"image_id":2,"file_name":"b.png","width":100,"height":100,"detections":[]}
END
gives soft.jsonl --method soft-gaussian dets.jsonl
gives soft.jsonl --method soft-gaussian --score 0.15 dets.jsonl
gives hard.jsonl --method soft-gaussian --score 0.16 dets.jsonl
gives soft.jsonl --method matrix dets.jsonl
gives hard.jsonl --method soft-linear --score 0.5 dets.jsonl

# Thresholds are compared as torchvision does; conventions.
echo '{"file_name":"t","width":9,"height":9,"detections":[{"bbox":[0,0,10,1],"score":0.9,"category_id":1},{"bbox":[0,0,3,1],"score":0.8,"category_id":1}]}' >tenths
left() { # left N OPTION...
	count=$1
	shift
	runs 0 "$nms" "$@" tenths
	[ "$(grep -o '"bbox"' out | wc -l)" = "$count" ] || fail "$*: $(cat out)"
}
left 1 --iou 0.3
left 2 --iou 0.30000002
left 2 --iou 0.3 --convention matlab --geq --iou 0.37
left 1 --iou 0.3 --convention matlab
left 2 --iou 0.5
left 1 --iou 0.5 --max-dets 1
left 1 --iou 0.5 --top-k 1
left 1 --score 0.8
left 2 --score 0.79
left 2 --min-size 1
left 0 --min-size 1.5
left 0 --classes 2
left 2 --classes 2,1
printf '# of one class\n\n1\t0.3\n' >own
left 1 --thresholds own --iou 0.9
printf 'cat 0.3\n' >own
left 2 --thresholds own --iou 0.9
printf 'dog 0.3\n' >own
runs 0 "$nms" --thresholds own --agnostic dets.jsonl
[ "$(grep -o '"bbox"' out | wc -l)" = 1 ] || fail "agnostic: $(cat out)"

# Equal scores: input order, or by box whatever that is.
a='{"bbox":[5,0,10,10],"score":0.5,"category_id":1}'
b='{"bbox":[4,0,10,10],"score":0.5,"category_id":1}'
echo '{"file_name":"t","detections":['"$a,$b"']}' >ab
echo '{"file_name":"t","detections":['"$b,$a"']}' >ba
runs 0 "$nms" ab
says out '{"file_name":"t","detections":['"$a"']}'
runs 0 "$nms" ba
says out '{"file_name":"t","detections":['"$b"']}'
runs 0 "$nms" --stable-by box ab
cp out boxed
gives boxed --stable-by box ba
says out '{"file_name":"t","detections":['"$b"']}'

# Conversions.
cat >coco <<'END'
[
{"image_id":1,"bbox":[10,10,20,20],"score":0.90,"category_id":1,"category":"cat","mine":1.50},
{"image_id":1,"bbox":[11,10,20,20],"score":0.80,"category_id":2,"category":"dog"}
]
END
gives coco --format coco dets.jsonl
cat >jsonl <<'END'
{"image_id":9,"detections":[{"category_id":1,"bbox":[10,11,20,20.50],"score":0.95,"u":1e2}]}
{"image_id":8,"detections":[{"category_id":1,"bbox":[70,10,20,20],"score":0.91},{"category_id":1,"bbox":[10,10,20,20],"score":0.9}]}
END
gives jsonl --format jsonl results.json
printf '%s\r\n' file_name,image_id,width,height,x,y,w,h,score,category_id,category \
	a.png,1,100,100,10,10,20,20,0.90,1,cat a.png,1,100,100,11,10,20,20,0.80,2,dog b.png,2,100,100,,,,,,, >csv
gives csv --format csv dets.jsonl
runs 2 "$nms" --format coco tenths
says err "frcnn-nms: tenths:1: t: no image_id is known, which coco results need"
: >empty
runs 0 "$nms" empty
lines out 0
runs 0 "$nms" --format coco empty
says out "[]"

# Proposals, where there are no detections.
echo '{"file_name":"p","width":9,"height":9,"proposals":[{"bbox":[0,0,5,5],"objectness":0.5},{"bbox":[0,0,5,5.0],"objectness":0.75}]}' >proposals
echo '{"file_name":"p","width":9,"height":9,"proposals":[{"bbox":[0,0,5,5.0],"objectness":0.75}]}' >expected
gives expected proposals

# A dataset loses annotations, no more; what needs scores is refused.
echo '{"info":{"x":1},"images":[{"id":1,"width":9,"height":9}],"annotations":[ {"id":1,"image_id":1,"category_id":1,"bbox":[0,0,4,4],"area":16,"iscrowd":0},{"id":2,"image_id":1,"category_id":1,"bbox":[0,0,4,4.0],"area":16,"iscrowd":0} ],"categories":[{"id":1,"name":"c"}]}' >dataset
sed 's/,{"id":2[^}]*}//' dataset >expected
gives expected dataset
runs 2 "$nms" --method wbf dataset
says err "frcnn-nms: dataset: a COCO dataset has no scores: only hard and diou go with it"
lines out 0

# Annotations that are left out by their class or size go too, the first one and the only one.
sed 's/"category_id":1,"bbox":\[0,0,4,4\]/"category_id":2,"bbox":[0,0,4,4]/; s/"categories":\[/&{"id":2,"name":"d"},/' dataset >classes
sed 's/{"id":1,"image_id[^}]*},//' classes >expected
gives expected --classes c classes
sed 's/{"id":1,"image_id.*4\.0[^}]*}//' classes >expected
gives expected --min-size 5 classes

# Results get the class id that the name has elsewhere, whatever other values say.
echo '{"image_id":7,"detections":[{"bbox":[1,1,2,2],"score":0.5,"category":"cat","k":"category_id"},{"bbox":[5,1,2,2],"score":0.5,"category":"cat","category_id":3}]}' >named
runs 0 "$nms" --format coco named
says out '{"image_id":7,"bbox":[1,1,2,2],"score":0.5,"category":"cat","k":"category_id","category_id":3},'

# What is not written plainly is read another way, to the same end.
sed 's/"k"/"\\u006b"/' results.json >odd.json
gives hard.json odd.json
gives hard.json -j 1 odd.json
