#!/bin/sh
# Breaks the evaluation on purpose, one line at a time, and demands that the COCO tests notice: make mutants.
#
# Works on a copy of the tree in a temporary folder. Each mutant is named after the rule of pycocotools that it breaks:
#
#    1 IoU             9 order and truncation      17 undefined cells
#    2 contraction    10 ignored ground truth      18 the limits behind the 12 numbers
#    3 numbers        11 bounds of areas           19 without categories
#    4 recThrs        12 matching                  20 ground truth id 0
#    5 iouThrs        13 detections left out       21 duplicate ids
#    6 precision      14 prefixes of one matching  22 what is not in the ground truth
#    7 mean           15 ties                      23 NaN
#    8 ids and order  16 envelope, lookup
#
# Arguments: names or numbers of mutants, to try these alone (12, 12b). Status 1: a mutant survived, does not compile, or
# its line is no longer there.
set -u
LC_ALL=C
export LC_ALL
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
only=$*
killed=0 failed=0

cp -R "$root/lib" "$root/Makefile" "$work/" && mkdir -p "$work/tests" "$work/bin" && cp -R "$root/tests/unit" "$work/tests/" &&
	cp -R "$root/bin/cli" "$work/bin/" && mkdir "$work/tests/golden" && cp -R "$root/tests/golden/eval" "$work/tests/golden/" || exit 2
cp -R "$work/lib" "$work/whole" || exit 2 # the tree itself may change meanwhile
[ ! -f "$root/config.mk" ] || cp "$root/config.mk" "$work/"
cd "$work" || exit 2

build() {
	# shellcheck disable=SC2016 # make expands these
	"${MAKE:-make}" -s BUILD=build CFLAGS=-O1 SANITIZE= CLI_SRC= LIB_SRC='$(BASE_SRC) $(JSON_SRC) $(RECORD_SRC) $(EVAL_SRC)' \
		UNIT_SRC='tests/unit/test_eval_coco.c tests/unit/eval_cases.c tests/unit/refuse.c' build/tests/unit_tests >build.log 2>&1
}

passes() {
	timeout 120 build/tests/unit_tests --fail-fast >test.log 2>&1
}

build || {
	cat build.log
	echo "mutants: the tests do not build as they are"
	exit 2
}
passes || {
	cat test.log
	echo "mutants: the tests fail as they are"
	exit 2
}

# mutant NAME "WHAT IS BROKEN" FILE SED-EXPRESSION (extended)
mutant() {
	case " $only " in
	"  " | *" $1 "* | *" ${1%[a-z]} "*) ;;
	*) return 0 ;;
	esac
	whole=whole/${3#lib/}
	sed -E "$4" "$whole" >"$3"
	if cmp -s "$whole" "$3"; then
		echo "STALE     $1 $2: $3 has no such line"
		failed=$((failed + 1))
	elif ! build; then
		echo "BROKEN    $1 $2: does not compile"
		sed 's/^/    /' build.log | head -n 5
		failed=$((failed + 1))
	elif passes; then
		echo "SURVIVED  $1 $2"
		failed=$((failed + 1))
	else
		echo "killed    $1 $2"
		killed=$((killed + 1))
	fi
	cp "$whole" "$3"
}

. "$root/tests/mutate/coco.inc"

echo "mutants: $killed killed, $failed not"
[ "$failed" = 0 ] && [ "$killed" -gt 0 ]
