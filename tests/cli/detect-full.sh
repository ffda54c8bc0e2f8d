# Output that cannot be written is trouble that is named.
. "$ROOT/tests/cli/common.inc"
[ -c /dev/full ] || skip "/dev/full is not there"

full() {
	status=0
	"$@" >/dev/full 2>err || status=$?
	[ "$status" = 2 ] || fail "status $status: $*"
	says err 'frcnn-detect: standard output: no space left on device'
	lines err 1
}

full "$detect" --help
full "$detect" --version
full "$detect" --list-options
# shellcheck disable=SC2086
full "$detect" $quick "$data/round.png"
# shellcheck disable=SC2086
full "$detect" $quick -q --format=coco -
# shellcheck disable=SC2086
runs 2 "$detect" $quick -o /dev/full "$data/round.png"
says err 'frcnn-detect: /dev/full: no space left on device'
# shellcheck disable=SC2086
runs 2 "$detect" $quick -o nosuch/out "$data/round.png"
lines err 1
# Devices and pipes are written directly and stay.
# shellcheck disable=SC2086
runs 0 "$detect" $quick -o /dev/null "$data/round.png"
[ -c /dev/null ] || fail "/dev/null was replaced"

# A closed standard output is no licence to write into some other file.
status=0
# shellcheck disable=SC2086
"$detect" $quick "$data/round.png" >&- 2>err || status=$?
[ "$status" = 2 ] || fail "closed stdout: status $status"
# shellcheck disable=SC2086
runs 0 "$detect" $quick "$data/round.png"
mv out wanted
# shellcheck disable=SC2086
"$detect" $quick -o file "$data/round.png" >&- 2>err || fail "-o with stdout closed: $(cat err)"
same wanted file
