#!/bin/sh
# frcnn-detect from a JPEG to its record: what it promises of itself (memory, cold start, cost an image over many images
# and over sizes, page faults, accuracy of bfloat16), then beside other frameworks (detect_compare.py, which says what of
# it can be chosen). Ends 1 when a claim is broken.
#
# Needs FRCNN_DATA (a ResNet-50-FPN checkpoint, pictures of 640x480, ground truth). What is missing is said and left out.
# Variables:
#   PYTHON       an interpreter that has the frameworks, default python3; the rest is done without it
#   THREADS      default: all cores
#   ROUNDS, IMAGES   turns, and images a turn, default 3 and 4
#   FLAT_IMAGES  images of the long run, default 200
#   BENCH_CACHE  folder for the frameworks' models, which take minutes to make; default: a temporary one
#   BENCH_PARTS  of own, accuracy and compare; default all
set -u
LC_ALL=C
export LC_ALL
build=${BUILD:-build}
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
images=${IMAGES:-4}
threads=${THREADS:-$(nproc)}
flat=${FLAT_IMAGES:-200}
parts=${BENCH_PARTS:-own accuracy compare}
here=$(dirname "$0")
export THREADS="$threads" ROUNDS="$rounds" IMAGES="$images"

if [ -z "${FRCNN_DATA-}" ]; then
	echo "detect: skipped: FRCNN_DATA is not set"
	exit 0
fi
model=$FRCNN_DATA/bccd/fasterrcnn_resnet50_fpn_bccd.pth
image=$FRCNN_DATA/bccd/images/BloodImage_00000.jpg
wide=$FRCNN_DATA/coco-subset/val2017/000000460229.jpg # 383x640: 797x1333 for the network, 800x1344 padded
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
broken=0

# median COLUMN FILE
median() {
	awk -v n="$1" '{ print $n }' "$2" | sort -n |
		awk '{ v[NR] = $1 } END { if (NR) printf "%.6g\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# images COUNT FILE...: COUNT of the files, over and over, a line each
images() {
	awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print ARGV[2 + i % (ARGC - 2)] }' "$@"
}

# detect OPTION...: names on standard input; its numbers in $work/stats, time, memory and faults of the process added to
# $work/timed
detect() {
	"$build/tests/bench/timed" "$work/timed" "$build/bin/frcnn-detect" -q -j "$threads" --stats=json "$@" \
		2>"$work/stats" >"$work/records" || {
		cat "$work/stats" >&2
		exit 2
	}
}

# stat KEY: a number of the last run
stat() {
	sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" "$work/stats"
}

# stage NAME: its median in milliseconds
stage() {
	sed -n "s/.*\"$1\":{\"p50\":\([0-9.]*\).*/\1/p" "$work/stats"
}

# claim WHAT VALUE MOST
claim() {
	awk -v what="$1" -v value="$2" -v most="$3" 'BEGIN {
		holds = value ~ /^[0-9]/ && value + 0 <= most + 0
		printf "%-72s %8.3f, at most %8.3f: %s\n", what, value, most, holds ? "holds" : "BROKEN"
		exit !holds
	}' || broken=1
}

shares() {
	stages="decode transform backbone proposals roi head post write"
	printf 'ResNet-50-FPN, 640x480 at 800x1066, %s threads: %.3f s an image, of it\n ' "$threads" "$1"
	total=$(stage total)
	for name in $stages; do
		awk -v name="$name" -v part="$(stage "$name")" -v total="$total" 'BEGIN { printf " %s %.1f%%", name, 100 * part / total }'
	done
	echo
}

own() {
	: >"$work/steady" && : >"$work/cold"
	round=0
	while [ "$round" -lt "$rounds" ]; do
		images "$((images + 1))" "$image" >"$work/list"
		detect --model "$model" <"$work/list"
		stage total >>"$work/steady"
		: >"$work/timed"
		detect --model "$model" "$image"
		cat "$work/timed" >>"$work/cold"
		round=$((round + 1))
	done
	detect --model "$model" <"$work/list"
	steady=$(median 1 "$work/steady" | awk '{ print $1 / 1000 }')
	shares "$steady"
	claim "seconds from exec to the end of one image" "$(median 1 "$work/cold")" "$(awk -v s="$steady" 'BEGIN { print 1.5 * s + 0.3 }')"
	if [ -r "$wide" ]; then
		detect --model "$model" "$wide" "$wide"
		claim "MB of memory at the longest side of 1333" "$(stat peak_memory_bytes | awk '{ print $1 / 1e6 }')" 700
	else
		echo "memory at the longest side of 1333: left out: no $wide"
	fi

	# Many images of the shipped model: cost and memory stay.
	set -- "$FRCNN_DATA"/parts/images/*
	images 10 "$@" >"$work/few"
	images "$flat" "$@" >"$work/many"
	: >"$work/flat"
	round=0
	while [ "$round" -lt "$rounds" ]; do
		detect <"$work/few"
		few="$(stage total) $(stat peak_memory_bytes)"
		detect <"$work/many"
		echo "$few $(stage total) $(stat peak_memory_bytes)" | awk '{ print $3 / $1, $4 / $2 }' >>"$work/flat"
		round=$((round + 1))
	done
	claim "time of an image among $flat / among 10, shipped model" "$(median 1 "$work/flat")" 1.1
	claim "memory after $flat images / after 10" "$(median 2 "$work/flat")" 1.05

	# Sizes: time of backbone, FPN and RPN head, which follow the padded area, and of the whole.
	: >"$work/sizes"
	round=0
	while [ "$round" -lt "$rounds" ]; do
		for size in 400 600 800 1000 1200; do
			detect --model "$model" --min-size "$size" --max-size 2000 "$image" "$image" "$image"
			echo "$size $(stage backbone) $(stage total)" >>"$work/sizes"
		done
		round=$((round + 1))
	done
	for size in 400 600 800 1000 1200; do
		grep "^$size " "$work/sizes" >"$work/size"
		echo "$size $(median 2 "$work/size") $(median 3 "$work/size")"
	done | awk '{
		h = int(($1 + 31) / 32) * 32
		w = int((int(640 * $1 / 480) + 31) / 32) * 32
		printf "--min-size %4d: %4d x %4d, %7.1f ms, %6.1f ms a padded megapixel in the features, %7.1f ms in all\n", $1, w, h, $2, $2 * 1e6 / (w * h), $3
	}' | tee "$work/areas"
	claim "dearest padded pixel of these sizes / cheapest" "$(sed 's/.*, *\([0-9.]*\) ms a.*/\1/' "$work/areas" | sort -n |
		awk 'NR == 1 { low = $1 } { high = $1 } END { print high / low }')" 1.3

	# Pages touched for the first time, from the third image of a size on.
	: >"$work/faults"
	round=0
	while [ "$round" -lt "$rounds" ]; do
		: >"$work/timed"
		for count in 3 13; do
			images "$count" "$image" >"$work/list"
			detect --model "$model" <"$work/list"
		done
		awk '{ f[NR] = $3 } END { print (f[2] - f[1]) / 10 }' "$work/timed" >>"$work/faults"
		round=$((round + 1))
	done
	claim "minor page faults an image, from the third on" "$(median 1 "$work/faults")" 10
}

# accuracy NAME GROUND-TRUTH FOLDER OPTION...: AP of bfloat16 beside float32's
accuracy() {
	name=$1 truth=$2 folder=$3
	shift 3
	for precision in fp32 bf16; do
		"$build/bin/frcnn-detect" -q -j "$threads" --precision "$precision" --gt "$truth" --image-root "$folder" "$@" \
			-o "$work/$precision" || exit 2
		"$build/bin/frcnn-eval" -q --format json -g "$truth" "$work/$precision" >"$work/$precision.json" || exit 2
		sed -n 's/.*"stats": *\[\([-0-9.e]*\),.*/\1/p' "$work/$precision.json" | head -n 1 >"$work/$precision.ap"
	done
	printf '%s: AP %.4f in fp32, %.4f in bf16\n' "$name" "$(cat "$work/fp32.ap")" "$(cat "$work/bf16.ap")"
	claim "difference of AP, bf16 and fp32, $name" "$(paste "$work/fp32.ap" "$work/bf16.ap" |
		awk '{ d = $1 - $2; print d < 0 ? -d : d }')" 0.002
}

for part in $parts; do
	case $part in
	own) own ;;
	accuracy)
		if "$build/bin/frcnn-detect" -q --precision bf16 "$image" >/dev/null 2>&1; then
			accuracy parts "$FRCNN_DATA/parts/instances.json" "$FRCNN_DATA/parts/images"
			accuracy bccd "$FRCNN_DATA/bccd/bccd_test_coco.json" "$FRCNN_DATA/bccd/images" --model "$model" \
				--min-size 400 --max-size 667
		else
			echo "accuracy of bf16: left out: not on this machine"
		fi
		;;
	compare)
		if command -v "$python" >/dev/null 2>&1; then
			"$python" "$here/detect_compare.py" "$build/bin/frcnn-detect" "$model" "$image"
			case $? in
			0) ;;
			1) broken=1 ;;
			*) exit 2 ;;
			esac
		else
			echo "other frameworks: left out: no $python"
		fi
		;;
	*)
		echo "detect: no such part: $part" >&2
		exit 2
		;;
	esac
done
[ "$broken" -eq 0 ] || echo "detect: a claim is broken"
exit "$broken"
