# Folders: every picture in byte order of its path, each folder once, whatever the links.
. "$ROOT/tests/cli/common.inc"

mkdir -p photos/sub/deep photos/empty other
cp "$data/round.png" photos/b.png
cp "$data/square.jpg" photos/B.JPG
cp "$data/square.jpg" photos/sub.jpg
cp "$data/square.jpg" photos/sub/without-suffix
cp "$data/tall.jpg" photos/sub/deep/z.jpeg
cp "$data/tall.jpg" photos/.hidden.jpg
cp "$data/tall.jpg" other/o.jpg
echo words >photos/notes.txt
echo words >photos/noise
mkfifo photos/pipe
ln -s .. photos/sub/up
ln -s . photos/self
ln -s sub photos/a-link-to-sub
ln -s ../other photos/linked
ln -s ../other photos/linked-again
ln -s nowhere photos/dangling
ln -s b.png photos/c.png

cat >wanted <<'END'
photos/.hidden.jpg
photos/B.JPG
photos/b.png
photos/c.png
photos/linked-again/o.jpg
photos/sub.jpg
photos/sub/deep/z.jpeg
photos/sub/without-suffix
END
for operand in photos photos/ photos///; do
	# shellcheck disable=SC2086
	runs 0 timeout 60 "$detect" $quick "$operand"
	names out >got
	same wanted got
done
# shellcheck disable=SC2086
echo photos | runs 0 "$detect" $quick
names out >got
same wanted got

# A picture's name with other content is an error that says what it is, a dangling link with one too.
printf 'GIF89a\001\0\001\0' >photos/anim.gif
ln -s nowhere photos/gone.jpg
# shellcheck disable=SC2086
runs 2 "$detect" $quick photos
names out >got
same wanted got
lines err 2
grep -q '^frcnn-detect: photos/anim.gif: .*GIF' err || fail "GIF is not recognised: $(cat err)"
says err 'frcnn-detect: photos/gone.jpg: no such file or directory'

# No picture at all is worth a word.
# shellcheck disable=SC2086
runs 0 "$detect" $quick photos/empty
lines out 0
says err 'frcnn-detect: photos/empty: warning: no images in this folder'

if [ "$(id -u)" != 0 ]; then
	rm photos/anim.gif photos/gone.jpg
	mkdir photos/locked
	chmod 0 photos/locked
	# shellcheck disable=SC2086
	runs 2 "$detect" $quick photos
	names out >got
	same wanted got
	says err 'frcnn-detect: photos/locked/: permission denied'
fi
