# frcnn-anchors --list-options, --help and its page name the same options; the synopsis is the usage; the examples run.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/anchors.inc"
page=$ROOT/man/frcnn-anchors.1

"$anchors" --list-options | sed 's/	[^	]*$//' | sort >listed
[ "$(wc -l <listed)" -gt 20 ] || fail "too few options listed"
sed -n 's/^\.It Fl //p' "$page" | sed \
	-e 's/ , Fl -\([a-z-]*\)/	--\1/' -e 's/^-\([a-z-]*\)/	--\1/' -e 's/^\([^	-]\)	/-\1	/' \
	-e 's/ Ar \(.*\)$/	\1/' -e 's/ Cm \(.*\)$/	\1/' -e 's/ | /|/g' |
	awk -F '\t' -v OFS='\t' '{ print $2, $1, $3 }' | sort >documented
same listed documented
if command -v mandoc >/dev/null; then
	mandoc -T lint -W warning "$page" || fail "mandoc finds fault"
	usage=$("$anchors" --help | sed -n '1s/^Usage: //p')
	mandoc -T ascii "$page" | sed 's/.\x08//g; s/^ *//' >text
	says text "$usage"
fi

# Every key of the JSON object is in the page.
runs 0 "$anchors" -q -g "$golden/ties.json" --fit --steps 3 --proposals /dev/null --format json
tr ',{' '\n\n' <out | sed -n 's/^"\([a-z_]*\)":.*/\1/p' | sort -u >keys
[ "$(wc -l <keys)" -gt 30 ] || fail "too few keys"
while read -r key; do
	grep -q -w -e "$key" "$page" || fail "the page does not tell of $key"
done <keys

# EXAMPLES, in a folder with what they speak of: the pictures that ship and their ground truth.
share=$BUILD/../share
[ -f "$share/models/parts-r18.safetensors" ] || skip "share/models is not there: examples not run"
mkdir photos
for picture in "$share"/images/*.jpg; do
	[ "$(find photos -type f | wc -l)" -lt 2 ] && cp "$picture" photos
done
cp "$share/annotations/parts.json" instances.json
cp "$share/models/parts-r18.safetensors" model.safetensors
PATH=$BUILD/bin:$PATH
sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$page" | sed -n 's/^\.Dl \$ //p' | sed 's/\\e/\\/g; s/\\&//g' >examples
[ "$(wc -l <examples)" -ge 5 ] || fail "too few examples"
while read -r line; do
	sh -c "$line" >stdout 2>stderr </dev/null || fail "example: $line: $(cat stderr)"
done <examples
has anchors.html '</html>'
