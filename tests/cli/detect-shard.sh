# Shards part the inputs: together they are all, each once, and give the same records.
. "$ROOT/tests/cli/common.inc"

mkdir in
for i in 1 2 3 4 5 6 7; do
	cp "$data/square.jpg" in/$i.jpg
done
# shellcheck disable=SC2086
runs 0 "$detect" $quick in
mv out whole
lines whole 7
for i in 1 2 3; do
	# shellcheck disable=SC2086
	runs 0 "$detect" $quick --shard $i/3 in
	names out | tr '\n' ' '
	cat out >>parts
done >order
sort whole >a
sort parts >b
same a b
[ "$(cat order)" = 'in/1.jpg in/4.jpg in/7.jpg in/2.jpg in/5.jpg in/3.jpg in/6.jpg ' ] || fail "order: $(cat order)"
# shellcheck disable=SC2086
runs 0 "$detect" $quick --shard 9/9 in
lines out 0
