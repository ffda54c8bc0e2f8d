# The bytes do not depend on -j, nor on the run, in any format.
. "$ROOT/tests/cli/common.inc"

mkdir in
for i in 1 2 3; do
	cp "$data/square.jpg" in/$((3 * i)).jpg
	cp "$data/round.png" in/$((3 * i + 1)).png
	cp "$data/tall.jpg" in/$((3 * i + 2)).jpg
done
for format in jsonl coco csv; do
	for model in "$model" "$other_model"; do
		for jobs in 1 2 3 2; do
			runs 0 "$detect" --model "$model" --format $format --min-size 64 --max-size 96 -j $jobs in
			[ "$jobs" != 1 ] || mv out wanted
			[ "$jobs" = 1 ] || same wanted out
		done
		[ "$(wc -c <wanted)" -gt 1000 ] || fail "$format: too little to compare"
	done
done
