#!/bin/sh
# Runs every tests/cli/NAME.sh in a temporary folder of its own, with
#   ROOT        the source tree
#   BUILD       the build folder, absolute
#   FRCNN_DATA  the folder with models and pictures that do not come along, or empty
# in the environment. A script that ends 0 has passed, 77: is skipped (it says why),
# anything else: has failed. Arguments: names of scripts, to run these alone.
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

passed=0 failed=0 skipped=0
all=$(mktemp -d) || exit 2
trap 'rm -rf "$all"' EXIT
trap 'exit 130' INT TERM

[ $# -gt 0 ] || set -- "$ROOT"/tests/cli/*.sh
for script; do
	name=$(basename "$script" .sh)
	[ "$name" != run ] || continue
	mkdir "$all/$name"
	status=0
	(cd "$all/$name" && exec sh "$ROOT/tests/cli/$name.sh") >"$all/$name.log" 2>&1 </dev/null || status=$?
	case $status in
	0)
		echo "passed $name"
		passed=$((passed + 1))
		;;
	77)
		echo "skipped $name: $(tail -n 1 "$all/$name.log")"
		skipped=$((skipped + 1))
		;;
	*)
		echo "failed $name: status $status"
		sed 's/^/    /' "$all/$name.log"
		failed=$((failed + 1))
		;;
	esac
	chmod -R u+rwx "$all/$name"
	rm -rf "${all:?}/$name"
done
echo "cli: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ $((passed + skipped)) -gt 0 ]
