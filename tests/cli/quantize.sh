# Sets, gates and plans of frcnn-quantize: on a tiny model, and once on the model that ships, with what it finds.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
[ -f "$small" ] || skip "share/models is not there"
cp -r "$share/images" photos
cp "$share/annotations/parts.json" gt.json
# shellcheck disable=SC2086
set -- $tiny_options -q

# Eight pictures: 2 for the report, the rest for calibration; copies count once. With gates search takes half of it.
cp photos/parts-42-00001.jpg copy.jpg
runs 0 "$quantize" "$@" -o a.safetensors --format json photos copy.jpg
has out '"copies":1'
has out '"sets":{"calibration":{"images":6,'
has out '"search":{"images":0,'
has out '"report":{"images":2,'
has out '"written":true,"status":0'
lacks out '"sensed"'
lines err 0
[ ! -e a.safetensors.part ] || fail "a.safetensors.part is left"
runs 0 "$quantize" "$@" -o few.safetensors --format json --images 2 --holdout 0.5 --min found=0.1 photos
has out '"calibration":{"images":2,'
has out '"search":{"images":2,'
has out '"report":{"images":4,'
has out '"unused":0'
has out '"text":"the search set has only 2 images: no layer is left float to meet the gates"'

# A gate that fails: 1, the report is there, the model is not, and an old one stays as it was.
runs 1 "$quantize" "$@" -o h.safetensors --write-plan h.json --min found=1.01 --format markdown photos
has out '| found &#62;= 1.01 |'
has out '## Warnings'
has err 'frcnn-quantize: gate failed: found is '
has err 'frcnn-quantize: no model is written'
absent h.safetensors
has h.json '"backbone.body.conv1":'
echo old >h.safetensors
runs 1 "$quantize" "$@" -o h.safetensors --max shift=-1 photos
[ "$(cat h.safetensors)" = old ] || fail "the old file was touched"
# One on what there is none of: 2, at once.
runs 2 "$quantize" "$@" -o i.safetensors --min nothing=1 --gt gt.json --image-root photos
has err 'frcnn-quantize: --min nothing: no metric "nothing"'
absent i.safetensors
# A picture that cannot be read is named, left out, and no gate is judged without it.
echo no picture >bad.jpg
runs 2 "$quantize" "$@" -o i.safetensors --min found=0 photos bad.jpg gone.jpg
has err 'gone.jpg: no such file or directory'
has err 'no model is written'
absent i.safetensors

# Measured on pictures from elsewhere: none of them is calibrated with.
# shellcheck disable=SC2086
runs 0 "$quantize" $tiny_options -o k.safetensors --format json --measure-gt gt.json --measure-root photos \
	photos copy.jpg "$data/square.jpg"
has out '"calibration":{"images":1,'
has out '"report":{"images":8,'
has out '"overlap":8'
has err 'warning: 8 images are measured and so not used for anything else'
has err 'warning: photos/parts-42-00001.jpg is a copy of another image: copies count once'
has err "warning: size of 1 of 1 calibration images lies far from the report's median"

# A plan written is a plan read: the same plan again. Sensitivity is told where it was asked for.
runs 0 "$quantize" "$@" -o l.safetensors --write-plan plan.json --keep-float 'backbone.body.layer4.*' photos
has plan.json '"backbone.body.layer4.0.conv1":	"float32"'
has plan.json '"backbone.body.layer3.0.conv1":	"int8"'
runs 0 "$quantize" "$@" -o m.safetensors --plan plan.json --write-plan again.json --format json --sensitivity photos
same plan.json again.json
has out '"name":"backbone.body.layer4.0.conv1","dtype":"float32","why":"--plan"'
has out '"sensed":6,'
[ "$(grep -o '"output_snr":[0-9]' out | wc -l)" = "$(grep -o '"multiply_adds":' out | wc -l)" ] || fail "no SNR of all layers"
[ "$(wc -c <l.safetensors)" -gt "$(wc -c <a.safetensors)" ] || fail "float layers take no room"
runs 0 "$quantize" "$@" -o n.safetensors --quantize-all --sensitivity photos
has out 'Each layer alone in int8, on 6 images'
runs 0 "$quantize" "$@" -o n.safetensors --quantize-all --format json photos
has out '"float_share":0,'

# The model that ships: it is smaller and runs; AP of both, its interval, and gates on it.
runs 0 "$quantize" --model "$small" --min-size 128 --max-size 200 --no-equalize -j 2 -q -o g.safetensors --gt gt.json \
	--image-root photos --min found=0.3 --max shift=0.2 --max-drop AP=0.5
has out 'found >= 0.3'
has out 'shift <= 0.2'
has out 'drop of AP <= 0.5'
grep -q '^ AP  .* to ' out || fail "no interval of AP"
has out 'gear:AP'
runs 0 "$detect" --model g.safetensors -j 1 photos/parts-42-00000.jpg
has out '"detections":[{'
[ "$(wc -c <g.safetensors)" -lt 6500000 ] || fail "g.safetensors is not smaller: $(wc -c <g.safetensors)"
