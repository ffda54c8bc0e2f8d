# Images and ids from a ground truth; ids are never invented.
. "$ROOT/tests/cli/common.inc"

mkdir root
cp "$data/round.png" root/one.png
cp "$data/square.jpg" root/0012.jpg
cat >gt.json <<'END'
{"images":[{"id":9007199254740993,"file_name":"one.png","width":96,"height":64},
 {"id":7,"file_name":"0012.jpg","width":80,"height":81}],"annotations":[],"categories":[]}
END
# shellcheck disable=SC2086
runs 0 "$detect" $quick --gt gt.json --image-root root
sed 's/,"width".*//' out >got
cat >wanted <<'END'
{"image_id":9007199254740993,"file_name":"one.png"
{"image_id":7,"file_name":"0012.jpg"
END
same wanted got
says err 'frcnn-detect: root/0012.jpg: warning: 80 x 80 pixels, but 80 x 81 in gt.json'
lines err 1

# Beside operands it gives the ids alone.
# shellcheck disable=SC2086
runs 0 "$detect" $quick -q --gt gt.json root/one.png
grep -q '^{"image_id":9007199254740993,"file_name":"root/one.png",' out || fail "no id: $(cut -c1-99 out)"
cp root/one.png other.png
# shellcheck disable=SC2086
runs 0 "$detect" $quick --gt gt.json other.png
says err 'frcnn-detect: other.png: warning: not among the images of gt.json'

# Without one, all-digit stems are ids and nothing else is.
# shellcheck disable=SC2086
runs 0 "$detect" $quick root
sed 's/,"width".*//' out >got
cat >wanted <<'END'
{"image_id":12,"file_name":"root/0012.jpg"
{"file_name":"root/one.png"
END
same wanted got

# COCO results say who has none, and who has another's.
mkdir again
cp root/0012.jpg again/12.jpg
# shellcheck disable=SC2086
runs 2 "$detect" $quick --format coco --max-dets 1 root again
says err 'frcnn-detect: root/one.png: no image id: COCO results need --gt or an all-digit file name'
says err 'frcnn-detect: again/12.jpg: image id 12 is that of root/0012.jpg too'
lines err 2
[ "$(grep -c '"image_id":12,' out)" = 1 ] || fail "$(cat out)"

# What the ground truth names and is not there.
rm root/one.png
# shellcheck disable=SC2086
runs 2 "$detect" $quick -q --gt gt.json --image-root root
lines out 1
says err 'frcnn-detect: root/one.png: no such file or directory'
# shellcheck disable=SC2086
runs 2 "$detect" $quick --gt nosuch.json
says err 'frcnn-detect: nosuch.json: no such file or directory'
