#!/usr/bin/env python3
"""torchvision's Faster R-CNN from file to detections: the peer that `make bench` times frcnn-detect beside.

usage: torchvision_peer.py CHECKPOINT ARCHITECTURE LABELS THREADS IMAGE REPEATS

Prints one number a line: the seconds of each image after the first (decode, transform, network, boxes as Python
lists), then "peak_mb N". Exits 3 when torch or torchvision is not installed.
"""
import json
import resource
import sys
import time

try:
    import torch
    import torchvision
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor
except ImportError:
    sys.exit(3)

checkpoint, architecture, labels, threads, image, repeats = sys.argv[1:]
torch.set_num_threads(int(threads))
model = getattr(torchvision.models.detection, architecture)(
    weights=None, weights_backbone=None, num_classes=int(labels)
)
weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
weights = weights.get("model", weights.get("state_dict", weights))
model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
model.eval()
with torch.inference_mode():
    for i in range(int(repeats) + 1):
        start = time.perf_counter()
        pixels = pil_to_tensor(Image.open(image).convert("RGB")).float() / 255
        found = model([pixels])[0]
        json.dumps([found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist()])
        if i > 0:
            print(f"{time.perf_counter() - start:.6f}")
print("peak_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
