#!/usr/bin/env python3
"""Makes the goldens of lib/detect beside this script, with torch and torchvision: what torchvision 0.29 computes at each
stage for small inputs. The tests only read what it wrote.

NAME.bin: "FRG1", u32 number of arrays; for each a name of 24 bytes, u32 kind (0 float32, 1 int32, 2 uint8), u32 number of
elements, then the elements, padded to 4 bytes. Little-endian.
"""
import os
import struct

import numpy as np
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, concat_box_prediction_layers
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image, nms, remove_small_boxes, roi_pool
from torchvision.ops.poolers import LevelMapper

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = {np.dtype("float32"): 0, np.dtype("int32"): 1, np.dtype("uint8"): 2}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write(name, arrays):
    with open(os.path.join(HERE, name + ".bin"), "wb") as f:
        f.write(b"FRG1" + struct.pack("<I", len(arrays)))
        for key, value in arrays.items():
            value = np.ascontiguousarray(value)
            assert len(key) < 24
            f.write(key.encode().ljust(24, b"\0") + struct.pack("<II", KINDS[value.dtype], value.size))
            f.write(value.tobytes())
            f.write(b"\0" * (-value.nbytes % 4))


def ints(*values):
    return np.array(values, np.int32)


def make_transform(rng):
    arrays = {}
    # width, height, min, max: larger, smaller, the same, cut by the longer side, one axis a single pixel
    cases = [(37, 53, 45, 80), (131, 85, 40, 60), (48, 33, 33, 48), (120, 33, 60, 70), (3, 7, 20, 64), (1, 2, 16, 40), (9, 200, 40, 64)]
    for i, (width, height, low, high) in enumerate(cases):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        transform = GeneralizedRCNNTransform(low, high, MEAN, STD).eval()
        images, _ = transform([torch.from_numpy(image).permute(2, 0, 1).contiguous().float().div(255)])
        (h, w), out = images.image_sizes[0], images.tensors[0].permute(1, 2, 0).numpy()
        arrays[f"{i}.case"] = ints(width, height, low, high, w, h, out.shape[1], out.shape[0])
        assert not out[h:].any() and not out[:, w:].any()
        out = out[:h, :w]
        arrays[f"{i}.image"] = image
        arrays[f"{i}.out"] = out
    write("transform", arrays)


def make_anchors():
    arrays = {}
    cases = [([32], [0.5, 1, 2]), ([32, 64, 128, 256, 512], [0.5, 1, 2]), ([17, 33.5], [0.33, 1.7, 3]), ([1, 2, 3], [1])]
    for i, (sizes, ratios) in enumerate(cases):
        generator = AnchorGenerator((tuple(sizes),), (tuple(ratios),))
        height, width = 4 + i, 7 - i
        padded = (13 * height + 5, 16 * width + 3)
        images = ImageList(torch.zeros(1, 3, *padded), [padded])
        grid = generator(images, [torch.zeros(1, 1, height, width)])[0]
        arrays[f"{i}.sizes"] = np.array(sizes, np.float32)
        arrays[f"{i}.ratios"] = np.array(ratios, np.float32)
        arrays[f"{i}.shape"] = ints(height, width, *padded)
        arrays[f"{i}.cell"] = generator.cell_anchors[0].numpy()
        arrays[f"{i}.grid"] = grid.numpy()
    write("anchors", arrays)


def make_boxes(rng):
    n = 300
    boxes = rng.uniform(-20, 120, (n, 4)).astype(np.float32)
    boxes[:, 2:] = boxes[:, :2] + rng.uniform(0.5, 60, (n, 2)).astype(np.float32)
    deltas = rng.normal(0, 1, (n, 4)).astype(np.float32)
    deltas[:40, 2:] = rng.uniform(3.9, 60, (40, 2))  # beyond the clamp for one or both of the weights
    deltas[40:60, 2:] = rng.uniform(-60, -3, (20, 2))
    deltas[60:63, 0] = [np.inf, -np.inf, np.nan]
    deltas[63:66, 3] = [np.inf, -np.inf, np.nan]
    arrays = {"boxes": boxes, "deltas": deltas}
    for name, weights in (("rpn", (1.0, 1.0, 1.0, 1.0)), ("box", (10.0, 10.0, 5.0, 5.0))):
        decoded = BoxCoder(weights).decode_single(torch.from_numpy(deltas), torch.from_numpy(boxes))
        clipped = clip_boxes_to_image(decoded, (75, 100))
        large = np.zeros(n, np.uint8)
        large[remove_small_boxes(clipped, 1e-2).numpy()] = 1
        arrays[name + ".decoded"], arrays[name + ".clipped"], arrays[name + ".large"] = decoded.numpy(), clipped.numpy(), large
    arrays["scaled"] = resize_boxes(torch.from_numpy(boxes), (75, 100), (331, 441)).numpy()
    write("boxes", arrays)


def make_nms(rng):
    """1,000 cases on a coarse grid, so that scores and IoUs are often equal to each other and to the threshold."""
    thresholds = [0.3, 0.5, 0.7, 1 / 3, 0.25, 0.0]
    boxes, scores, counts, which, kept, nkept = [], [], [], [], [], []
    for case in range(1000):
        n = int(rng.integers(0, 24))
        span = int(rng.integers(3, 12))
        b = rng.integers(0, span, (n, 4))
        b[:, 2:] = b[:, :2] + rng.integers(0, span, (n, 2))
        s = rng.integers(0, 8, n)
        keep = nms(torch.from_numpy(b).float(), torch.from_numpy(s).float() / 8, thresholds[case % 6]).numpy()
        boxes.append(b.reshape(-1)), scores.append(s), counts.append(n), which.append(case % 6)
        kept.append(keep), nkept.append(len(keep))
    join = lambda parts: np.concatenate(parts).astype(np.uint8)
    write("nms", {"boxes": join(boxes), "scores": join(scores), "kept": join(kept), "counts": np.array(counts, np.uint8),
                  "nkept": np.array(nkept, np.uint8), "threshold": np.array(which, np.uint8)})


class FixedHead(torch.nn.Module):
    def __init__(self, logits, deltas):
        super().__init__()
        self.output = logits, deltas

    def forward(self, features):
        return self.output


def make_proposals(rng):
    arrays = {}
    cases = [
        # sizes per level, grid, padded, resized, pre, post, nms, score
        ([[32], [64], [128], [256], [512]], [(20, 27), (10, 14), (5, 7), (3, 4), (2, 2)], (80, 108), (80, 99), 60, 40, 0.7, 0.0),
        ([[4], [8], [16], [32], [64]], [(20, 27), (10, 14), (5, 7), (3, 4), (2, 2)], (80, 108), (75, 108), 300, 1000, 0.5, 0.4),
        ([[32, 64, 128, 256, 512]] * 3, [(4, 5), (4, 5), (2, 3)], (128, 160), (120, 160), 150, 20, 0.7, 0.05),
    ]
    for i, (sizes, grid, padded, resized, pre, post, threshold, score) in enumerate(cases):
        generator = AnchorGenerator(tuple(map(tuple, sizes)), ((0.5, 1.0, 2.0),) * len(sizes))
        anchors = 3 * len(sizes[0])
        logits = [torch.from_numpy(rng.normal(0, 2, (1, anchors, h, w)).astype(np.float32)) for h, w in grid]
        deltas = [torch.from_numpy(rng.normal(0, 0.4, (1, 4 * anchors, h, w)).astype(np.float32)) for h, w in grid]
        deltas[0][0, :, 0, 0] = 80  # clamped, and outside
        rpn = RegionProposalNetwork(generator, FixedHead(logits, deltas), 0.7, 0.3, 256, 0.5, dict(training=pre, testing=pre),
                                    dict(training=post, testing=post), threshold, score).eval()
        images = ImageList(torch.zeros(1, 3, *padded), [resized])
        features = [torch.zeros(1, 1, h, w) for h, w in grid]
        flat, moved = concat_box_prediction_layers(logits, deltas)
        decoded = rpn.box_coder.decode(moved, generator(images, features)).view(1, -1, 4)
        boxes, scores = rpn.filter_proposals(decoded, flat, [resized], [anchors * h * w for h, w in grid])
        again, _ = rpn(images, {str(k): f for k, f in enumerate(features)})
        assert torch.equal(again[0], boxes[0])
        assert len(torch.unique(scores[0])) == len(scores[0])  # no order is left open
        arrays[f"{i}.sizes"] = np.array(sizes, np.float32)
        arrays[f"{i}.grid"] = np.array(grid, np.int32)
        arrays[f"{i}.case"] = ints(padded[1], padded[0], resized[1], resized[0], pre, post, len(sizes), len(sizes[0]))
        arrays[f"{i}.thresholds"] = np.array([threshold, score], np.float32)
        arrays[f"{i}.logits"] = np.concatenate([t[0].permute(1, 2, 0).reshape(-1).numpy() for t in logits])
        arrays[f"{i}.deltas"] = np.concatenate([t[0].permute(1, 2, 0).reshape(-1).numpy() for t in deltas])
        arrays[f"{i}.boxes"], arrays[f"{i}.scores"] = boxes[0].numpy(), scores[0].numpy()
    write("proposals", arrays)


def feature_map(height, width, channels, level):
    """A value for each cell that the test computes as well: -8 to 8 in steps of 1/64."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return (((y * 7919 + x * 1543 + c * 389 + y * x * 13 + level * 31) % 1021) / 64 - 8).astype(np.float32)


def make_roi(rng):
    channels, image = 19, (480, 640)
    scales = [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    maps = [feature_map(int(image[0] * s), int(image[1] * s), channels, k) for k, s in enumerate(scales)]
    random = rng.uniform(0, 1, (12, 4)) * [640, 480, 640, 480]
    boxes = np.concatenate([
        np.concatenate([np.minimum(random[:, :2], random[:, 2:]), np.maximum(random[:, :2], random[:, 2:])], 1),
        [[0, 0, 640, 480], [0, 0, 30.3, 20.7], [600.5, 440.25, 640, 480], [639, 479, 640, 480],  # borders
         [100.1, 100.2, 100.3, 100.4], [50, 60, 50, 60], [7, 9, 8.5, 400],                      # tiny and thin
         [-30, -40, 60, 50], [620, 470, 700, 560], [700, 500, 900, 800], [-90, -80, -50, -60],   # partly and wholly outside
         [2, 2, 3.99, 5.99], [63.99, 64, 320.01, 319.99]],
    ]).astype(np.float32)
    tensors = {str(k): torch.from_numpy(m).permute(2, 0, 1)[None].contiguous() for k, m in enumerate(maps)}
    pooler = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    align = pooler(tensors, [torch.from_numpy(boxes)], [image])
    assert pooler.scales == scales
    levels = pooler.map_levels([torch.from_numpy(boxes)])
    assert len(torch.unique(levels)) == 4
    pooled = torch.zeros_like(align)
    for k, scale in enumerate(scales):
        here = torch.where(levels == k)[0]
        pooled[here] = roi_pool(tensors[str(k)], [torch.from_numpy(boxes)[here]], 7, scale)
    # What is pooled are values of the map: 64ths, as two bytes each.
    steps = np.round((pooled.permute(0, 2, 3, 1).numpy() + 8) * 64).astype(np.int32)
    assert np.array_equal(steps / 64 - 8, pooled.permute(0, 2, 3, 1).numpy())
    arrays = {"boxes": boxes, "levels": levels.numpy().astype(np.uint8), "align": align.permute(0, 2, 3, 1).numpy(),
              "pool.low": (steps & 255).astype(np.uint8), "pool.high": (steps >> 8).astype(np.uint8)}

    # Sides around the areas at which the level changes, some ulps on both sides. torch's square root is not always
    # correctly rounded on every machine: only boxes for which it is are taken.
    edge = []
    for side in (112, 224, 448):
        near = (np.float32(side).view(np.int32) + np.arange(-40, 41)).astype(np.int32).view(np.float32)
        edge += [(a, b) for a in near for b in (a, np.float32(side))]
    edge = np.array(edge, np.float32)
    flat = np.concatenate([np.zeros_like(edge), edge], 1)
    area = torch.from_numpy(edge[:, 0] * edge[:, 1])
    same = torch.sqrt(area).numpy() == np.sqrt(area.numpy())
    mapped = LevelMapper(2, 5)([torch.from_numpy(flat)]).numpy()
    arrays["edge.sides"], arrays["edge.levels"] = edge[same], mapped[same].astype(np.uint8)
    write("roi", arrays)


def make_postprocess(rng):
    rois, labels, resized, original = 60, 6, (75, 100), (331, 441)
    logits = rng.normal(0, 2, (rois, labels)).astype(np.float32)
    deltas = rng.normal(0, 1.5, (rois, 4 * labels)).astype(np.float32)
    boxes = rng.uniform(0, 1, (rois, 4)) * [80, 60, 40, 30]
    boxes[:, 2:] += boxes[:, :2]
    boxes = np.minimum(boxes, [100, 75, 100, 75]).astype(np.float32)
    boxes[:4] = [100, 75, 100, 75]  # no sides
    arrays = {"logits": logits, "deltas": deltas, "boxes": boxes}
    cases = [(0.05, 0.5, 100, None), (0.05, 0.5, 7, None), (0.0, 0.3, 100, None), (0.05, 0.5, 100, [2, 5]), (0.05, 0.5, 3, [4])]
    for i, (score, threshold, most, labels_kept) in enumerate(cases):
        head = RoIHeads(None, None, None, 0.5, 0.5, 512, 0.25, None, score, threshold, most if labels_kept is None else 10**6)
        b, s, l = head.postprocess_detections(torch.from_numpy(logits), torch.from_numpy(deltas), [torch.from_numpy(boxes)], [resized])
        b, s, l = resize_boxes(b[0], resized, original).numpy(), s[0].numpy(), l[0].numpy().astype(np.int32)
        if labels_kept is not None:  # which labels are wanted is decided before the best are taken
            chosen = np.isin(l, labels_kept)
            b, s, l = b[chosen][:most], s[chosen][:most], l[chosen][:most]
        assert len(s) > 2
        arrays[f"{i}.case"] = np.array([score, threshold, most], np.float32)
        arrays[f"{i}.keep"] = np.array([labels_kept is None or k in labels_kept for k in range(labels)], np.uint8)
        arrays[f"{i}.boxes"], arrays[f"{i}.scores"], arrays[f"{i}.labels"] = b, s, l
    write("postprocess", arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_transform(np.random.default_rng(1))
    make_anchors()
    make_boxes(np.random.default_rng(2))
    make_nms(np.random.default_rng(3))
    make_proposals(np.random.default_rng(4))
    make_roi(np.random.default_rng(5))
    make_postprocess(np.random.default_rng(6))
