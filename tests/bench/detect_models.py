#!/usr/bin/env python3
"""Makes what `make bench` needs beside the checkpoint that it is given: models of the other architectures, and every
model in the forms that other frameworks read. What is in CACHE already stays.

usage: detect_models.py weights ARCHITECTURE CACHE IMAGE
       detect_models.py onnx ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE
       detect_models.py part ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE
       detect_models.py ncnn ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE
       detect_models.py qdq ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE
       detect_models.py dense ARCHITECTURE CHECKPOINT LABELS CACHE IMAGE

weights: torchvision's architecture with its random initial weights, of 91 labels. Batch norms get the statistics that
IMAGE gives them, so that values stay near 1 through all layers, and the class layer is scaled until some boxes pass the
score threshold: time depends on the weights in how many boxes reach the later stages.
onnx: the whole detector, image to boxes. part: backbone, FPN and RPN head alone, which is all that ncnn runs, at the size
that the detector gives IMAGE; ncnn: the same for ncnn, by pnnx. Both are given a picture that is resized, normalised and
padded already.
qdq: the whole detector in int8 for ONNX Runtime, by its static quantization: Conv, Gemm and MatMul, a scale a channel, but
for the layers that frcnn-quantize leaves float by default; calibrated on IMAGE and the pictures beside it.
dense: backbone, FPN, RPN head, and the box head over as many RoIs as the detector has for IMAGE, in int8 for OpenVINO, by
NNCF's own choice; calibrated on what the detector itself gives these.

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


class Dense(Part):
    """Part, and the box head over pooled RoIs."""

    def __init__(self, model):
        super().__init__(model)
        self.box_head, self.predictor = model.roi_heads.box_head, model.roi_heads.box_predictor

    def forward(self, x, rois):
        return super().forward(x) + tuple(self.predictor(self.box_head(rois)))


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


def normalise(model, images, spread):
    """Batch norms with the statistics of the images, a class layer whose logits have that standard deviation."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all that passes
        norm.train()
    logits = []
    watch = model.roi_heads.box_predictor.cls_score.register_forward_hook(lambda m, x, y: logits.append(y.std().item()))
    with torch.inference_mode():
        for image in images:
            model([pixels(image)])
        for norm in norms:
            norm.eval()
        logits.clear()
        model([pixels(images[0])])
        model.roi_heads.box_predictor.cls_score.weight.mul_(spread / logits[0])
    watch.remove()


def make_weights(architecture, path, image):
    torch.manual_seed(1)
    model = getattr(torchvision.models.detection, architecture)(weights=None, weights_backbone=None).eval()
    normalise(model, [image], 1.5)
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


# What stays float by default in an int8 model: see frcnn-quantize(1).
FLOAT = ("/backbone/body/conv1/", "/rpn/head/cls_logits", "/rpn/head/bbox_pred", "/roi_heads/box_predictor/")


def quantize_onnx(source, path, images):
    """ONNX Runtime's int8 of a detector in ONNX; images: of pixels()."""
    try:
        import onnx
        from onnxruntime import quantization
    except ImportError:
        sys.exit(3)

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.rest = iter(images)

        def get_next(self):
            image = next(self.rest, None)
            return None if image is None else {"image": pixels(image).numpy()}

    nodes = [node.name for node in onnx.load(source).graph.node]
    float_nodes = [name for name in nodes if any(part in name for part in FLOAT)]
    if not all(any(part in name for name in float_nodes) for part in FLOAT):
        sys.exit("detect_models.py: the layers that are to stay float are not in %s" % source)
    quantization.quantize_static(
        source, path, Reader(), quant_format=quantization.QuantFormat.QDQ, op_types_to_quantize=["Conv", "Gemm", "MatMul"],
        nodes_to_exclude=float_nodes, per_channel=True, activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8, calibrate_method=quantization.CalibrationMethod.MinMax,
    )  # fmt: skip


def neighbours(image, count):
    """The picture and others of its folder."""
    folder = os.path.dirname(os.path.abspath(image))
    others = sorted(name for name in os.listdir(folder) if name.endswith(".jpg"))
    return [image] + [os.path.join(folder, name) for name in others if name != os.path.basename(image)][: count - 1]


def make_qdq(model, path, image):
    source = path.removesuffix("qdq.onnx") + "onnx"
    if not os.path.exists(source):
        make_onnx(model, source, image)
    quantize_onnx(source, path, neighbours(image, 8))


def make_dense(model, path, image):
    try:
        import nncf
        import openvino
    except ImportError:
        sys.exit(3)
    inputs = []
    watch = model.roi_heads.box_head.register_forward_pre_hook(lambda m, x: inputs.append(x[0]))
    data = []
    for name in neighbours(image, 4):
        inputs.clear()
        model([pixels(name)])
        data.append((prepared(model, name), inputs[0]))
    watch.remove()
    like = data[0]
    data = [(x, rois) for x, rois in data if x.shape == like[0].shape and rois.shape == like[1].shape]
    dense = openvino.convert_model(Dense(model).eval(), example_input=like, input=[x.shape for x in like])
    dense = nncf.quantize(dense, nncf.Dataset([tuple(x.numpy() for x in pair) for pair in data]), subset_size=len(data))
    openvino.save_model(dense, path, compress_to_fp16=False)


def main():
    what, architecture, *rest = sys.argv[1:]
    image, cache = rest.pop(), rest.pop()
    ends = {"weights": ".pth", "onnx": ".onnx", "part": ".part.onnx", "ncnn": ".ncnn.param", "qdq": ".qdq.onnx", "dense": ".dense.xml"}
    path = os.path.join(cache, architecture + ends[what])
    if not os.path.exists(path):
        with torch.inference_mode():
            if what == "weights":
                make_weights(architecture, path, image)
            else:
                make = {"onnx": make_onnx, "part": make_part, "ncnn": make_ncnn, "qdq": make_qdq, "dense": make_dense}[what]
                make(load(architecture, *rest), path, image)
    print(path)


if __name__ == "__main__":
    main()
