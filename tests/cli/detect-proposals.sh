# Region proposals out, and boxes from elsewhere in.
. "$ROOT/tests/cli/common.inc"

cp "$data/round.png" a.png
cp "$data/square.jpg" b.jpg
# shellcheck disable=SC2086
runs 0 "$detect" $quick --proposals --rpn-post 20 a.png b.jpg
mv out boxes
lines boxes 2
grep -q '"proposals":\[{"bbox":\[.*"objectness":' boxes || fail "no proposals"
! grep -q '"detections"' boxes || fail "detections beside proposals"
# shellcheck disable=SC2086
runs 0 "$detect" $quick --rpn-post 20 a.png b.jpg
mv out direct
# shellcheck disable=SC2086
runs 0 "$detect" $quick --proposals-from boxes a.png b.jpg
lines out 2
# Text of x, y, w, h may move a corner by a rounding: as many detections, of the same classes.
for file in out direct; do
	grep -o '"category_id":[0-9]*' $file | sort >$file.classes
done
[ -s direct.classes ] || fail "nothing detected"
same direct.classes out.classes

# Found by base name; an image without a record is an error.
mkdir sub
cp a.png sub/a.png
cp a.png sub/c.png
# shellcheck disable=SC2086
runs 2 "$detect" $quick --proposals-from boxes sub
lines out 1
says err 'frcnn-detect: sub/c.png: no record in boxes'
# Detections do as well, and boxes of nothing are nothing.
# shellcheck disable=SC2086
runs 0 "$detect" $quick --proposals-from direct a.png
lines out 1
# Boxes of a picture of another size are of another picture, or of one that was turned.
sed 's/"width":96,"height":64/"width":64,"height":96/' boxes >turned
! cmp -s boxes turned || fail "the size of round.png is not 96 x 64"
# shellcheck disable=SC2086
runs 2 "$detect" $quick --proposals-from turned a.png b.jpg
lines out 1
says err 'frcnn-detect: a.png: the picture has 96x64 pixels, its record in turned says 64x96 (--exif must be as it was then)'
echo '{"file_name":"a.png","proposals":[]}' >none
# shellcheck disable=SC2086
runs 0 "$detect" $quick --proposals-from none a.png
grep -q '"detections":\[\]}$' out || fail "$(cat out)"
