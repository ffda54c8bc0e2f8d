#!/usr/bin/env python3
"""COCO's 12 numbers from two files by another package: the peers that tests/bench/eval.sh times frcnn-eval beside.

usage: eval_peer.py PACKAGE GROUND-TRUTH RESULTS THREADS

Prints the 12 numbers, one a line. Exits 3 when the package is not installed. Threads of those that use rayon come from
RAYON_NUM_THREADS, set here before they are loaded.
"""
import contextlib
import io
import os
import sys

package, truth, results, threads = sys.argv[1:]
os.environ["RAYON_NUM_THREADS"] = threads
os.environ["OMP_NUM_THREADS"] = threads


def classic(coco, coco_eval):
    """The API that all but one share."""
    gt = coco(truth)
    dt = gt.loadRes(results)
    evaluation = coco_eval(gt, dt, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def vernier():
    from pathlib import Path

    from vernier.instance import Bbox, CocoDataset, Evaluator

    gt = CocoDataset.from_json(Path(truth).read_bytes())
    evaluator = Evaluator(iou=Bbox(), parity_mode="strict")
    return evaluator.evaluate(gt, Path(results).read_bytes(), num_threads=int(threads)).stats


try:
    with contextlib.redirect_stdout(io.StringIO()):
        if package == "pycocotools":
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval

            stats = classic(COCO, COCOeval)
        elif package == "faster-coco-eval":
            from faster_coco_eval import COCO
            from faster_coco_eval import COCOeval_faster as COCOeval

            stats = classic(COCO, COCOeval)
        elif package == "hotcoco":
            from hotcoco import COCO, COCOeval

            stats = classic(COCO, COCOeval)
        elif package == "ultrafast-pycocotools":
            from ultrafast_pycocotools import COCO, COCOeval

            stats = classic(COCO, COCOeval)
        elif package == "vernier":
            stats = vernier()
        else:
            sys.exit("eval_peer.py: unknown package " + package)
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
for value in list(stats)[:12]:
    print(repr(float(value)))
