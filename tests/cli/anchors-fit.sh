# Fitting: a set made for the default keeps it, another gains on images that were held out; seeded, whatever -j.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/anchors.inc"

# dataset WIDTH HEIGHT STEP: 40 images of 800 x 800 with boxes of that size, centred on multiples of STEP
dataset() {
	awk -v w="$1" -v h="$2" -v step="$3" 'BEGIN {
		printf "{\"categories\":[{\"id\":1,\"name\":\"x\"}],\"images\":["
		for (i = 1; i <= 40; i++)
			printf "%s{\"id\":%d,\"file_name\":\"%d.png\",\"width\":800,\"height\":800}", (i > 1 ? "," : ""), i, i
		printf "],\"annotations\":["
		for (i = 1; i <= 40; i++)
			for (k = 0; k < 3; k++)
				printf "%s{\"id\":%d,\"image_id\":%d,\"category_id\":1,\"bbox\":[%g,%g,%d,%d],\"area\":%d,\"iscrowd\":0}",
					(i + k > 1 ? "," : ""), 3 * i + k, i, step * (12 + i % 7 + 5 * k) - w / 2,
					step * (13 + i % 11 + 4 * k) - h / 2, w, h, w * h
		printf "]}\n"
	}'
}

# 90 x 46 is the default's anchor of size 64 and ratio 0.5, on cells of 8 pixels.
dataset 90 46 8 >default.json
for objective in mean-iou recall; do
	runs 0 "$anchors" -g default.json --fit --objective $objective --steps 100
	says out 'keep the default: the interval includes no gain'
	says out 'These anchors, to paste'
	says out '--anchors "32,64,128,256,512;0.5,1,2"'
done
runs 0 "$anchors" -g default.json --fit --steps 100 --format json
has out '"gain":0,"interval":[0,0],"keep_default":true'

dataset 40 130 9 >tall.json
runs 0 "$anchors" -g tall.json --fit --objective recall --steps 150 --format json
has out '"keep_default":false'
has out '"held_out_default":{"objects":'
mv out file
for j in 1 4; do
	runs 0 "$anchors" -j $j -g tall.json --fit --objective recall --steps 150 --format json
	same out file
done
runs 0 "$anchors" -g tall.json --fit --objective recall --steps 150 --seed 2 --format json
cmp -s out file && fail "the seed changes nothing"
runs 0 "$anchors" -g tall.json --fit --objective recall --steps 150
says out 'The fitted anchors, to paste'
# What is printed is taken again, and reaches what was promised.
option=$(sed -n 's/^--anchors "\(.*\)"$/\1/p' out)
runs 0 "$anchors" -g tall.json --anchors "$option" --format json
has out '"0.7":1}'

# The shape that was asked for.
runs 0 "$anchors" -g tall.json --fit --fit-sizes 2 --fit-ratios 1 --per-level --steps 20 --format json
sed 's/.*"fit":{//' out | grep -q '"option":"[0-9]*+[0-9]*,[0-9]*+[0-9]*,[0-9]*+[0-9]*,[0-9]*+[0-9]*,[0-9]*+[0-9]*;[0-9./]*"' ||
	fail "not the shape: $(sed 's/.*"fit":{//' out | cut -c1-300)"

# One image has no second half.
cat >one.json <<'END'
{"images":[{"id":1,"file_name":"a","width":99,"height":99}],"categories":[{"id":1,"name":"x"}],"annotations":[
{"id":1,"image_id":1,"category_id":1,"bbox":[1,1,30,30],"area":900,"iscrowd":0}]}
END
runs 2 "$anchors" -g one.json --fit
grep -q '^frcnn-anchors: fitting needs objects in both halves of the images: [01] and [01] are there$' err || fail "$(cat err)"
lines err 1
says out '1 images, 1 objects; resized to 800, at most 1333' # the rest stands
says out 'These anchors, to paste'
runs 2 "$anchors" -g one.json --fit --format json --report page.html
lines out 1
grep -q '"fit"' out && fail "a fit without a second half"
has page.html '</html>'

# What -v tells.
runs 0 "$anchors" -v -j 2 -g tall.json --fit --steps 3
lines err 3
has err "anchors 32,64,128,256,512;0.5,1,2 of torchvision's ResNet-FPN levels, resized to 800, at most 1333; 2 threads"
has err 'tall.json: 40 images, 120 objects, 0 entries left out'
has err 'fitting for mean-iou, 3 changes from each start, seed 1'

# Real pictures: fitted anchors raise the held-out best possible recall at IoU 0.7.
[ -n "$FRCNN_DATA" ] || exit 0
for objective in mean-iou recall; do
	runs 0 "$anchors" -g "$FRCNN_DATA/bccd/bccd_train_coco.json" --fit --objective $objective --steps 300 --format json
	has out '"keep_default":false'
	before=$(sed 's/.*"held_out_default":{[^}]*"0.7":\([0-9.]*\).*/\1/' out)
	after=$(sed 's/.*"held_out_fitted":{[^}]*"0.7":\([0-9.]*\).*/\1/' out)
	awk -v a="$after" -v b="$before" 'BEGIN { exit !(a > b + 0.3) }' || fail "$objective: recall $before, fitted $after"
done
