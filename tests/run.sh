#!/bin/sh
# Runs every kind of test and adds them up; `make check` calls it with
#   BUILD, CC, MAKE, SANITIZE   as in the Makefile
#   UNIT                        the unit test program, empty without Criterion
#   FUZZ_TARGETS                names of fuzz targets
# Each kind closes with "KIND: N passed, N failed, N skipped"; the last line of all
# is their sum. Status 1 when anything failed or nothing ran.
set -u
LC_ALL=C
export LC_ALL BUILD CC MAKE SANITIZE PROGRAMS
cd "$(dirname "$0")/.." || exit 2

total_passed=0 total_failed=0 total_skipped=0 summary=''
logs=$BUILD/tests/logs
mkdir -p "$logs"

# add KIND PASSED FAILED SKIPPED
add() {
	total_passed=$((total_passed + $2))
	total_failed=$((total_failed + $3))
	total_skipped=$((total_skipped + $4))
	summary="$summary$1: $2 passed, $3 failed, $4 skipped
"
}

# run LOG COMMAND...: shows the output and keeps it; the command's own status.
run() {
	log=$1
	shift
	{
		"$@" 2>&1
		echo $? >"$log.status"
	} | tee "$log"
	return "$(cat "$log.status")"
}

# run_counted KIND COMMAND...: a command whose last line counts for itself.
run_counted() {
	kind=$1
	shift
	echo "== $kind tests"
	status=0
	run "$logs/$kind.log" "$@" || status=$?
	line=$(sed -n "s/^$kind: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped\$/\1 \2 \3/p" "$logs/$kind.log" |
		tail -n 1)
	if [ -z "$line" ]; then
		echo "$kind: ended with status $status without counting its tests"
		line="0 1 0"
	elif [ "$status" != 0 ] && [ "$(echo "$line" | cut -d' ' -f2)" = 0 ]; then
		echo "$kind: ended with status $status though no test failed"
		line="${line%% *} 1 ${line##* }"
	fi
	# shellcheck disable=SC2086
	add "$kind" $line
}

run_unit() {
	if [ -z "$UNIT" ]; then
		echo "== unit tests: not built, Criterion is not there (libcriterion-dev)"
		add unit 0 0 1
		return
	fi
	echo "== unit tests"
	tap=$logs/unit.tap
	rm -f "$tap"
	status=0
	run "$logs/unit.log" "$UNIT" --tap="$tap" || status=$?
	if [ ! -s "$tap" ]; then
		echo "unit: ended with status $status without a result"
		add unit 0 1 0
		return
	fi
	skipped=$(grep -c '^ok .*# SKIP' "$tap")
	passed=$(($(grep -c '^ok ' "$tap") - skipped))
	failed=$(grep -c '^not ok ' "$tap")
	# Criterion lets a leak reported at the end of a test's process pass.
	leaks=$(grep -c 'ERROR: LeakSanitizer' "$logs/unit.log")
	failed=$((failed + leaks))
	[ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
	if [ $((passed + failed + skipped)) = 0 ]; then
		echo "unit: no test in it"
		failed=1
	fi
	sed -n 's/^ok - \(.*[^ ]\)  *# SKIP/skipped \1:/p' "$tap"
	add unit "$passed" "$failed" "$skipped"
}

run_fuzz() {
	echo "== replay of the fuzz corpora"
	passed=0 failed=0
	for target in $FUZZ_TARGETS; do
		status=0
		run "$logs/fuzz_$target.log" "$BUILD/tests/fuzz/replay_$target" "$target" "tests/fuzz/corpus/$target" || status=$?
		line=$(tail -n 1 "$logs/fuzz_$target.log" |
			sed -n "s/^$target: \([0-9]*\) passed, \([0-9]*\) failed, 0 skipped\$/\1 \2/p")
		[ -n "$line" ] || line="0 1"
		[ "$status" = 0 ] || [ "${line##* }" != 0 ] || line="${line%% *} 1"
		passed=$((passed + ${line%% *}))
		failed=$((failed + ${line##* }))
	done
	add fuzz "$passed" "$failed" 0
}

run_unit
run_counted build sh tests/build/run.sh
run_counted cli sh tests/cli/run.sh
run_fuzz

echo
[ ! -f "$logs/unit.log" ] || [ -z "$UNIT" ] || grep 'Synthesis:' "$logs/unit.log"
printf '%s' "$summary"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ "$total_failed" = 0 ] && [ "$total_passed" -gt 0 ]
