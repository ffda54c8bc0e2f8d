# --latency, --throughput and the program's own choice give the same bytes and messages, whatever -j; inputs that fail
# among many are named in their place; memory does not grow with the number of images.
. "$ROOT/tests/cli/common.inc"
small="--model $model --min-size 64 --max-size 96"

mkdir in
for i in 10 20 30 40; do
	cp "$data/square.jpg" in/${i}1.jpg
	cp "$data/round.png" in/${i}2.png
	cp "$data/tall.jpg" in/${i}3.jpg
done
echo words >in/150.jpg
echo words >in/410.png

# choice NUMBER OPTION...: so many images at once
choice() {
	expected=$1
	shift
	status=0
	"$detect" "$@" --stats=json >out 2>err || status=$?
	grep -q "\"images_at_once\":$expected," err || fail "not $expected at once: $*: $(cat err)"
}

for format in jsonl coco csv; do
	# shellcheck disable=SC2086
	runs 2 "$detect" $small --format $format --latency -j 1 in
	mv out wanted
	mv err wanted.err
	[ "$(wc -c <wanted)" -gt 1000 ] || fail "$format: too little to compare"
	lines wanted.err 2
	for jobs in 1 2 3 5; do
		for mode in --latency --throughput ''; do
			# shellcheck disable=SC2086
			runs 2 "$detect" $small --format $format $mode -j $jobs in
			same wanted out
			same wanted.err err
		done
	done
done
# shellcheck disable=SC2086
runs 2 "$detect" $small --throughput -j 3 --proposals in
mv out boxes.jsonl
# shellcheck disable=SC2086
runs 2 "$detect" $small --latency -j 3 --proposals in
same boxes.jsonl out
rm in/150.jpg in/410.png
for mode in --latency --throughput; do
	# shellcheck disable=SC2086
	runs 0 "$detect" $small $mode -j 3 --proposals-from boxes.jsonl in
	mv out "classified$mode"
	# shellcheck disable=SC2086
	runs 0 "$detect" $small $mode -j 3 --slice 24x24 in
	mv out "sliced$mode"
done
same classified--latency classified--throughput
same sliced--latency sliced--throughput

# What is chosen: by how many wait, and by the size of what is computed in.
# shellcheck disable=SC2086
{
	choice 1 $small -j 3 --latency in
	choice 3 $small -j 3 --throughput in
	choice 3 $small -j 3 in
	choice 1 $small -j 1 --throughput in
	choice 2 $small -j 3 nosuch nosuch
	choice 1 $small -j 3 "$data/round.png"
	choice 1 --model "$model" --min-size 2000 --max-size 3000 -j 3 nosuch nosuch
	choice 2 --model "$model" --min-size 2000 --max-size 3000 -j 3 --throughput nosuch nosuch
}

# To a file, whose sidecar counts what is done.
# shellcheck disable=SC2086
runs 0 "$detect" $small --latency in
mv out wanted
# shellcheck disable=SC2086
runs 0 "$detect" $small --throughput -j 3 -o all in
same wanted all

# Memory: that of few images, give or take what an allocator does. A sanitizer's keeps what is freed: nothing is told.
[ -z "${ASAN_OPTIONS-}" ] || exit 0
# shellcheck disable=SC2086
few=$("$detect" $small --throughput -j 3 --stats=json in 2>&1 >out | sed 's/.*"peak_memory_bytes":\([0-9]*\).*/\1/')
# shellcheck disable=SC2086
many=$("$detect" $small --throughput -j 3 --stats=json in in in in in in in in in in in in in in in in 2>&1 >out |
	sed 's/.*"peak_memory_bytes":\([0-9]*\).*/\1/')
lines out 192
[ "$many" -lt $((few + 8388608)) ] || fail "$few bytes for 12 images, $many for 192"
