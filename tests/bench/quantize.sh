#!/bin/sh
# What int8 costs: size, speed, AP, found and shift for each precision, on pictures that chose nothing, beside ONNX
# Runtime's int8 of the same detectors with the same layers left float. Every row is counted by the same program over the
# records that the detector itself wrote. Ends 1 when a claim is broken.
#
# Minutes, even where nothing else runs: `make bench` runs it only with BENCH_QUANTIZE=1. Needs FRCNN_DATA and a python3
# for the counting; ONNX Runtime's rows also torch, torchvision, onnx, onnxruntime and Pillow. What is missing is said and
# left out. The times in the table are worth as much as the machine is idle. Variables:
#   PYTHON          default python3
#   THREADS         default: all cores
#   BENCH_CACHE     folder for ONNX Runtime's models; default: a temporary one. Models of frcnn-quantize are always made
#   QUANTIZE_SETS   of bccd, parts and mobilenet; default all
#   QUANTIZE_ROWS   of bf16, int8, gates, bits7 and onnxruntime; default all
#   CALIBRATION, MEASURED   fewer pictures, to try the script; claims are then not judged
set -u
LC_ALL=C
export LC_ALL
build=${BUILD:-build}
python=${PYTHON:-python3}
threads=${THREADS:-$(nproc)}
sets=${QUANTIZE_SETS:-bccd parts mobilenet}
rows=${QUANTIZE_ROWS:-bf16 int8 gates bits7 onnxruntime}
peer=$(dirname "$0")/quantize_peer.py

if [ -z "${FRCNN_DATA-}" ]; then
	echo "quantize: skipped: FRCNN_DATA is not set"
	exit 0
fi
if ! command -v "$python" >/dev/null 2>&1; then
	echo "quantize: skipped: no $python"
	exit 0
fi
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cache=${BENCH_CACHE:-$work/cache}
mkdir -p "$cache" || exit 2
broken=0

fail() {
	echo "quantize: $*" >&2
	exit 2
}

# claim WHAT VALUE least|most BOUND
claim() {
	awk -v what="$1" -v value="$2" -v sign="$3" -v bound="$4" -v try="${CALIBRATION-}${MEASURED-}" 'BEGIN {
		holds = value ~ /^-?[0-9]/ && (sign == "most" ? value + 0 <= bound + 0 : value + 0 >= bound + 0)
		verdict = try != "" ? "not judged" : holds ? "holds" : "BROKEN"
		printf "  %-62s %8.4f, at %s %7.4f: %s\n", what, value, sign, bound, verdict
		exit !holds && try == ""
	}' || broken=1
}

header() {
	printf '\n%s: %s\n' "$1" "$2"
	printf '%-24s %8s %9s %7s %28s %7s %7s\n' "" MB "s/image" AP "drop of AP, 95% interval" found shift
}

# row NAME BYTES SECONDS FLOAT-RECORDS RECORDS: a line of the table; its numbers stay in $ap, $drop, $low, $found, $shift
row() {
	"$build/bin/frcnn-eval" -q --format json -g "$truth" --baseline "$4" "$5" >"$work/eval.json" || exit 2
	"$python" "$peer" row "$work/eval.json" "$4" "$5" >"$work/row" || exit 2
	read -r ap drop low high found shift <"$work/row"
	awk -v name="$1" -v mb="$2" -v s="$3" -v r="$ap $drop $low $high $found $shift" 'BEGIN {
		split(r, v, " ")
		printf "%-24s %8.1f %9.4f %7.4f %9.4f [%7.4f, %7.4f] %7.3f %7.4f\n", name, mb / 1e6, s, v[1], v[2], v[3], v[4], v[5], v[6]
	}'
}

# ours NAME MODEL RECORDS OPTION...: frcnn-detect over the measured pictures, and its line
ours() {
	name=$1 file=$2 records=$3
	shift 3
	"$build/bin/frcnn-detect" -q -j "$threads" --latency --stats=json --model "$file" --gt "$truth" --image-root "$root" \
		"$@" -o "$records" 2>"$work/stats" || fail "$(cat "$work/stats")"
	seconds=$(sed -n 's/.*"total":{"p50":\([0-9.]*\).*/\1/p' "$work/stats" | awk '{ print $1 / 1000 }')
	row "$name" "$(wc -c <"$file")" "$seconds" "$work/float32" "$records"
}

# quantize NAME OPTION...: $work/NAME.safetensors and NAME.json from the calibration pictures; its exit status. A later
# --gt takes their place
quantize() {
	made=$1
	shift
	rm -f "$work/$made.safetensors"
	# shellcheck disable=SC2086 # words of sizes
	"$build/bin/frcnn-quantize" -q -j "$threads" --model "$model" $sizes --gt "$calibration" --image-root "$root" \
		--format json -o "$work/$made.safetensors" "$@" >"$work/$made.json"
	state=$?
	[ "$state" -le 1 ] || exit 2
	return "$state"
}

# bounds WHAT FOUND SHIFT DROP: claims on the last row; DROP empty: none on AP
bounds() {
	claim "$1: found" "$found" least "$2"
	claim "$1: shift" "$shift" most "$3"
	[ -z "$4" ] || claim "$1: drop of AP" "$drop" most "$4"
	[ -z "$4" ] || claim "$1: least drop of AP in the interval" "$low" most 0.003
}

# table NAME FOUND SHIFT [FOUND SHIFT]: of the data described by $model, $sizes, $calibration, $searched (where gates are
# to be met), $truth and $root; what int8 has to reach, and with gates
table() {
	for kind in $rows; do
		case $kind in
		bf16)
			if "$build/bin/frcnn-detect" -q --precision bf16 --model "$model" "$example" >/dev/null 2>&1; then
				# shellcheck disable=SC2086
				ours bf16 "$model" "$work/bf16" --precision bf16 $sizes
			else
				echo "bf16: left out: not on this machine"
			fi
			;;
		int8)
			quantize int8 --measure-gt "$truth" --measure-root "$root"
			ours "int8" "$work/int8.safetensors" "$work/int8"
			bounds "$1, int8" "$2" "$3" 0.006
			"$python" "$peer" told "$work/int8.json" >"$work/told" || exit 2
			read -r own_found own_shift bytes _ share <"$work/told"
			numbers=$("$build/bin/frcnn-model" info --json "$model" | sed -n 's/.*"numbers":\([0-9]*\).*/\1/p')
			claim "$1, int8: size / weights at 4 bytes each" "$(awk "BEGIN { print $bytes / 4 / $numbers }")" most 0.27
			claim "$1: found, frcnn-quantize's and the one counted here" \
				"$(awk "BEGIN { d = $own_found - $found; print d < 0 ? -d : d }")" most 0.003
			claim "$1: shift, frcnn-quantize's and the one counted here" \
				"$(awk "BEGIN { d = $own_shift - $shift; print d < 0 ? -d : d }")" most 0.0003
			;;
		gates)
			# Half of the pictures calibrate, half are searched by; the gates are judged on those that are measured.
			if quantize gates --gt "$searched" --measure-gt "$truth" --measure-root "$root" --min found=0.95 --max shift=0.007 \
				--write-plan "$work/gates.plan" 2>"$work/gates.err"; then
				gates=hold
			else
				gates="FAIL: $(tr '\n' ';' <"$work/gates.err")"
				quantize gates --gt "$searched" --measure-gt "$truth" --measure-root "$root" --plan "$work/gates.plan"
			fi
			ours "int8, gates" "$work/gates.safetensors" "$work/gates"
			"$python" "$peer" told "$work/gates.json" >"$work/told" || exit 2
			read -r _ _ _ _ share <"$work/told"
			echo "  gates found=0.95 shift=0.007: $gates; $share of the multiply-adds float"
			[ -z "${4-}" ] || bounds "$1, int8 with gates" "$4" "$5" 0.006
			;;
		bits7)
			quantize bits7 --weight-bits 7
			ours "int8, weights of 7 bits" "$work/bits7.safetensors" "$work/bits7"
			;;
		onnxruntime) onnxruntime "$1" ;;
		*) fail "no such row: $kind" ;;
		esac
	done
}

# peer_row NAME ONNX RECORDS FLOAT-RECORDS
peer_row() {
	"$python" "$peer" detect "$2" "$truth" "$root" "$threads" "$3" >"$work/seconds" 2>"$work/err" ||
		fail "$(cat "$work/err")"
	row "$1" "$(wc -c <"$2")" "$(cat "$work/seconds")" "$4" "$3"
}

onnxruntime() {
	onnx=$cache/quantize.$1.onnx
	qdq=$cache/quantize.$1.${CALIBRATION:-all}.qdq.onnx
	if [ ! -e "$onnx" ]; then
		# shellcheck disable=SC2046,SC2086
		"$python" "$peer" onnx "$1" "$model" $(echo $sizes | sed 's/--[a-z]*-size//g') "$onnx.part" "$example" \
			>"$work/err" 2>&1
		case $? in
		0) mv "$onnx.part" "$onnx" ;;
		3)
			echo "onnxruntime: left out: $(tail -n 1 "$work/err")"
			return
			;;
		*) fail "$(cat "$work/err")" ;;
		esac
	fi
	if [ ! -e "$qdq" ]; then
		sed 's/"file_name"/\n&/g' "$calibration" | sed -n 's/^"file_name": *"\([^"]*\)".*/\1/p' | head -n 64 |
			while read -r name; do echo "$root/$name"; done >"$work/names"
		"$python" "$peer" qdq "$onnx" "$qdq.part" <"$work/names" >"$work/err" 2>&1
		case $? in
		0) mv "$qdq.part" "$qdq" ;;
		3)
			echo "onnxruntime: left out: $(tail -n 1 "$work/err")"
			return
			;;
		*) fail "$(cat "$work/err")" ;;
		esac
	fi
	peer_row "onnxruntime float32" "$onnx" "$work/onnx" "$work/float32"
	# beside its own float32, which differs from ours where the export rounds the size of a resized picture another way
	peer_row "onnxruntime int8 QDQ" "$qdq" "$work/qdq" "$work/onnx"
}

# float32 SIZES...: the first line, which all others are compared with
float32() {
	# shellcheck disable=SC2086
	"$build/bin/frcnn-detect" -q -j "$threads" --latency --model "$model" --gt "$truth" --image-root "$root" $sizes \
		-o "$work/float32" || exit 2
	# shellcheck disable=SC2086
	ours float32 "$model" "$work/float32.again" $sizes
}

for set in $sets; do
	case $set in
	bccd)
		root=$FRCNN_DATA/bccd/images model=$FRCNN_DATA/bccd/fasterrcnn_resnet50_fpn_bccd.pth
		sizes="--min-size 400 --max-size 667" example=$root/BloodImage_00000.jpg
		calibration=$work/val.json truth=$work/test.json
		"$python" "$peer" subset "$FRCNN_DATA/bccd/bccd_val_coco.json" 0 "${CALIBRATION:-64}" "$calibration" &&
			"$python" "$peer" subset "$FRCNN_DATA/bccd/bccd_test_coco.json" 0 "${MEASURED:-72}" "$truth" || exit 2
		searched=$FRCNN_DATA/bccd/bccd_val_coco.json
		[ -z "${CALIBRATION-}" ] || searched=$calibration
		header bccd "ResNet-50-FPN, ${CALIBRATION:-64} pictures to quantize with (gates: all of the split), ${MEASURED:-72} measured, $threads threads"
		float32
		table bccd 0.93 0.010 0.94 0.008
		;;
	parts)
		root=$FRCNN_DATA/parts/images model=$FRCNN_DATA/parts/parts_r18.safetensors
		sizes="--min-size 480 --max-size 800" example=$root/parts-42-00000.jpg
		calibration=$work/few.json truth=$work/rest.json
		"$python" "$peer" subset "$FRCNN_DATA/parts/instances.json" 0 "${CALIBRATION:-16}" "$calibration" &&
			"$python" "$peer" subset "$FRCNN_DATA/parts/instances.json" 16 "${MEASURED:-64}" "$truth" || exit 2
		searched=$calibration
		header parts "ResNet-18-FPN of half width, ${CALIBRATION:-16} pictures to quantize with, ${MEASURED:-64} measured, $threads threads"
		float32
		table parts 0.94 0.008
		;;
	mobilenet)
		pictures=$FRCNN_DATA/coco-subset/val2017
		ls "$pictures"/*.jpg >"$work/pictures" || exit 2
		head -n 40 "$work/pictures" >"$work/first"
		tail -n +41 "$work/pictures" | head -n "${MEASURED:-48}" >"$work/list"
		model=$work/mobilenet.pth
		xargs "$python" "$peer" weights "$model" <"$work/first" >"$work/err" 2>&1
		case $? in
		0) ;;
		3 | 123)
			echo "mobilenet: left out: $(tail -n 1 "$work/err")"
			continue
			;;
		*) fail "$(cat "$work/err")" ;;
		esac
		"$build/bin/frcnn-quantize" -q -j "$threads" --model "$model" --arch fasterrcnn_mobilenet_v3_large_320_fpn --sensitivity \
			--format json -o "$work/mobilenet.safetensors" - <"$work/list" >"$work/mobilenet.json" || exit 2
		"$python" "$peer" told "$work/mobilenet.json" >"$work/told" && "$python" "$peer" layers "$work/mobilenet.json" >"$work/layers" ||
			exit 2
		read -r found shift bytes float_bytes share <"$work/told"
		read -r count least name <"$work/layers"
		printf '\nmobilenet: MobileNetV3-Large 320 of random weights, %s pictures\n' "$(wc -l <"$work/list")"
		printf '  int8: found %.3f, shift %.4f, %.1f MB of %.1f, %.3f of the multiply-adds float\n' "$found" "$shift" \
			"$(awk "BEGIN { print $bytes / 1e6 }")" "$(awk "BEGIN { print $float_bytes / 1e6 }")" "$share"
		# What the least change does to detections by chance: found is that of bf16, too.
		if "$build/bin/frcnn-detect" -q --precision bf16 --model "$model" -o "$work/bf16" - <"$work/list" 2>/dev/null &&
			"$build/bin/frcnn-detect" -q --model "$model" -o "$work/float32" - <"$work/list"; then
			"$python" "$peer" agree "$work/float32" "$work/bf16" >"$work/row" || exit 2
			read -r found shift wanted <"$work/row"
			printf '  bf16: found %.3f of %d, shift %.4f\n' "$found" "$wanted" "$shift"
		fi
		claim "mobilenet: dB of $count layers alone, least: $name" "$least" least 20
		;;
	*) fail "no such set: $set" ;;
	esac
done
[ "$broken" -eq 0 ] || echo "quantize: a claim is broken"
exit "$broken"
