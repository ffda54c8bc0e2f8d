# A list on standard input that is still being written: what was named is done before more comes, and a full output
# ends the wait.
. "$ROOT/tests/cli/common.inc"
small="--model $model --min-size 64 --max-size 96"

cp "$data/round.png" a.png
cp "$data/square.jpg" b.jpg
mkdir folder
cp "$data/tall.jpg" folder/c.jpg

# comes N: the output has N lines soon
comes() {
	tries=0
	until [ "$(wc -l <out)" -ge "$1" ]; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || fail "$mode: $1 records do not come: $(cat out err)"
		sleep 0.1
	done
	lines out "$1"
}

for mode in '-j 1' '-j 2 --latency' '-j 2 --throughput' '-j 3'; do
	rm -f names
	mkfifo names
	# shellcheck disable=SC2086
	timeout 60 "$detect" $small $mode b.jpg - <names >out 2>err &
	exec 3>names
	comes 1
	echo a.png >&3
	comes 2
	printf 'nosuch.png\nfolder\n' >&3
	comes 3
	printf b.jp >&3
	sleep 0.1
	printf g >&3
	exec 3>&-
	status=0
	wait $! || status=$?
	[ $status = 2 ] || fail "$mode: status $status: $(cat err)"
	names out >got
	printf 'b.jpg\na.png\nfolder/c.jpg\nb.jpg\n' >wanted
	same wanted got
	lines err 1
	says err 'frcnn-detect: nosuch.png: no such file or directory'
done

# The same of every N-th, over operands and list.
printf 'a.png\nb.jpg\nfolder\na.png\n' >list
# shellcheck disable=SC2086
runs 0 "$detect" $small --shard 2/2 b.jpg - <list
names out >got
printf 'a.png\nfolder/c.jpg\n' >wanted
same wanted got

# The names have not ended, but nothing can be written any more.
[ -c /dev/full ] || exit 0
for mode in '-j 1' '-j 2 --latency' '-j 2 --throughput'; do
	rm -f names
	mkfifo names
	# shellcheck disable=SC2086
	timeout 60 "$detect" $small $mode <names >/dev/full 2>err &
	exec 3>names
	printf 'a.png\na.png\na.png\n' >&3
	status=0
	wait $! || status=$?
	exec 3>&-
	[ $status = 2 ] || fail "$mode: status $status at a full device: $(cat err)"
	grep -q 'standard output: no space left on device' err || fail "$mode: $(cat err)"
done
