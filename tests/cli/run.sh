#!/bin/sh
# Runs every tests/cli/NAME.sh in a temporary folder of its own, with
#   ROOT        the source tree
#   BUILD       the build folder, absolute
#   FRCNN_DATA  the folder with models and pictures that do not come along, or empty
# in the environment. A script that ends 0 has passed, 77: is skipped (it says why),
# anything else: has failed. Arguments: names of scripts, to run these alone. As many run at once as there are cores, or
# JOBS.
set -u
LC_ALL=C
ROOT=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
BUILD=${BUILD:-$ROOT/build}
case $BUILD in
/*) ;;
*) BUILD=$ROOT/$BUILD ;;
esac
FRCNN_DATA=${FRCNN_DATA:-}
# Scripts run elsewhere: a relative folder would get lost.
if [ -n "$FRCNN_DATA" ]; then
	FRCNN_DATA=$(cd "$FRCNN_DATA" && pwd) || exit 2
fi
export LC_ALL ROOT BUILD FRCNN_DATA
unset NO_COLOR

# "--one ALL NAME": one script, into ALL/NAME.status, and what is to be said of it.
if [ "${1-}" = --one ]; then
	all=$2 name=$3 status=0
	mkdir "$all/$name"
	(cd "$all/$name" && exec sh "$ROOT/tests/cli/$name.sh") >"$all/$name.log" 2>&1 </dev/null || status=$?
	echo "$status" >"$all/$name.status"
	case $status in
	0) echo "passed $name" ;;
	77) echo "skipped $name: $(tail -n 1 "$all/$name.log")" ;;
	*)
		{
			echo "failed $name: status $status"
			sed 's/^/    /' "$all/$name.log"
		} >"$all/$name.said"
		cat "$all/$name.said"
		;;
	esac
	chmod -R u+rwx "$all/$name"
	rm -rf "${all:?}/$name"
	exit 0
fi

all=$(mktemp -d) || exit 2
trap 'rm -rf "$all"' EXIT
trap 'exit 130' INT TERM

# Those that take longest first: the others fill what room they leave.
long='nms-man eval-man detect-man eval-gates quantize-bytes quantize-refine quantize-strange quantize-man quantize'
if [ $# -eq 0 ]; then
	for name in $long; do
		set -- "$@" "$name"
	done
	for script in "$ROOT"/tests/cli/*.sh; do
		name=$(basename "$script" .sh)
		case " run $long " in
		*" $name "*) ;;
		*) set -- "$@" "$name" ;;
		esac
	done
fi
for script; do
	basename "$script" .sh
done | xargs -n 1 -P "${JOBS:-$(nproc)}" sh "$ROOT/tests/cli/run.sh" --one "$all"

passed=0 failed=0 skipped=0
for script; do
	status=$(cat "$all/$(basename "$script" .sh).status" 2>/dev/null)
	case $status in
	0) passed=$((passed + 1)) ;;
	77) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
done
echo "cli: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ $((passed + skipped)) -gt 0 ]
