# What is wrong with the input is one line each, status 2, and the rest is evaluated; odd things are warnings.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/eval.inc"

# bad TEXT LINE: one more line of records, which is left out; the others give the numbers as before
bad() {
	printf '%s\n' "$1" | cat dets.jsonl - >bad.jsonl
	runs 2 "$eval" -g gt.json bad.jsonl --min AP=0.9
	head -n 12 out >first
	same first summary
	has err "$2"
	has err 'frcnn-eval: bad.jsonl: '
	says err 'frcnn-eval: no gate is judged: something was left out'
}

bad '{"image_id":9,"file_name":"z.png","width":1,"height":1,"detections":[{"bbox":[1,1,5,5],"score":0.5,"category_id":1}]}' 'z.png'
bad '{"image_id":1,"file_name":"a.png","width":100,"height":100,"detections":[]}' 'a.png'
bad '{"image_id":3,"file_name":"a.png","width":100,"height":100,"detections":[]}' 'bad.jsonl:4: '
bad '{"image_id":1,"detections":[{"bbox":[1,1,5,5],"score":NaN,"category_id":1}]}' 'bad.jsonl:4: '
bad '{"image_id":1,"detections":[{"bbox":[1,1,-5,5],"score":0.5,"category_id":1}]}' 'bad.jsonl:4: '
bad '{"image_id":1' 'bad.jsonl:4: '
bad 'nonsense' 'bad.jsonl:4: '
bad '{"detections":[]}' 'bad.jsonl:4: 1 image that the ground truth lacks (neither file_name nor image_id)'

# A file that is not there, beside one that is; the ground truth is not there.
runs 2 "$eval" -g gt.json nosuch.jsonl dets.jsonl
says err 'frcnn-eval: nosuch.jsonl: no such file or directory'
same out summary
runs 2 "$eval" -g nosuch.json dets.jsonl
lines out 0
lines err 1
says err 'frcnn-eval: nosuch.json: no such file or directory'
runs 2 "$eval" -g gt.json dets.jsonl --baseline nosuch.json
says err 'frcnn-eval: nosuch.json: no such file or directory'
same out summary
runs 2 "$eval" -g dets.json dets.jsonl
lines err 1
runs 2 "$eval" -g gt.json dets.jsonl --classes cow
says err 'frcnn-eval: --classes: the ground truth has no class "cow"'

# An array that is cut off is lost as a whole, and it says so.
head -c 200 dets.json >cut.json
runs 2 "$eval" -g gt.json cut.json --min AP=0
says err 'frcnn-eval: cut.json: nothing of it could be read: the numbers are those of no detections'
says err 'frcnn-eval: no gate is judged: something was left out'

# Warnings: the status stays 0, and -q keeps them back.
warns() {
	runs 0 "$eval" -g gt.json odd.jsonl
	has err "frcnn-eval: warning: odd.jsonl"
	has err "$1"
	runs 0 "$eval" -q -g gt.json odd.jsonl
	lines err 0
}
sed 's/"category_id":2,"category":"dog"/"category_id":99,"category":"cow"/' dets.jsonl >odd.jsonl
warns cow
sed 's/\[0,0,50,45\]/[0,0,150,45]/' dets.jsonl >odd.jsonl
warns 'b.png'
head -n 2 dets.jsonl >odd.jsonl
warns 'c.png'

sed 's/"detections":\[.*\]}$/"proposals":[]}/' dets.jsonl >odd.jsonl
warns 'records that hold proposals alone: 3'

# Ids that mean something else to pycocotools: the numbers are right, one warning tells the difference.
sed 's/{"id":1,"image_id":1,"cat/{"id":0,"image_id":1,"cat/' gt.json >zero.json
runs 0 "$eval" -g zero.json dets.jsonl
same out summary
lines err 1
has err 'frcnn-eval: warning: zero.json: annotation id 0'
has err 'AP of dets.jsonl is 0.7653465346534654, there '
runs 0 "$eval" -g zero.json dets.jsonl --pycocotools
! cmp -s out summary || fail "--pycocotools counts the match of id 0"

# No detections at all is AP 0, not trouble.
for empty in '' '[]'; do
	printf '%s' "$empty" >empty
	runs 0 "$eval" -q -g gt.json empty --format json --min AP=0
	[ "$(metric out AP)" = 0 ] || fail "AP of nothing is $(metric out AP)"
done
runs 1 "$eval" -q -g gt.json empty --min AP=0.1

# Nothing is lost in silence.
if [ -w /dev/full ]; then
	runs 2 sh -c '"$1" -g gt.json dets.jsonl >/dev/full' sh "$eval"
	has err 'standard output'
	runs 2 "$eval" -g gt.json dets.jsonl -o /dev/full
	has err '/dev/full'
fi
runs 2 "$eval" -g gt.json dets.jsonl --report nosuch/page.html
has err 'nosuch/page.html'

# What a run reads is not written over, nor one output over another.
cp gt.json gt.copy
cp dets.json dets.copy
for option in -o --report --curves --cells; do
	for file in gt.json dets.json ./dets.jsonl; do
		runs 2 "$eval" -g gt.json dets.json --baseline dets.jsonl "$option" "$file"
		lines out 0
		lines err 1
		says err "frcnn-eval: $option $file: that is read by this run"
	done
done
ln gt.json linked.json
runs 2 "$eval" -g gt.json dets.json -o linked.json
says err 'frcnn-eval: -o linked.json: that is read by this run'
same gt.json gt.copy
same dets.json dets.copy
runs 2 "$eval" -g gt.json dets.json -o new --report new
says err 'frcnn-eval: --report new: that is what -o writes'
[ ! -e new ] || fail "a refused run wrote its output"
runs 0 "$eval" -g gt.json dets.json -o new
runs 2 "$eval" -g gt.json dets.json --curves new --cells ./new
says err 'frcnn-eval: --cells ./new: that is what --curves writes'
runs 0 "$eval" -g gt.json dets.json -o new
same new summary

# A FIFO can be read once: its bytes are evaluated, and have no digest.
mkfifo pipe
for format in text json; do
	cat gt.json >pipe &
	runs 0 timeout 60 "$eval" -g pipe dets.json --format "$format"
	wait
	cat dets.json >pipe &
	runs 0 timeout 60 "$eval" -g gt.json pipe --format "$format"
	wait
	[ "$format" = json ] || same out summary
done
has out '"detections":[{"file":"pipe","images":'

# Nothing to measure on: every part says so.
sed 's/"iscrowd":0/"iscrowd":1/g' gt.json >crowd.json
sed '/"annotations"/,$d' gt.json >none.json
echo '"annotations":[]}' >>none.json
for truth in crowd none; do
	for dets in dets.jsonl empty; do
		runs 0 "$eval" -q -g "$truth.json" "$dets" --per-class --tide --confusion --calibration --voc all \
			--threshold-score 0.5 --want-recall 0.5 --baseline dets.json --resamples 5 --report page.html --format json
		[ "$(metric out AP)" = -1 ] || fail "AP of $truth is $(metric out AP)"
	done
done
runs 0 "$eval" -q -g gt.json empty --baseline empty --resamples 5 --tide
runs 0 "$eval" -q -g gt.json dets.jsonl --baseline dets.json --resamples 5 --report page.html
has page.html "tied with another of their class"
runs 2 "$eval" -q -g none.json dets.jsonl --min AP=0
says err 'frcnn-eval: gate: AP is undefined: there is nothing to measure it on'

# Ids at the ends of 64 bits are ids.
for id in -9223372036854775808 9223372036854775807; do
	sed "s/\"image_id\":2/\"image_id\":$id/g; s/\"id\":2,\"file/\"id\":$id,\"file/" gt.json >far.json
	sed "s/\"image_id\":2/\"image_id\":$id/g" dets.json >far-dets.json
	runs 0 "$eval" -q -g far.json far-dets.json
	same out summary
done

# What is lost is said, and why.
if [ -c /dev/full ]; then
	status=0
	"$eval" -g gt.json dets.json >/dev/full 2>err || status=$?
	[ "$status" = 2 ] || fail "a full disk: status $status"
	says err 'frcnn-eval: standard output: no space left on device'
fi
