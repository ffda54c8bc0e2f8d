# Lists of names on standard input.
. "$ROOT/tests/cli/common.inc"

cp "$data/round.png" 'a b.png'
cp "$data/square.jpg" b.jpg
cp "$data/tall.jpg" c.jpg
newline='
'
cp b.jpg "n${newline}l.jpg"

# shellcheck disable=SC2086
go() {
	runs "$1" "$detect" $quick --score 0.5 ${2+"$2"} ${3+"$3"} ${4+"$4"} <list
}

go_names() {
	names out >got
	same wanted got
}

printf 'a b.png\n\nc.jpg' >list
printf 'a b.png\nc.jpg\n' >wanted
go 0 && go_names
go 0 - && go_names
printf 'b.jpg\na b.png\nc.jpg\nb.jpg\n' >wanted
go 0 b.jpg - b.jpg && go_names

# A list from elsewhere may end its lines with CR; a name that does so really is kept.
printf 'b.jpg\r\nc.jpg\r\n' >list
printf 'b.jpg\nc.jpg\n' >wanted
go 0 && go_names
cp c.jpg "$(printf 'b.jpg\r')"
printf 'b.jpg\\r\nc.jpg\n' >wanted
go 0 && go_names

printf 'n\nl.jpg\0c.jpg' >list
printf 'n\\nl.jpg\nc.jpg\n' >wanted
go 0 -0 && go_names
go 0 --null && go_names
go 2
grep -q 'standard input: line 2 holds a NUL byte; lists separated by NULs need -0' err || fail "NULs pass: $(cat err)"

# Nothing in, nothing out, but for a word; lines without a name are nothing.
: >list
go 0
lines out 0
lines err 1
says err 'frcnn-detect: standard input: warning: no names in this list'
printf '\n\n' >list
go 0 -o whole
lines whole 0
says err 'frcnn-detect: standard input: warning: no names in this list'
go 0 -q
lines err 0
: >list
go 0 --format=coco
printf '[]\n' >wanted
same wanted out

# Control characters never reach the terminal.
printf 'no\033[31m.jpg\n' >list
go 2
says err 'frcnn-detect: no\x1B[31m.jpg: no such file or directory'

# A closed standard input is an empty list.
# shellcheck disable=SC2086
"$detect" $quick <&- >out 2>err || fail "status $?"
lines out 0
