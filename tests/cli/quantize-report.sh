# The page of frcnn-quantize --report: whole, well-formed, escaped, there when a gate fails, and never over another file.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"
need_cases
pictures scene scenes 1 16
odd='scenes/<b>"&.png'
mv scenes/3.png "$odd"
cp "$odd" scenes/0.png # which comes first, so that the other is the copy
cp "$tiny" 'm<i>.safetensors'
{
	printf '{"categories":[{"id":1,"name":"<u>&"},{"id":2,"name":"dog"}],"images":['
	separator=
	for i in 4 5 6 7 8 9 10 11 12; do
		printf '%s{"id":%s,"file_name":"scenes/%s.png","width":160,"height":120}' "$separator" $i $i
		separator=,
	done
	printf '],"annotations":['
	separator=
	for i in 4 5 6 7 8 9 10 11 12; do
		printf '%s{"id":%s,"image_id":%s,"category_id":%s,"bbox":[10,10,50,50],"area":2500,"iscrowd":0}' \
			"$separator" $i $i $((i % 2 + 1))
		separator=,
	done
	printf ']}'
} >gt.json
set -- --model 'm<i>.safetensors' --min-size 64 --max-size 96 -j 2 -o q.safetensors --report r.html

# Everything there is to say, with a search in vain: 1, no model, but the page.
runs 1 "$quantize" "$@" --gt gt.json --min found=0.9999 --max-drop AP=0.5 --sensitivity --keep-float 'backbone.body.layer1.*' \
	--max-float 0.9 scenes
absent q.safetensors
[ ! -e r.html.part ] || fail "r.html.part is left"
"$cases" xml r.html || fail "not well-formed"
for text in '<title>m&lt;i&gt;@' 'No model is written:</strong> a gate failed' 'id="gates"' 'found &gt;= 0.9999' \
	'drop of AP &lt;= 0.5' '>failed<' 'id="cost"' '<th scope="row">AP50</th>' '<th scope="row">&lt;u&gt;&amp;</th>' \
	'bytes of the file' 'seconds an image, median' 'id="layers"' 'backbone.body.layer4.1.conv2' '>--keep-float<' \
	'output of the layer alone' 'dB, stays float</title>' 'id="search"' 'Layer left float' 'the gates fail' \
	'id="warnings"' '&lt;b&gt;&quot;&amp;.png is a copy of another image' 'id="inputs"' \
	"$(sha256sum "$tiny" | cut -d' ' -f1)" '<code>--max-float=0.9</code>' '(not written)'; do
	has r.html "$text"
done
lacks r.html '<b>"&.png'

# With gates that hold, without ground truth.
runs 0 "$quantize" "$@" --min found=0.01 scenes
"$cases" xml r.html || fail "not well-formed"
has r.html '>holds<'
lacks r.html 'No model is written'
lacks r.html 'AP50'
# Without a report set there is nothing to tell of the cost.
runs 0 "$quantize" "$@" --holdout 0 scenes
"$cases" xml r.html || fail "not well-formed"
lacks r.html 'id="cost"'
has r.html 'the report set is empty'
# The model is written though a picture was not readable, which the page says.
echo no picture >bad.jpg
runs 2 "$quantize" "$@" scenes bad.jpg
"$cases" xml r.html || fail "not well-formed"
has r.html 'Not everything could be read:'
has r.html '<dt>not readable</dt><dd>1</dd>'

# Every output has a place of its own.
rm -f q.safetensors r.html
refused() {
	message=$1
	shift
	runs 2 "$quantize" --model "$tiny" -q "$@"
	has err "$message"
	absent q.safetensors
}
mkdir folder
ln -s .. folder/up
refused '--report and -o name one file' -o q.safetensors --report q.safetensors scenes
refused '--report and --write-plan name one file' -o q.safetensors --report p --write-plan p scenes
refused '--report ./q.safetensors: that is what -o writes' -o q.safetensors --report ./q.safetensors scenes
refused '--write-plan folder/up/q.safetensors: that is what -o writes' -o q.safetensors --write-plan folder/up/q.safetensors scenes
refused '--report ./p: that is what --write-plan writes' -o q.safetensors --write-plan p --report ./p scenes
echo old >p
ln p hard
refused '--report hard: that is what --write-plan writes' -o q.safetensors --write-plan p --report hard scenes
[ "$(cat p)" = old ] || fail "p was touched"
refused '--report scenes/1.png: that is the input scenes/1.png' -o q.safetensors --report scenes/1.png scenes
refused "that is read by this run" -o q.safetensors --gt gt.json --report gt.json scenes
refused 'nowhere/r.html.part: no such file or directory' -o q.safetensors --report nowhere/r.html scenes
