# A run that was killed and resumed ends with the bytes of one that was not.
. "$ROOT/tests/cli/common.inc"

cp "$data/round.png" 1.png
cp "$data/square.jpg" 2.jpg
cp "$data/tall.jpg" 4.jpg
inputs="1.png 2.jpg 9.jpg 3.jpg 4.jpg"

# A named pipe in place of the fourth input holds the run there for as long as we like.
# 9.jpg is missing: that must be in the end status of the resumed run, too.
interrupted() {
	signal=$1
	shift
	rm -f 3.jpg out.part out.part.json file file.part file.part.json
	mkfifo 3.jpg
	# shellcheck disable=SC2086
	env --default-signal=INT "$detect" $quick -o file "$@" $inputs 2>err &
	pid=$!
	tries=0
	until grep -q '"done":3' file.part.json 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || fail "the run does not get on: $(cat err)"
		sleep 0.1
	done
	kill "-$signal" $pid
	wait $pid && fail "still ends well"
	rm 3.jpg
	cp "$data/square.jpg" 3.jpg
	[ ! -e file ] || fail "an unfinished file has its name"
}

reference() {
	rm -f 3.jpg
	cp "$data/square.jpg" 3.jpg
	# shellcheck disable=SC2086
	runs 2 "$detect" $quick "$@" $inputs
	mv out wanted
}

env --default-signal=INT true 2>/dev/null || skip "env --default-signal is not there"
for format in jsonl coco csv; do
	reference --format $format
	for signal in KILL INT TERM; do
		interrupted $signal --format $format
		# What is there are whole lines, the first of what it should be.
		head -c "$(wc -c <file.part)" wanted | cmp - file.part || fail "$format $signal: other bytes in the part"
		[ -s file.part ] || fail "nothing in the part"
		printf '{"file_name":"torn' >>file.part
		# shellcheck disable=SC2086
		runs 2 "$detect" $quick --format $format -o file --resume $inputs
		same wanted file
		[ ! -e file.part ] && [ ! -e file.part.json ] || fail "the part or its sidecar stayed"
		says err 'frcnn-detect: warning: 1 input failed before the interruption'
	done
done

# Anything that would give other bytes is refused in one line, and the part stays as it is.
refused() {
	message=$1
	shift
	cp file.part before
	cp file.part.json before.json
	status=0
	"$detect" "$@" >out 2>err || status=$?
	[ "$status" = 2 ] || fail "status $status: $*"
	lines err 1
	grep -q -e "$message" err || fail "says $(cat err)"
	same before file.part
	same before.json file.part.json
}

reference
interrupted KILL
# shellcheck disable=SC2086
{
	refused 'begun without score=0.5' $quick --score 0.5 -o file --resume $inputs
	refused 'begun with min-size=64' --model "$model" --max-size 96 -q -j 1 -o file --resume $inputs
	refused 'begun with the model fasterrcnn_mobilenet_v3_large_320_fpn@' --model "$other_model" --min-size 64 \
		--max-size 96 -o file --resume $inputs
	refused 'begun with other inputs (5, now 2)' $quick -o file --resume 1.png 2.jpg
	refused 'begun with other inputs' $quick -o file --resume 2.jpg 1.png 9.jpg 3.jpg 4.jpg
	refused 'begun with --cpu ' $quick --cpu reference -o file --resume $inputs
}
# The number of threads is no such thing.
# shellcheck disable=SC2086
runs 2 "$detect" $quick -j 2 -o file --resume $inputs
same wanted file

# Whole already: nothing is done, but another model is refused.
# shellcheck disable=SC2086
runs 0 "$detect" $quick -o file --resume $inputs
same wanted file
# shellcheck disable=SC2086
runs 2 "$detect" --model "$other_model" -o file --resume $inputs
grep -q 'file: made with the model fasterrcnn_mobilenet_v3_large_320_fpn@' err || fail "says $(cat err)"
same wanted file

# Nothing there yet: it begins. Without --resume it begins anew.
rm -f file
# shellcheck disable=SC2086
runs 2 "$detect" $quick -o file --resume $inputs
same wanted file
interrupted KILL
# shellcheck disable=SC2086
runs 2 "$detect" $quick -o file $inputs
same wanted file

# A sidecar that is damaged or gone.
interrupted KILL
echo '{"done":2' >file.part.json
# shellcheck disable=SC2086
runs 2 "$detect" $quick -o file --resume $inputs
grep -q 'file.part.json: ' err || fail "says $(cat err)"
rm file.part.json
# shellcheck disable=SC2086
runs 2 "$detect" $quick -o file --resume $inputs
grep -q 'file.part.json is missing' err || fail "says $(cat err)"
# shellcheck disable=SC2086
runs 2 "$detect" $quick -o /dev/null --resume $inputs
says err 'frcnn-detect: /dev/null: not a regular file, cannot be resumed'

# Standard output holds whole lines when the run is killed.
rm 3.jpg
mkfifo 3.jpg
# shellcheck disable=SC2086
env --default-signal=INT "$detect" $quick $inputs >piped 2>err &
pid=$!
tries=0
until [ "$(wc -l <piped)" = 2 ]; do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || fail "no records on standard output"
	sleep 0.1
done
kill -INT $pid
wait $pid && fail "an interrupt ends well"
head -n 2 wanted >first
same first piped
