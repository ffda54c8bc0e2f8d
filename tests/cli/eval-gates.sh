# Gates: 0 they hold, 1 one failed, 2 it could not be judged; each failure is one line on standard error.
. "$ROOT/tests/cli/common.inc"
. "$ROOT/tests/cli/eval.inc"

runs 0 "$eval" -g gt.json dets.jsonl --min AP=0.76 --min AP50=0.8316831683168316 --min dog:AP=0.89 --min recall.small=0.5
lines err 0
head -n 12 out >first
same first summary
runs 1 "$eval" -g gt.json dets.jsonl --min AP=0.77 --min AP50=0.8 --min cat:AP=0.9 -o numbers
lines out 0
head -n 12 numbers >first
same first summary
lines err 2
says err 'frcnn-eval: gate failed: AP is 0.7653465346534654, below 0.77'
has err 'frcnn-eval: gate failed: cat:AP is 0.6306930693069307, below 0.9'
runs 0 "$eval" -v -g gt.json dets.jsonl --min AP=0.7
says err 'frcnn-eval: gate holds: AP is 0.7653465346534654, at least 0.7'

# Measures that were not asked for are made for their gates.
runs 0 "$eval" -g gt.json dets.jsonl --min mAP=0.5 --min cat:voc=0.5 --min precision=0.75 --min f1=0.75 --min ece=0.1
runs 1 "$eval" -g gt.json dets.jsonl --threshold-score 0.85 --min recall=0.26
says err 'frcnn-eval: gate failed: recall is 0.25, below 0.26'

# Unknown or undefined: trouble, which outranks a failed gate.
runs 2 "$eval" -g gt.json dets.jsonl --min APx=0 --min AP=1
says err 'frcnn-eval: gate: APx: no metric "APx"'
says err 'frcnn-eval: gate failed: AP is 0.7653465346534654, below 1'
runs 2 "$eval" -g gt.json dets.jsonl --min APl=0
says err 'frcnn-eval: gate: APl is undefined: there is nothing to measure it on'
runs 2 "$eval" -g gt.json dets.jsonl --min eel:AP=0
runs 2 "$eval" -g gt.json dets.jsonl --min cow:AP=0
says err 'frcnn-eval: gate: cow:AP: no class "cow"'

# Several models: each is judged, and named.
runs 1 "$eval" -g gt.json dets.jsonl worse.jsonl --min AP=0.7
lines err 1
has err 'frcnn-eval: worse.jsonl: gate failed: AP is '

# Against a baseline.
runs 0 "$eval" -g gt.json dets.jsonl --baseline dets.jsonl --max-drop AP=0 --significant --resamples 50
has out 'Against the baseline'
runs 0 "$eval" -g gt.json dets.jsonl --baseline worse.jsonl --max-drop AP=0.01
runs 1 "$eval" -g gt.json worse.jsonl --baseline dets.jsonl --max-drop AP=0.01 --max-drop dog:AP=0.01
has err 'frcnn-eval: gate failed: AP fell by '
has err 'frcnn-eval: gate failed: dog:AP fell by '
runs 2 "$eval" -g gt.json worse.jsonl --baseline dets.jsonl --max-drop APm=0.01 --significant
has err 'frcnn-eval: gate: APm has no interval'
# three images cannot tell such a drop from chance: resamples without the images that changed are among them
runs 1 "$eval" -g gt.json dog.jsonl --baseline dets.jsonl --max-drop AP=0.01
runs 0 "$eval" -g gt.json dog.jsonl --baseline dets.jsonl --max-drop AP=0.01 --significant
# the same seed, the same intervals, whatever the threads; another seed, others
runs 0 "$eval" -g gt.json worse.jsonl --baseline dets.jsonl --format json --resamples 20 -j 1
mv out one
runs 0 "$eval" -g gt.json worse.jsonl --baseline dets.jsonl --format json --resamples 20 -j 3
same out one
runs 0 "$eval" -g gt.json worse.jsonl --baseline dets.jsonl --format json --resamples 20 --seed 2
! cmp -s out one || fail "the seed changes nothing"

# JUnit and Markdown show gates.
runs 1 "$eval" -g gt.json dets.jsonl --min AP=0.9 --min AP50=0.8 --format junit
has out 'failures="1"'
runs 1 "$eval" -g gt.json dets.jsonl --min AP=0.9 --format markdown
has out failed

# In a pipeline with frcnn-detect, on the pictures that ship.
share=$BUILD/../share
[ -f "$share/models/parts-r18.safetensors" ] || skip "share/models is not there: pipeline not run"
cd "$share/images" || exit 1
"$detect" -j 2 . | "$eval" -g ../annotations/parts.json --min AP50=0.5 - >"$OLDPWD/out" 2>"$OLDPWD/err" || {
	cat "$OLDPWD/err"
	fail "the pipeline ends otherwise"
}
cd "$OLDPWD" || exit 1
lines err 0
has out 'IoU=0.50:0.95'
