# frcnn-eval --list-options, --help and its page name the same options; the synopsis is the usage; the examples run.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/eval.inc"
page=$ROOT/man/frcnn-eval.1

"$eval" --list-options | sed 's/	[^	]*$//' | sort >listed
[ "$(wc -l <listed)" -gt 30 ] || fail "too few options listed"
"$eval" --help | sed -n \
	-e 's/^  \(-.\), \(--[a-z-]*\) \([^ ]*\)\(  .*\)*$/\2	\1	\3/p' -e 't' \
	-e 's/^  \(-.\), \(--[a-z-]*\)  .*$/\2	\1	/p' -e 't' \
	-e 's/^      \(--[a-z-]*\) \([^ ][^ ]*\)\(  .*\)*$/\1		\2/p' -e 't' \
	-e 's/^      \(--[a-z-]*\)\(  .*\)*$/\1		/p' | sort >helped
same listed helped
sed -n 's/^\.It Fl //p' "$page" | sed \
	-e 's/ , Fl -\([a-z-]*\)/	--\1/' -e 's/^-\([a-z-]*\)/	--\1/' -e 's/^\([^	-]\)	/-\1	/' \
	-e 's/ Ar \(.*\)$/	\1/' -e 's/ Cm \(.*\)$/	\1/' -e 's/ | /|/g' |
	awk -F '\t' -v OFS='\t' '{ print $2, $1, $3 }' | sort >documented
same listed documented

if command -v mandoc >/dev/null; then
	mandoc -T lint -W warning "$page" || fail "mandoc finds fault"
	usage=$("$eval" --help | sed -n '1s/^Usage: //p')
	mandoc -T ascii "$page" | sed 's/.\x08//g; s/^ *//' >text
	says text "$usage"
fi

# EXAMPLES, in a folder with what they speak of: the pictures that ship and their ground truth.
share=$BUILD/../share
[ -f "$share/models/parts-r18.safetensors" ] || skip "share/models is not there: examples not run"
cp -r "$share/images" photos
cp "$share/annotations/parts.json" instances.json
"$detect" -j 2 --min-size 240 photos -o dets.jsonl || fail "frcnn-detect"
cp dets.jsonl int8.jsonl
PATH=$BUILD/bin:$PATH
sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$page" | sed -n 's/^\.Dl \$ //p' | sed 's/\\e/\\/g; s/\\&//g' >examples
[ "$(wc -l <examples)" -ge 5 ] || fail "too few examples"
while read -r line; do
	sh -c "$line" >stdout 2>stderr </dev/null || fail "example: $line: $(cat stderr)"
done <examples
has report.html '</html>'
