# Statistics: counts as torchvision has them, the same from COCO, VOC and YOLO, whatever -j; forms, proposals, the page.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/anchors.inc"

# The default configuration on the committed set; the numbers are torchvision's (tests/golden/anchors/assignments.txt).
runs 0 "$anchors" -q -g "$golden/ties.json" --format json
lines out 1
lines err 0
has out '"anchors":{"positive":415,"negative":1238072,"ignored":2085,"total":1240572,"forced_images":0}'
has out '"sizes":[[32],[64],[128],[256],[512]],"ratios":[[0.5,1,2],'
has out '"best_possible_recall":{"0.3":0.823529'
has out '"no_area":{"count":1,"items":[{"image":"even.png","image_id":1,"id":7}]}'
has out '"outside":{"count":1,"items":[{"image":"even.png","image_id":1,"id":8}]}'
has out '"duplicates":{"count":1,"items":[{"image":"even.png","image_id":1,"id":2}]}'
has out '"unreachable":[{"image":"tiny.png","image_id":6,"id":19,"size":[0.5,0.5],"iou":'
mv out json
# What an object without any anchor does in torchvision.
runs 0 "$anchors" -q -g "$golden/ties.json" --min-size 96 --max-size 128 --anchors '2,3,4,5,6;1'
has out '1 images hold an object that overlaps no anchor at all'

# Text, and the forms to paste.
runs 0 "$anchors" -q -g "$golden/ties.json"
says out '6 images, 17 objects; resized to 800, at most 1333'
says out ' 1 boxes without area: left out'
says out '--anchors "32,64,128,256,512;0.5,1,2"'
says out 'AnchorGenerator(sizes=((32,), (64,), (128,), (256,), (512,)), aspect_ratios=((0.5, 1, 2),) * 5)'
says out '    SIZES: [[32], [64], [128], [256], [512]]'
grep -q '^ all  *1240572  *415  *1238072  *2085  *17 ' out || fail "no line of all anchors"
mv out text
for j in 1 2 5; do
	runs 0 "$anchors" -q -j $j -g "$golden/ties.json"
	same out text
done
runs 0 "$anchors" -q -g "$golden/ties.json" --anchor-sizes 32,64,128,256,512 --aspect-ratios 0.5,1,2 -o file
lines out 0
same file text
runs 0 "$anchors" -q -g "$golden/ties.json" --reach 0
has out '0 of 17 objects have no anchor at IoU 0'

# A model's own levels, anchors and sizes: MobileNet has three levels of fifteen anchors.
runs 0 "$anchors" -q -g gt.json --model "$model" --arch fasterrcnn_mobilenet_v3_large_320_fpn --format json
has out '"min_size":320,"max_size":640'
has out '"option":"32+64+128+256+512,32+64+128+256+512,32+64+128+256+512;0.5,1,2"'
has out '"roi_levels":[3,0]'
runs 0 "$anchors" -q -g gt.json --model "$other_model" --format json
has out '"roi_levels":['

# The same boxes as VOC and YOLO give the same counts.
counts() {
	sed 's/.*\("distribution".*\),"reach".*/\1/' "$1" | sed 's/"mean_iou".*"roi_levels"/"roi_levels"/'
}
runs 0 "$anchors" -g gt.json --format json
counts out >coco
mkdir voc yolo
object() {
	printf '<object><name>%s</name><bndbox><xmin>%s</xmin><ymin>%s</ymin><xmax>%s</xmax><ymax>%s</ymax></bndbox></object>' "$@"
}
annotation() {
	printf '<annotation><filename>%s.png</filename><size><width>96</width><height>64</height></size>' "$1"
	cat
	printf '</annotation>\n'
}
{ object cat 13 9 36 24; object dog 49 17 96 64; } | annotation a >voc/a.xml
object cat 1 1 96 64 | annotation b >voc/b.xml
: | annotation c >voc/c.xml
runs 0 "$anchors" -g voc --format json
counts out >found
same found coco
for name in a b c; do cp "$data/round.png" yolo/$name.png; done
printf '0 0.25 0.25 0.25 0.25\n1 0.75 0.625 0.5 0.75\n' >yolo/a.txt
printf '0 0.5 0.5 1 1\n' >yolo/b.txt
printf 'cat\ndog\n' >names
runs 0 "$anchors" -g yolo --labels names --format json
counts out >found
same found coco

# Sizes that the ground truth lacks come from the images.
sed 's/,"width":96,"height":64//g' gt.json >nosize.json
runs 0 "$anchors" -g nosize.json --image-root yolo --format json
counts out >found
same found coco

# Proposals, one to one.
cat >proposals.jsonl <<'END'
{"image_id":1,"file_name":"a.png","width":96,"height":64,"proposals":[{"bbox":[12,8,24,16],"objectness":0.9},{"bbox":[12,8,24,15],"objectness":0.8}]}
{"image_id":2,"file_name":"b.png","width":96,"height":64,"proposals":[{"bbox":[0,0,96,40],"objectness":0.9}]}
END
runs 0 "$anchors" -g gt.json --proposals proposals.jsonl --format json
says err 'frcnn-anchors: proposals.jsonl: warning: no record for 1 of 3 images'
has out '"proposals":{"count":3,"images":2,"images_without":1,'
has out '"100":{"all":{"0.5":0.6666666666666666,"0.7":0.3333333333333333,'
mv out file
runs 0 "$anchors" -q -g gt.json --proposals - --format json <proposals.jsonl
same out file
runs 0 "$anchors" -q -g gt.json --proposals proposals.jsonl
grep -q '^ 1000, all  *3  *0.6667  *0.3333 ' out || fail "no table of proposals"
runs 0 "$anchors" -q -g gt.json --proposals proposals.jsonl --report page.html
has page.html '<tr><th>1000, all</th><td>3</td><td>0.6667</td><td>0.3333</td>'
has page.html '3 proposals in records of 2 images; 1 images have none.'

# The page stands alone.
runs 0 "$anchors" -q -g "$golden/ties.json" --fit --steps 5 --proposals /dev/null --report page.html
has page.html '</html>'
if grep -q -e '<script' -e 'href="http' -e 'src=' page.html; then fail "the page needs something from elsewhere"; fi
