#!/bin/sh
# From a JPEG to its record, beside torchvision in the same run: same weights, same picture, same threads, in turn.
# Prints medians of the steady state, the ratio, and peak memory; fails when frcnn-detect is the slower one or takes
# more than 1 GiB.
#
# Needs FRCNN_DATA (a ResNet-50-FPN checkpoint and pictures of 640x480); PYTHON names an interpreter that has torch and
# torchvision, default python3. What is missing is said and left out.
set -u
build=${BUILD:-build}
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
images=${IMAGES:-4}
threads=${THREADS:-$(nproc)}

if [ -z "${FRCNN_DATA-}" ]; then
	echo "detect: skipped: FRCNN_DATA is not set"
	exit 0
fi
model=$FRCNN_DATA/bccd/fasterrcnn_resnet50_fpn_bccd.pth
image=$FRCNN_DATA/bccd/images/BloodImage_00000.jpg
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

median() {
	sort -n | awk '{ v[NR] = $1 } END { if (NR) printf "%.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

operands=
i=0
while [ "$i" -le "$images" ]; do
	operands="$operands $image"
	i=$((i + 1))
done

: >"$work/ours" && : >"$work/ours.mb" && : >"$work/peer" && : >"$work/peer.mb"
peer=yes
round=0
while [ "$round" -lt "$rounds" ]; do
	# shellcheck disable=SC2086 # one word an image
	"$build/bin/frcnn-detect" -q -j "$threads" --model "$model" --stats=json $operands 2>"$work/stats" >/dev/null || exit 2
	sed 's/.*"total":{"p50":\([0-9.]*\).*/\1/' "$work/stats" | awk '{ print $1 / 1000 }' >>"$work/ours"
	sed 's/.*"peak_memory_bytes":\([0-9]*\).*/\1/' "$work/stats" | awk '{ print $1 / 1048576 }' >>"$work/ours.mb"
	if [ "$peer" = yes ]; then
		"$python" "$(dirname "$0")/torchvision_peer.py" "$model" fasterrcnn_resnet50_fpn 4 "$threads" "$image" "$images" \
			>"$work/out" 2>"$work/err"
		case $? in
		0)
			grep -v peak "$work/out" | median >>"$work/peer"
			sed -n 's/^peak_mb //p' "$work/out" >>"$work/peer.mb"
			;;
		3) peer=no ;;
		*)
			cat "$work/err" >&2
			exit 2
			;;
		esac
	fi
	round=$((round + 1))
done

ours=$(median <"$work/ours")
ours_mb=$(median <"$work/ours.mb")
printf 'ResNet-50-FPN, 640x480 at 800x1066, %s threads, %s rounds of %s images in turn, medians\n' "$threads" "$rounds" "$images"
printf '%-14s %8.3f s/image %8.0f MiB peak\n' frcnn-detect "$ours" "$ours_mb"
status=0
if [ "$peer" = yes ]; then
	theirs=$(median <"$work/peer")
	printf '%-14s %8.3f s/image %8.0f MiB peak\n' torchvision "$theirs" "$(median <"$work/peer.mb")"
	awk -v a="$theirs" -v b="$ours" 'BEGIN { printf "torchvision / frcnn-detect: %.2f\n", a / b; exit !(a >= b) }' || status=1
else
	echo "torchvision: not installed for $python, left out"
fi
awk -v mb="$ours_mb" 'BEGIN { exit !(mb < 1024) }' || status=1
[ "$status" -eq 0 ] || echo "detect: slower than the peer, or more than 1024 MiB"
exit "$status"
