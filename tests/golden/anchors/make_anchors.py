"""Counts of torchvision's own RPN assignment for the tests of frcnn-anchors.

    python make_anchors.py [DATA] >assignments.txt

Each set is a ground truth, resize limits and anchors; below it one line a kind of anchor: level, size, aspect ratio,
anchors, positive, negative, ignored; then "matched N": objects that some positive anchor is matched to. Anchors come
from torchvision's AnchorGenerator, resizing of boxes from its GeneralizedRCNNTransform, labels from its
RegionProposalNetwork.assign_targets_to_anchors. Boxes are read as its training reference reads COCO: float32 corners,
clipped to the image, crowds and boxes without area dropped. Sets under DATA/ are made when DATA is given.
"""

import json
import os
import sys

import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import resize_boxes

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT = "32,64,128,256,512;0.5,1,2"
SETS = [
    ("ties.json", 800, 1333, DEFAULT),
    ("ties.json", 400, 667, DEFAULT),
    ("ties.json", 256, 256, "16+24,32+48,64+96,128+192,200+256;0.5,1,2"),
    ("ties.json", 320, 640, "32,64,128,256,512;0.5,1,2/1,1.5,3/0.25,1,4/0.5,1,2/1,2,3"),
    ("ties.json", 96, 128, "2,3,4,5,6;1"),
    ("DATA/bccd/bccd_train_coco.json", 800, 1333, DEFAULT),
    ("DATA/bccd/bccd_val_coco.json", 800, 1333, DEFAULT),
    ("DATA/bccd/bccd_test_coco.json", 800, 1333, DEFAULT),
    ("DATA/bccd/bccd_val_coco.json", 400, 667, DEFAULT),
    ("DATA/coco-subset/annotations/instances_val2017_subset.json", 800, 1333, DEFAULT),
    ("DATA/coco-subset/annotations/instances_val2017_subset.json", 320, 640, "32,64,128,256,512;0.5,1,2"),
    ("DATA/coco-subset/annotations/instances_train2017_subset.json", 800, 1333, DEFAULT),
    ("DATA/parts/instances.json", 320, 640, "16,32,64,128,256;0.5,1,2"),
]


def parse(text):
    sizes, ratios = text.split(";")
    sizes = tuple(tuple(float(s) for s in level.split("+")) for level in sizes.split(","))
    ratios = [tuple(float(r) for r in level.split(",")) for level in ratios.split("/")]
    return sizes, tuple(ratios if len(ratios) > 1 else ratios * len(sizes))


def boxes_of(annotations, width, height):
    boxes = torch.as_tensor([a["bbox"] for a in annotations if not a.get("iscrowd")], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes[:, 0::2].clamp_(min=0, max=width)
    boxes[:, 1::2].clamp_(min=0, max=height)
    return boxes[(boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])]


def counts(path, min_size, max_size, text):
    sizes, ratios = parse(text)
    generator = AnchorGenerator(sizes, ratios)
    cells = generator.num_anchors_per_location()[0]
    rpn = RegionProposalNetwork(generator, RPNHead(8, cells), 0.7, 0.3, 256, 0.5, {}, {}, 0.7)
    with open(path) as file:
        data = json.load(file)
    by_image = {}
    for a in data["annotations"]:
        by_image.setdefault(a["image_id"], []).append(a)
    total = torch.zeros(len(sizes), cells, 3, dtype=torch.int64)
    matched = 0
    for image in data["images"]:
        width, height = image["width"], image["height"]
        scale = min(min_size / min(width, height), max_size / max(width, height))
        # what interpolate(scale_factor=...) gives
        new_h, new_w = int(height * scale), int(width * scale)
        padded_h, padded_w = (new_h + 31) // 32 * 32, (new_w + 31) // 32 * 32
        maps = [torch.empty(1, 1, padded_h // s, padded_w // s) for s in (4, 8, 16, 32)]
        maps.append(torch.nn.functional.max_pool2d(maps[-1], 1, 2, 0))
        anchors = generator(ImageList(torch.empty(1, 3, padded_h, padded_w), [(new_h, new_w)]), maps)
        boxes = boxes_of(by_image.get(image["id"], []), width, height)
        boxes = resize_boxes(boxes, (height, width), (new_h, new_w))
        labels, _ = rpn.assign_targets_to_anchors(anchors, [{"boxes": boxes}])
        if len(boxes):
            indices = rpn.proposal_matcher(rpn.box_similarity(boxes, anchors[0]))
            matched += len(torch.unique(indices[indices >= 0]))
        at = 0
        for level, feature in enumerate(maps):
            size = feature.shape[-2] * feature.shape[-1] * cells
            part = labels[0][at : at + size].reshape(-1, cells)
            at += size
            for column, value in enumerate((1.0, 0.0, -1.0)):
                total[level, :, column] += (part == value).sum(0)
        assert at == len(labels[0])
    return sizes, ratios, total, matched


def main():
    data = sys.argv[1] if len(sys.argv) > 1 else None
    print("# Made by make_anchors.py with torchvision: level, size, ratio, anchors, positive, negative, ignored")
    for name, min_size, max_size, text in SETS:
        path = os.path.join(HERE, name)
        if name.startswith("DATA/"):
            if data is None:
                continue
            path = os.path.join(data, name[5:])
        sizes, ratios, total, matched = counts(path, min_size, max_size, text)
        print(f"set {name} {min_size} {max_size} {text}")
        for level in range(len(sizes)):
            kinds = [(s, r) for r in ratios[level] for s in sizes[level]]
            for (s, r), row in zip(kinds, total[level].tolist()):
                print(level, f"{s:g}", f"{r:g}", sum(row), *row)
        print(f"matched {matched}")


main()
