# frcnn-model: what info tells, that convert keeps everything, what verify refuses, how trouble is told.
. "$ROOT/tests/cli/common.inc"
model=$BUILD/bin/frcnn-model
golden=$ROOT/tests/golden/models
share=$ROOT/share/models/parts-r18.safetensors
page=$ROOT/man/frcnn-model.1

# wrong MESSAGE ARGUMENT...: one line, a hint, status 2, nothing on stdout
wrong() {
	message=$1
	shift
	runs 2 "$model" "$@"
	lines out 0
	lines err 2
	says err "frcnn-model: $message"
	grep -q "^Try 'frcnn-model.* --help'\$" err || fail "no hint"
}

# has TEXT: out contains it
has() {
	grep -q -F -e "$1" out || {
		cut -c1-500 out
		fail "missing: $1"
	}
}

# refuses TEXT ARGUMENT...: one line naming what the text says, status 2, nothing on stdout
refuses() {
	text=$1
	shift
	runs 2 "$model" "$@"
	lines out 0
	lines err 1
	grep -q -F -e "$text" err || {
		cat err
		fail "not said: $text"
	}
}

# ---- usage
wrong 'no command given; known are info, convert, verify'
wrong 'unknown command "inform"; known are info, convert, verify' inform x
wrong 'no model file given' info
wrong 'no model file given' verify -q
wrong '0 model files given, expected one' convert -o out.safetensors
wrong '2 model files given, expected one' convert -o out.safetensors a b
wrong 'no output given (-o FILE)' convert a
wrong '-o -: a model is not written to standard output' convert -o - a
wrong '--fp16 and --fp32 exclude each other' convert --fp16 --fp32 -o b a
wrong '--mean needs 3 numbers, not 2' info --mean 1,2 a
wrong '--std: 0 is outside 1e-06 to 1000000' info --std 1,0,1 a
wrong 'unknown option --nosuch' verify --nosuch a
runs 0 "$model" --help
sed -e 's/^Usage: *//' -e 's/^ *//' out | grep '^frcnn-model ' >usage
lines usage 3
for command in info convert verify; do
	runs 0 "$model" "$command" --help
	has "Usage: frcnn-model $command "
done
if command -v mandoc >/dev/null; then
	mandoc -T ascii "$page" | sed 's/.\x08//g; s/^ *//' >text
	while read -r line; do says text "$line"; done <usage
fi

# ---- info
for arch in resnet18_fpn resnet34_fpn resnet50_fpn resnet101_fpn resnet152_fpn resnet50_fpn_v2 mobilenet_v3_large_fpn; do
	runs 0 "$model" info "$golden/fasterrcnn_$arch.safetensors"
	says out "architecture  fasterrcnn_$arch"
done
runs 0 "$model" info --arch fasterrcnn_mobilenet_v3_large_320_fpn "$golden/fasterrcnn_mobilenet_v3_large_320_fpn.safetensors"
says out 'architecture  fasterrcnn_mobilenet_v3_large_320_fpn'
says out 'resize        shorter side 320, longer at most 640'
runs 0 "$model" info "$golden/fasterrcnn_resnet50_fpn.safetensors"
says out 'classes       90'
says out '  1           person'
says out '  12          -'
says out '  90          toothbrush'
runs 0 "$model" info --json --tensors "$golden/fasterrcnn_resnet18_fpn.safetensors" "$golden/fasterrcnn_resnet34_fpn.safetensors"
lines out 2
has '"sha256":"'"$(sha256sum <"$golden/fasterrcnn_resnet18_fpn.safetensors" | cut -d' ' -f1)"'"'
has '"backbone.body.conv1.weight":[4,3,7,7]'
runs 0 "$model" info --graph "$golden/fasterrcnn_resnet18_fpn.safetensors"
has 'relu'
! grep -q batch_norm out || fail "batch norm is still in the graph that runs"
runs 0 "$model" info --graph=built "$golden/fasterrcnn_resnet18_fpn.safetensors"
grep -q batch_norm out || fail "no batch norm in the graph as built"
refuses 'those of fasterrcnn_resnet34_fpn, not of fasterrcnn_resnet18_fpn' \
	info --arch fasterrcnn_resnet18_fpn "$golden/fasterrcnn_resnet34_fpn.safetensors"
refuses '2 aspect ratios give 2 anchors a cell, but the tensors imply 3' \
	info --aspect-ratios 0.5,1 "$golden/fasterrcnn_resnet34_fpn.safetensors"
if [ -c /dev/full ]; then
	# The graphs are more than a stream holds back.
	for command in info 'info --graph' verify; do
		status=0
		# shellcheck disable=SC2086
		"$model" $command "$golden/fasterrcnn_resnet34_fpn.safetensors" >/dev/full 2>err || status=$?
		[ "$status" = 2 ] || fail "a full device went unnoticed: $command"
		says err 'frcnn-model: standard output: no space left on device'
		lines err 1
	done
fi

# ---- convert: there and back, everything kept
printf 'cat\nd\303\266g\n' >names
runs 0 "$model" convert --fp32 --name two --labels names --provenance 'made "here"' --min-size 60 --max-size 92 \
	--anchor-sizes 16,32,64,128,256 --aspect-ratios 0.4,1,2.5 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --bn-eps 0.001 \
	-o wide.safetensors "$golden/fasterrcnn_resnet34_fpn.safetensors"
lines out 0
lines err 0
runs 0 "$model" info --json wide.safetensors
for text in '"container":"safetensors, native"' '"dtypes":{"F32":210}' '"name":"two"' '"min_size":60,"max_size":92' \
	'"mean":[0.5,0.5,0.5],"std":[0.25,0.25,0.25],"bn_eps":0.001' '"anchor_sizes":[[16],[32],[64],[128],[256]]' \
	'"aspect_ratios":[[0.4,1,2.5],' '{"id":1,"name":"cat"},{"id":2,"name":"dög"}' '"note":"made \"here\""'; do
	has "$text"
done
sed 's/.*"metadata"://' out >first
runs 0 "$model" convert --fp16 -o narrow.safetensors wide.safetensors
runs 0 "$model" convert --fp32 -o again.safetensors narrow.safetensors
runs 0 "$model" info --json again.safetensors
sed 's/.*"metadata"://' out >last
same first last
# the weights were fp16 to begin with, so the way there and back loses nothing
same wide.safetensors again.safetensors
runs 0 "$model" convert -o half.safetensors narrow.safetensors
same half.safetensors narrow.safetensors
printf 'a\nb\nc\n' >three
refuses '3 label names for a model of 2 classes' convert --labels three -o x.safetensors narrow.safetensors
printf 'a\nb\033[1m\n' >colour
refuses 'colour: line 2 has a control character' convert --labels colour -o x.safetensors narrow.safetensors
refuses '--name: 0 bytes long' convert --name '' -o x.safetensors narrow.safetensors
refuses 'no such file' convert -o nosuch/x.safetensors narrow.safetensors
[ ! -e x.safetensors ] && [ ! -e x.safetensors.part ] || fail "something was written after an error"

# what a file's name cannot hand on is escaped, so that the model can be read again
sed 's/"frcnn"/"other"/' narrow.safetensors >bare.safetensors
mv bare.safetensors "$(printf 'new\nline\033[1m.safetensors')"
runs 0 "$model" convert -o named.safetensors "$(printf 'new\nline\033[1m.safetensors')"
runs 0 "$model" info named.safetensors
grep -q -F 'id            new\x0Aline\x1B[1m@' out || fail "the name was not escaped"

# ---- verify
runs 0 "$model" verify narrow.safetensors "$golden"/fasterrcnn_*_fpn.safetensors
lines out 8
says out "narrow.safetensors: ok, fasterrcnn_resnet34_fpn, 210 tensors, sha256 $(sha256sum <narrow.safetensors | cut -d' ' -f1)"
runs 0 "$model" verify -q narrow.safetensors
lines out 0
head -c 100000 narrow.safetensors >cut.safetensors
refuses 'cut.safetensors: ' verify cut.safetensors
head -c 100 narrow.safetensors >stub.safetensors
refuses 'stub.safetensors: ' verify stub.safetensors
# fp32 tensors end the file: the last four bytes become an infinity
size=$(wc -c <wide.safetensors)
{
	head -c $((size - 4)) wide.safetensors
	printf '\000\000\200\177'
} >inf.safetensors
refuses 'inf.safetensors: tensor "' verify inf.safetensors
grep -q 'not finite' err || fail "not said: not finite"
refuses 'inf.safetensors: tensor "' convert -o x.safetensors inf.safetensors
# one name changed: that tensor is missing, another left over
sed 's/backbone\.fpn\.layer_blocks\.2\.bias/backbone.fpn.layer_blocks.2.bims/' narrow.safetensors >renamed.safetensors
refuses 'backbone.fpn.layer_blocks.2.bi' verify renamed.safetensors
# one bad file among good ones: the others still go through
runs 2 "$model" verify cut.safetensors narrow.safetensors nosuch.safetensors "$golden/fasterrcnn_resnet18_fpn.safetensors"
lines out 2
lines err 2

# ---- int8 and folded files
tiny=$ROOT/tests/fuzz/corpus/checkpoint
runs 0 "$model" verify "$tiny/int8.safetensors" "$tiny/int8_all.safetensors" "$tiny/folded.safetensors"
lines out 3
refuses 'int8_nan.safetensors: tensor "rpn.head.conv.0.0.input.scale" holds a value that is not finite' \
	verify "$tiny/int8_nan.safetensors"
refuses 'tensor "rpn.head.conv.0.0.input.scale" holds a value that is not finite' info "$tiny/int8_nan.safetensors"
refuses 'batch norms are folded' info --bn-eps 0.001 "$tiny/int8.safetensors"
runs 0 "$model" info "$tiny/int8.safetensors"
says out 'batch norm    folded into the convolutions'
says out 'quantization  {"made":"by hand"}'
grep -q '^int8          30 of 35 layers, [0-9.]*% of multiply-adds at 800x800$' out || fail "no line of int8's share"
grep -q '^  backbone.body.conv1 *F32$' out || fail "no line of a float layer"
grep -q '^  backbone.body.layer1.0.conv1 *I8  scale 0.00[0-9]*..0.00[0-9]*  input 0.0[0-9]* zero [0-9]*$' out ||
	fail "no line of an int8 layer"
grep -q '^  rpn.head.conv.0.0 *I8  .* input \(0.[0-9]* zero [0-9]*, \)\{4\}0.[0-9]* zero [0-9]*$' out ||
	fail "the proposal network has no scale a level"
runs 0 "$model" info --json "$tiny/int8_all.safetensors"
has '"int8":{"layers":35,"of":35,"multiply_adds":1},"layers":{"backbone.body.conv1":{"dtype":"I8","scale_min":'
has '"folded":true'
has '"quantization":{"made":"by hand"}'
if command -v jq >/dev/null; then
	jq -e '.layers["rpn.head.conv.0.0"].input_zero_point | length == 5' out >/dev/null || fail "not five zero points"
	jq -e '.layers["rpn.head.cls_logits"].input_scale == [0.05]' out >/dev/null || fail "not the scale in the file"
fi
runs 0 "$model" info --graph "$tiny/int8_all.safetensors"
has 'roi_heads.box_predictor.cls_score int8, input scale 0.05 zero 3 [output 0]'
runs 0 "$model" info "$tiny/folded.safetensors"
! grep -q '^int8' out || fail "a float model has a line of int8's share"
runs 0 "$model" convert -o kept.safetensors "$tiny/int8.safetensors"
runs 0 "$model" convert -o twice.safetensors kept.safetensors
same kept.safetensors twice.safetensors
runs 0 "$model" info --json "$tiny/int8.safetensors"
sed 's/.*"dtypes"/"dtypes"/; s/,"provenance":{[^}]*}}//' out >first
runs 0 "$model" info --json kept.safetensors
sed 's/.*"dtypes"/"dtypes"/; s/,"provenance":{[^}]*}}//' out >last
same first last
refuses '--fp16: a model with int8 layers keeps its other tensors as 32-bit floats' \
	convert --fp16 -o x.safetensors "$tiny/int8.safetensors"
[ ! -e x.safetensors ] || fail "something was written after an error"
runs 0 "$model" convert --fp16 -o half.safetensors "$tiny/folded.safetensors"
runs 0 "$model" verify half.safetensors

# ---- the shipped model
runs 0 "$model" info "$share"
says out '  5           spring'
says out 'resize        shorter side 480, longer at most 800'
runs 0 "$model" verify "$share"

# ---- a .pth of the ordinary size becomes the native form
[ -n "$FRCNN_DATA" ] || exit 0
pth=$FRCNN_DATA/bccd/fasterrcnn_resnet50_fpn_bccd.pth
runs 0 "$model" verify "$pth"
runs 0 "$model" convert --name bccd -o bccd.safetensors "$pth"
runs 0 "$model" info bccd.safetensors
says out 'architecture  fasterrcnn_resnet50_fpn'
grep -q '^id            bccd@' out || fail "the name was not kept"
