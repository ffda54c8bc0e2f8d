#!/usr/bin/env python3
"""Makes the goldens beside this script; the tests only read what it wrote.

batched.txt (torch, torchvision 0.29): the boxes that nms and batched_nms keep, 1,000 cases of one seed. Boxes are made by a small
generator that the test has too (random() below), on a coarse grid so that scores and IoUs are often equal to each other
and to the threshold. A line a case: count, labels, threshold in sixteenths, number kept, and FNV-1a of the kept indices
in ascending order (32 bits each, little-endian): order among equal scores is not torchvision's to define.

fuse.txt (ensemble-boxes 1.0.9): weighted_boxes_fusion and non_maximum_weighted. A line "case METHOD IOU CONF OVERFLOW
NBOXES NSOURCES W H weights...", then a line a box "source label score x1 y1 x2 y2" (floats as text of float32, pixels),
then "fused N" and a line a fused box "label score x1 y1 x2 y2" (pixels), by descending score. Scores are distinct.

Each part is made when its packages are there: make.py batched | fuse
"""
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1


class Random:
    """splitmix64; below() takes the upper half."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 32) % n


def make_batched():
    import torch
    from torchvision.ops import batched_nms, nms

    rng = Random(2017)
    lines = []
    for case in range(1000):
        # mostly small; every tenth large enough for the index
        n = rng.below(700) if case % 10 == 9 else rng.below(60)
        span, nlabels, sixteenths = 3 + rng.below(60), 1 + rng.below(4), 1 + rng.below(15)
        boxes, scores, labels = np.zeros((n, 4), np.float32), np.zeros(n, np.float32), np.zeros(n, np.int64)
        for i in range(n):
            x, y = rng.below(span), rng.below(span)
            boxes[i] = x, y, x + rng.below(span), y + rng.below(span)
            scores[i], labels[i] = rng.below(32) / 32, rng.below(nlabels)
        b, s = torch.from_numpy(boxes), torch.from_numpy(scores)
        # stable: of equal scores the lower index first, which nms leaves to its sort
        order = torch.sort(s, descending=True, stable=True).indices
        rank = torch.linspace(1, 0, n, dtype=torch.float64).float() if n else s
        b, l = b[order], torch.from_numpy(labels)[order]
        kept = nms(b, rank, sixteenths / 16) if nlabels == 1 else batched_nms(b, rank, l, sixteenths / 16)
        kept = np.sort(order[kept].numpy().astype("<u4"))
        digest = 0xCBF29CE484222325
        for byte in kept.tobytes():
            digest = ((digest ^ byte) * 0x100000001B3) & MASK
        lines.append(f"{n} {nlabels} {sixteenths} {len(kept)} {digest:016x}")
    with open(os.path.join(HERE, "batched.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")


def text(value):
    return np.format_float_positional(np.float32(value), unique=True, trim="-")


def make_fuse():
    from ensemble_boxes import non_maximum_weighted, weighted_boxes_fusion

    rng = np.random.default_rng(2021)
    kinds = [("nmw", "avg", 0)] + [("wbf", c, o) for c, o in (
        ("avg", 0), ("avg", 1), ("max", 0), ("box_and_model_avg", 0), ("absent_model_aware_avg", 0))]
    lines = []
    for case in range(72):
        method, conf, overflow = kinds[case % 6]
        nsources, iou = int(rng.integers(1, 5)), float(rng.choice([0.4, 0.55, 0.7]))
        width, height = int(rng.integers(50, 700)), int(rng.integers(50, 700))
        weights = [float(w) for w in (np.ones(nsources) if case % 2 else rng.choice([0.5, 1, 2, 3.25], nsources))]
        boxes, scores, labels = [[] for _ in weights], [[] for _ in weights], [[] for _ in weights]
        body, seen = [], set()
        objects = rng.uniform(0, 1, (int(rng.integers(1, 5)), 4))
        for _ in range(int(rng.integers(1, 20))):
            s, o = int(rng.integers(nsources)), objects[rng.integers(len(objects))]
            x, y = o[0] * 0.8 + rng.normal(0, 0.02), o[1] * 0.8 + rng.normal(0, 0.02)
            corners = [x, y, x + 0.05 + 0.3 * o[2] + rng.normal(0, 0.01), y + 0.05 + 0.3 * o[3] + rng.normal(0, 0.01)]
            px = [np.float32(text(v * (width, height)[k % 2])) for k, v in enumerate(corners)]
            score, label = np.float32(rng.uniform(0.05, 1)), int(rng.integers(2))
            if float(score) * weights[s] in seen or px[2] <= px[0] or px[3] <= px[1]:
                continue
            seen.add(float(score) * weights[s])
            body.append(" ".join([str(s), str(label), text(score)] + [text(v) for v in px]))
            boxes[s].append([float(v) / (width, height)[k % 2] for k, v in enumerate(px)])
            scores[s].append(float(score)), labels[s].append(label)
        if method == "nmw":
            b, s, l = non_maximum_weighted(boxes, scores, labels, weights=weights, iou_thr=iou)
        else:
            b, s, l = weighted_boxes_fusion(boxes, scores, labels, weights=weights, iou_thr=iou, conf_type=conf,
                                            allows_overflow=bool(overflow))
        lines.append(" ".join(map(str, ["case", method, iou, conf, overflow, len(body), nsources, width, height] + weights)))
        lines += body
        lines.append(f"fused {len(b)}")
        for box, score, label in zip(b, s, l):
            pixels = [v * (width, height)[k % 2] for k, v in enumerate(box)]
            lines.append(" ".join([str(int(label)), f"{score:.9g}"] + [f"{v:.9g}" for v in pixels]))
    with open(os.path.join(HERE, "fuse.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    for part in sys.argv[1:] or ["batched", "fuse"]:
        {"batched": make_batched, "fuse": make_fuse}[part]()
