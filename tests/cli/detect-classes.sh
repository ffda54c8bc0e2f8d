# --classes, --labels, --score and --max-dets.
. "$ROOT/tests/cli/common.inc"

printf 'bolt\r\nhex nut\r\nwasher\r\ngear\r\nspring\r\n' >labels
count=$(printf 'x\n' >one; "$detect" --model "$other_model" --labels one "$data/round.png" 2>&1 >/dev/null | tail -n 1)
# shellcheck disable=SC2086
runs 0 "$detect" --model "$other_model" --min-size 96 -j 1 --score 0.2 "$data/round.png"
all=$(grep -o '"category_id":[0-9]*' out | sort -u | wc -l)
[ "$all" -ge 2 ] || fail "fewer than two classes to choose from"
[ -n "$count" ] || fail "one name for all classes passes"
runs 0 "$detect" --model "$other_model" --min-size 96 -j 1 --score 0.2 --classes 1 --max-dets 3 "$data/round.png"
[ "$(grep -o '"category_id":[0-9]*' out | sort -u)" = '"category_id":1' ] || fail "--classes 1 gives $(cat out)"
[ "$(grep -o '"category_id"' out | wc -l)" -le 3 ] || fail "--max-dets 3 gives more"
runs 2 "$detect" --model "$other_model" --classes nosuch "$data/round.png"
lines err 1
grep -q 'the model has no class "nosuch"; it has ' err || fail "$(cat err)"
runs 2 "$detect" --model "$other_model" --labels nosuch "$data/round.png"
says err 'frcnn-detect: nosuch: no such file or directory'
