# Under ulimit -v: whatever -j and mode, each image that one thread alone has memory for gets its record, in order, the
# same bytes; fewer are looked at at once, and what failed among others is looked at again alone.
. "$ROOT/tests/cli/common.inc"
small="--model $model --min-size 160 --max-size 240 --score 0.3"

# Sanitizers reserve more than any limit; some systems have no such limit.
runs 0 "$detect" --version
(ulimit -v 4000000 && "$detect" --version >out 2>&1) 2>/dev/null || skip "nothing runs under ulimit -v here"

# octal N BYTES: big endian
octal() {
	number=$1 shift=$((8 * ($2 - 1)))
	while [ $shift -ge 0 ]; do
		printf '\\%03o' $((number >> shift & 255))
		shift=$((shift - 8))
	done
}

# chunk FILE: a PNG chunk of type and data; gzip knows the checksum
chunk() {
	# shellcheck disable=SC2059
	printf "$(octal $(($(wc -c <"$1") - 4)) 4)"
	cat "$1"
	sum=$(gzip -c <"$1" | tail -c 8 | od -A n -t u4 -N 4)
	# shellcheck disable=SC2059
	printf "$(octal "$sum" 4)"
}

# A black picture whose pixels take more memory than the networks: 16 million of them in gray.
side=4000
bytes=$((side * (side + 1)))
# shellcheck disable=SC2059
{
	printf '\211PNG\r\n\032\n'
	printf "IHDR$(octal $side 4)$(octal $side 4)\010\0\0\0\0" >piece
	chunk piece
	printf 'IDAT\170\234' >piece
	head -c $bytes /dev/zero | gzip -n -c | tail -c +11 | head -c -8 >>piece
	printf "$(octal $((bytes % 65521)) 2)\\000\\001" >>piece
	chunk piece
	printf IEND >piece
	chunk piece
} >large.png

for i in 1 2; do
	cp "$data/square.jpg" ${i}1.jpg
	cp large.png ${i}2.png
	cp "$data/tall.jpg" ${i}3.jpg
	cp large.png ${i}4.png
done
set -- 11.jpg 12.png 13.jpg 14.png 21.jpg 22.png 23.jpg 24.png
# shellcheck disable=SC2086
runs 0 "$detect" $small -j 1 --latency "$@"
lines out 8
mv out wanted

# limited KIB OPTION...: into out and err
limited() {
	limit=$1
	shift
	status=0
	# shellcheck disable=SC2086
	(ulimit -v "$limit" && exec timeout 120 "$detect" $small "$@") >out 2>err || status=$?
	[ $status -lt 100 ] || fail "status $status under $limit: $* $(cat err)"
}

# The least that one thread does it with, to 4 MiB.
low=0 high=1000000
while [ $((high - low)) -gt 4096 ]; do
	middle=$(((low + high) / 2))
	limited $middle -j 1 --latency 11.jpg 12.png 13.jpg
	if [ $status = 0 ]; then high=$middle; else low=$middle; fi
done
[ $high -lt 1000000 ] || fail "one image takes a gigabyte: $(cat err)"

# Beside it, the stacks of a few threads.
: >short
for more in 8 40 90 140; do
	for jobs in 2 5; do
		for mode in --latency --throughput ''; do
			limited $((high + more * 1024)) -j $jobs $mode "$@"
			[ $status = 0 ] || fail "status $status with $more MiB more: $jobs $mode: $(cat err)"
			same wanted out
			cat err >>short
		done
	done
done
# Otherwise nothing was tested but guesses.
grep -q 'warning: memory or threads were short: ' short || fail "memory was never short: $(cat short)"

# With less, what fails is named, and what was found is right.
for less in 4 8 16; do
	limited $((high - less * 1024)) -j 3 --throughput "$@"
	grep -v -x -F -f wanted out >strange && fail "other records: $(cat strange)"
	[ $status != 0 ] || same wanted out
done

# Names that come by and by have their records though the list has not ended, whatever had to be looked at again.
mkfifo names
: >out
limited $((high + 60 * 1024)) -j 5 --throughput - <names &
pid=$!
exec 3>names
for count in 4 8; do
	[ $count = 4 ] && printf '%s\n' "$1" "$2" "$3" "$4" >&3
	[ $count = 8 ] && printf '%s\n' "$5" "$6" "$7" "$8" >&3
	for wait in $(seq 600); do
		[ "$(wc -l <out)" -lt $count ] || break
		sleep 0.1
	done
	[ "$(wc -l <out)" -eq $count ] || fail "$(wc -l <out) records of $count after $wait tenths of a second: $(cat err)"
done
exec 3>&-
wait $pid || fail "status $?"
same wanted out
