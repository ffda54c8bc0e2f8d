# frcnn-draw: where pictures go, in which format, what is refused, and that nothing else is touched.
. "$ROOT/tests/cli/common.inc"
draw=$BUILD/bin/frcnn-draw
golden=$ROOT/tests/golden/image

# record NAME WIDTH HEIGHT [SCORE]: a record with one box, or none
record() {
	box=
	[ -z "${4-}" ] || box='{"bbox":[2,2,5,5],"score":'$4',"category_id":3,"category":"nut"}'
	printf '{"file_name":"%s","width":%s,"height":%s,"model":"m","detections":[%s]}\n' "$1" "$2" "$3" "$box"
}

# kind FILE jpeg|png
kind() {
	case $(od -An -tx1 -N3 "$1" | tr -d ' ') in
	ffd8ff) [ "$2" = jpeg ] ;;
	89504e) [ "$2" = png ] ;;
	*) false ;;
	esac || fail "$1 is no $2"
}

# differ FILE FILE
differ() {
	! cmp -s "$1" "$2" || fail "$1 and $2 are the same"
}

mkdir -p photos/sub
cp "$golden/444.jpg" photos/a.jpg
cp "$golden/c2_8.png" photos/sub/b.png
cp "$golden/c6_16.png" photos/alpha.png
cp "$golden/cut.jpg" photos/cut.jpg
{
	record photos/a.jpg 27 21 0.9
	record photos/sub/b.png 11 9 0.9
	record photos/alpha.png 11 9
} >dets.jsonl

# Relative paths under -d, the format kept, from a file and from standard input; nothing on stdout.
runs 0 "$draw" -d pics dets.jsonl
lines out 0
lines err 0
kind pics/photos/a.jpg jpeg
kind pics/photos/sub/b.png png
differ photos/sub/b.png pics/photos/sub/b.png
[ "$(find pics -type f | wc -l)" = 3 ] || fail "$(find pics -type f) is not three files"
"$draw" -d piped <dets.jsonl || fail "standard input"
diff -r pics piped || fail "standard input gives other pictures"
"$draw" -d piped - <dets.jsonl || fail "a second run over its own pictures"
diff -r pics piped || fail "a second run gives other pictures"

# A PNG without detections keeps every chunk behind the header; only the comment is put between.
added=$(($(wc -c <pics/photos/alpha.png) - $(wc -c <photos/alpha.png)))
head -c 33 photos/alpha.png >head1
head -c 33 pics/photos/alpha.png >head2
same head1 head2
tail -c +34 photos/alpha.png >tail1
tail -c +$((34 + added)) pics/photos/alpha.png >tail2
same tail1 tail2

# A score that is not above the bound, or another class: as if there were no detection.
record photos/sub/b.png 11 9 >none.jsonl
runs 0 "$draw" -d none none.jsonl
record photos/sub/b.png 11 9 0.5 >half.jsonl
runs 0 "$draw" -d half --score 0.5 half.jsonl
same none/photos/sub/b.png half/photos/sub/b.png
runs 0 "$draw" -d bolts --classes bolt,7 half.jsonl
same none/photos/sub/b.png bolts/photos/sub/b.png
runs 0 "$draw" -d nuts --classes nut half.jsonl
differ none/photos/sub/b.png nuts/photos/sub/b.png
runs 0 "$draw" -d threes --classes 3 half.jsonl
same nuts/photos/sub/b.png threes/photos/sub/b.png

# Forced formats take their suffix.
runs 0 "$draw" -d png --png dets.jsonl
kind png/photos/a.png png
kind png/photos/sub/b.png png
runs 0 "$draw" -d jpeg --jpeg dets.jsonl
kind jpeg/photos/a.jpg jpeg
kind jpeg/photos/sub/b.jpg jpeg
kind jpeg/photos/alpha.jpg jpeg

# Never over an input, nor over anything that is not ours.
cp photos/a.jpg a.before
(cd photos && record a.jpg 27 21 0.9 | "$draw" -d . 2>../err) && fail "drew over its input"
says err "frcnn-draw: ./a.jpg: is the picture to draw on: not overwritten"
same photos/a.jpg a.before
# also when the input is a picture of ours, which may be replaced otherwise
cp pics/photos/a.jpg a.drawn
(cd pics && record photos/a.jpg 27 21 0.9 | "$draw" -d . 2>../err) && fail "drew over its drawn input"
says err "frcnn-draw: ./photos/a.jpg: is the picture to draw on: not overwritten"
same pics/photos/a.jpg a.drawn
mkdir -p mine/photos
echo precious >mine/photos/a.jpg
runs 2 "$draw" -d mine dets.jsonl
lines err 1
says err "frcnn-draw: mine/photos/a.jpg: exists and is no picture of frcnn-draw's: not overwritten"
[ "$(cat mine/photos/a.jpg)" = precious ] || fail "overwrote a file of somebody's"
[ -f mine/photos/sub/b.png ] || fail "the other pictures are not there"

# Bad records and pictures: one line each, the others go through.
{
	record photos/cut.jpg 27 21 0.9
	record photos/missing.jpg 27 21 0.9
	record ../up.jpg 27 21 0.9
	record photos/../../up.jpg 27 21 0.9
	echo '{"file_name":'
	record photos/a.jpg 21 27 0.9
	record photos/sub/b.png 11 9 0.9
	record photos/./sub//b.png 11 9 0.9
} >bad.jsonl
runs 2 "$draw" -d bad bad.jsonl
lines err 7
says err 'frcnn-draw: photos/cut.jpg: truncated JPEG'
grep -q '^frcnn-draw: photos/missing.jpg: ' err || fail "photos/missing.jpg is not named"
says err 'frcnn-draw: bad.jsonl:3: ../up.jpg: a file_name with ".." is refused'
grep -q '^frcnn-draw: bad.jsonl:5: ' err || fail "the bad line is not named"
says err 'frcnn-draw: photos/a.jpg: the picture has 27x21 pixels, its record says 21x27 (--exif must be as it was for frcnn-detect)'
says err "frcnn-draw: bad/photos/sub/b.png: an earlier record's picture has this name"
[ "$(find bad -type f)" = bad/photos/sub/b.png ] || fail "$(find bad -type f)"
same bad/photos/sub/b.png pics/photos/sub/b.png
[ ! -e up.jpg ] && [ ! -e ../up.jpg ] || fail "left the folder"

# A leading slash is dropped.
record "$PWD/photos/sub/b.png" 11 9 0.9 | "$draw" -d abs || fail "absolute name"
same "abs$PWD/photos/sub/b.png" pics/photos/sub/b.png

# --image-root; COCO results with the names of the ground truth; the ground truth is drawn.
echo '[{"image_id":7,"category_id":3,"bbox":[2,2,5,5],"score":0.9}]' >coco.json
cat >gt.json <<'END'
{"images":[{"id":7,"file_name":"sub/b.png","width":11,"height":9}],"categories":[{"id":3,"name":"nut"}],
"annotations":[{"id":1,"image_id":7,"category_id":3,"bbox":[1,1,8,6],"area":48,"iscrowd":0}]}
END
runs 2 "$draw" -d coco coco.json
says err 'frcnn-draw: coco.json:1: image 7: no file name known (--gt may tell it)'
printf '{"file_name":"","detections":[]}\n{"detections":[]}\n{"file_name":"sub/b.png","image_id":8,"detections":[]}\n' >odd.jsonl
runs 2 "$draw" -d odd --gt gt.json --image-root photos - <odd.jsonl
says err 'frcnn-draw: standard input:1: "" is not the name of a file'
says err 'frcnn-draw: standard input:2: record without a file name'
grep -q '^frcnn-draw: standard input:3: .*image 7.*8' err || fail "the record that contradicts is not named: $(cat err)"
if [ -c /dev/full ]; then
	mkdir -p full/photos
	ln -s /dev/full full/photos/a.jpg
	record photos/a.jpg 27 21 0.9 >full.jsonl
	runs 2 "$draw" -d full full.jsonl
	says err 'frcnn-draw: full/photos/a.jpg: no space left on device'
fi
runs 0 "$draw" -d coco --gt gt.json --image-root photos coco.json
differ coco/sub/b.png pics/photos/sub/b.png
runs 0 "$draw" -d dataset --image-root photos gt.json

# EXIF: 8 x 5 as it is stored, 5 x 8 upright.
cp "$golden/exif6.jpg" turned.jpg
record turned.jpg 5 8 0.9 >turned.jsonl
runs 2 "$draw" -d turned turned.jsonl
runs 0 "$draw" -d turned --exif turned.jsonl

# Usage.
runs 2 "$draw" dets.jsonl
says err 'frcnn-draw: a folder for the pictures is needed: -d DIR'
runs 2 "$draw" -d x --png --jpeg dets.jsonl
runs 2 "$draw" -d x nosuch.jsonl
says err 'frcnn-draw: nosuch.jsonl: no such file or directory'

# The options of the man page are the program's.
"$draw" --list-options | sed 's/	[^	]*$//' | sort >listed
sed -n 's/^\.It Fl //p' "$ROOT/man/frcnn-draw.1" | sed \
	-e 's/ , Fl -\([a-z-]*\)/	--\1/' -e 's/^-\([a-z-]*\)/	--\1/' -e 's/^\([^	-]\)	/-\1	/' \
	-e 's/ Ar \(.*\)$/	\1/' | awk -F '\t' -v OFS='\t' '{ print $2, $1, $3 }' | sort >documented
same listed documented
