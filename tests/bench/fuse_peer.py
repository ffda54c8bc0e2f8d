#!/usr/bin/env python3
"""ensemble-boxes' weighted_boxes_fusion over the ten files 0.json ... 9.json of a folder: milliseconds an image.

    fuse_peer.py DIR IMAGES     the first IMAGES images are fused; reading counts for all of them
"""
import json
import sys
import time

from ensemble_boxes import weighted_boxes_fusion

folder, limit, side = sys.argv[1], int(sys.argv[2]), 1000.0
start = time.perf_counter()
files = []
for m in range(10):
    by_image = {}
    with open(f"{folder}/{m}.json") as f:
        for d in json.load(f):
            by_image.setdefault(d["image_id"], []).append(d)
    files.append(by_image)
read = (time.perf_counter() - start) / max(len(f) for f in files)
start = time.perf_counter()
for i in range(1, limit + 1):
    boxes, scores, labels = [], [], []
    for by_image in files:
        found = by_image.get(i, [])
        boxes.append([[x / side, y / side, (x + w) / side, (y + h) / side] for x, y, w, h in (d["bbox"] for d in found)])
        scores.append([d["score"] for d in found])
        labels.append([d["category_id"] for d in found])
    weighted_boxes_fusion(boxes, scores, labels, iou_thr=0.55)
fuse = (time.perf_counter() - start) / limit
print("ensemble-boxes   %8.3f ms an image, files included" % (1e3 * (read + fuse)))
