# Equalization, adaptive rounding and weights of 7 bits: what they change, what they do not, what is written of them.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
[ -f "$small" ] || skip "share/models is not there"
cp -r "$share/images" photos
model=$small
sanitized && model=$tiny
# without the layer that has most weights, which are what takes time
set -- --model "$model" --min-size 160 --max-size 260 --keep-float roi_heads.box_head.fc6 -q --format json photos

runs 0 "$quantize" -j 2 -o a.safetensors "$@"
cp out a.json
has out '"weight_bits":8,'
runs 0 "$quantize" -j 2 -o b.safetensors --no-equalize "$@"
has out '"equalized_channels":0,'
# What the default equalizes shows in the bytes; where that is nothing they are the same but for the options.
grep -q '"equalized_channels":0,' a.json || ! cmp -s a.safetensors b.safetensors || fail "--no-equalize changes nothing"
grep -a -q no-equalize b.safetensors || fail "no provenance of --no-equalize"

runs 0 "$quantize" -j 1 -o c.safetensors --adaround "$@"
has out '"rounding_gain":'
runs 0 "$quantize" -j 3 -o d.safetensors --adaround "$@"
same c.safetensors d.safetensors
! cmp -s a.safetensors c.safetensors || fail "--adaround changes nothing"

runs 0 "$quantize" -j 2 -o e.safetensors --weight-bits 7 "$@"
has out '"weight_bits":7,'
grep -a -q 'weight_bits[^,]*7' e.safetensors || fail "no provenance of --weight-bits"
runs 0 "$detect" --model e.safetensors -j 1 photos/parts-42-00000.jpg
has out '"detections":[{'
runs 2 "$quantize" -o f.safetensors --weight-bits 9 "$@"
has err '--weight-bits: 9 is outside 7 to 8'
absent f.safetensors
