#!/bin/sh
# From files to COCO's 12 numbers, whole processes (Python's start included where there is one): frcnn-eval beside the
# packages that compute the same, on the same files, in turn. Prints medians, ratios and peaks of resident memory (pages
# of mapped files included), and whether all agree.
#
# Minutes, and gigabytes for the largest: `make bench` runs it only with BENCH_EVAL=1. Variables:
#   PYTHON       an interpreter that has the packages, default python3; those that it lacks are said and left out
#   EVAL_SIZES   of 37k, 370k, 733k (COCO val2017's shape), 733k-f32 (boxes as the text of float32) and 80000 (images,
#                1.2 million objects without segmentations, 1.1 million detections); default 37k 370k 733k
#   EVAL_PEERS   default ultrafast-pycocotools hotcoco vernier; also faster-coco-eval and pycocotools
#   EVAL_THREADS default "2 1"; one is also held to one core
#   ROUNDS       default 3
# Ends 1 when frcnn-eval is not at least twice as fast as the fastest of them on two threads or ahead on one, takes
# more than 120 MB at 733k or more than half the leanest one's memory elsewhere, or when numbers differ.
set -u
LC_ALL=C
export LC_ALL
build=${BUILD:-build}
python=${PYTHON:-python3}
rounds=${ROUNDS:-3}
peers=${EVAL_PEERS-ultrafast-pycocotools hotcoco vernier}
here=$(dirname "$0")
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
failed=0

# column FILE N: the median of a column
column() {
	awk -v n="$2" '{ print $n }' "$1" | sort -n |
		awk '{ v[NR] = $1 } END { printf "%.3f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# run NAME THREADS: one process; time and peak appended to NAME's list
run() {
	held=
	[ "$2" != 1 ] || held="taskset -c 0"
	if [ "$1" = frcnn-eval ]; then
		# shellcheck disable=SC2086 # words of a command
		"$build/tests/bench/timed" "$work/$1.times" $held "$build/bin/frcnn-eval" -j "$2" -g "$work/gt.json" \
			"$work/dt.json" >"$work/$1.out" 2>"$work/$1.err"
	else
		# shellcheck disable=SC2086
		"$build/tests/bench/timed" "$work/$1.times" $held "$python" "$here/eval_peer.py" "$1" "$work/gt.json" \
			"$work/dt.json" "$2" >"$work/$1.out" 2>"$work/$1.err"
	fi
}

# make_files SIZE
make_files() {
	digits=2 images=5000 objects=36781 corners=22
	case $1 in
	37k) detections=37000 ;;
	370k) detections=370000 ;;
	733k) detections=733000 ;;
	733k-f32) detections=733000 digits=0 ;;
	80000) images=80000 objects=1200000 corners=0 detections=1100000 ;;
	*)
		echo "eval: no such size: $1"
		exit 2
		;;
	esac
	"$build/tests/bench/make_coco" truth "$images" "$objects" "$corners" >"$work/gt.json" || exit 2
	"$build/tests/bench/make_coco" results "$images" "$objects" "$detections" "$digits" >"$work/dt.json" || exit 2
	printf '\n%s images, %s objects (%s MB), %s detections (%s MB)\n' "$images" "$objects" \
		"$(($(wc -c <"$work/gt.json") / 1000000))" "$detections" "$(($(wc -c <"$work/dt.json") / 1000000))"
}

# compare SIZE THREADS
compare() {
	present=
	rm -f "$work"/*.times
	round=0
	while [ "$round" -lt "$rounds" ]; do
		run frcnn-eval "$2" || {
			cat "$work/frcnn-eval.err"
			exit 2
		}
		for peer in $peers; do
			[ "$round" = 0 ] || case " $present " in
			*" $peer "*) ;;
			*) continue ;;
			esac
			status=0
			run "$peer" "$2" || status=$?
			if [ "$round" = 0 ]; then
				case $status in
				0) present="$present $peer" ;;
				3) echo "$peer: not installed for $python, left out" ;;
				*) echo "$peer: status $status, left out: $(tail -n 1 "$work/$peer.err")" ;;
				esac
			fi
		done
		round=$((round + 1))
	done
	ours=$(column "$work/frcnn-eval.times" 1)
	ours_mb=$(column "$work/frcnn-eval.times" 2)
	printf '%s thread(s), %s rounds in turn, medians\n' "$2" "$rounds"
	printf '  %-22s %8.3f s %8.1f MB\n' frcnn-eval "$ours" "$ours_mb"
	best=999999 least=999999
	"$build/bin/frcnn-eval" -q -j "$2" -g "$work/gt.json" --format json "$work/dt.json" 2>/dev/null |
		sed -e 's/.*"stats":\[\([^]]*\)\].*/\1/' | tr , '\n' | sed 's/^-1$/-1.0/' >"$work/numbers"
	for peer in $present; do
		time=$(column "$work/$peer.times" 1)
		mb=$(column "$work/$peer.times" 2)
		same='same 12 numbers'
		cmp -s "$work/numbers" "$work/$peer.out" || {
			same='OTHER NUMBERS'
			failed=1
		}
		printf '  %-22s %8.3f s %8.1f MB  %7.2f times as long, %.1f times the memory, %s\n' "$peer" "$time" "$mb" \
			"$(echo "$time $ours" | awk '{ print $1 / $2 }')" "$(echo "$mb $ours_mb" | awk '{ print $1 / $2 }')" "$same"
		best=$(echo "$best $time" | awk '{ print $1 < $2 ? $1 : $2 }')
		least=$(echo "$least $mb" | awk '{ print $1 < $2 ? $1 : $2 }')
	done
	[ -n "$present" ] || return 0
	awk -v size="$1" -v threads="$2" -v t="$ours" -v mb="$ours_mb" -v best="$best" -v least="$least" 'BEGIN {
		factor = threads > 1 ? 2 : 1
		most = size ~ /^733k/ ? 120 : least / 2
		if (t * factor > best)
			bad = sprintf("  NOT REACHED: %.2f times as fast as the fastest, not %d\n", best / t, factor)
		if (threads > 1 && mb > most)
			bad = bad sprintf("  NOT REACHED: %.1f MB, not %.1f\n", mb, most)
		printf "%s", bad
		exit bad != ""
	}' || failed=1
}

for size in ${EVAL_SIZES:-37k 370k 733k}; do
	make_files "$size"
	for threads in ${EVAL_THREADS:-2 1}; do
		compare "$size" "$threads"
	done
done
exit "$failed"
