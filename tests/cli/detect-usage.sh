# A usage error is one line, "Try 'frcnn-detect --help'", status 2, and nothing on stdout.
. "$ROOT/tests/cli/common.inc"

wrong() {
	message=$1
	shift
	runs 2 "$detect" "$@"
	lines out 0
	lines err 2
	says err "frcnn-detect: $message"
	says err "Try 'frcnn-detect --help'"
}

wrong 'unknown option --nosuch' --nosuch
wrong 'unknown option -Z' -qZ
wrong '--rpn could be several options' --rpn 1
wrong '--score needs a value' --score
wrong '-j needs a value' -j
wrong '--exif takes no value' --exif=yes
wrong '--score: 2 is outside 0 to 1' --score 2
wrong '--score: "0,5" is not a number' --score 0,5
wrong '--score: "nan" is not a number' --score=nan
wrong '--score: "" is not a number' --score=
wrong '--nms: -0.1 is outside 0 to 1' --nms -0.1
wrong '--max-dets: "1.5" is not a whole number' --max-dets 1.5
wrong '--max-dets: 0 is below 1' --max-dets 0
wrong '--max-dets: 3000000000 is too large' --max-dets 3000000000
wrong '--max-dets: 99999999999999999999 is too large' --max-dets 99999999999999999999
wrong '--max-dets: " 3" is not a whole number' --max-dets ' 3'
wrong '-j: 5000 is outside 0 to 1024' -j5000
wrong '--format: "xml" is none of jsonl|coco|csv' --format xml
wrong '--stats: "xml" is none of json' --stats=xml
wrong '--shard: "1" is not of the form I/N' --shard 1
wrong '--shard: 3/2: I must be between 1 and N' --shard 3/2
wrong '--shard: 0/2: I must be between 1 and N' --shard 0/2
wrong '--slice: "64" is not of the form WxH or WxH:OVERLAP' --slice 64
wrong '--slice: 64x64:64: the overlap must be smaller than both sides' --slice 64x64:64
wrong '--slice: 0x64: sides must be 1 to 1000000 pixels' --slice 0x64
wrong '--classes: an empty word in the list' --classes person,,car
wrong '--mean needs 3 numbers, not 2' --mean 1,2
wrong '--std: 0 is outside 1e-06 to 1000000' --std 0,1,1
wrong '--max-size: 65536 is outside 1 to 65535' --max-size 65536
wrong 'this build has no CUDA backend' --device cuda x
wrong '--anchors: "32" is not of the form SIZES;RATIOS' --anchors 32 x
wrong '--anchors does not go with --anchor-sizes or --aspect-ratios' --anchors '32;1' --anchor-sizes 32 x
wrong '--proposals does not go with --proposals-from' --proposals --proposals-from x y
wrong '--slice does not go with --proposals' --slice 64x64 --proposals x
wrong '--proposals does not go with --format coco, which has no place for them' --proposals --format coco x
wrong '--latency does not go with --throughput' --throughput --latency x
wrong '--image-root needs --gt' --image-root . x
wrong '--nms-sigma needs --nms-method soft-gaussian or matrix' --nms-sigma 1 x
wrong '--nms-sigma needs --nms-method soft-gaussian or matrix' --nms-sigma 1 --nms-method soft-linear x
wrong '--resume needs -o FILE' --resume x
wrong '--resume needs -o FILE' --resume -o - x

# Operands may stand anywhere, "--" ends the options, abbreviations that are clear are taken.
cp "$data/round.png" ./-q.png
# shellcheck disable=SC2086
runs 0 "$detect" $quick --sco 0.5 -- -q.png
lines out 1
# shellcheck disable=SC2086
runs 0 "$detect" "$data/round.png" $quick --score=0.5 --max-dets=1 -q
lines out 1

# A shorter side that exceeds what the longer one may have never counts, as in torchvision: said, unless the model says so.
# shellcheck disable=SC2086
runs 0 "$detect" $quick --min-size 900 --max-size 64 "$data/round.png"
says err 'frcnn-detect: warning: min-size 900 is above max-size 64, which wins: longer sides become 64 pixels'
mv out wins
# shellcheck disable=SC2086
runs 0 "$detect" $quick --min-size 64 --max-size 64 "$data/round.png"
lines err 0
same wins out

# The ends that print on stdout.
runs 0 "$detect" --help
grep -q '^Usage: frcnn-detect ' out || fail "no usage in --help"
runs 0 "$detect" -hq
runs 0 "$detect" --version
grep -q '^frcnn-detect [0-9]' out || fail "no version"
grep -q '^kernel sets this machine runs: .*reference$' out || fail "no kernel sets"
grep -q '^CUDA: ' out || fail "CUDA is not mentioned"

# A model or a kernel set that is not there is trouble, not usage.
runs 2 "$detect" --model nosuch.pth "$data/round.png"
says err 'frcnn-detect: nosuch.pth: no such file or directory'
# shellcheck disable=SC2086
runs 2 "$detect" $quick --cpu mmx "$data/round.png"
lines err 1
