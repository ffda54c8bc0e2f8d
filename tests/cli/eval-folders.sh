# Ground truth as a folder of VOC or YOLO files gives the numbers of the same boxes in COCO's form.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/eval.inc"

# object NAME XMIN YMIN XMAX YMAX [ELEMENTS]
object() {
	printf '<object><name>%s</name>%s<bndbox><xmin>%s</xmin><ymin>%s</ymin><xmax>%s</xmax><ymax>%s</ymax></bndbox></object>' \
		"$1" "${6-}" "$2" "$3" "$4" "$5"
}
# annotation STEM: of the objects on standard input
annotation() {
	mkdir -p voc
	{
		printf '<?xml version="1.0"?>\n<annotation><filename>%s.png</filename>\n' "$1"
		printf '<size><width>100</width><height>100</height><depth>3</depth></size>\n'
		cat
		printf '\n</annotation>\n'
	} >"voc/$1.xml"
}
{
	object cat 11 11 30 30
	object dog 51 51 90 90
} | annotation a
{
	object cat 1 1 50 50 "<difficult>0</difficult><part>$(object head 1 1 5 5)</part>"
	object cat 61 61 70 70
} | annotation b
: | annotation c
runs 0 "$eval" -g voc dets.jsonl
lines err 0
same out summary
printf 'eel\ndog\ncat\n' >order.txt
runs 0 "$eval" -g voc --labels order.txt dets.jsonl
same out summary

# The images of such a folder have no ids that a COCO result could mean, from a file or a pipe.
runs 2 "$eval" -g voc --format json dets.json
has err 'frcnn-eval: dets.json:1: 2 images that the ground truth lacks (1, 2), with 4 detections: left out, AP is that of the rest; it knows images by file name alone'
[ "$(metric out AP)" = 0 ] || fail "AP is $(metric out AP)"
runs 2 "$eval" -g voc --format json - <dets.json
has err 'it knows images by file name alone'

# Nor have its classes ids of their own: detections that name no class are told what they are joined by.
sed 's/,"category":"[a-z]*"//g' dets.jsonl >nameless.jsonl
runs 0 "$eval" -g voc nameless.jsonl
says err 'frcnn-eval: warning: nameless.jsonl: 4 detections without a class name joined by category_id, where the ground truth has names alone and counts them in byte order (1 cat, 2 dog): a file of labels gives another order'
printf 'cat\ndog\n' >byte-order.txt
runs 0 "$eval" -g voc --labels byte-order.txt nameless.jsonl
lines err 0
same out summary

# A difficult object is no miss, and what matches it no false positive: the small cat that b misses goes.
cp -r voc easy
{
	object cat 1 1 50 50
	object cat 61 61 70 70 '<difficult>1</difficult>'
} | annotation b
runs 0 "$eval" -g voc --format json dets.jsonl
[ "$(metric out recall.small)" = 1 ] || fail "recall.small is $(metric out recall.small)"
sed 's/\[20,70,10,10\]/[60,60,10,10]/' dets.jsonl >hit.jsonl
runs 0 "$eval" -g voc --format json hit.jsonl
[ "$(metric out AP50)" = 1 ] || fail "AP50 is $(metric out AP50)"

# One wrong file or object is one line; the others are evaluated.
printf '<annotation><object>' >easy/d.xml
object cat 9 1 2 5 | sed 's/.*/<annotation>&<\/annotation>/' >easy/e.xml
runs 2 "$eval" -q -g easy dets.jsonl
says err 'frcnn-eval: easy/d.xml:1: column 21: not well-formed XML: no element found'
says err 'frcnn-eval: easy/e.xml:1: object 1 ("cat"): xmax 2 is left of xmin 9'
head -n 12 out >first
same first summary

# YOLO: sizes from the images; an absent .txt is an image without objects.
mkdir yolo images
for stem in a b c; do cp "$data/round.png" "images/$stem.png"; done
printf '0 0.5 0.5 0.5 0.5\r\n' >yolo/a.txt
printf 'cat\n' >names.txt
runs 2 "$eval" -g yolo --image-root images dets.jsonl
has err 'frcnn-eval: yolo: YOLO files hold class numbers'
runs 0 "$eval" -q -g yolo --labels names.txt --image-root images --format json dets.jsonl
printf '0 0,5 0.5 0.5 0.5\n' >yolo/b.txt
runs 2 "$eval" -q -g yolo --labels names.txt --image-root images --format json dets.jsonl
says err 'frcnn-eval: yolo/b.txt:1: x centre is "0,5", not a number (a comma in it)'

cp voc/a.xml yolo
runs 2 "$eval" -g yolo --labels names.txt --image-root images dets.jsonl
says err 'frcnn-eval: yolo: VOC and YOLO files in one folder ("a.xml", "a.txt")'
