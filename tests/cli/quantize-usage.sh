# A usage error of frcnn-quantize is one line, "Try 'frcnn-quantize --help'", status 2, nothing on stdout, no file.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/quantize.inc"

wrong() {
	message=$1
	shift
	runs 2 "$quantize" "$@"
	lines out 0
	lines err 2
	says err "frcnn-quantize: $message"
	says err "Try 'frcnn-quantize --help'"
	absent q.safetensors
}

all="--model $model -o q.safetensors"
wrong 'no model given (--model FILE)' -o q.safetensors x.jpg
wrong 'no file given for the int8 model (-o FILE)' --model "$model" x.jpg
wrong 'no file given for the int8 model (-o FILE)' --model "$model" -o - x.jpg
# shellcheck disable=SC2086
{
	wrong '--anchors does not go with --anchor-sizes or --aspect-ratios' $all --anchors '1;1' --anchor-sizes 1
	wrong '--anchors: "1" is not of the form SIZES;RATIOS' $all --anchors 1
	wrong '--mean needs 3 numbers, not 2' $all --mean 1,2
	wrong '--std needs 3 numbers, not 1' $all --std 1
	wrong '--image-root needs --gt' $all --image-root .
	wrong '--measure-root needs --measure-gt' $all --measure-root .
	wrong '--holdout does not go with --measure-gt' $all --measure-gt x --holdout 0.3
	wrong '--holdout: 1.5 is outside 0 to 1' $all --holdout 1.5
	wrong '--images: 0 is outside 1 to 1000000' $all --images 0
	wrong '--observer: "median" is none of best|minmax|percentile|mse|kl' $all --observer median
	wrong '--min: "found" is not of the form METRIC=V or CLASS:METRIC=V' $all --min found
	wrong '--max: "shift=x": "x" is not a number' $all --max shift=x
	wrong '--max-drop: "AP=-1": a drop is 0 or more' $all --max-drop AP=-1
	wrong 'gates on other metrics than found and shift need ground truth (--gt or --measure-gt)' $all --max-drop AP=1
	wrong '--max-drop found: the float model has none (give --min found=V, --max shift=V)' $all --max-drop found=1
	wrong '--report and --write-plan need the name of a file' $all --write-plan -
	wrong '--report and --write-plan need the name of a file' $all --report -
	wrong '--write-plan and -o name one file' $all --write-plan q.safetensors
	wrong '--format: "csv" is none of text|json|markdown' $all --format csv
}

# What only a look at the files shows: one line.
cp "$data/square.jpg" a.jpg
refused() {
	message=$1
	shift
	runs 2 "$quantize" "$@"
	lines out 0
	has err "$message"
	absent q.safetensors
}
# shellcheck disable=SC2086
{
	refused 'gone.jpg: no such file or directory' $all gone.jpg
	refused 'no image is left to calibrate with' $all gone.jpg
	refused 'no image is left to calibrate with' $all --holdout 1 a.jpg
	refused 'the report set is empty: there is nothing to judge gates on' $all --min found=0.5 a.jpg
	refused 'x.safetensors: no such file or directory' --model x.safetensors -o q.safetensors a.jpg
	refused 'the model has no layer that "backbone.tail*" matches' $all --keep-float 'backbone.tail*' a.jpg
	refused 'the plan leaves every layer float: there is nothing to do' $all --keep-float '*' a.jpg
	refused 'nowhere/q.safetensors' --model "$model" -o nowhere/q.safetensors a.jpg
	refused 'nowhere/plan' $all --write-plan nowhere/plan a.jpg
	refused 'nowhere/page' $all --report nowhere/page a.jpg
	refused 'not a regular file' --model "$model" -o /dev/null a.jpg
	mkfifo fifo
	refused '-o fifo: not a regular file' --model "$model" -o fifo a.jpg
	# Names that meet while they are written, whether OUT is there or not.
	for part in q.safetensors.part ./q.safetensors.part q.safetensors.part.part; do
		refused "--write-plan $part: that is what -o writes" $all --write-plan $part a.jpg
		refused "--report $part: that is what -o writes" $all --report $part a.jpg
	done
	cp a.jpg old.safetensors
	refused '--write-plan old.safetensors.part: that is what -o writes' --model "$model" -o old.safetensors \
		--write-plan old.safetensors.part a.jpg
	refused '--report same: that is what --write-plan writes' $all --report same --write-plan same.part a.jpg
	refused '-o a.jpg: that is the input a.jpg' --model "$model" -o a.jpg a.jpg
	refused '--write-plan a.jpg: that is the input a.jpg' $all --write-plan a.jpg a.jpg
	echo '{"backbone.body.layer9": "int8"}' >plan
	refused 'plan: the model has no layer "backbone.body.layer9"' $all --plan plan a.jpg
	echo '{"rpn.head.cls_logits": "int8", "rpn.head.bbox_pred": "float32"}' >plan
	refused 'plan: "rpn.head.cls_logits" and "rpn.head.bbox_pred" run as one and need one dtype' $all --plan plan a.jpg
	echo '{"rpn.head.cls_logits": "int4"}' >plan
	refused 'plan: layer "rpn.head.cls_logits" is neither "int8" nor "float32"' $all --plan plan a.jpg
	echo '{} {}' >plan
	refused 'plan: not one JSON object of layers and dtypes' $all --plan plan a.jpg
	echo '{}' >plan
	refused "-o plan: that is read by this run" --model "$model" -o plan --plan plan a.jpg
	# Gates on what there is none of, before any picture is looked at.
	cp "$data/tall.jpg" b.jpg
	box='"category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0'
	echo '{"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
		"categories": [{"id": 1, "name": "bolt"}], "annotations": [{"id": 1, "image_id": 1, '"$box"'},
		{"id": 2, "image_id": 2, '"$box"'}]}' >gt.json
	set -- $all --gt gt.json --image-root . --holdout 0.5
	refused '--min foo: no metric "foo"' "$@" --min foo=0.1
	lines err 1
	refused '--max-drop nut:AP: no class "nut"' "$@" --max-drop nut:AP=0.1
	refused '--max bolt:found: no metric "found"' "$@" --max bolt:found=0.1
	runs 0 "$quantize" "$@" --max-drop bolt:AP=1
	if [ -c /dev/full ]; then
		status=0
		"$quantize" "$@" >/dev/full 2>err || status=$?
		[ $status = 2 ] || fail "status $status"
		has err 'frcnn-quantize: standard output: no space left on device'
	fi
}
