#!/usr/bin/env python3
"""Makes coco_cases.txt and files/ beside this script, with pycocotools: what it computes for 300 random evaluations and for
a handful of JSON files. The tests only read what it wrote.

A case follows from its number alone, by integers of a splitmix64 generator and single IEEE operations on them, so that
tests/unit/eval_cases.c, the same text in C, makes the same case bit for bit and the repository need hold hashes only.

iou.txt: SHA-256 of the IoUs of IOU_PAIRS random pairs of boxes, as below.
coco_cases.txt, one line an evaluation: number of the case; "p" as pycocotools has it, or "r" with the annotation ids
made unique and not 0 first; SHA-256 of precision, recall, scores and stats as little-endian float64 (every NaN as
7ff8000000000000), "-" for stats that pycocotools cannot make (fewer than three maxDets).
files/expected.txt: name of the case, program options that it takes ("-": none), the same four.

Usage: make_coco_cases.py [FIRST LAST]   prints these cases instead of writing files
"""
import contextlib
import copy
import hashlib
import io
import json
import math
import os
import sys

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1
CASES = 300
IOU_PAIRS = 20000
(PLAIN, INTEGERS, TIES, CROWDS, STEPS, BOUNDS, MANY, AGNOSTIC, IOUS, AREAS, MAX_DETS, ID_ZERO, DUPLICATES, NOT_NUMBERS,
 MIXED) = range(15)
(BOX_FRACTION, BOX_TENTHS, BOX_INTEGER, BOX_STEPS, BOX_BOUNDS) = range(5)
(SCORE_FRACTION, SCORE_THOUSANDTHS, SCORE_QUARTERS, SCORE_SIGNED, SCORE_DYADIC) = range(5)

SIDES = [(32, 32), (64, 16), (96, 96), (48, 192), (100000, 100000), (0, 5), (32, 32.00000000000001), (1, 1), (31, 33),
         (96, 95.99999999999999), (100000, 100000.00000000001), (1024, 1)]
AREA_VALUES = [0, 1024, 9216, 10000000000, 1024.0000000000002, 1023.9999999999999, 9216.000000000002, 9215.999999999998,
               10000000000.000002, 9999999999.999998, 5e-324, 64]
IOU_VALUES = [0.0, 0.1, 0.3, 0.5, 0.55, 0.75, 0.8999999999999999, 0.9, 0.95, 1.0, 0.3333333333333333, 0.6]
AREA_RANGES = [("small", 0, 1024), ("medium", 1024, 9216), ("large", 9216, 1e10), ("tiny", 0, 64),
               ("exact", 1024, 1024), ("huge", 1e10, 1e12), ("odd", 100.5, 2000.25)]
MAX_DETS_VALUES = [[1, 10, 100], [1, 2, 3], [5], [1, 5, 10, 20], [1, 10, 300], [100, 200, 300], [3, 7], [1, 10, 100, 1000]]
NOT_FINITE = [math.nan, math.inf, -math.inf]
DEFAULT_RANGES = [("all", 0, 1e10), ("small", 0, 1024), ("medium", 1024, 9216), ("large", 9216, 1e10)]


class Random:
    def __init__(self, seed):
        self.state = seed & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return self.next() % n

    def unit(self):
        return (self.next() >> 11) * 2.0 ** -53

    def pick(self, values):
        return values[self.below(len(values))]

    def shuffle(self, values):
        for i in range(len(values) - 1, 0, -1):
            j = self.below(i + 1)
            values[i], values[j] = values[j], values[i]


def random_box(r, style):
    if style == BOX_FRACTION:
        scale = r.pick([20, 60, 200])
        x, y = r.unit() * 300, r.unit() * 200
        w = r.unit() * scale
        return [x, y, w, r.unit() * scale]
    if style == BOX_TENTHS:
        x, y = r.below(3000) / 10, r.below(2000) / 10
        w = r.below(1200) / 10
        return [x, y, w, r.below(1200) / 10]
    if style == BOX_INTEGER:
        x, y = r.below(300), r.below(200)
        w = r.below(120)
        return [x, y, w, r.below(120)]
    if style == BOX_STEPS:
        side = 20 * r.pick([1, 2, 5])
        x = 20 * r.below(6)
        return [x, 20 * r.below(4), side, side]
    x, y = r.below(50), r.below(50)
    w, h = r.pick(SIDES)
    return [x, y, w, h]


def near_box(r, style, box):
    x, y, w, h = box
    if r.below(6) == 0:
        return [x, y, w, h]
    if style == BOX_FRACTION:
        nx = x + (r.unit() - 0.5) * w * 0.3
        ny = y + (r.unit() - 0.5) * h * 0.3
        nw = w * (0.7 + r.unit() * 0.6)
        return [nx, ny, nw, h * (0.7 + r.unit() * 0.6)]
    if style == BOX_TENTHS:
        nx = x + (r.below(41) - 20) / 10
        ny = y + (r.below(41) - 20) / 10
        nw = w + r.below(41) / 10
        return [nx, ny, nw, h + r.below(41) / 10]
    if style == BOX_INTEGER:
        nx = x + r.below(9) - 4
        ny = y + r.below(9) - 4
        nw = w + r.below(9)
        return [nx, ny, nw, h + r.below(9)]
    if style == BOX_STEPS:
        if r.below(4) == 0:
            return [x, y, w * 2, h]
        step = 1 + r.below(20)
        if r.below(2) == 0:
            return [x, y, w // 20 * step, h]
        return [x, y, w, h // 20 * step]
    nx = x + r.below(3) - 1
    if r.below(2) == 0:
        return [nx, y, w, h]
    w, h = r.pick(SIDES)
    return [nx, y, w, h]


def random_score(r, style):
    if style == SCORE_FRACTION:
        return r.unit()
    if style == SCORE_THOUSANDTHS:
        return r.below(1001) / 1000
    if style == SCORE_QUARTERS:
        return r.below(5) / 4
    if style == SCORE_SIGNED:
        return r.pick([0.0, -0.0, 1, 0.5, -0.5, -1, 2, r.unit()])
    return (r.next() >> 40) / 16777216


def make_case(number):
    r = Random(number * 1000003 + 12345)
    family = number % 15
    c = {"number": number, "family": family}

    nimages = r.pick([1, 2, 3, 5, 8, 13])
    ncategories = r.pick([1, 2, 3, 5, 9])
    empty = r.below(50)
    if family == MANY:
        nimages = 1 + r.below(3)
    if family == MIXED:
        nimages = 20 + r.below(40)
    if empty == 0:
        nimages = 0
    if empty == 1:
        ncategories = 0

    base, step = r.pick([1, 139, -3, 9007199254740990]), 1 + r.below(7)
    image_ids = [base + i * step for i in range(nimages)]
    r.shuffle(image_ids)
    base, step = r.pick([1, 0, 17, 9007199254740990]), 1 + r.below(3)
    unknown_id = base - 1
    category_ids = [base + i * step for i in range(ncategories)]
    r.shuffle(category_ids)
    c["image_ids"], c["category_ids"] = image_ids, category_ids

    nobjects = r.below(1 + 5 * nimages)
    if family == MANY:
        nobjects = 20 * nimages
    if family == MIXED:
        nobjects = 6 * nimages
    full_images = nimages - r.below(1 + nimages // 3)
    full_categories = ncategories - r.below(1 + ncategories // 2)
    if nimages == 0 or ncategories == 0:
        nobjects = 0

    box_style, score_style = r.below(5), r.below(5)
    crowd_percent = r.pick([0, 0, 10, 25])
    if family == INTEGERS:
        box_style = BOX_INTEGER
    if family == STEPS:
        box_style = BOX_STEPS
    if family == IOUS and number % 2 == 0:
        box_style = BOX_FRACTION
    if family == BOUNDS:
        box_style = BOX_BOUNDS
    if family == TIES:
        score_style = SCORE_QUARTERS
    if family == CROWDS:
        crowd_percent = 50

    base = r.pick([1, 1000, 9007199254740990])
    ids = [base + i for i in range(nobjects)]
    r.shuffle(ids)
    if family == ID_ZERO and nobjects > 0:
        ids[r.below(nobjects)] = 0
    if family == DUPLICATES and nobjects > 0:
        for _ in range(1 + r.below(4)):
            to = r.below(nobjects)
            ids[to] = ids[r.below(nobjects)]

    objects = []
    for i in range(nobjects):
        image, category = r.below(full_images), r.below(full_categories)
        if r.below(40) == 0 and family != DUPLICATES:
            category = -1
        box = random_box(r, box_style)
        if i > 0 and r.below(8) == 0:
            other = objects[r.below(i)]
            image, category, box = other["image"], other["category"], list(other["bbox"])
            if box_style == BOX_STEPS and r.below(2) == 0:
                box[0] = box[0] + box[2]  # side by side: a box over both has the same IoU with each
        crowd = int(r.below(100) < crowd_percent)
        kind = r.below(6)
        area = box[2] * box[3]
        if kind == 0 or family == BOUNDS:
            area = r.pick(AREA_VALUES)
        elif kind == 1:
            area = area * 0.5
        if family == NOT_NUMBERS:
            if r.below(6) == 0:
                at = r.below(4)
                box[at] = r.pick(NOT_FINITE)
            if r.below(10) == 0:
                area = math.nan
        objects.append({"id": ids[i], "image": image, "category": category, "bbox": box, "area": area, "crowd": crowd})
    c["objects"] = objects

    ndetections = r.below(1 + 10 * nimages)
    reach = ncategories
    if family == MANY:
        ndetections = nimages * (150 + r.below(150))
        reach = min(reach, 2)
    if family == MAX_DETS:
        ndetections = nimages * 60
        reach = min(reach, 2)
    if family == MIXED:
        ndetections = nimages * 50
    if r.below(25) == 0 or nimages == 0 or ncategories == 0:
        ndetections = 0
    detections = []
    for _ in range(ndetections):
        if nobjects > 0 and r.below(10) < 6:
            other = objects[r.below(nobjects)]
            image, category = other["image"], other["category"]
            if r.below(8) == 0:
                image = r.below(nimages)
            if r.below(6) == 0:
                category = r.below(reach)
            box = near_box(r, box_style, other["bbox"]) if family != NOT_NUMBERS else list(other["bbox"])
        else:
            image, category = r.below(nimages), r.below(reach)
            box = random_box(r, box_style)
        score = random_score(r, score_style)
        if family == NOT_NUMBERS:
            if r.below(6) == 0:
                at = r.below(4)
                box[at] = r.pick(NOT_FINITE)
            if r.below(10) == 0:
                score = r.pick(NOT_FINITE)
        detections.append({"image": image, "category": category, "bbox": box, "score": score})
    c["detections"] = detections

    c["agnostic"] = family == AGNOSTIC or (family == MIXED and r.below(4) == 0)
    c["subset"] = None
    if family in (AGNOSTIC, MIXED) and r.below(3) == 0 and ncategories > 0:
        flags = [r.below(2) for _ in range(ncategories)]
        if not any(flags):
            flags[0] = 1
        c["subset"] = flags
    c["ious"], c["ranges"], c["max_dets"] = None, DEFAULT_RANGES, [1, 10, 100]
    if family == IOUS:
        values = list(IOU_VALUES)
        r.shuffle(values)
        values = values[: 1 + r.below(6)]
        if number % 2 == 0:
            values[0] = 1.0  # equal boxes of fractions have an IoU a bit below
        c["ious"] = sorted(values) if r.below(2) == 0 else values
    if family == AREAS:
        values = list(AREA_RANGES)
        r.shuffle(values)
        c["ranges"] = [("all", 0, 1e10)] + values[: r.below(6)]
    if family == MAX_DETS:
        c["max_dets"] = r.pick(MAX_DETS_VALUES)
    c["unknown_id"] = unknown_id
    return c


def to_coco(c):
    """The case as pycocotools' two inputs."""
    def category(index):
        return c["category_ids"][index] if index >= 0 else c["unknown_id"]

    truth = {"images": [{"id": i} for i in c["image_ids"]], "categories": [{"id": i} for i in c["category_ids"]],
             "annotations": [{"id": o["id"], "image_id": c["image_ids"][o["image"]], "category_id": category(o["category"]),
                              "bbox": o["bbox"], "area": o["area"], "iscrowd": o["crowd"]} for o in c["objects"]]}
    results = [{"image_id": c["image_ids"][d["image"]], "category_id": category(d["category"]), "bbox": d["bbox"],
                "score": d["score"]} for d in c["detections"]]
    return truth, results


def evaluate(truth, results, agnostic=False, subset=None, ious=None, ranges=None, max_dets=None):
    """(precision, recall, scores, stats or None)"""
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        gt = COCO()
        gt.dataset = copy.deepcopy(truth)
        gt.createIndex()
        if results:
            dt = gt.loadRes(copy.deepcopy(results))
        else:  # loadRes takes no empty list
            dt = COCO()
            dt.dataset = {"images": gt.dataset["images"], "categories": gt.dataset["categories"], "annotations": []}
            dt.createIndex()
        e = COCOeval(gt, dt, "bbox")
        e.params.useCats = 0 if agnostic else 1
        if subset is not None:
            e.params.catIds = [k for k, flag in zip(sorted(c["id"] for c in truth["categories"]), subset) if flag]
        if ious is not None:
            e.params.iouThrs = np.array(ious)
        if ranges is not None:
            e.params.areaRng = [[low, high] for _, low, high in ranges]
            e.params.areaRngLbl = [name for name, _, _ in ranges]
        if max_dets is not None:
            e.params.maxDets = list(max_dets)
        e.evaluate()
        e.accumulate()
        stats = None
        if len(e.params.maxDets) >= 3:
            e.summarize()
            stats = e.stats
    return e.eval["precision"], e.eval["recall"], e.eval["scores"], stats


def evaluate_case(c, repair=False):
    truth, results = to_coco(c)
    if repair:
        for i, annotation in enumerate(truth["annotations"]):
            annotation["id"] = i + 1
    return evaluate(truth, results, c["agnostic"], c["subset"], c["ious"], c["ranges"], c["max_dets"])


def make_ious():
    """IoUs of pairs of near boxes of fractions; every third object is a crowd, every seventh pair has a box that is no
    number somewhere."""
    r = Random(4)
    out = []
    for i in range(IOU_PAIRS):
        target = random_box(r, BOX_FRACTION)
        detection = near_box(r, BOX_FRACTION, target)
        if i % 7 == 0:
            box = target if r.below(2) == 0 else detection
            at = r.below(4)
            box[at] = r.pick(NOT_FINITE)
        with np.errstate(all="ignore"):
            out.append(mask.iou([detection], [target], [int(i % 3 == 0)])[0][0])
    return np.array(out)


def digest(array):
    if array is None:
        return "-"
    array = np.ascontiguousarray(array, "<f8").copy()
    array[np.isnan(array)] = np.frombuffer(b"\0\0\0\0\0\0\xf8\x7f", "<f8")[0]
    return hashlib.sha256(array.tobytes()).hexdigest()


def digests(arrays):
    return " ".join(digest(a) for a in arrays)


# ---- files that go through the program ------------------------------------------------------------------------------

def make_files():
    """name -> (truth text, results text, options)"""
    files = {}

    # as Python writes them, with keys that nobody asked for and segmentations of both kinds
    c = make_case(14)
    truth, results = to_coco(c)
    for i, annotation in enumerate(truth["annotations"]):
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = ({"counts": [3, 5, 7], "size": [5, 3]} if annotation["iscrowd"]
                                      else [[x, y, x + w, y, x + w, y + h]])
        if i % 3 == 0:
            annotation["ignore"] = 1  # pycocotools overwrites it
        annotation["note"] = "a \"quoted\" \\ \u00e9 { [ " + str(i)
    keep = results[:400]
    files["python"] = (json.dumps(truth), json.dumps(keep), "-", truth, keep, {})

    # keys in another order, blanks everywhere, exponents, one result a line is another form: here an indented array
    c = make_case(16)
    truth, results = to_coco(c)
    turned = [dict(reversed(list(a.items()))) for a in results]
    text = json.dumps(dict(reversed(list(truth.items()))), indent=1, sort_keys=False)
    files["indented"] = (text, json.dumps(turned, indent="\t").replace("\n", "\r\n"), "-", truth, results, {})

    # one result a line
    c = make_case(30)
    truth, results = to_coco(c)
    files["lines"] = (json.dumps(truth, separators=(",", ":")), "".join(json.dumps(r) + "\n" for r in results), "-", truth,
                      results, {})

    # useCats = 0
    c = make_case(22)
    truth, results = to_coco(c)
    files["agnostic"] = (json.dumps(truth), json.dumps(results), "--agnostic", truth, results, {"agnostic": True})

    # id 0 and a duplicate, each in a case where it changes the numbers: the traps
    c = make_case(86)
    truth, results = to_coco(c)
    files["id-zero"] = (json.dumps(truth), json.dumps(results), "--pycocotools", truth, results, {})
    c = make_case(27)
    truth, results = to_coco(c)
    files["duplicates"] = (json.dumps(truth), json.dumps(results), "--pycocotools", truth, results, {})

    # NaN and Infinity, as Python writes and reads them
    c = make_case(28)
    truth, results = to_coco(c)
    files["not-numbers"] = (json.dumps(truth), json.dumps(results), "--pycocotools", truth, results, {})

    # objects with NaN among others: whatever stands behind NaN matches
    truth = {"images": [{"id": 1}, {"id": 2}], "categories": [{"id": 1}], "annotations": []}
    results = []
    r = Random(5)
    for i in range(12):
        box = [r.below(60), r.below(60), 10 + r.below(30), 10 + r.below(30)]
        if i % 3 == 0:
            box[r.below(4)] = float("nan")
        truth["annotations"].append({"id": i + 1, "image_id": 1 + r.below(2), "category_id": 1, "bbox": box,
                                     "area": [400, 2000][r.below(2)], "iscrowd": int(i == 7)})
    for i in range(16):
        results.append({"image_id": 1 + r.below(2), "category_id": 1, "score": r.below(8) / 8,
                        "bbox": [r.below(60), r.below(60), 10 + r.below(30), 10 + r.below(30)]})
    files["nan-objects"] = (json.dumps(truth), json.dumps(results), "--pycocotools", truth, results, {})

    # numbers whose text is longer than a double, exponents, integers as 1.0 and 1e2
    truth = {"images": [{"id": 7}, {"id": 3}], "categories": [{"id": 2}, {"id": 1}], "annotations": []}
    lines = []
    r = Random(77)
    for i in range(40):
        x, y = r.below(200), r.below(200)
        w = "%d.%d%d" % (20 + r.below(60), r.next(), r.next())
        h = "%d.%020de-1" % (200 + r.below(600), r.next())
        lines.append('{"id":%d,"image_id":%s,"category_id":%d,"bbox":[%d.0,%de-2,%s,%s],"area":%d.%de1,"iscrowd":0}' % (
            i + 1, r.pick(["7", "3", "7.0", "0.3e1"]), 1 + r.below(2), x, y * 100, w, h, 50 + r.below(900), r.next()))
    text = '{"images":[{"id":7},{"id":3}],"categories":[{"id":2},{"id":1}],"annotations":[\n' + ",\n".join(lines) + "\n]}\n"
    parsed = json.loads(text)
    for annotation in parsed["annotations"]:
        annotation["image_id"] = int(annotation["image_id"])
    lines = []
    for _ in range(120):
        near = r.pick(parsed["annotations"])
        x, y, w, h = near["bbox"]
        lines.append('{"image_id":%d,"category_id":%d,"bbox":[%s,%s,%s%d,%s%d],"score":0.%d%dE-0}' % (
            near["image_id"], near["category_id"], repr(x + r.unit()), repr(y + r.unit()), repr(w), r.next(), repr(h),
            r.next(), r.below(10), r.next()))
    files["digits"] = (text, "[" + ",".join(lines) + "]", "-", parsed, json.loads("[" + ",".join(lines) + "]"), {})
    return files


def write_files():
    folder = os.path.join(HERE, "files")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "expected.txt"), "w") as out:
        for name, (truth_text, results_text, options, truth, results, how) in make_files().items():
            with open(os.path.join(folder, name + ".gt.json"), "w", newline="") as f:
                f.write(truth_text)
            with open(os.path.join(folder, name + ".dt.json"), "w", newline="") as f:
                f.write(results_text)
            out.write("%s %s %s\n" % (name, options, digests(evaluate(truth, results, **how))))


def main():
    if len(sys.argv) == 3:
        for number in range(int(sys.argv[1]), int(sys.argv[2])):
            c = make_case(number)
            precision, recall, scores, stats = evaluate_case(c)
            print(number, precision.shape, digests((precision, recall, scores, stats)), stats)
        return
    lines = []
    for number in range(CASES):
        c = make_case(number)
        lines.append("%d p %s\n" % (number, digests(evaluate_case(c))))
        if c["family"] in (ID_ZERO, DUPLICATES):
            lines.append("%d r %s\n" % (number, digests(evaluate_case(c, repair=True))))
    with open(os.path.join(HERE, "coco_cases.txt"), "w") as out:
        out.writelines(lines)
    with open(os.path.join(HERE, "iou.txt"), "w") as out:
        out.write(digest(make_ious()) + "\n")
    write_files()


main()
