#!/bin/sh
# torchvision.ops' NMS on the boxes of build/tests/bench/nms, and frcnn-nms --method wbf beside ensemble-boxes over 10
# detectors x IMAGES x 100 boxes, files included. PYTHON (default python3) needs the packages; what it lacks is left out.
#   IMAGES   of the fusion, default 500 (the peer does the first PEER_IMAGES of them, default 50)
set -u
LC_ALL=C
export LC_ALL
build=${BUILD:-build}
python=${PYTHON:-python3}
images=${IMAGES:-500}
here=$(dirname "$0")
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

if "$python" -c 'import torchvision' 2>/dev/null; then
	"$python" "$here/nms_peer.py" "$build/tests/bench/nms" || exit
else
	echo "nms: torchvision skipped: $python has it not"
fi

# Ten views of the same objects: 80 classes, boxes moved and scaled a little.
awk -v images="$images" -v dir="$work" 'function gauss() { return sqrt(-2 * log(1 - rand())) * cos(6.2831853 * rand()) }
BEGIN {
	srand(7)
	for (m = 0; m < 10; m++)
		printf "[" >(dir "/" m ".json")
	for (i = 1; i <= images; i++)
		for (k = 0; k < 100; k++) {
			x = 400 * rand(); y = 400 * rand(); w = 20 + 180 * rand(); h = 20 + 180 * rand(); c = 1 + int(80 * rand())
			for (m = 0; m < 10; m++)
				printf "%s{\"image_id\":%d,\"category_id\":%d,\"bbox\":[%.2f,%.2f,%.2f,%.2f],\"score\":%.5f}", (i > 1 || k ? ",\n" : "\n"),
					i, c, x + 3 * gauss(), y + 3 * gauss(), w * exp(gauss() / 20), h * exp(gauss() / 20), 0.01 + 0.99 * rand() >(dir "/" m ".json")
		}
	for (m = 0; m < 10; m++)
		printf "\n]\n" >(dir "/" m ".json")
}'
for round in 1 2 3; do
	"$build/tests/bench/timed" "$work/times" "$build/bin/frcnn-nms" --method wbf "$work"/[0-9].json -o "$work/fused" || exit
done
ours=$(sort -n "$work/times" | sed -n 2p | cut -d ' ' -f 1)
awk -v s="$ours" -v n="$images" 'BEGIN { printf "frcnn-nms wbf    %8.3f ms an image, files included\n", 1e3 * s / n }'
if "$python" -c 'import ensemble_boxes' 2>/dev/null; then
	"$python" -W ignore "$here/fuse_peer.py" "$work" "${PEER_IMAGES:-50}"
else
	echo "nms: ensemble-boxes skipped: $python has it not"
fi
