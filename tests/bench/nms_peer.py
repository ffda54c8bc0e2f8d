#!/usr/bin/env python3
"""torchvision.ops.nms and batched_nms on the boxes of bench_nms, one thread: medians in milliseconds, and how many stay.

    nms_peer.py build/tests/bench/nms
"""
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from torchvision.ops import batched_nms, nms

torch.set_num_threads(1)


def median(call):
    times, start = [], time.perf_counter()
    while len(times) < 3 or (len(times) < 15 and time.perf_counter() - start < 1):
        began = time.perf_counter()
        kept = call()
        times.append(time.perf_counter() - began)
        if times[-1] > 5:
            break
    return 1e3 * sorted(times)[len(times) // 2], len(kept)


for n, kind in ((1000, "square"), (10000, "square"), (100000, "square"), (10000, "pile")):
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run([sys.argv[1], "--boxes", str(n), kind, f.name], check=True)
        data = np.fromfile(f.name, np.uint8)
    boxes = torch.from_numpy(data[: 16 * n].view(np.float32).reshape(n, 4).copy())
    scores = torch.from_numpy(data[16 * n : 20 * n].view(np.float32).copy())
    labels = torch.from_numpy(data[20 * n :].view(np.int32).astype(np.int64))
    name = "a pile    " if kind == "pile" else "one class "
    print("torchvision  %s %7d boxes %10.3f ms  %d kept" % (name, n, *median(lambda: nms(boxes, scores, 0.5))), flush=True)
    if kind != "pile":
        print("torchvision  80 classes %7d boxes %10.3f ms  %d kept" % (n, *median(lambda: batched_nms(boxes, scores, labels, 0.5))), flush=True)
