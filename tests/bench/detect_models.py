#!/usr/bin/env python3
"""Makes what `make bench` needs beside the checkpoint that it is given: models of the other architectures, and every
model in the forms that other frameworks read. What is in CACHE already stays.

usage: detect_models.py weights ARCHITECTURE CACHE IMAGE
       detect_models.py onnx ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE
       detect_models.py part ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE
       detect_models.py ncnn ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE

weights: torchvision's architecture with its random initial weights, of 91 labels. Batch norms get the statistics that
IMAGE gives them, so that values stay near 1 through all layers, and the class layer is scaled until some boxes pass the
score threshold: time depends on the weights in how many boxes reach the later stages.
onnx: the whole detector, image to boxes. part: backbone, FPN and RPN head alone, which is all that ncnn runs, at the size
that the detector gives IMAGE; ncnn: the same for ncnn, by pnnx. Both are given a picture that is resized, normalised and
padded already.

The file is printed. Exits 3 when a package that is needed is not installed.
"""
import importlib.util
import os
import subprocess
import sys
import tempfile

try:
    import torch
    import torchvision
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor
except ImportError:
    sys.exit(3)


class Part(torch.nn.Module):
    """Backbone, FPN and RPN head as one network of plain tensors."""

    def __init__(self, model):
        super().__init__()
        self.backbone = model.backbone
        self.head = model.rpn.head

    def forward(self, x):
        features = list(self.backbone(x).values())
        logits, deltas = self.head(features)
        return tuple(features) + tuple(logits) + tuple(deltas)


def load(architecture, checkpoint, labels):
    """torchvision's model of a checkpoint."""
    model = getattr(torchvision.models.detection, architecture)(
        weights=None, weights_backbone=None, num_classes=int(labels)
    )
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = weights.get("model", weights.get("state_dict", weights))
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    return model.eval()


def pixels(image):
    return pil_to_tensor(Image.open(image).convert("RGB")).float() / 255


def make_weights(architecture, path, image):
    torch.manual_seed(1)
    model = getattr(torchvision.models.detection, architecture)(weights=None, weights_backbone=None).eval()
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all that passes
        norm.train()
    spread = []
    watch = model.roi_heads.box_predictor.cls_score.register_forward_hook(lambda m, x, y: spread.append(y.std().item()))
    with torch.inference_mode():
        model([pixels(image)])
        for norm in norms:
            norm.eval()
        spread.clear()
        model([pixels(image)])
        model.roi_heads.box_predictor.cls_score.weight.mul_(1.5 / spread[0])
    watch.remove()
    torch.save(model.state_dict(), path)


def make_onnx(model, path, image):
    torch.onnx.export(
        model, ([pixels(image)],), path, input_names=["image"], output_names=["boxes", "labels", "scores"],
        opset_version=17, dynamo=False,
    )  # fmt: skip


def prepared(model, image):
    """The detector's own transform of an image: (1, 3, height, width)."""
    return model.transform([pixels(image)])[0].tensors


def make_part(model, path, image):
    torch.onnx.export(Part(model).eval(), (prepared(model, image),), path, input_names=["image"], opset_version=17, dynamo=False)


def make_ncnn(model, path, image):
    if not importlib.util.find_spec("pnnx"):
        sys.exit(3)
    x = prepared(model, image)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as work:
        torch.jit.trace(Part(model).eval(), x).save(os.path.join(work, "part.pt"))
        shape = "inputshape=[%s]f32" % ",".join(map(str, x.shape))
        pnnx = os.path.join(os.path.dirname(sys.executable), "pnnx")
        subprocess.run([pnnx, "part.pt", shape, "fp16=0"], check=True, stdout=sys.stderr, cwd=work)
        with open(path.removesuffix("param") + "shape", "w") as file:
            print(*x.shape[1:], file=file)
        os.rename(os.path.join(work, "part.ncnn.bin"), path.removesuffix("param") + "bin")
        os.rename(os.path.join(work, "part.ncnn.param"), path)


def main():
    what, architecture, *rest = sys.argv[1:]
    image, cache = rest.pop(), rest.pop()
    ends = {"weights": ".pth", "onnx": ".onnx", "part": ".part.onnx", "ncnn": ".ncnn.param"}
    path = os.path.join(cache, architecture + ends[what])
    if not os.path.exists(path):
        with torch.inference_mode():
            if what == "weights":
                make_weights(architecture, path, image)
            else:
                {"onnx": make_onnx, "part": make_part, "ncnn": make_ncnn}[what](load(architecture, *rest), path, image)
    print(path)


if __name__ == "__main__":
    main()
