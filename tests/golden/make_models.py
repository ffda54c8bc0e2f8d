#!/usr/bin/env python3
"""Makes models/: tiny, randomly initialised torchvision detectors of every architecture, and what each stage of
torchvision computes with them. Needs torch, torchvision and safetensors; the tests only read what it wrote.

NAME.safetensors         the weights, fp16, without metadata (as a bare checkpoint)
NAME.stages.safetensors  fp32 stages of one small image:
    image [H,W,3] u8, input [1,3,h,w] (normalised, resized, padded), body.I (C2.. of the body), fpn.I (the levels,
    "pool" last), rpn.logits.I [1,A,h,w], rpn.deltas.I [1,4A,h,w], anchors.I [h*w*A,4], proposals [n,4] and
    proposal_scores [n], roi_features [n,C,7,7], box_features [n,D], class_logits [n,L], box_deltas [n,4L],
    boxes, scores, labels (i64) in pixels of the image; resized [2] i64 (height, width before padding);
    roi_pool_features in fasterrcnn_resnet18_fpn. The numbers used are in __metadata__, as text.
roi_levels.stages.safetensors  RoIAlign and RoIPool over levels 2 to 5, which no small image reaches.
"""
import copy
import os
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import (
    FasterRCNN,
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
    _default_anchorgen,
)
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.mobilenetv3 import MobileNetV3, _mobilenet_v3_conf
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import MultiScaleRoIAlign, box_iou, roi_pool

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")

RESNETS = {
    18: (BasicBlock, [2, 2, 2, 2]),
    34: (BasicBlock, [3, 4, 6, 3]),
    50: (Bottleneck, [3, 4, 6, 3]),
    101: (Bottleneck, [3, 4, 23, 3]),
    152: (Bottleneck, [3, 8, 36, 3]),
}


class NarrowResNet(ResNet):
    """torchvision's ResNet with `base` in place of 64 channels."""

    def __init__(self, block, layers, base):
        self.base = base
        super().__init__(block, layers)
        self.conv1 = nn.Conv2d(3, base, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        if planes == 64:
            self.inplanes = self.base
        return super()._make_layer(block, planes * self.base // 64, blocks, stride, dilate)


def resnet_backbone(depth, base, channels, norm=None):
    body = NarrowResNet(*RESNETS[depth], base)
    first = body.inplanes // 8
    layers = {f"layer{k + 1}": str(k) for k in range(4)}
    return BackboneWithFPN(body, layers, [first << k for k in range(4)], channels, norm_layer=norm)


def mobilenet_backbone(width, channels):
    rows, last = _mobilenet_v3_conf("mobilenet_v3_large", width_mult=width)
    body = MobileNetV3(rows, last, norm_layer=nn.BatchNorm2d).features
    inputs = [body[13].out_channels, body[16].out_channels]
    return BackboneWithFPN(body, {"13": "0", "16": "1"}, inputs, channels)


def build(case):
    arch, channels, head, labels = case["arch"], case["channels"], case["head"], case["labels"]
    numbers = case["numbers"]
    kwargs = dict(
        min_size=numbers["min_size"],
        max_size=numbers["max_size"],
        rpn_pre_nms_top_n_test=numbers["rpn_pre"],
        rpn_post_nms_top_n_test=numbers["rpn_post"],
        rpn_nms_thresh=numbers["rpn_nms"],
        rpn_score_thresh=numbers["rpn_score"],
        box_score_thresh=numbers["score"],
        box_nms_thresh=numbers["nms"],
        box_detections_per_img=numbers["max_dets"],
        box_predictor=FastRCNNPredictor(head, labels),
    )
    if "mobilenet" in arch:
        backbone = mobilenet_backbone(case["width"], channels)
        anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
        return FasterRCNN(backbone, rpn_anchor_generator=anchors, box_head=TwoMLPHead(channels * 49, head), **kwargs)
    depth = int(arch.split("resnet")[1].split("_")[0])
    if arch.endswith("_v2"):
        anchors = _default_anchorgen()
        return FasterRCNN(
            resnet_backbone(depth, case["width"], channels, nn.BatchNorm2d),
            rpn_anchor_generator=anchors,
            rpn_head=RPNHead(channels, anchors.num_anchors_per_location()[0], conv_depth=2),
            box_head=FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [head], norm_layer=nn.BatchNorm2d),
            **kwargs,
        )
    backbone = resnet_backbone(depth, case["width"], channels)
    return FasterRCNN(backbone, box_head=TwoMLPHead(channels * 49, head), **kwargs)


def make_image(height, width, g):
    """Slopes, a few rectangles and some noise."""
    y = torch.linspace(0, 1, height)[:, None, None]
    x = torch.linspace(0, 1, width)[None, :, None]
    image = 90 + 70 * x * torch.tensor([1.0, -0.5, 0.3]) + 60 * y * torch.tensor([-0.4, 0.8, 1.0])
    image = image.expand(height, width, 3).clone()
    for _ in range(12):
        h, w = (int(torch.randint(6, s // 2, (1,), generator=g)) for s in (height, width))
        top, left = int(torch.randint(0, height - h, (1,), generator=g)), int(torch.randint(0, width - w, (1,), generator=g))
        image[top : top + h, left : left + w] = torch.rand(3, generator=g) * 255
    image += torch.randn(height, width, 3, generator=g) * 8
    return image.clamp(0, 255).round().to(torch.uint8)


def randomise(model, image):
    """Gives every layer an output of sane size on this image, then rounds all to fp16."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    targets = {
        model.rpn.head.cls_logits: 2.0,
        model.rpn.head.bbox_pred: 0.35,
        model.roi_heads.box_predictor.cls_score: 1.8,
        model.roi_heads.box_predictor.bbox_pred: 1.0,
    }
    plain = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    before_norm = set()
    for m in model.modules():
        children = list(m.children())
        for a, b in zip(children, children[1:]):
            if isinstance(b, nn.BatchNorm2d):
                before_norm.add(a)
    for name, m in model.named_modules():  # ResNet blocks list convolutions and norms apart
        if isinstance(m, nn.Conv2d) and name.startswith("backbone.body") and m.bias is None:
            before_norm.add(m)
    done, handles = set(), []

    def scale(module, _, out):
        if module in done:
            return out
        done.add(module)
        factor = targets.get(module, 1.0) / out.std().clamp_min(1e-3)
        module.weight.data *= factor
        if module.bias is not None:
            module.bias.data *= factor
        return out * factor

    for m in plain:
        nn.init.kaiming_normal_(m.weight)
        if m.bias is not None:
            nn.init.normal_(m.bias, std=0.1)
        if m not in before_norm:
            handles.append(m.register_forward_hook(scale))
    for m in norms:
        nn.init.uniform_(m.weight, 0.5, 1.3)
        nn.init.normal_(m.bias, std=0.3)
        m.momentum = 1.0
        m.train()
    # As in a trained network a block adds a little to its shortcut; otherwise a hundred layers amplify rounding.
    for m in model.modules():
        last = getattr(m, "bn3", getattr(m, "bn2", None))
        if last is not None:
            last.weight.data *= 0.3
    with torch.no_grad():
        model([image])
    for h in handles:
        h.remove()
    for m in norms:
        m.eval()
        m.running_var.mul_(torch.empty_like(m.running_var).uniform_(0.8, 1.25)).add_(1e-2)
        m.running_mean.add_(torch.randn_like(m.running_mean) * 0.1 * m.running_var.sqrt())
    for t in model.state_dict().values():
        if t.is_floating_point():
            t.copy_(t.half().float())


def record(model, image):
    """Runs the model and keeps every stage."""
    s = {}

    def keep(prefix):
        def hook(_, __, out):
            for i, t in enumerate(out.values()):
                s[f"{prefix}.{i}"] = t
        return hook

    def keep_rpn(_, __, out):
        for i, (logits, deltas) in enumerate(zip(*out)):
            s[f"rpn.logits.{i}"], s[f"rpn.deltas.{i}"] = logits, deltas

    def keep_anchors(_, inputs, out):
        per_cell = model.rpn.anchor_generator.num_anchors_per_location()
        counts = [f.shape[-2] * f.shape[-1] * a for f, a in zip(inputs[1], per_cell)]
        for i, t in enumerate(out[0].split(counts)):
            s[f"anchors.{i}"] = t

    def keep_transform(_, __, out):
        s["input"] = out[0].tensors
        s["resized"] = torch.tensor(out[0].image_sizes[0])

    def keep_predictor(_, __, out):
        s["class_logits"], s["box_deltas"] = out

    hooks = [
        model.transform.register_forward_hook(keep_transform),
        model.backbone.body.register_forward_hook(keep("body")),
        model.backbone.register_forward_hook(keep("fpn")),
        model.rpn.head.register_forward_hook(keep_rpn),
        model.rpn.anchor_generator.register_forward_hook(keep_anchors),
        model.roi_heads.box_roi_pool.register_forward_hook(lambda _, __, out: s.__setitem__("roi_features", out)),
        model.roi_heads.box_head.register_forward_hook(lambda _, __, out: s.__setitem__("box_features", out)),
        model.roi_heads.box_predictor.register_forward_hook(keep_predictor),
    ]
    original = model.rpn.filter_proposals

    def filter_proposals(*args):
        boxes, scores = original(*args)
        s["proposals"], s["proposal_scores"] = boxes[0], scores[0]
        return boxes, scores

    model.rpn.filter_proposals = filter_proposals
    with torch.no_grad():
        out = model([image])[0]
    model.rpn.filter_proposals = original
    for h in hooks:
        h.remove()
    s.update(boxes=out["boxes"], scores=out["scores"], labels=out["labels"])
    return s


def pool_levels(pooler, features, boxes, image_size, op):
    """Max pooling over the levels that RoIAlign would take (torchvision has no such module)."""
    scales, mapper = pooler.scales, pooler.map_levels
    levels = mapper([boxes]) if mapper is not None and len(scales) > 1 else torch.zeros(len(boxes), dtype=torch.int64)
    out = torch.zeros(len(boxes), features[0].shape[1], 7, 7)
    for k, (f, scale) in enumerate(zip(features, scales)):
        rows = torch.where(levels == k)[0]
        rois = torch.cat([torch.zeros(len(rows), 1), boxes[rows]], 1)
        out[rows] = op(f, rois, (7, 7), scale)
    return out, levels


def gap(values):
    v = values.sort()[0]
    return float((v[1:] - v[:-1]).min()) if len(v) > 1 else 1.0


def sound(s, numbers):
    """No ties and nothing near a threshold, signals alive, detections there."""
    for name, t in s.items():
        if name.startswith(("body.", "fpn.", "roi_features", "box_features", "class_logits")):
            if not torch.isfinite(t).all() or t.abs().max() > 1e3 or (t != 0).float().mean() < 0.1 or t.std() < 0.05:
                return f"{name}: {t.abs().max():.3g} {t.std():.3g} {(t != 0).float().mean():.2f}"
    n, kept = len(s["scores"]), s["proposal_scores"]
    if n < 5 or len(kept) < 10 or len(s["labels"].unique()) < 2:
        return f"{n} detections, {len(kept)} proposals"
    if gap(s["scores"]) < 1e-5 or gap(kept) < 2e-6:
        return "tie"
    probability = s["class_logits"].softmax(-1)[:, 1:].flatten()
    if (probability - numbers["score"]).abs().min() < 1e-5 or gap(probability[probability > numbers["score"]]) < 2e-6:
        return "near the score threshold"
    if (kept - numbers["rpn_score"]).abs().min() < 1e-4:
        return "near the proposal threshold"
    iou = box_iou(s["proposals"], s["proposals"])
    if (iou - numbers["rpn_nms"]).abs().min() < 1e-5:
        return "near the NMS threshold"
    return None


def steady(model, image, s):
    """Whether float64 gives the same detections: a golden that rounding moves shows nothing."""
    exact = copy.deepcopy(model).double()
    exact.roi_heads.box_roi_pool.scales = exact.roi_heads.box_roi_pool.map_levels = None
    with torch.no_grad():
        out = exact([image.double()])[0]
    if len(out["scores"]) != len(s["scores"]) or not torch.equal(out["labels"], s["labels"]):
        return False
    return (out["scores"] - s["scores"]).abs().max() < 2e-5 and (out["boxes"] - s["boxes"]).abs().max() < 5e-3


def old_keys(state):
    """The names torchvision wrote before its FPN and RPN layers became blocks."""
    out = {}
    for k, v in state.items():
        if ".inner_blocks." in k or ".layer_blocks." in k:
            k = k.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
        out[k.replace("rpn.head.conv.0.0.", "rpn.head.conv.")] = v
    return out


def numbers(**changes):
    n = dict(min_size=60, max_size=92, rpn_pre=150, rpn_post=20, rpn_nms=0.7, rpn_score=0.0, score=0.05, nms=0.5, max_dets=12)
    n.update(changes)
    return n


CASES = [
    dict(arch="fasterrcnn_resnet18_fpn", width=4, channels=8, head=16, labels=5, image=(85, 131), tracked=True,
         numbers=numbers(min_size=62, max_size=88), roi_pool=True),
    dict(arch="fasterrcnn_resnet34_fpn", width=4, channels=8, head=16, labels=3, image=(77, 103), old=True,
         numbers=numbers()),
    dict(arch="fasterrcnn_resnet50_fpn", width=4, channels=8, head=16, labels=91, image=(101, 79),
         numbers=numbers(score=0.02)),
    dict(arch="fasterrcnn_resnet101_fpn", width=2, channels=8, head=16, labels=4, image=(64, 99),
         numbers=numbers()),
    dict(arch="fasterrcnn_resnet152_fpn", width=2, channels=10, head=24, labels=7, image=(50, 70),
         numbers=numbers(min_size=64, max_size=90)),
    dict(arch="fasterrcnn_resnet50_fpn_v2", width=4, channels=8, head=20, labels=6, image=(83, 117), tracked=True,
         numbers=numbers(min_size=60, max_size=85)),
    dict(arch="fasterrcnn_mobilenet_v3_large_fpn", width=0.1, channels=8, head=16, labels=5, image=(97, 131),
         numbers=numbers(min_size=90, max_size=125, rpn_score=0.05)),
    dict(arch="fasterrcnn_mobilenet_v3_large_320_fpn", width=0.1, channels=8, head=16, labels=5, image=(95, 127),
         numbers=numbers(min_size=120, max_size=160, rpn_score=0.05)),
]


def make(case):
    for seed in range(400):
        torch.manual_seed(seed)
        image = make_image(*case["image"], torch.Generator().manual_seed(seed))
        pixels = image.permute(2, 0, 1).float() / 255
        model = build(case).eval()
        randomise(model, pixels)
        # torchvision keeps the scales of the first image that it sees; a fresh pooler infers them anew.
        pooler = model.roi_heads.box_roi_pool
        pooler.scales = pooler.map_levels = None
        s = record(model, pixels)
        wanted = [1 / 32, 1 / 32] if "mobilenet" in case["arch"] else [1 / 4, 1 / 8, 1 / 16, 1 / 32]
        assert pooler.scales == wanted, pooler.scales
        problem = sound(s, case["numbers"])
        if problem is None and not steady(model, pixels, s):
            problem = "moved by rounding"
        if problem is None:
            break
        print(f"  seed {seed}: {problem}", file=sys.stderr)
    else:
        sys.exit(f"{case['arch']}: no seed will do")
    if case.get("roi_pool"):
        features = [s[f"fpn.{i}"] for i in range(len(pooler.scales))]
        s["roi_pool_features"], _ = pool_levels(pooler, features, s["proposals"], None, roi_pool)
    s["image"] = image
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    if not case.get("tracked"):
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    if case.get("old"):
        state = old_keys(state)
    meta = {k: str(v) for k, v in case["numbers"].items()}
    meta.update(architecture=case["arch"], labels=str(case["labels"]), bn_eps="1e-05", seed=str(seed))
    save_file({k: v.contiguous() for k, v in state.items()}, os.path.join(OUT, case["arch"] + ".safetensors"))
    save_file({k: v.contiguous() for k, v in s.items()}, os.path.join(OUT, case["arch"] + ".stages.safetensors"), meta)
    print(f"{case['arch']}: seed {seed}, input {list(s['input'].shape)}, {len(s['proposals'])} proposals, "
          f"{len(s['scores'])} detections, scores {s['scores'][0]:.3f} to {s['scores'][-1]:.3f}")


def make_roi_levels():
    torch.manual_seed(1)
    height, width = 450, 460
    padded = (480, 480)
    features = {str(i): torch.randn(1, 1, padded[0] >> (i + 2), padded[1] >> (i + 2)) for i in range(4)}
    side = torch.logspace(0.5, 2.6, 40)
    aspect = torch.exp(torch.randn(40) * 0.4)
    w, h = side * aspect.sqrt(), side / aspect.sqrt()
    x, y = torch.rand(40) * width - w / 2, torch.rand(40) * height - h / 2
    boxes = torch.stack([x, y, x + w, y + h], 1)
    boxes[:, 0::2].clamp_(0, width)
    boxes[:, 1::2].clamp_(0, height)
    boxes = torch.cat([boxes, torch.tensor([[0.0, 0, width, height], [10, 10, 10.2, 10.1], [0, 0, 112, 112], [30, 30, 254, 254]])])
    pooler = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    s = {f"fpn.{i}": features[str(i)] for i in range(4)}
    s["roi_features"] = pooler(features, [boxes], [(height, width)])
    assert pooler.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    s["roi_pool_features"], levels = pool_levels(pooler, list(features.values()), boxes, None, roi_pool)
    s["proposals"], s["levels"] = boxes, levels
    assert len(levels.unique()) == 4
    save_file(s, os.path.join(OUT, "roi_levels.stages.safetensors"))
    print(f"roi_levels: {torch.bincount(levels).tolist()} boxes a level")


if __name__ == "__main__":
    torch.set_num_threads(2)
    os.umask(0o022)
    os.makedirs(OUT, exist_ok=True)
    only = sys.argv[1:]
    for c in CASES:
        if not only or c["arch"] in only:
            make(c)
    if not only or "roi_levels" in only:
        make_roi_levels()
