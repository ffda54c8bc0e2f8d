# --stats: text, or one JSON object with the keys that frcnn-detect(1) names.
. "$ROOT/tests/cli/common.inc"

# shellcheck disable=SC2086
runs 2 "$detect" $quick --stats=json "$data/round.png" "$data/tall.jpg" nosuch.png
lines out 2
lines err 2
tail -n 1 err >stats
case $(cat stats) in
'{"images":2,"failed":1,"seconds":'*'}}}') ;;
*) fail "$(cat stats)" ;;
esac
tr ',{' '\n\n' <stats | sed -n 's/^"\([a-z0-9_]*\)":.*/\1/p' | sort -u >got
for key in images failed seconds images_per_second peak_memory_bytes model cpu threads images_at_once stages_ms decode transform \
	backbone proposals roi head post write total p50 p95 p99 mean; do
	echo $key
done | sort >wanted
same wanted got
sed -n 's/^\.It Va //p' "$ROOT/man/frcnn-detect.1" | tr -d ' ' | tr ',' '\n' | sort >documented
same wanted documented
# shellcheck disable=SC2086
runs 0 "$detect" $quick --stats "$data/round.png"
grep -q '^1 images, 0 failed, ' err || fail "$(cat err)"
grep -q '^total ' err || fail "$(cat err)"
# shellcheck disable=SC2086
printf '' | "$detect" $quick --stats=json >out 2>err || fail "nothing to do is trouble"
grep -q '"p50":null' err || fail "$(cat err)"
