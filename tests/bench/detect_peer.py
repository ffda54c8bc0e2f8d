#!/usr/bin/env python3
"""One framework that `make bench` times frcnn-detect beside: a process that waits for its turn.

usage: detect_peer.py FRAMEWORK MODEL ARCHITECTURE LABELS THREADS PRECISION IMAGE

FRAMEWORK and what MODEL is for it, from a JPEG to the boxes as JSON text:
  torchvision     a checkpoint
  onnxruntime     the detector as ONNX
  openvino        the detector as ONNX
and for backbone, FPN and RPN head alone, from the resized and normalised picture to tensors:
  openvino-part   that part as ONNX
  openvino-dense  that and the box head over pooled RoIs, in int8
  ncnn-part       that part as ncnn's .param, its .bin beside it
PRECISION is fp32, bf16, or int8: MODEL is quantized, what it has left float is to be done in fp32. A line on standard input is a turn: a number of images, answered by as many seconds. At the end
of standard input comes the peak of resident memory in MiB. The first line, after one image that is not timed, is the
framework's version and what the image gives. Exits 3 when the framework is not installed, 4 when it cannot do PRECISION.
"""
import importlib.util
import json
import os
import resource
import sys
import time

framework, model_path, architecture, labels, threads, precision, image = sys.argv[1:]
threads = int(threads)
needs = {"torchvision": ["torch", "torchvision", "PIL"], "onnxruntime": ["onnxruntime", "numpy", "PIL"]}
needs.update({"openvino": ["openvino", "numpy", "PIL"], "openvino-dense": ["openvino", "numpy"]})
needs.update({"openvino-part": ["openvino", "numpy"], "ncnn-part": ["ncnn", "numpy"]})
if not all(importlib.util.find_spec(name) for name in needs[framework]):
    sys.exit(3)
if precision == "bf16" and framework in ("onnxruntime", "ncnn-part"):
    sys.exit(4)


def read_pixels():
    """(3, height, width) in [0, 1]"""
    import numpy as np
    from PIL import Image

    return np.ascontiguousarray(np.asarray(Image.open(image).convert("RGB"), np.float32).transpose(2, 0, 1) / np.float32(255))


def result(boxes, classes, scores):
    json.dumps([boxes.tolist(), classes.tolist(), scores.tolist()])
    return "%d boxes" % len(boxes)


def torchvision_run():
    import torch
    import torchvision
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    import detect_models

    torch.set_num_threads(threads)
    model = detect_models.load(architecture, model_path, labels)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            found = model([pil_to_tensor(Image.open(image).convert("RGB")).float() / 255])[0]
            return result(found["boxes"], found["labels"], found["scores"].float())

    return "torch %s, torchvision %s" % (torch.__version__, torchvision.__version__), run


def onnxruntime_run():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model_path, options, ["CPUExecutionProvider"])
    return "onnxruntime %s" % onnxruntime.__version__, lambda: result(*session.run(None, {"image": read_pixels()}))


def openvino_compiled():
    import openvino

    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    config["INFERENCE_PRECISION_HINT"] = "bf16" if precision == "bf16" else "f32"
    compiled = core.compile_model(core.read_model(model_path), "CPU", config)
    return "openvino %s" % openvino.__version__.split("-")[0], compiled, compiled.create_infer_request()


def openvino_run():
    version, compiled, request = openvino_compiled()

    def run():
        found = request.infer([read_pixels()], share_inputs=True, share_outputs=True)
        return result(*(found[output] for output in compiled.outputs))

    return version, run


def openvino_part_run():
    import numpy as np

    version, compiled, request = openvino_compiled()
    random = np.random.default_rng(1)
    inputs = [random.standard_normal(x.shape, np.float32) for x in compiled.inputs]
    shapes = ", ".join("x".join(map(str, x.shape)) for x in inputs)

    def run():
        request.infer(inputs, share_inputs=True, share_outputs=True)
        return "%d tensors of %s" % (len(compiled.outputs), shapes)

    return version, run


openvino_dense_run = openvino_part_run


def ncnn_part_run():
    import ncnn
    import numpy as np

    network = ncnn.Net()
    network.opt.num_threads = threads
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.opt.use_bf16_storage = False
    if network.load_param(model_path) != 0 or network.load_model(model_path.removesuffix("param") + "bin") != 0:
        sys.exit(2)
    with open(model_path.removesuffix("param") + "shape") as file:
        x = np.random.default_rng(1).standard_normal([int(n) for n in file.read().split()], np.float32)
    names = network.output_names()

    def run():
        extractor = network.create_extractor()
        extractor.input(network.input_names()[0], ncnn.Mat(x))
        for name in names:
            if extractor.extract(name)[0] != 0:
                sys.exit(2)
        return "%d tensors" % len(names)

    return "ncnn %s" % ncnn.__version__, run


version, run = globals()[framework.replace("-", "_") + "_run"]()
print(version, run(), sep="; ", flush=True)
for line in sys.stdin:
    seconds = []
    for _ in range(int(line)):
        start = time.perf_counter()
        run()
        seconds.append("%.6f" % (time.perf_counter() - start))
    print(*seconds, flush=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
os._exit(0)
