#!/usr/bin/env python3
"""Makes the small checkpoints of this folder, in every form that PyTorch writes and some that it refuses.

Usage: make_checkpoints.py DIR

Unless a comment says otherwise each file holds these weights, whose values any of the dtypes represents exactly:
    backbone.bn.bias                 [3]        0, -1, -2
    backbone.bn.num_batches_tracked  []         7 (int64)
    backbone.conv.weight             [2,3,2,2]  0 .. 23
    roi_heads.box.weight             [3,4]      0, 0.25, .. 2.75
tests/unit/test_checkpoint.c knows them.
"""
import argparse
import io
import os
import pickle
import struct
import sys
import zipfile
import zlib

import torch
from safetensors.torch import save_file

out = sys.argv[1]


def weights(dtype=torch.float32, scale=1.0):
    return {
        "backbone.conv.weight": (torch.arange(24).reshape(2, 3, 2, 2) * scale).to(dtype),
        "backbone.bn.bias": (-torch.arange(3) * scale).to(dtype),
        "backbone.bn.num_batches_tracked": torch.tensor(7),
        "roi_heads.box.weight": (torch.arange(12).reshape(3, 4) * 0.25 * scale).to(dtype),
    }


def save(name, what, **options):
    buffer = io.BytesIO()
    torch.save(what, buffer, **options)
    with open(os.path.join(out, name), "wb") as f:
        f.write(buffer.getvalue())
    return buffer.getvalue()


LEGACY = {"_use_new_zipfile_serialization": False}

plain = save("zip.pth", weights())
save("legacy.pth", weights(), **LEGACY)
save("protocol4.pth", weights(), pickle_protocol=4)
for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16), ("f64", torch.float64)):
    save(f"zip_{name}.pth", weights(dtype))
    save(f"legacy_{name}.pth", weights(dtype), **LEGACY)


# ---- views ----------------------------------------------------------------------------------------------------------
def views():
    state = weights()
    pool = torch.full((7, 9), 99.0)  # box.weight: a slice of every second column from row 2 on
    pool[2:5, 1:9:2] = state["roi_heads.box.weight"]
    turned = torch.empty(2, 2, 3, 2)  # conv.weight [2,3,2,2] stored in another order
    turned.permute(3, 2, 0, 1).copy_(state["backbone.conv.weight"])
    return {
        "backbone.conv.weight": turned.permute(3, 2, 0, 1),
        "backbone.bn.bias": state["backbone.bn.bias"],
        "backbone.bn.num_batches_tracked": state["backbone.bn.num_batches_tracked"],
        "roi_heads.box.weight": pool[2:5, 1:9:2],
        "roi_heads.box.alias": pool[2:5, 1:9:2].t(),  # the same storage once more, transposed
        "roi_heads.box.last": state["backbone.conv.weight"].to(memory_format=torch.channels_last),
    }


save("views.pth", views())
save("views_legacy.pth", views(), **LEGACY)

# ---- wrappers and prefixes ------------------------------------------------------------------------------------------
parameters = [torch.nn.Parameter(w.clone()) for w in (weights()["backbone.conv.weight"], weights()["backbone.bn.bias"])]
optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
sum(p.sum() for p in parameters).backward()
optimizer.step()
training = {
    "model": weights(),
    "optimizer": optimizer.state_dict(),
    "lr_scheduler": scheduler.state_dict(),
    "args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), sizes=torch.Size([1, 2])),
    "epoch": 3,
    "best": torch.tensor(0.5),
}
save("training.pth", training)
save("training_legacy.pth", training, **LEGACY)
save("prefixed.pth", {"state_dict": {"module._orig_mod.model." + k: v for k, v in weights().items()}})
save("nested.pth", {"epoch": 1, "net": {"info": "text", "model_state_dict": weights()}})
save("other_key.pth", {"detector": weights(), "epoch": 1})
averaged = {"n_averaged": torch.tensor(5), **{"module." + k: v for k, v in weights(scale=2.0).items()}}
save("ema.pth", {"model_ema": averaged, "model": weights()})
save("ema_only.pth", {"ema": {"module." + k: v for k, v in weights().items()}})
save("tie.pth", {"model": weights(), "net": weights(scale=2.0)})
same = weights()
save("alias.pth", {"model": same, "net": same})
save("collision.pth", {**weights(), "module.backbone.bn.bias": torch.zeros(3)})
save("parameters.pth", {k: torch.nn.Parameter(v, requires_grad=v.is_floating_point()) if v.is_floating_point() else v
                        for k, v in weights().items()})
save("complex.pth", {**weights(), "roi_heads.wave": torch.zeros(2, dtype=torch.complex64)})
save("conjugate.pth", {**weights(), "roi_heads.wave": torch._neg_view(torch.ones(2))})
save("infinite.pth", {**weights(), "backbone.bn.bias": torch.tensor([0.0, float("inf"), 1.0])})
save("module.pth", torch.nn.Sequential(torch.nn.Linear(2, 2)))
save("numbers.pth", {"epoch": 1, "loss": 0.5})


# ---- code that must never run ---------------------------------------------------------------------------------------
def system(command):
    raise AssertionError(f"ran {command}")


system.__module__ = "os"  # pickled as os.system, where Python itself would write posix.system
os.system = system


class Evil:
    def __reduce__(self):
        return os.system, ("touch frcnn-was-here",)


save("evil_inside.pth", {**weights(), "backbone.fc.bias": Evil()})
save("evil_deep.pth", {**weights(), "backbone.extra": [1, {"x": (Evil(),)}]})
save("evil_inside_legacy.pth", {**weights(), "backbone.fc.bias": Evil()}, **LEGACY)
save("evil_model.pth", {"model": Evil(), "epoch": 1})
save("evil_root.pth", Evil())
save("evil_beside.pth", {"model": weights(), "hook": Evil()})
with open(os.path.join(out, "evil.pkl"), "wb") as f:
    pickle.dump(Evil(), f, protocol=2)


# ---- zip archives that PyTorch's writer does not make -----------------------------------------------------------------
def records(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(i.filename, archive.read(i)) for i in archive.infolist()]


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def write_zip(name, entries, zip64=False, deflated=False):
    body, directory = b"", b""
    for path, data in entries:
        packed = deflate(data) if deflated else data
        path = path.encode()
        method = 8 if deflated else 0
        crc = zlib.crc32(data)
        sizes = struct.pack("<QQ", len(data), len(packed))
        local_extra = struct.pack("<HH", 1, 16) + sizes if zip64 else b""
        central_extra = struct.pack("<HHHH", 0x4242, 0, 1, 24) + sizes + struct.pack("<Q", len(body)) if zip64 else b""
        packed_size, size, offset = (2**32 - 1,) * 3 if zip64 else (len(packed), len(data), len(body))
        directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0, method, 0, 0, crc, packed_size, size,
                                 len(path), len(central_extra), 0, 0, 0, 0, offset) + path + central_extra
        body += struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, method, 0, 0, crc, packed_size, size, len(path),
                            len(local_extra)) + path + local_extra + packed
    end = b""
    if zip64:
        end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, len(entries), len(entries), len(directory),
                          len(body))
        end += struct.pack("<IIQI", 0x07064B50, 0, len(body) + len(directory), 1)
    count, size, offset = (65535, 2**32 - 1, 2**32 - 1) if zip64 else (len(entries), len(directory), len(body))
    end += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, size, offset, 0)
    with open(os.path.join(out, name), "wb") as f:
        f.write(body + directory + end)


write_zip("zip64.pth", records(plain), zip64=True)
write_zip("deflated.pth", records(plain), deflated=True)
write_zip("big_endian.pth", [(n, b"big" if n.endswith("byteorder") else d) for n, d in records(plain)])
write_zip("no_storage.pth", [(n, d) for n, d in records(plain) if not n.endswith("/data/1")])
write_zip("short_storage.pth", [(n, d[:-1] if n.endswith("/data/1") else d) for n, d in records(plain)])
write_zip("photos.zip", [("a/readme.txt", b"no checkpoint")])

# A tensor name that is not UTF-8.
write_zip("latin.pth", [(n, d.replace(b"backbone.bn.bias", b"backbone.bn.bia\xe9") if n.endswith(".pkl") else d)
                        for n, d in records(plain)])

# ---- safetensors -----------------------------------------------------------------------------------------------------
save_file(weights(), os.path.join(out, "plain.safetensors"), {"frcnn": '{"name":"x"}', "format": "pt", "by": 'a "b"'})
save_file({"module." + k: v for k, v in weights(torch.float16).items()}, os.path.join(out, "f16.safetensors"))
