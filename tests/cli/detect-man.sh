# --list-options, --help and frcnn-detect(1) name the same options with the same arguments; the synopsis is the usage;
# the examples run.
. "$ROOT/tests/cli/common.inc"
page=$ROOT/man/frcnn-detect.1

"$detect" --list-options | sed 's/	[^	]*$//' | sort >listed
[ "$(wc -l <listed)" -gt 30 ] || fail "too few options listed"
"$detect" --help | sed -n \
	-e 's/^  \(-.\), \(--[a-z-]*\)\(\[=[a-z|]*\]\).*/\2	\1	\3/p' -e 't' \
	-e 's/^      \(--[a-z-]*\)\(\[=[a-z|]*\]\).*/\1		\2/p' -e 't' \
	-e 's/^  \(-.\), \(--[a-z-]*\) \([^ ]*\)\(  .*\)*$/\2	\1	\3/p' -e 't' \
	-e 's/^      \(--[a-z-]*\) \([^ ]*\)\(  .*\)*$/\1		\2/p' | sort >helped
same listed helped
sed -n 's/^\.It Fl //p' "$page" | sed \
	-e 's/ , Fl -\([a-z-]*\)/	--\1/' -e 's/^-\([a-z-]*\)/	--\1/' -e 's/^\([^	-]\)	/-\1	/' \
	-e 's/ Ns Op = Ns Ar \(.*\)$/	[=\1]/' -e 's/ Ar \(.*\)$/	\1/' -e 's/ Cm \(.*\)$/	\1/' -e 's/ | /|/g' |
	awk -F '\t' -v OFS='\t' '{ print $2, $1, $3 }' | sort >documented
same listed documented

if command -v mandoc >/dev/null; then
	mandoc -T lint -W warning "$page" || fail "mandoc finds fault"
	usage=$("$detect" --help | sed -n '1s/^Usage: //p')
	mandoc -T ascii "$page" | sed 's/.\x08//g; s/^ *//' >text
	says text "$usage"
fi

# Lines of EXAMPLES that stand by themselves, in a folder with what they speak of.
share=$BUILD/../share
[ -f "$share/models/parts-r18.safetensors" ] || skip "share/models is not there: examples not run"
mkdir -p photos/val2017
cp "$data/round.png" photos/000000000012.png
cp "$data/square.jpg" photos/val2017/000000000034.jpg
cp photos/000000000012.png scene.png
cp "$model" fasterrcnn.pth
echo '{"images":[{"id":34,"file_name":"000000000034.jpg"}],"annotations":[],"categories":[]}' >instances.json
PATH=$BUILD/bin:$PATH
sed -n '/^\.Sh EXAMPLES/,/^\.Sh EXIT/p' "$page" | sed -n 's/^\.Dl \$ //p' | sed 's/\\e/\\/g; s/\\&//g' >examples
[ "$(wc -l <examples)" -ge 5 ] || fail "too few examples"
while read -r line; do
	sh -c "$line" >stdout 2>stderr </dev/null || fail "example: $line: $(cat stderr)"
done <examples
