# frcnn-quantize --list-options, --help and its page name the same options; the synopsis is the usage; the examples run.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
page=$ROOT/man/frcnn-quantize.1

"$quantize" --list-options | sed 's/	[^	]*$//' | sort >listed
[ "$(wc -l <listed)" -gt 30 ] || fail "too few options listed"
sed -n 's/^\.It Fl //p' "$page" | sed \
	-e 's/ , Fl -\([a-z-]*\)/	--\1/' -e 's/^-\([a-z-]*\)/	--\1/' -e 's/^\([^	-]\)	/-\1	/' \
	-e 's/ Ar \(.*\)$/	\1/' -e 's/ Cm \(.*\)$/	\1/' -e 's/ | /|/g' |
	awk -F '\t' -v OFS='\t' '{ print $2, $1, $3 }' | sort >documented
same listed documented

if command -v mandoc >/dev/null; then
	mandoc -T lint -W warning "$page" || fail "mandoc finds fault"
	usage=$("$quantize" --help | sed -n '1s/^Usage: //p')
	mandoc -T ascii "$page" | sed 's/.\x08//g; s/^ *//' | tr '\n' ' ' >text
	has text "$usage"
fi

[ -f "$small" ] || skip "share/models is not there: examples not run"
cp -r "$share/images" photos
cp "$share/annotations/parts.json" train.json
cp "$share/annotations/parts.json" val.json
# Resize options are the model's own: small pictures are told apart well enough. Under a sanitizer the tiny model does,
# with the examples that ask for no accuracy.
model=$small
sanitized && model=$tiny
"$BUILD/bin/frcnn-model" convert --min-size 128 --max-size 200 "$model" -o model.safetensors || fail "no model"
# the pictures that are measured are others
mkdir more
cp "$data"/*.jpg more
PATH=$BUILD/bin:$PATH
sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$page" | sed -n 's/^\.Dl \$ //p' | sed 's/\\e/\\/g; s/\\&//g' >examples
[ "$(wc -l <examples)" -ge 3 ] || fail "too few examples"
while read -r line; do
	case $line in
	*--max-drop*) ! sanitized || continue ;;
	esac
	sh -c "$line" >stdout 2>stderr </dev/null || fail "example: $line: $(cat stderr)"
done <examples
