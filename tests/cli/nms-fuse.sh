# frcnn-nms over several files: how images and classes meet, weights, what a fused box keeps.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/nms.inc"

one='{"file_name":"x/a.png","width":100,"height":100,"k":1,"detections":[{"bbox":[10,10,20,20],"score":0.8,"category_id":1,"category":"cat","who":"one"}]}'
two='{"file_name":"a.png","width":100,"height":100,"k":2,"detections":[{"bbox":[12,10,20,20],"score":0.9,"category":"cat","who":"two"}]}'
echo "$one" >one
echo "$two" >two
echo '{"file_name":"b.png","width":100,"height":100,"detections":[{"bbox":[0,0,9,9],"score":0.25,"category":"cat"}]}' >>two

# The best member's keys, at the first file's record; an image that only one file has is counted, its score lowered.
runs 0 "$nms" --method wbf one two
says err "frcnn-nms: warning: images that are not in all 2 files: 1 of 2"
says out '{"file_name":"x/a.png","width":100,"height":100,"k":1,"detections":[{"bbox":[11.058824,10,20,20],"score":0.85,"category":"cat","who":"two"}]}'
says out '{"file_name":"b.png","width":100,"height":100,"detections":[{"bbox":[0,0,9,9],"score":0.125,"category":"cat"}]}'
cp out both
for jobs in 1 3; do
	runs 0 "$nms" -j $jobs --method wbf one two
	same both out
done
runs 0 "$nms" -q --method wbf --weights 1,0 one two # the second takes no part
says out "$one"
says out '{"file_name":"b.png","width":100,"height":100,"detections":[]}'
lines err 0
runs 0 "$nms" --method nmw one two
grep -q '"score":0.9,' out || fail "nmw: $(cat out)"
runs 0 "$nms" one two # hard takes all files as one
says out '{"file_name":"x/a.png","width":100,"height":100,"k":1,"detections":[{"bbox":[12,10,20,20],"score":0.9,"category":"cat","who":"two"}]}'

# COCO results meet by id, and classes by id where a side has no name.
echo '[{"image_id":7,"category_id":1,"bbox":[12,10,20,20],"score":0.9,"who":"coco"}]' >coco
sed 's/"file_name":"x\/a.png"/"image_id":7/' one >by-id
runs 0 "$nms" --method wbf --conf max coco by-id
says out '{"image_id":7,"category_id":1,"bbox":[11.058824,10,20,20],"score":0.9,"who":"coco"}'
runs 0 "$nms" --method wbf --conf max by-id coco
says out '{"image_id":7,"width":100,"height":100,"k":1,"detections":[{"category_id":1,"bbox":[11.058824,10,20,20],"score":0.9,"who":"coco"}]}'

# A class that only one file names is that class in the others too.
runs 0 "$nms" --method wbf --conf max --classes cat coco by-id
says out '{"image_id":7,"category_id":1,"bbox":[11.058824,10,20,20],"score":0.9,"who":"coco"}'
runs 0 "$nms" --classes cat,dog by-id
says err 'frcnn-nms: warning: --classes: no detection is of class "dog"'

# Images of one base name in several folders, of which one file has one alone.
echo '{"file_name":"p/a.png","detections":[{"bbox":[0,0,9,9],"score":0.5,"category_id":1}]}' >one-folder
cp one-folder two-folders
echo '{"file_name":"p/sub/a.png","detections":[{"bbox":[0,0,9,9],"score":0.25,"category_id":1}]}' >>two-folders
for order in 'one-folder two-folders' 'two-folders one-folder'; do
	# shellcheck disable=SC2086
	runs 0 "$nms" $order
	same two-folders out
	says err "frcnn-nms: warning: images that are not in all 2 files: 1 of 2"
done
sed 's/p\/a/a/' one-folder >no-folder
sed 's/p\/a/q\/a/' two-folders >others
runs 2 "$nms" no-folder others
says err 'frcnn-nms: others:1: file name "q/a.png" and others of this input fit image "a.png" of another'
says err 'frcnn-nms: others:2: file name "p/sub/a.png" and others of this input fit image "a.png" of another'
runs 2 "$nms" others no-folder
says err 'frcnn-nms: no-folder:1: file name "a.png" fits several images of the other inputs'

# A file that is not there is as one with nothing in it; none there is nothing done.
runs 2 "$nms" --method wbf missing one-folder
says err "frcnn-nms: missing: no such file or directory"
says out '{"file_name":"p/a.png","detections":[{"bbox":[0,0,9,9],"score":0.25,"category_id":1}]}'
runs 2 "$nms" -o written missing missing
lines err 2
[ ! -e written ] && [ ! -e written.part ] || fail "something was written"

# Scores above 1 are kept with one warning, or clipped.
sed 's/"score":0.8/"score":1/' one >sure
cat sure >heavy
sed -i 's/\(.*"detections":\[\)\({.*}\)\(\]}\)/\1\2,\2\3/' heavy
runs 0 "$nms" --method wbf --weights 0.1,3 sure heavy
says err "frcnn-nms: warning: fused scores above 1: 1 (--clip-scores makes them 1)"
runs 0 "$nms" --method wbf --weights 0.1,3 --clip-scores sure heavy
lines err 0
grep -q '"score":1,' out || fail "not clipped: $(cat out)"

# What does not join.
cat one one >again
runs 2 "$nms" again two
says err "frcnn-nms: again:2: the image has a record already, on line 1"
echo '{"file_name":"a.png","image_id":5,"detections":[]}' >five
echo '{"file_name":"a.png","image_id":6,"detections":[]}' >six
runs 2 "$nms" five six
says err 'frcnn-nms: six:1: file name "a.png" is image 5 in another input, but image_id is 6'
echo '{"detections":[]}' >nobody
runs 2 "$nms" five nobody
says err 'frcnn-nms: nobody:1: neither file_name nor image_id to join by'
lines out 1
