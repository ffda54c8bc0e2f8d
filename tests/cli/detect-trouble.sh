# One bad input among many: one line, no record, status 2, the rest goes on.
. "$ROOT/tests/cli/common.inc"

cp "$data/round.png" "$data/square.jpg" .
head -c 700 "$data/tall.jpg" >cut.jpg
: >empty.png
printf 'RIFF\044\0\0\0WEBPVP8 ' >web.jpg
printf 'BM\072\0\0\0\0\0\0\0\066\0\0\0\050\0\0\0\001\0\0\0' >map.bmp

# shellcheck disable=SC2086
runs 2 "$detect" $quick round.png missing.jpg cut.jpg empty.png web.jpg map.bmp square.jpg
lines out 2
lines err 5
says err 'frcnn-detect: missing.jpg: no such file or directory'
for name in cut.jpg empty.png web.jpg map.bmp; do
	grep -q "^frcnn-detect: $name: " err || fail "$name is not named: $(cat err)"
done
grep -q '^frcnn-detect: web.jpg: .*WebP' err || fail "WebP is not recognised: $(cat err)"
grep -q '^frcnn-detect: map.bmp: .*BMP' err || fail "BMP is not recognised: $(cat err)"
mv out wanted
# shellcheck disable=SC2086
runs 0 "$detect" $quick round.png square.jpg
same wanted out

# Several threads name them in the order of the inputs, too.
# shellcheck disable=SC2086
runs 2 "$detect" $quick -j 2 missing.jpg round.png cut.jpg square.jpg empty.png
same wanted out
sed 's/^frcnn-detect: \([^:]*\):.*/\1/' err >got
printf 'missing.jpg\ncut.jpg\nempty.png\n' >order
same order got

# The limits.
# shellcheck disable=SC2086
runs 2 "$detect" $quick --max-pixels 6143 round.png
lines out 0
lines err 1
# shellcheck disable=SC2086
runs 0 "$detect" $quick --max-pixels 6144 round.png

# Warnings do not change the status and fall silent under -q.
{
	cat round.png
	echo behind
} >longer.png
head -c -2 square.jpg >endless.jpg
# shellcheck disable=SC2086
runs 0 "$detect" $quick longer.png endless.jpg
grep -q '^frcnn-detect: endless.jpg: warning: ' err || fail "no warning: $(cat err)"
# shellcheck disable=SC2086
runs 0 "$detect" $quick -q longer.png endless.jpg
lines err 0

# What is read is not written over: a picture, the model, labels.
cp "$model" mine.safetensors
printf 'a\nb\nc\nd\n' >names
for name in square.jpg mine.safetensors names; do
	cp $name before
	runs 2 "$detect" --model mine.safetensors --labels names --min-size 64 --max-size 96 round.png square.jpg -o $name
	lines err 1
	grep -q "^frcnn-detect: -o $name: that is " err || fail "$name: $(cat err)"
	same before $name
	[ ! -e $name.part ] || fail "$name.part was begun"
done

# A tensor at fault: the model is named. Its file ends in weights, which become NaN.
{
	head -c -8 "$model"
	printf '\377\377\377\377\377\377\377\377'
} >nan.safetensors
runs 2 "$detect" --model nan.safetensors round.png
lines err 1
grep -q '^frcnn-detect: nan.safetensors: tensor ".*not finite$' err || fail "says $(cat err)"

if [ "$(id -u)" != 0 ]; then
	chmod 0 square.jpg
	# shellcheck disable=SC2086
	runs 2 "$detect" $quick square.jpg round.png
	lines out 1
	says err 'frcnn-detect: square.jpg: permission denied'
fi

# The data's truncated picture, where it is there.
if [ -n "$FRCNN_DATA" ]; then
	# shellcheck disable=SC2086
	runs 2 "$detect" $quick "$FRCNN_DATA/truncated.jpg" round.png
	lines out 1
	lines err 1
fi

# A FIFO that nobody reads is waited for, and the wait can be ended.
mkfifo fifo
"$detect" --model "$model" -o fifo round.png >/dev/null 2>&1 &
pid=$!
sleep 0.5
kill -TERM $pid
! wait $pid || fail "it was not ended"
# Where it would write lies what it reads.
cp "$model" held.part
runs 2 "$detect" --model held.part -o held round.png
says err 'frcnn-detect: -o held: that is the model'
same "$model" held.part
