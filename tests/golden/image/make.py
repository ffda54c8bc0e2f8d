"""Makes the pictures of this folder and expected.txt: what Pillow 13's convert("RGB") gives for each, as
    NAME TAB ok|warn|exif TAB WIDTHxHEIGHT TAB SHA-256 of the RGB bytes
    NAME TAB error TAB TEXT that the message must contain
except that gray of 16 bits is round(v / 257). Needs numpy and Pillow."""
import glob
import hashlib
import io
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(20)
lines = []


def scene(h, w):
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([128 + 100 * np.sin(x / 3 + y / 5), 128 + 90 * np.cos(x / 4 - y / 6), (x * 9 + y * 5) % 256], -1)
    return np.clip(a + rng.normal(0, 6, a.shape), 0, 255).astype(np.uint8)


def put(name, data, verdict="ok", text=None, pixels=None):
    with open(os.path.join(here, name), "wb") as f:
        f.write(data)
    if verdict == "error":
        lines.append(f"{name}\terror\t{text}")
        return
    if pixels is None:
        image = Image.open(io.BytesIO(data))
        if verdict == "exif":
            image = ImageOps.exif_transpose(image)
        pixels = np.asarray(image.convert("RGB"))
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    lines.append(f"{name}\t{verdict}\t{pixels.shape[1]}x{pixels.shape[0]}\t{digest}")


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **{"quality": 80, **options})
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(w, h, depth, colour, interlaced=0, extra=b"", palette=None, split=0):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]

    def rows(w, h):
        size = (w * channels * depth + 7) // 8
        return b"".join(
            bytes([int(rng.integers(0, 5))]) + rng.integers(0, 256, size, dtype=np.uint8).tobytes() for _ in range(h) if w
        )

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    if not interlaced:
        passes = [(0, 0, 1, 1)]
    raw = b"".join(rows((w - x + dx - 1) // dx, (h - y + dy - 1) // dy) for x, y, dx, dy in passes)
    z = zlib.compress(raw)
    parts = [z[i : i + split] for i in range(0, len(z), split)] if split else [z]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlaced))
        + (chunk(b"PLTE", palette) if palette else b"")
        + extra
        + b"".join(chunk(b"IDAT", p) for p in parts)
        + chunk(b"IEND", b"")
    )


image = Image.fromarray(scene(21, 27))
for name, options in {
    "420": {"subsampling": 2},
    "422": {"subsampling": 1},
    "444": {"subsampling": 0},
    "411": {"subsampling": "4:1:1"},
    "progressive": {"progressive": True},
    "restart": {"restart_marker_blocks": 2},
    "rgb": {"keep_rgb": True},
}.items():
    put(f"{name}.jpg", jpeg(image, **options))
put("gray.jpg", jpeg(image.convert("L")))
cmyk = np.clip(np.asarray(image.convert("CMYK")).astype(int) + rng.integers(0, 60, (21, 27, 4)), 0, 255)
cmyk = jpeg(Image.fromarray(cmyk.astype(np.uint8), "CMYK"))
at = cmyk.find(b"\xff\xee")
size = struct.unpack(">H", cmyk[at + 2 : at + 4])[0]
put("cmyk.jpg", cmyk)
put("cmyk_unmarked.jpg", cmyk[:at] + cmyk[at + 2 + size :])
put("ycck.jpg", cmyk[: at + 15] + b"\x02" + cmyk[at + 16 :])
out = io.BytesIO()
image.save(out, "MPO", save_all=True, append_images=[Image.fromarray(scene(21, 27))])
put("two.mpo.jpg", out.getvalue())
whole = jpeg(image)
rgb = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))
put("trailing.jpg", whole + b"more" * 9)
put("no_end.jpg", whole[:-2], "warn", pixels=rgb)
put("cut.jpg", whole[:-30], "error", "truncated JPEG")
put("cut_marked.jpg", whole[:-30] + b"\xff\xd9", "error", "picture data missing")
put("header_only.jpg", whole[:300], "error", "truncated JPEG")
progressive = jpeg(image, progressive=True)
last = progressive.rfind(b"\xff\xda")
put("cut_scan.jpg", progressive[:last], "error", "truncated JPEG")
put("junk_between_scans.jpg", progressive[:last] + b"junk" + progressive[last:], "warn")
at = whole.find(b"\xff\xc0")
put("no_width.jpg", whole[: at + 7] + b"\0\0" + whole[at + 9 :], "error", "without pixels")
put("huge.jpg", whole[: at + 5] + b"\xff\xdc\xff\xdc" + whole[at + 9 :], "error", "more than the limit")
put("twelve_bits.jpg", whole[: at + 4] + b"\x0c" + whole[at + 5 :], "error", "not read")

for colour, depths in [(0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))]:
    for depth in depths:
        for interlaced in (0, 1):
            palette = rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes() if colour == 3 else None
            extra = chunk(b"tRNS", b"\x00\x80") if colour == 3 else b""
            data = png(11, 9, depth, colour, interlaced, extra, palette, 40 if interlaced else 0)
            pixels = None
            if (colour, depth) == (0, 16):
                v = np.asarray(Image.open(io.BytesIO(data))).astype(np.int64)
                pixels = np.repeat(((v + 128) // 257).astype(np.uint8)[:, :, None], 3, 2)
            put(f"c{colour}_{depth}{'_i' if interlaced else ''}.png", data, pixels=pixels)
put("short_palette.png", png(9, 9, 8, 3, palette=bytes(range(40, 70))))
put("gray_trns.png", png(9, 9, 8, 0, extra=chunk(b"tRNS", b"\x00\x10")))
put("gamma.png", png(9, 9, 8, 2, extra=chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sBIT", b"\5\5\5")))
whole = png(9, 9, 8, 2, split=50)
put("trailing.png", whole + b"more" * 9)
put("no_end.png", whole[:-12], "warn")
put("no_checksum.png", whole[:-14], "warn")
put("cut.png", whole[: len(whole) // 2], "error", "truncated PNG")
at = whole.rfind(b"IDAT")
put("checksum.png", whole[: at + 6] + bytes([whole[at + 6] ^ 1]) + whole[at + 7 :], "error", "wrong checksum of IDAT")
head = b"\x89PNG\r\n\x1a\n"
body = zlib.compress(b"\0" * 4)
for name, w, h, text in [("no_height", 1, 0, "without pixels"), ("huge", 70000, 70000, "more than the limit")]:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
    put(f"{name}.png", head + header + chunk(b"IDAT", body) + chunk(b"IEND", b""), "error", text)
header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
put("too_little.png", head + header + chunk(b"IDAT", body) + chunk(b"IEND", b""), "error", "truncated PNG")

small = Image.fromarray(scene(5, 8))
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x112] = orientation
    put(f"exif{orientation}.jpg", jpeg(small, exif=exif), "exif")
out = io.BytesIO()
exif = Image.Exif()
exif[0x112] = 6
small.save(out, "PNG", exif=exif)
put("exif6.png", out.getvalue(), "exif")

tiny = Image.fromarray(scene(2, 2))
for kind, name in [("webp", "WebP"), ("bmp", "BMP"), ("gif", "GIF"), ("tiff", "TIFF"), ("ppm", "Netpbm")]:
    out = io.BytesIO()
    tiny.save(out, kind)
    put(f"other.{kind}", out.getvalue(), "error", f"{name} file")
put("empty.jpg", b"", "error", "the file is empty")
put("text.png", b"not a picture\n", "error", "neither JPEG nor PNG")

with open(os.path.join(here, "expected.txt"), "w", encoding="ascii") as f:
    f.write("\n".join(lines) + "\n")

# With the folder of the test data as argument: some real photographs, by their path in it.
if len(sys.argv) > 1:
    paths = sorted(glob.glob(os.path.join(sys.argv[1], "coco-subset/val2017/*.jpg")))[::9]
    paths += sorted(glob.glob(os.path.join(sys.argv[1], "bccd/images/*.jpg")))[::60]
    paths += sorted(glob.glob(os.path.join(sys.argv[1], "parts/images/*.jpg")))[::60]
    with open(os.path.join(here, "real.txt"), "w", encoding="ascii") as f:
        for path in paths:
            image = Image.open(path).convert("RGB")
            digest = hashlib.sha256(image.tobytes()).hexdigest()
            f.write(f"{os.path.relpath(path, sys.argv[1])}\tok\t{image.width}x{image.height}\t{digest}\n")
