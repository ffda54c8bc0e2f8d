# Sets, gates, plans and bytes of frcnn-quantize, on the model and the pictures that ship.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
[ -f "$small" ] || skip "share/models is not there"
cp -r "$share/images" photos
cp "$share/annotations/parts.json" gt.json
set -- --model "$small" --min-size 240 --max-size 400 -j 2 -q

# Eight pictures: 2 for the report, half of the rest each for calibration and search; copies count once.
cp photos/parts-42-00001.jpg copy.jpg
runs 0 "$quantize" "$@" -o a.safetensors --format json photos copy.jpg
has out '"copies":1'
has out '"sets":{"calibration":{"images":3,'
has out '"search":{"images":3,'
has out '"report":{"images":2,'
has out '"written":true,"status":0'
lines err 0
[ ! -e a.safetensors.part ] || fail "a.safetensors.part is left"
runs 0 "$quantize" "$@" -o few.safetensors --format json --images 2 --holdout 0.5 photos
has out '"calibration":{"images":2,'
has out '"search":{"images":2,'
has out '"report":{"images":4,'
has out '"unused":0'

# The same bytes whatever the order of operands and the threads; others with other options.
runs 0 "$quantize" --model "$small" --min-size 240 --max-size 400 -j 1 -q -o b.safetensors $(ls -r photos/*)
same a.safetensors b.safetensors
ls photos/* | runs 0 "$quantize" --model "$small" --min-size 240 --max-size 400 -j 3 -q -o c.safetensors -
same a.safetensors c.safetensors
runs 0 "$quantize" "$@" -o d.safetensors --observer minmax photos
! cmp -s a.safetensors d.safetensors || fail "--observer changes nothing"
# What is stored: resize options and where it comes from.
runs 0 "$quantize" "$@" -o e.safetensors --min-size 320 --max-size 500 photos
runs 0 "$BUILD/bin/frcnn-model" info e.safetensors
has out 320
grep -a -q source_sha256 e.safetensors || fail "no provenance"

# The model is small, and runs.
runs 0 "$detect" --model a.safetensors -j 1 photos/parts-42-00000.jpg
has out '"detections":[{'
[ "$(wc -c <a.safetensors)" -lt 6500000 ] || fail "a.safetensors is not smaller: $(wc -c <a.safetensors)"

# Ground truth: AP of both, its interval, and gates on it.
runs 0 "$quantize" "$@" -o g.safetensors --gt gt.json --image-root photos --min found=0.5 --max shift=0.1 --max-drop AP=0.2
has out 'found >= 0.5'
has out 'shift <= 0.1'
has out 'drop of AP <= 0.2'
grep -q '^ AP  .* to ' out || fail "no interval of AP"
has out 'gear:AP'
# The report is the same set, whoever says which pictures there are.
same a.safetensors g.safetensors

# A gate that fails: 1, the report is there, the model is not, and an old one stays as it was.
runs 1 "$quantize" "$@" -o h.safetensors --write-plan h.json --min found=1.01 --format markdown photos
has out '| found &#62;= 1.01 |'
has err 'frcnn-quantize: gate failed: found is '
has err 'frcnn-quantize: no model is written'
absent h.safetensors
has h.json '"backbone.body.conv1":'
echo old >h.safetensors
runs 1 "$quantize" "$@" -o h.safetensors --max shift=-1 photos
[ "$(cat h.safetensors)" = old ] || fail "the old file was touched"
# One that cannot be judged: 2.
runs 2 "$quantize" "$@" -o i.safetensors --min nothing=1 --gt gt.json --image-root photos
has err 'frcnn-quantize: gate: nothing: no metric "nothing"'
absent i.safetensors
# A picture that cannot be read is named, left out, and no gate is judged without it.
echo no picture >bad.jpg
runs 2 "$quantize" "$@" -o i.safetensors --min found=0 photos bad.jpg gone.jpg
has err 'gone.jpg: no such file or directory'
has err 'no model is written'
absent i.safetensors

# Measured on pictures from elsewhere: none of them is calibrated with.
runs 0 "$quantize" --model "$small" --min-size 240 --max-size 400 -j 2 -o k.safetensors --format json --measure-gt gt.json --measure-root photos \
	photos copy.jpg "$data/square.jpg"
has out '"calibration":{"images":1,'
has out '"report":{"images":8,'
has out '"overlap":8'
has err 'warning: 8 images are measured and so not used for anything else'
has err 'calibration images lies far from the report'

# A plan written is a plan read: the same bytes of weights, the same plan again.
runs 0 "$quantize" "$@" -o l.safetensors --write-plan plan.json --keep-float 'backbone.body.layer4.*' photos
has plan.json '"backbone.body.layer4.0.conv1":	"float32"'
has plan.json '"backbone.body.layer3.0.conv1":	"int8"'
runs 0 "$quantize" "$@" -o m.safetensors --plan plan.json --write-plan again.json --format json photos
same plan.json again.json
has out '"name":"backbone.body.layer4.0.conv1","dtype":"float32","why":"--plan"'
[ "$(wc -c <l.safetensors)" -gt "$(wc -c <a.safetensors)" ] || fail "float layers take no room"
runs 0 "$quantize" "$@" -o n.safetensors --quantize-all --format json photos
has out '"float_share":0,'

# Killed on the way: nothing is left.
"$quantize" --model "$small" --min-size 240 --max-size 400 -j 1 -q -o z.safetensors photos photos photos >/dev/null 2>&1 &
pid=$!
n=0
while [ ! -e z.safetensors.part ] && [ $n -lt 500 ]; do
	sleep 0.01
	n=$((n + 1))
done
kill -TERM $pid
wait $pid && fail "it was not killed"
absent z.safetensors
