#!/usr/bin/env python3
"""Makes the int8 files of ../fuzz/corpus/checkpoint: ResNet-18 detectors one channel wide, batch norm folded, as
frcnn-models(5) describes them. Needs nothing but Python; the tests only read what it wrote."""
import json
import os
import random
import struct

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus", "checkpoint")


def layers():
    yield "backbone.body.conv1", [1, 3, 7, 7]
    for stage in range(1, 5):
        for block in range(2):
            name = f"backbone.body.layer{stage}.{block}"
            yield f"{name}.conv1", [1, 1, 3, 3]
            yield f"{name}.conv2", [1, 1, 3, 3]
            if stage > 1 and block == 0:
                yield f"{name}.downsample.0", [1, 1, 1, 1]
    for level in range(4):
        yield f"backbone.fpn.inner_blocks.{level}.0", [1, 1, 1, 1]
        yield f"backbone.fpn.layer_blocks.{level}.0", [1, 1, 3, 3]
    yield "rpn.head.conv.0.0", [1, 1, 3, 3]
    yield "rpn.head.cls_logits", [3, 1, 1, 1]
    yield "rpn.head.bbox_pred", [12, 1, 1, 1]
    yield "roi_heads.box_head.fc6", [1, 49]
    yield "roi_heads.box_head.fc7", [1, 1]
    yield "roi_heads.box_predictor.cls_score", [2, 1]
    yield "roi_heads.box_predictor.bbox_pred", [8, 1]


def product(shape):
    n = 1
    for extent in shape:
        n *= extent
    return n


def tensors(kept_float):
    rng = random.Random(8)
    out = {}
    for name, shape in layers():
        n, k = product(shape), shape[0]
        out[f"{name}.bias"] = ("F32", [k], struct.pack(f"<{k}f", *(rng.uniform(-1, 1) for _ in range(k))))
        if kept_float(name):
            out[f"{name}.weight"] = ("F32", shape, struct.pack(f"<{n}f", *(rng.uniform(-1, 1) for _ in range(n))))
            continue
        inputs = 5 if name.startswith("rpn.head.conv") else 1
        pair = "cls_" in name or "bbox_pred" in name
        out[f"{name}.weight"] = ("I8", shape, struct.pack(f"<{n}b", *(rng.randint(-127, 127) for _ in range(n))))
        out[f"{name}.scale"] = ("F32", [k], struct.pack(f"<{k}f", *(rng.uniform(0.001, 0.01) for _ in range(k))))
        scales = [0.05 if pair else rng.uniform(0.01, 0.1) for _ in range(inputs)]
        zeros = [3 if pair else rng.randint(0, 255) for _ in range(inputs)]
        out[f"{name}.input.scale"] = ("F32", [inputs], struct.pack(f"<{inputs}f", *scales))
        out[f"{name}.input.zero_point"] = ("U8", [inputs], bytes(zeros))
    return out


def write(name, contents, metadata):
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = {"frcnn": json.dumps(metadata, separators=(",", ":"))}
    order = sorted(contents, key=lambda key: (contents[key][0] != "F32", key))
    for key in order:
        dtype, shape, raw = contents[key]
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def usual(name):
    """What is left float by default: the stem, the RPN's 1x1 layers, the final predictors."""
    return name == "backbone.body.conv1" or "cls_" in name or "bbox_pred" in name


def main():
    said = {"name": "tiny", "folded": True, "quantization": {"made": "by hand"}}
    write("int8.safetensors", tensors(usual), said)
    write("int8_all.safetensors", tensors(lambda name: False), said)
    write("folded.safetensors", tensors(lambda name: True), None)
    bad = tensors(lambda name: False)
    bad["rpn.head.conv.0.0.input.scale"] = ("F32", [5], struct.pack("<5f", 0.1, 0.1, 0.1, float("nan"), 0.1))
    write("int8_nan.safetensors", bad, said)


if __name__ == "__main__":
    main()
