# A terminal on standard input is a usage error at once, not a program that waits; progress and colours on terminals.
. "$ROOT/tests/cli/common.inc"
command -v script >/dev/null || skip "script(1) is not there"

# A terminal's lines end with CR LF.
on_terminal() {
	status=0
	timeout 60 script -qec "$1" /dev/null </dev/null >typed 2>&1 || status=$?
	tr -d '\r' <typed >out
}

export TERM=xterm
NO_COLOR=1 on_terminal "$detect $quick"
[ "$status" = 2 ] || fail "status $status: $(cat out)"
says out 'frcnn-detect: standard input is a terminal: name images or folders, or pipe a list of names in'
says out "Try 'frcnn-detect --help'"
NO_COLOR=1 on_terminal "$detect $quick -"
[ "$status" = 2 ] || fail "-: status $status"

escape=$(printf '\033')
on_terminal "$detect $quick nosuch.jpg"
grep -q "$escape\[1;31mfrcnn-detect:" out || fail "no colour on a terminal"
NO_COLOR=1 on_terminal "$detect $quick nosuch.jpg"
! grep -q "$escape\[1;31m" out || fail "colour in spite of NO_COLOR"
TERM=dumb on_terminal "$detect $quick nosuch.jpg"
! grep -q "$escape\[1;31m" out || fail "colour on a dumb terminal"

on_terminal "$detect $quick -o o.jsonl $data/round.png $data/tall.jpg"
grep -q '2/2' out || fail "no progress on a terminal: $(cat out)"
on_terminal "$detect $quick -q -o o.jsonl $data/round.png $data/tall.jpg"
[ ! -s out ] || fail "progress in spite of -q"
# shellcheck disable=SC2086
runs 0 "$detect" $quick -o o.jsonl "$data/round.png" "$data/tall.jpg"
lines err 0
# shellcheck disable=SC2086
runs 0 "$detect" $quick --progress -o o.jsonl "$data/round.png" "$data/tall.jpg"
grep -q '^2/2' err || fail "no progress in spite of --progress"
