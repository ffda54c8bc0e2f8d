# frcnn-eval: the forms of detections and outputs, what each option asks for, several models.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/eval.inc"

# pycocotools' summary, from every form of detections, by file and by standard input.
runs 0 "$eval" -g gt.json dets.jsonl
same out summary
lines err 0
sed 's/^\[//; s/]$//; s/},/}\n/g' dets.json | sed '/^$/d; s/,$//' >coco.jsonl
lines coco.jsonl 4
for form in dets.jsonl dets.json coco.jsonl; do
	runs 0 "$eval" -q -g gt.json "$form"
	same out summary
	"$eval" -q -g gt.json - <"$form" >out || fail "$form from standard input"
	same out summary
	"$eval" -q -g gt.json <"$form" >out || fail "$form from standard input, no operand"
	same out summary
done
runs 0 "$eval" -g gt.json --pycocotools dets.jsonl
same out summary
for jobs in 1 2 5; do
	runs 0 "$eval" -g gt.json -j "$jobs" dets.jsonl
	same out summary
done
runs 0 "$eval" -g gt.json dets.jsonl -o summary.out
lines out 0
same summary.out summary
[ ! -e summary.out.part ] || fail "summary.out.part is left"

# A dataset as detections has score 1; against itself everything is found.
runs 0 "$eval" -g gt.json gt.json --format json
[ "$(metric out AP)" = 0.9999999999999999 ] || [ "$(metric out AP)" = 1 ] || fail "AP of a dataset against itself is $(metric out AP)"

# JSON: the twelve numbers, metrics by name, and only the parts asked for.
runs 0 "$eval" -g gt.json dets.jsonl --format json
lines out 1
has out "$stats"
[ "$(metric out AP)" = 0.7653465346534654 ] || fail "AP"
[ "$(metric out recall.small)" = 0.5 ] || fail "recall.small"
[ "$(metric out recall.medium)" = 1 ] || fail "recall.medium"
[ "$(metric out precision)" = 0.75 ] || fail "precision"
for part in voc tide confusion calibration classes gates baseline; do
	! grep -q "\"$part\"" out || fail "$part was not asked for"
done
has out '"file":"dets.jsonl","model":"m@1"'
runs 0 "$eval" -g gt.json dets.jsonl --format json --voc all --tide --confusion --calibration --per-class
for part in voc tide confusion calibration classes; do
	has out "\"$part\":"
done
has out '"labels":["cat","dog","eel","background"],"matrix":[[2,0,0,1],[0,1,0,0],[0,0,0,0],[1,0,0,0]]'
runs 0 "$eval" -g gt.json dets.jsonl --format json --threshold-score 0.65
[ "$(metric out precision)" = 1 ] || fail "precision above 0.65 is $(metric out precision)"
runs 0 "$eval" -g gt.json dets.jsonl --threshold-score 0.7
has out '0.7'

# VOC AP at the one IoU of --iou: 0.9 is reached by two cats of three, and by no dog that was moved by 5%.
runs 0 "$eval" -g gt.json dets.jsonl --format json --voc all --iou 0.9
has out '"voc":{"method":"all","iou":0.9,'
runs 0 "$eval" -g gt.json dets.jsonl --format json --voc 11
has out '"voc":{"method":"11","iou":0.5,'

# IoU thresholds, areas, numbers of detections, classes.
runs 0 "$eval" -g gt.json dets.jsonl --iou 0.5:0.95:0.05 --area small=0:1024,medium=1024:9216,large=9216: --max-dets 1,10,100
same out summary
runs 0 "$eval" -g gt.json dets.jsonl --max-dets 100
same out summary
runs 0 "$eval" -g gt.json dets.jsonl --iou 0.6
has out '@[ IoU=0.60      | area=   all |'
runs 0 "$eval" -g gt.json dets.jsonl --iou 0.625
has out '@[ IoU=0.625     | area=   all |'
sed 's/"name":"eel"/"name":""/' gt.json >blank.json
runs 0 "$eval" -g blank.json dets.jsonl --per-class --confusion
has out ' category 7 '
runs 0 "$eval" -g gt.json dets.jsonl --iou 0.6,0.95 --format json
[ "$(metric out AP50)" = -1 ] && [ -n "$(metric out AP60)" ] && [ -n "$(metric out AP95)" ] || fail "AP60, AP95"
runs 0 "$eval" -g gt.json dets.jsonl --area tiny=0:100,rest=101: --max-dets 2 --format json
[ -n "$(metric out AP.tiny)" ] && [ -n "$(metric out AR.rest)" ] && [ -n "$(metric out AR2)" ] || fail "names of metrics"
[ "$(metric out recall.tiny)" = 0 ] || fail "recall.tiny is $(metric out recall.tiny)"
[ -z "$(metric out APs)" ] && [ -z "$(metric out AR100)" ] || fail "metrics of areas that are not there"
runs 0 "$eval" -g gt.json dets.jsonl --classes dog --format json
[ "$(metric out AP)" = 0.9 ] || [ "$(metric out AP)" = 0.8999999999999999 ] || fail "AP of dog is $(metric out AP)"
mv out dog
runs 0 "$eval" -g gt.json dets.jsonl --classes 2 --format json
same out dog
runs 0 "$eval" -g gt.json dets.jsonl --classes dog,eel,cat
same out summary
runs 0 "$eval" -g gt.json dets.jsonl --agnostic --format json --per-class
has out '"name":"all"'
sed 's/"category_id":2,"category":"dog"/"category_id":1,"category":"cat"/' dets.jsonl >one.jsonl
runs 0 "$eval" -q -g gt.json one.jsonl --agnostic
mv out agnostic
runs 0 "$eval" -q -g gt.json dets.jsonl --agnostic
same out agnostic

# Several models are a table, one line each.
runs 0 "$eval" -g gt.json dets.jsonl worse.jsonl
lines out 3
has out ' dets.jsonl '
has out ' worse.jsonl '
has out 0.765
runs 0 "$eval" -g gt.json dets.jsonl worse.jsonl --format json
has out '"models":['
for format in csv markdown junit; do
	runs 0 "$eval" -g gt.json dets.jsonl worse.jsonl --format "$format" --per-class
	has out worse.jsonl
	lines err 0
done

# Files beside the numbers.
runs 0 "$eval" -g gt.json dets.jsonl --report page.html --curves curves.csv --cells cells.safetensors
same out summary
has page.html '</html>'
has page.html cat
head -n 1 curves.csv | grep -q recall,precision || fail "curves.csv: $(head -n 1 curves.csv)"
[ "$(head -c 500 cells.safetensors | grep -c '"precision":{"dtype":"F64","shape":\[10,101,3,4,3\]')" = 1 ] || fail "cells"
runs 0 "$eval" -g gt.json dets.jsonl --curves curves.json
[ "$(head -c 1 curves.json)" = '[' ] || fail "curves.json"

# VOC and YOLO folders, joined by stem.
mkdir voc yolo images
cat >voc/a.xml <<'END'
<annotation><filename>a.png</filename><size><width>100</width><height>100</height><depth>3</depth></size>
<object><name>cat</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object>
<object><name>dog</name><bndbox><xmin>51</xmin><ymin>51</ymin><xmax>90</xmax><ymax>90</ymax></bndbox></object></annotation>
END
cat >voc/b.xml <<'END'
<annotation><filename>b.png</filename><size><width>100</width><height>100</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>50</xmax><ymax>50</ymax></bndbox></object>
<object><name>cat</name><bndbox><xmin>61</xmin><ymin>61</ymin><xmax>70</xmax><ymax>70</ymax></bndbox></object></annotation>
END
echo '<annotation><filename>c.png</filename><size><width>100</width><height>100</height><depth>3</depth></size></annotation>' >voc/c.xml
runs 0 "$eval" -g voc dets.jsonl
same out summary
# difficult objects are neither missed nor found
sed 's|<object><name>cat</name><bndbox><xmin>61|<object><name>cat</name><difficult>1</difficult><bndbox><xmin>61|' voc/b.xml >b.xml
mv b.xml voc/b.xml
runs 0 "$eval" -g voc dets.jsonl --format json
[ "$(metric out recall.small)" = 1 ] || fail "recall.small without the difficult object is $(metric out recall.small)"
