#!/usr/bin/env python3
"""What tests/bench/quantize.sh needs beside the programs: pieces of COCO files, the agreement of two models' records,
and ONNX Runtime's int8 of the same detectors, measured by the same numbers.

usage: quantize_peer.py subset INSTANCES FIRST COUNT OUT
       quantize_peer.py agree FLOAT-RECORDS RECORDS
       quantize_peer.py row EVAL-JSON FLOAT-RECORDS RECORDS
       quantize_peer.py told QUANTIZE-JSON
       quantize_peer.py layers QUANTIZE-JSON
       quantize_peer.py weights MODEL.pth IMAGE...
       quantize_peer.py onnx NAME CHECKPOINT MIN-SIZE MAX-SIZE OUT IMAGE
       quantize_peer.py qdq ONNX OUT            names of pictures on standard input
       quantize_peer.py detect ONNX INSTANCES ROOT THREADS OUT

subset: the images FIRST.. of a COCO file, in its order, with what belongs to them.
agree: "FOUND SHIFT WANTED" as frcnn-quantize(1) defines them, of records by frcnn-detect or by detect below.
row: "AP DROP LOW HIGH FOUND SHIFT"; the drop of AP against the float model and its interval are from frcnn-eval
--baseline, which made EVAL-JSON.
told: "FOUND SHIFT BYTES FLOAT-BYTES SHARE" of a report; layers: "COUNT LEAST NAME", signal to noise of int8 layers alone.
weights: MobileNetV3-Large 320 with random weights and the batch norm statistics of the images, its class layer scaled
until there are confident boxes.
onnx: the float detector for any picture; NAME is bccd or parts. detect: runs it; "SECONDS", the median of an image from
file to boxes.

Only the last four need packages; they exit 3 without them.
"""
import json
import os
import statistics
import sys
import time

SCORE, IOU = 0.5, 0.9  # of what is to be found, and of a counterpart


def read_json(path):
    with open(path) as file:
        return json.load(file)


def subset(source, first, count, path):
    data = read_json(source)
    data["images"] = data["images"][int(first) : int(first) + int(count)]
    ids = {image["id"] for image in data["images"]}
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] in ids]
    with open(path, "w") as file:
        json.dump(data, file)


def read_records(path):
    with open(path) as file:
        return {record["image_id"]: record["detections"] for record in map(json.loads, file)}


def iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def agreement(float_path, path):
    wanted, shifts = 0, []
    others = read_records(path)
    for image, detections in read_records(float_path).items():
        free = list(others[image])
        for d in detections:
            if d["score"] < SCORE:
                continue
            wanted += 1
            near = [(iou(d["bbox"], f["bbox"]), -i) for i, f in enumerate(free) if f["category_id"] == d["category_id"]]
            best = max(near, default=(0, 0))
            if best[0] >= IOU:
                shifts.append(abs(d["score"] - free.pop(-best[1])["score"]))
    return len(shifts) / wanted if wanted else -1, statistics.mean(shifts) if shifts else -1, wanted


def row(evaluation, float_path, path):
    ap = next(d for d in read_json(evaluation)["comparison"]["differences"] if d["name"] == "AP")
    found, shift, _ = agreement(float_path, path)
    print("%.6f %.6f %.6f %.6f %.6f %.6f" % (ap["value"], -ap["difference"], -ap["high"], -ap["low"], found, shift))


def told(path):
    report = read_json(path)
    cost = report["cost"]
    print(cost["found"], cost["shift"], report["bytes"]["int8"], report["bytes"]["float"], report["float_share"])


def layers(path):
    alone = [(x["output_snr"], x["name"]) for x in read_json(path)["layers"] if x["dtype"] == "int8"]
    print(len(alone), *min(alone))


# ---- with packages ------------------------------------------------------------------------------------------------


def weights(path, *images):
    import torch
    import torchvision

    import detect_models

    torch.manual_seed(1)
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None).eval()
    detect_models.normalise(model, images, 4)
    torch.save(model.state_dict(), path)


def parts_model(checkpoint):
    """A ResNet-18 of half width, FPN of 128 channels, box head of 256: the tensors of the parts model."""
    import struct

    import numpy as np
    import torch
    from torchvision.models import resnet
    from torchvision.models.detection import backbone_utils, faster_rcnn

    class Half(resnet.ResNet):
        def _make_layer(self, block, planes, *rest, **options):
            if planes == 64:
                self.inplanes = 32
            return super()._make_layer(block, planes // 2, *rest, **options)

    body = Half(resnet.BasicBlock, [2, 2, 2, 2])
    body.conv1, body.bn1 = torch.nn.Conv2d(3, 32, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(32)
    names = {"layer%d" % (i + 1): str(i) for i in range(4)}
    backbone = backbone_utils.BackboneWithFPN(body, names, [32, 64, 128, 256], 128)
    model = faster_rcnn.FasterRCNN(
        backbone, min_size=480, max_size=800, box_head=faster_rcnn.TwoMLPHead(128 * 49, 256),
        box_predictor=faster_rcnn.FastRCNNPredictor(256, 6),
    )  # fmt: skip
    with open(checkpoint, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    types = {"F16": np.float16, "F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            first, last = tensor["data_offsets"]
            array = np.frombuffer(data[first:last], types[tensor["dtype"]]).reshape(tensor["shape"])
            tensors[name] = torch.from_numpy(array.astype(np.float32))
    wrong = model.load_state_dict(tensors, strict=False)
    if wrong.unexpected_keys or any(not name.endswith("num_batches_tracked") for name in wrong.missing_keys):
        sys.exit("quantize_peer.py: %s is another model: %s" % (checkpoint, wrong))
    return model.eval()


def onnx(name, checkpoint, min_size, max_size, path, image):
    import torch

    import detect_models

    if name == "parts":
        model = parts_model(checkpoint)
    else:
        model = detect_models.load("fasterrcnn_resnet50_fpn", checkpoint, 4)
    model.transform.min_size, model.transform.max_size = (int(min_size),), int(max_size)
    with torch.inference_mode():
        torch.onnx.export(
            model, ([detect_models.pixels(image)],), path, input_names=["image"], output_names=["boxes", "labels", "scores"],
            dynamic_axes={"image": {1: "height", 2: "width"}}, opset_version=17, dynamo=False,
        )  # fmt: skip


def qdq(source, path):
    import detect_models

    detect_models.quantize_onnx(source, path, sys.stdin.read().splitlines())


def detect(model, instances, root, threads, path):
    import numpy as np
    import onnxruntime
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    seconds = []
    with open(path, "w") as file:
        for entry in read_json(instances)["images"]:
            start = time.perf_counter()
            picture = Image.open(os.path.join(root, entry["file_name"])).convert("RGB")
            x = np.ascontiguousarray(np.asarray(picture, np.float32).transpose(2, 0, 1) / np.float32(255))
            boxes, labels, scores = session.run(None, {"image": x})
            seconds.append(time.perf_counter() - start)
            boxes[:, 2:] -= boxes[:, :2]
            record = {"image_id": entry["id"], "width": entry["width"], "height": entry["height"]}
            record["detections"] = [
                {"bbox": b, "score": s, "category_id": l} for b, s, l in zip(boxes.tolist(), scores.tolist(), labels.tolist())
            ]
            file.write(json.dumps(record) + "\n")
    print("%.4f" % statistics.median(seconds))


def agree(float_path, path):
    print("%.6f %.6f %d" % agreement(float_path, path))


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except ImportError as error:
        print("quantize_peer.py: %s" % error, file=sys.stderr)
        sys.exit(3)
