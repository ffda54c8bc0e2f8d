#!/usr/bin/env python3
"""Makes measures.txt beside this script: random evaluations (crowds, equal scores, equal overlaps, images without objects or
detections, categories without either) and what other packages say of them. The tests only read what it wrote.

    matching       pycocotools 2.0.11  COCOeval.evaluateImg, area range "all"
    VOC AP         chainercv 0.13.1    evaluations/eval_detection_voc.py
    TIDE           tidecv 1.0.1        TIDE.evaluate
    D-ECE, D-MCE   netcal 1.4.0        ECE, MCE with detection=True
    confusion      ultralytics 8.4.190 ConfusionMatrix
    thresholds     scikit-learn 1.9.1  precision_recall_curve
    ties, background, recall by size: numpy

Where a package differs on purpose (lib/eval/eval.h says where) the difference is made here, in the open: see the functions.

Usage: make_measures.py CHAINERCV [SEED CASES FILE]   CHAINERCV: its source distribution, unpacked (chainer is not needed)

measures.txt: a word and its values a line. Objects and detections are numbered from 0 as they come in the file, categories
and images as in their lists.
"""
import contextlib
import importlib.util
import io
import math
import os
import sys
import types
from collections import Counter
from importlib.metadata import version

import numpy as np

WANTED = {"pycocotools": "2.0.11", "tidecv": "1.0.1", "netcal": "1.4.0", "ultralytics": "8.4.190", "scikit-learn": "1.9.1"}
for package, number in WANTED.items():
    assert version(package) == number, f"{package} is {version(package)}, not {number}"

import torch
from netcal.metrics import ECE, MCE
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import precision_recall_curve
from tidecv import TIDE, Data
from tidecv.ap import ClassedAPDataObject
from tidecv.errors.main_errors import (BackgroundError, BoxError, ClassError, DuplicateError, FalseNegativeError,
                                       FalsePositiveError, MissedError, OtherError)
from ultralytics.utils.metrics import ConfusionMatrix

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = 100


def load_chainercv(folder):
    """Its evaluation alone; chainer is asked only which of numpy and cupy an array is of."""
    cuda = types.ModuleType("chainer.backends.cuda")
    cuda.get_array_module = lambda *_: np
    backends = types.ModuleType("chainer.backends")
    backends.cuda = cuda
    sys.modules.update({"chainer": types.ModuleType("chainer"), "chainer.backends": backends, "chainer.backends.cuda": cuda})
    for name in ("chainercv", "chainercv.utils", "chainercv.utils.bbox"):
        sys.modules[name] = types.ModuleType(name)
    for name in ("chainercv.utils.bbox.bbox_iou", "chainercv.evaluations.eval_detection_voc"):
        path = os.path.join(folder, *name.split(".")) + ".py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module.eval_detection_voc


class Case:
    """images, categories: ids; objects: (image, category, box, area, crowd); detections: (image, category, box, score)"""


def random_box(rng, style):
    if style == 0:  # few values: equal overlaps, overlaps that are the threshold
        return [float(v) for v in (*rng.integers(0, 5, 2) * 4, *rng.integers(1, 5, 2) * 4)]
    if style == 1:
        return [v / 4 for v in (*rng.integers(0, 160, 2), *rng.integers(8, 120, 2))]
    return [round(float(v), 3) for v in (*rng.uniform(0, 60, 2), *rng.uniform(4, 50, 2))]


def random_score(rng, style):
    if style == 0:
        return int(rng.integers(1, 10)) / 10  # many equal ones, on the edges of bins
    if style == 1:
        return int(rng.integers(1, 100)) / 100
    return float(rng.integers(1, 1 << 30)) / (1 << 30)


def random_case(rng, number):
    case = Case()
    style, score_style = number % 3, number // 3 % 3
    case.images = [int(v) for v in rng.permutation(20)[:rng.integers(1, 6)] + 1]
    case.categories = [int(v) for v in rng.permutation(9)[:rng.integers(1, 5)] + 1]
    case.objects, case.detections = [], []
    crowds = number % 4 == 3
    for image in range(len(case.images)):
        empty, silent = rng.random() < 0.15, rng.random() < 0.1
        for _ in range(0 if empty else rng.integers(1, 7)):
            box = random_box(rng, style)
            area = box[2] * box[3] * (1 if rng.random() < 0.7 else 0.5)
            if crowds and rng.random() < 0.05:
                area = 2e10
            category = int(rng.integers(len(case.categories)))
            if category == 1 and number % 5 == 0:
                category = 0  # so that one has detections and no objects
            case.objects.append((image, category, box, area, int(crowds and rng.random() < 0.3)))
        if silent or number % 25 == 24:
            continue
        own = [o for o in case.objects if o[0] == image]
        for _ in range(rng.integers(0, 13)):
            category, box = int(rng.integers(len(case.categories))), random_box(rng, style)
            if own and rng.random() < 0.7:
                near = own[rng.integers(len(own))]
                if rng.random() < 0.75:
                    category = near[1]
                box = list(near[2])
                if rng.random() < 0.7:
                    scale = {0: 4, 1: 0.25, 2: 0.001}[style]
                    steps = {0: 1, 1: 16, 2: 8000}[style]
                    moves = rng.integers(-steps, steps + 1, 4)
                    box = [round(v + scale * int(m), 3) for v, m in zip(box, moves)]
                    box[2:] = [max(v, 4.0) for v in box[2:]]
            if category == 2 and number % 5 == 1:
                category = 0  # so that one has objects and no detections
            if crowds and rng.random() < 0.03:
                box[2:] = [200000.0, 200000.0]
            case.detections.append((image, category, box, random_score(rng, score_style)))
    order = rng.permutation(len(case.objects))
    case.objects = [case.objects[i] for i in order]
    order = rng.permutation(len(case.detections))
    case.detections = [case.detections[i] for i in order]
    return case


def matching(case, iou, max_dets):
    """fates, object of each detection, detection of each object."""
    annotations = [{"id": i + 1, "image_id": case.images[o[0]], "category_id": case.categories[o[1]], "bbox": o[2], "area": o[3],
                    "iscrowd": o[4]} for i, o in enumerate(case.objects)]
    results = [{"image_id": case.images[d[0]], "category_id": case.categories[d[1]], "bbox": d[2], "score": d[3]}
               for d in case.detections]
    fates, objects, detected = ["L"] * len(results), [-1] * len(results), [-1] * len(annotations)
    if not results:
        return fates, objects, detected
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"info": {}, "images": [{"id": i} for i in case.images],
                        "categories": [{"id": i, "name": str(i)} for i in case.categories], "annotations": annotations}
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.params.iouThrs, run.params.maxDets = np.array([iou]), [max_dets]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
    for image in run.evalImgs:
        if image is None:
            continue
        for d, match, ignored in zip(image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0]):
            fates[d - 1] = "I" if ignored else "T" if match else "F"
            objects[d - 1] = int(match) - 1
        for g, match in zip(image["gtIds"], image["gtMatches"][0]):
            detected[g - 1] = int(match) - 1
    return fates, objects, detected


def image_order(case):
    return sorted(range(len(case.images)), key=lambda i: case.images[i])


def voc(case, iou, eleven):
    """Scores become ranks: descending score, then image, then input, which chainercv leaves open. Its boxes end at the last
    pixel."""
    place = {image: i for i, image in enumerate(image_order(case))}
    order = sorted(range(len(case.detections)), key=lambda i: (-case.detections[i][3], place[case.detections[i][0]], i))
    rank = {d: len(order) - i for i, d in enumerate(order)}
    columns = [[] for _ in range(6)]

    def corners(rows):
        boxes = np.array([r[2] for r in rows], float).reshape(-1, 4)
        return np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 1] + boxes[:, 3] - 1, boxes[:, 0] + boxes[:, 2] - 1], 1)

    for image in image_order(case):
        found = [i for i, d in enumerate(case.detections) if d[0] == image]
        objects = [o for o in case.objects if o[0] == image]
        detections = [case.detections[i] for i in found]
        for column, value in zip(columns, (
                corners(detections), np.array([d[1] for d in detections], int), np.array([rank[i] for i in found], float),
                corners(objects), np.array([o[1] for o in objects], int), np.array([o[4] for o in objects], bool))):
            column.append(value)
    if not case.objects and not case.detections:
        return [-1.0] + [-1.0] * len(case.categories)
    with np.errstate(all="ignore"), contextlib.redirect_stderr(io.StringIO()):
        result = eval_detection_voc(*columns, iou_thresh=iou, use_07_metric=eleven)
    ap = list(result["ap"]) + [math.nan] * (len(case.categories) - len(result["ap"]))
    return [-1.0 if math.isnan(v) else float(v) for v in [result["map"]] + ap]


def tide(case, foreground, background):
    """The mean of nothing is 0 in place of an exception."""
    def mean(self):
        aps = [x.get_ap() for x in self.objs.values() if not x.is_empty()]
        return sum(aps) / len(aps) if aps else 0

    ClassedAPDataObject.get_mAP = mean
    truth, found = Data("truth", max_dets=100), Data("found")
    for image in image_order(case):
        truth.add_image(image, str(image))
    for category in range(len(case.categories)):
        truth.add_class(category, str(category))
    for image, category, box, _, crowd in case.objects:
        (truth.add_ignore_region if crowd else truth.add_ground_truth)(image, category, box)
    for image, category, box, score in case.detections:
        found.add_detection(image, category, score, box)
    run = TIDE().evaluate(truth, found, pos_threshold=foreground, background_threshold=background)
    kinds = [ClassError, BoxError, OtherError, DuplicateError, BackgroundError, MissedError]
    main, special, counts = run.fix_main_errors(), run.fix_special_errors(), run.count_errors()
    return ([float(v) for v in [run.ap] + [main[k] for k in kinds] + [special[FalsePositiveError], special[FalseNegativeError]]]
            + [counts[k] for k in kinds])


def calibration(case, fates, bins, least):
    """ece, mce, then count, confidence, precision of each bin."""
    rows = [(d[3], f == "T") for d, f in zip(case.detections, fates) if f in "TF" and d[3] > least]
    if not rows:
        return [-1.0, -1.0] + [0, 0.0, 0.0] * bins
    x, y = np.array([[r[0]] for r in rows], float), np.array([r[1] for r in rows], int)
    ece = ECE(bins, detection=True)
    prepared, matched, _, bounds, _ = ece.prepare(x, y)
    (precision, confidence), counts, _, _ = ece.binning(bounds[0], prepared[0], matched[0], prepared[0][:, 0])
    out = [ece.measure(x, y), MCE(bins, detection=True).measure(x, y)]
    for i in range(bins):
        out += [int(counts[i]), float(confidence[i]), float(precision[i])]
    return out


def confusion(case, iou, least):
    """Crowds are left out, and detections without an object that a crowd of their category covers."""
    n = len(case.categories)
    total = np.zeros((n + 1, n + 1), int)
    for image in range(len(case.images)):
        detections = [d for d in case.detections if d[0] == image]
        objects = [o for o in case.objects if o[0] == image and not o[4]]
        crowds = [o for o in case.objects if o[0] == image and o[4]]

        def corners(rows):
            boxes = torch.tensor([r[2] for r in rows], dtype=torch.float64).reshape(-1, 4)
            return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)

        def run(rows):
            matrix = ConfusionMatrix(names={i: str(i) for i in range(n)}, save_matches=True)
            columns = {"cls": torch.tensor([r[1] for r in rows], dtype=torch.int64),
                       "conf": torch.tensor([r[3] for r in rows], dtype=torch.float64), "bboxes": corners(rows),
                       "keypoints": torch.arange(len(rows))}  # comes back in .matches
            truth = {"cls": torch.tensor([o[1] for o in objects], dtype=torch.int64), "bboxes": corners(objects)}
            matrix.process_batch(columns, truth, conf=least, iou_thres=iou)
            wrong = int(matrix.matrix[:n, :n].sum() - np.trace(matrix.matrix[:n, :n]))
            false = matrix.matches["FP"]["keypoints"] if "FP" in matrix.matches else []
            return matrix.matrix, [int(i) for i in false[wrong:]]  # false ones with an object come first

        def covered(d):
            for c in crowds:
                w = min(d[2][0] + d[2][2], c[2][0] + c[2][2]) - max(d[2][0], c[2][0])
                h = min(d[2][1] + d[2][3], c[2][1] + c[2][3]) - max(d[2][1], c[2][1])
                if c[1] == d[1] and w > 0 and h > 0 and w * h / (d[2][2] * d[2][3]) > iou:
                    return True
            return False

        _, unmatched = run(detections)
        gone = {i for i in unmatched if covered(detections[i])}
        matrix, _ = run([d for i, d in enumerate(detections) if i not in gone])
        total += matrix.T.astype(int)
    return [int(v) for v in total.ravel()]


def counted(case, k):
    """Objects that are asked for."""
    return [i for i, o in enumerate(case.objects) if (k < 0 or o[1] == k) and not o[4] and 0 <= o[3] <= 1e10]


def threshold(case, fates, score, k):
    kept = [f for d, f in zip(case.detections, fates) if f in "TF" and d[3] > score and (k < 0 or d[1] == k)]
    objects, right = len(counted(case, k)), kept.count("T")
    precision, recall = right / len(kept) if kept else -1.0, right / objects if objects else -1.0
    f1 = -1.0 if not objects else 2 * right / (objects + len(kept))
    return [objects, len(kept), precision, recall, f1]


def best(case, fates, goal, wanted, k):
    """score, precision, recall, f1; none: all -1. scikit-learn's curve, with its recall made one of all objects."""
    rows = [(d[3], f == "T") for d, f in zip(case.detections, fates) if f in "TF" and (k < 0 or d[1] == k)]
    objects, found = len(counted(case, k)), sum(r[1] for r in rows)
    out, value = [-1.0] * 4, None
    if not rows or not objects:
        return out
    with contextlib.redirect_stderr(io.StringIO()):
        precisions, recalls, scores = precision_recall_curve([r[1] for r in rows], [r[0] for r in rows])
    for i in reversed(range(len(scores))):
        right = round(recalls[i] * found) if found else 0
        precision, recall = float(precisions[i]), right / objects
        kept = sum(r[0] >= scores[i] for r in rows)
        f1 = 2 * right / (objects + kept)
        here = {0: f1, 1: recall if precision >= wanted else None, 2: precision if recall >= wanted else None}[goal]
        if here is not None and (value is None or here > value):
            value, out = here, [float(scores[i]), precision, recall, f1]
    return out


def background(case, fates, least):
    occupied = {o[0] for o in case.objects}
    wrong = [d for d, f in zip(case.detections, fates) if f == "F" and d[3] > least]
    images = len(case.images) - len(occupied)
    there = sum(d[0] not in occupied for d in wrong)
    absent = sum(not counted(case, d[1]) for d in wrong)
    return [images, there, len(wrong) / len(case.images), there / images if images else -1.0, absent]


def tied(case):
    counts = Counter((d[1], d[3]) for d in case.detections)
    return sum(c for c in counts.values() if c > 1) / len(case.detections) if case.detections else -1.0


def size_recall(case, detected, low, high, k):
    objects = [i for i in counted(case, k) if low <= case.objects[i][3] <= high]
    return sum(detected[i] >= 0 for i in objects) / len(objects) if objects else -1.0


def write_case(rng, number, out):
    def exact(*values):
        print(*(repr(float(v)).removesuffix(".0") if isinstance(v, (float, np.floating)) else v for v in values), file=out)

    def line(*values):
        print(*(f"{v:.13g}" if isinstance(v, (float, np.floating)) else v for v in values), file=out)

    case = random_case(rng, number)
    exact("case", number)
    exact("images", *case.images)
    exact("categories", *case.categories)
    for image, category, box, area, crowd in case.objects:
        exact("object", image, category, *box, area, crowd)
    for image, category, box, score in case.detections:
        exact("detection", image, category, *box, score)
    iou, max_dets = [0.5, 0.3, 0.75, 1.0][number % 4], [100, 100, 2][number % 3]
    fates, objects, detected = matching(case, iou, max_dets)
    line("match", iou, max_dets, "".join(fates) or "-", *objects, *detected)
    for k in range(-1, len(case.categories)):
        for score in (0.0, 0.5):
            line("threshold", score, k, *threshold(case, fates, score, k))
        for goal, wanted in ((0, 0.0), (1, 0.5), (2, 0.25)):
            line("best", goal, wanted, k, *best(case, fates, goal, wanted, k))
        line("recall", 0.0, 256.0, k, size_recall(case, detected, 0, 256, k))
        line("recall", 256.0, 1e5, k, size_recall(case, detected, 256, 1e5, k))
    for least in (0.0, 0.5):
        line("background", least, *background(case, fates, least))
        bins = [10, 15, 7, 20, 1][number % 5]
        line("calibration", bins, least, *calibration(case, fates, bins, least))
    line("tied", tied(case))
    for iou in ((0.5, 0.3) if number % 2 else (0.5, 0.75)):
        for eleven in (True, False):
            line("voc", iou, int(eleven), *voc(case, iou, eleven))
    for foreground, low in (((0.5, 0.1), (0.75, 0.25)) if number % 2 else ((0.5, 0.1), (0.6, 0.6))):
        line("tide", foreground, low, *tide(case, foreground, low))
    for iou, least in ((0.45, 0.25), (0.5, 0.0)):
        line("confusion", iou, least, *confusion(case, iou, least))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 5):
        sys.exit(__doc__)
    eval_detection_voc = load_chainercv(sys.argv[1])
    seed, cases, path = (int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]) if len(sys.argv) == 5 else (
        2020, CASES, os.path.join(HERE, "measures.txt"))
    generator = np.random.default_rng(seed)
    with open(path, "w") as file:
        for index in range(cases):
            write_case(generator, index, file)
