# Usage errors; and what is wrong with the input: one line each, status 2, the rest is counted.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/anchors.inc"

wrong() {
	message=$1
	shift
	runs 2 "$anchors" "$@"
	lines out 0
	lines err 2
	says err "frcnn-anchors: $message"
	says err "Try 'frcnn-anchors --help'"
}
wrong 'no ground truth given (-g PATH)'
wrong '"x": no operands are taken' -g gt.json x
wrong '--anchors does not go with --anchor-sizes or --aspect-ratios' -g gt.json --anchors '1;1' --anchor-sizes 1
wrong '--anchors: "32" is not of the form SIZES;RATIOS' -g gt.json --anchors 32
wrong '--anchors: "1;2;3" is not of the form SIZES;RATIOS' -g gt.json --anchors '1;2;3'
wrong '--arch needs --model' -g gt.json --arch x
wrong '--report needs a file of its own, not "-"' -g gt.json --report -
wrong '--report needs a file of its own, not "x"' -g gt.json -o x --report x
wrong '--seed needs --fit' -g gt.json --seed 3
wrong '--objective needs --fit' -g gt.json --objective recall
wrong '--objective: "x" is none of mean-iou|recall|assigned' -g gt.json --objective x
wrong '--format: "csv" is none of text|json' --format csv

# refused MESSAGE OPTION...: no numbers
refused() {
	message=$1
	shift
	runs 2 "$anchors" -g gt.json "$@"
	lines out 0
	lines err 1
	says err "frcnn-anchors: $message"
}
refused 'anchor sizes: 2 levels given, the model has 5 (other levels: give --model)' --anchor-sizes 1,2
refused 'anchor sizes: "x" is not a number from 1e-6 to 1e6' --anchor-sizes x,1,1,1,1
refused 'aspect ratios: 3 levels given, the model has 5 (other levels: give --model)' --aspect-ratios 1/1/1
refused 'level 1 has 3 anchors a cell, level 0 has 6: all levels share one RPN head' --anchor-sizes 1+2,1,1,1,1
refused "$model: level 0: 1 anchor size x 3 aspect ratios give 3 anchors a cell, but the tensors imply 15" \
	--model "$model" --anchor-sizes 32,64,128
refused 'none.jsonl: no such file or directory' --proposals none.jsonl
runs 2 "$anchors" -g none.json
lines out 0
says err 'frcnn-anchors: none.json: no such file or directory'

# COCO names its classes: other names are of no use.
echo thing >names
runs 0 "$anchors" -g gt.json --labels names
says err 'frcnn-anchors: warning: --labels is not used: gt.json is COCO, which names its classes itself'

# An image whose size nobody knows, an entry that is wrong: the rest is counted.
sed 's/"id":3,"file_name":"c.png","width":96,"height":64/"id":3,"file_name":"c.png"/' gt.json >nosize.json
runs 2 "$anchors" -g nosize.json
says err 'frcnn-anchors: nosize.json: image c.png has no width and height: left out (--image-root finds them)'
says out '2 images, 3 objects; resized to 800, at most 1333'
sed 's/\[12,8,24,16\]/[12,8,-24,16]/' gt.json >negative.json
runs 2 "$anchors" -g negative.json
lines err 1
says out '3 images, 2 objects; resized to 800, at most 1333'

# Records of images that are not there, twice, or broken.
cat >bad.jsonl <<'END'
{"image_id":1,"file_name":"a.png","width":96,"height":64,"proposals":[{"bbox":[12,8,24,16],"objectness":0.9}]}
{"image_id":1,"file_name":"a.png","width":96,"height":64,"proposals":[]}
{"image_id":9,"file_name":"z.png","width":96,"height":64,"proposals":[]}
{"image_id":2
END
runs 2 "$anchors" -g gt.json --proposals bad.jsonl
has err 'frcnn-anchors: bad.jsonl:2: an image that has a record in line 1 already'
has err 'frcnn-anchors: bad.jsonl:3: the ground truth has no image z.png'
has err 'frcnn-anchors: bad.jsonl:4: '
says out '1 proposals in records of 1 images; 2 images have none'

# Standard input is called that.
runs 2 "$anchors" -g gt.json --proposals - <bad.jsonl
has err 'frcnn-anchors: standard input:3: '
says err 'frcnn-anchors: standard input: warning: no record for 2 of 3 images'
if command -v script >/dev/null; then # a terminal is no file of records: no waiting for what nobody types
	script -qec "$anchors -g gt.json --proposals -" terminal </dev/null >/dev/null 2>&1 || :
	has terminal '--proposals: standard input is a terminal'
fi

# Nothing at all is no trouble.
echo '{"images":[],"annotations":[],"categories":[]}' >empty.json
runs 0 "$anchors" -g empty.json --report page.html
says out '0 images, 0 objects; resized to 800, at most 1333'
runs 0 "$anchors" -g empty.json --format json
has out '"anchors":{"positive":0,"negative":0,"ignored":0,'

# What cannot be written is said.
runs 2 "$anchors" -g gt.json -o no/such/folder/x
if [ -e /dev/full ]; then
	# JSON is more than a stream holds back.
	for format in text json; do
		status=0
		"$anchors" -g gt.json --format $format >/dev/full 2>err || status=$?
		[ "$status" = 2 ] || fail "a full disk: status $status"
		says err 'frcnn-anchors: standard output: no space left on device'
		lines err 1
	done
fi
