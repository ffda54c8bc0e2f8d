#!/usr/bin/env python3
"""frcnn-detect beside the frameworks that are installed for this interpreter: same weights, same JPEG, same number of
threads, in turn. Prints medians of the steady state, ratios, and peaks of resident memory; exits 1 when frcnn-detect is
not as far ahead as it should be. What is not installed is said and left out.

usage: detect_compare.py FRCNN-DETECT CHECKPOINT IMAGE

CHECKPOINT is a ResNet-50-FPN of 4 labels. Environment:
  THREADS, ROUNDS, IMAGES   threads [all cores], turns of each program [3], and images a turn [4]
  BENCH_CACHE               folder for models in other forms, kept; else a temporary one
  BENCH_MODELS              of resnet50_fpn, resnet50_fpn_v2 and mobilenet_v3_large_320_fpn [all]
  BENCH_MODES               of fp32, bf16, avx2 and int8 [all]

Each framework is a process that is started once for a model and mode, warmed up by one image, and then waits while the
others have their turns; frcnn-detect starts anew for each turn, with one image more. The seconds of a turn are the
median of its images, those in the table the median of the turns.

ncnn and "the part" are backbone, FPN and RPN head without the rest of the detector: ncnn cannot run the rest. The best
mixture is ncnn for that part and OpenVINO for the rest: ncnn + OpenVINO's whole - OpenVINO's part.

int8: ResNet-50-FPN alone, made by the frcnn-quantize beside FRCNN-DETECT from IMAGE and the pictures beside it, beside the
float model of the same program and detect_models.py's qdq (also read by OpenVINO) and dense. The dense part is backbone,
FPN, RPN head and box head over the RoIs of IMAGE.

avx2: frcnn-detect with --cpu avx2, frameworks under ONEDNN_MAX_CPU_ISA=AVX2 and ATEN_CPU_CAPABILITY=avx2, and
OpenVINO's own kernels follow oneDNN's limit. ONNX Runtime and ncnn choose by CPUID and cannot be limited: left out there.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

here = os.path.dirname(os.path.abspath(__file__))
detect, checkpoint, image = sys.argv[1:]
threads = os.environ.get("THREADS") or str(len(os.sched_getaffinity(0)))
rounds = int(os.environ.get("ROUNDS") or 3)
images = int(os.environ.get("IMAGES") or 4)

# the fastest whole detector and the best mixture over ours, at least
MODELS = {"resnet50_fpn": 1.6, "resnet50_fpn_v2": 1.8, "mobilenet_v3_large_320_fpn": 1.4}
SHORT = "mobilenet_v3_large_320_fpn"  # ten times as many images a turn
MIXTURE, BF16, AVX2, MEMORY = 1.15, 1.25, 1.0, 2.0
WHOLE, PART = ("torchvision", "onnxruntime", "openvino"), ("openvino-part", "ncnn-part")
# int8 over ONNX Runtime's, over our fp32 (by avx2 too), the dense part over OpenVINO's; its memory below fp32's, and its
# weights packed for the kernels in less than half an image
INT8_ORT, INT8_OWN, INT8_AVX2, INT8_DENSE, INT8_MEMORY, INT8_START = 1.8, 2.2, 1.0, 1.15, 1.0, 1.0
AVX2_LIMIT = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}

missing, broken = {}, []


def claim(what, value, least):
    holds = value >= least
    print("  %-58s %5.2f, at least %.2f: %s" % (what, value, least, "holds" if holds else "BROKEN"), flush=True)
    if not holds:
        broken.append(what)


def make(what, architecture, *rest):
    """A file of detect_models.py; None when a package is missing."""
    command = [sys.executable, os.path.join(here, "detect_models.py"), what, architecture, *rest, cache, image]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode == 3:
        return None
    if run.returncode != 0:
        sys.exit("%s\ndetect_compare.py: cannot make %s of %s" % (run.stderr, what, architecture))
    return run.stdout.split("\n")[-2]


def others_seconds():
    """Processor time that all programs but this one and its children have taken; None where the system does not tell."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, soft = (int(x) for x in file.readline().split()[1:8])
    except OSError:
        return None
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


class Peer:
    def __init__(self, framework, model, architecture, labels, mode):
        precision = mode if mode in ("bf16", "int8") else "fp32"
        environment = dict(os.environ, **(AVX2_LIMIT if mode == "avx2" else {}))
        self.name = framework
        self.seconds = []
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(here, "detect_peer.py"), framework, model, architecture, labels, threads, precision, image],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment,
        )  # fmt: skip

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.state = self.process.wait()
            if self.state not in (3, 4):
                self.errors.seek(0)
                sys.exit("%s\ndetect_compare.py: %s ended with status %d" % (self.errors.read(), self.name, self.state))
        return line.strip()

    def turn(self, images):
        self.process.stdin.write("%d\n" % images)
        self.process.stdin.flush()
        self.seconds.append(statistics.median(float(x) for x in self.answer().split()))

    def end(self):
        self.process.stdin.close()
        self.mb = float(self.answer())
        self.process.wait()


class Ours:
    def __init__(self, model, architecture, mode, name="frcnn-detect"):
        self.name = name
        self.command = [detect, "-q", "-j", threads, "--model", model, "--arch", architecture, "--latency", "--stats=json"]
        self.command += {"bf16": ["--precision", "bf16"], "avx2": ["--cpu", "avx2"]}.get(mode, [])
        self.open = [os.path.join(os.path.dirname(detect), "frcnn-model"), "info", model]
        self.seconds, self.part, self.head, self.mbs = [], [], [], []
        self.opened, self.start, self.cold = [], [], []

    def run(self, count):
        return subprocess.run(self.command + [image] * count, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def turn_cold(self):
        """From exec to exit: the model file only opened, detection with an empty list, and with one image."""
        turns = (self.open, self.opened), ([*self.command, "-"], self.start), ([*self.command, image], self.cold)
        for command, seconds in turns:
            start = time.perf_counter()
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
            seconds.append(time.perf_counter() - start)

    def turn(self, images):
        run = self.run(images + 1)
        if run.returncode != 0:
            sys.exit(run.stderr)
        stats = json.loads(run.stderr)
        self.seconds.append(stats["stages_ms"]["total"]["p50"] / 1e3)
        self.part.append(stats["stages_ms"]["backbone"]["p50"] / 1e3)
        self.head.append(stats["stages_ms"]["head"]["p50"] / 1e3)
        self.mbs.append(stats["peak_memory_bytes"] / 2**20)
        self.cpu = stats["cpu"]

    def end(self):
        self.mb = statistics.median(self.mbs)


def start(name, architecture, model, labels, mode):
    """The peers that are there, warmed up."""
    peers = []
    frameworks = WHOLE + (PART if name == "resnet50_fpn" and mode == "fp32" else ())
    if mode == "int8":
        frameworks = ("onnxruntime", "openvino", "openvino-dense")
    for framework in frameworks:
        if mode == "avx2" and framework == "onnxruntime":
            continue
        whole = "qdq" if mode == "int8" else "onnx"
        forms = {"torchvision": None, "openvino-part": "part", "ncnn-part": "ncnn", "openvino-dense": "dense"}
        form = forms.get(framework, whole)
        peer_model = make(form, architecture, model, labels) if form else model
        if not peer_model:
            missing[framework] = "needs torch, torchvision, onnx and, for ncnn, pnnx, for OpenVINO's int8 nncf to convert the model"
            continue
        peer = Peer(framework, peer_model, architecture, labels, mode)
        version = peer.answer()
        if version:
            peer.version = version
            peers.append(peer)
        elif peer.state == 3:
            missing[framework] = "not installed"
    return peers


def judge(name, mode, ours, peers):
    seconds = {p.name: statistics.median(p.seconds) for p in peers}
    mine = statistics.median(ours.seconds)
    print("%-18s %9.4f s %8.0f MiB   kernels %s" % (ours.name, mine, ours.mb, ours.cpu))
    for p in peers:
        own = statistics.median(ours.part) if p.name in PART else mine
        print("%-18s %9.4f s %8.0f MiB %6.2fx  %s" % (p.name, seconds[p.name], p.mb, seconds[p.name] / own, p.version))
    if any(p.name in PART for p in peers):
        print("%-18s %9.4f s  backbone, FPN and RPN head alone, what the two above are compared with" % ("  our part", statistics.median(ours.part)))
    whole = {n: s for n, s in seconds.items() if n in WHOLE}
    if mode == "avx2":
        for n, s in whole.items():
            claim("%s avx2: %s / frcnn-detect" % (name, n), s / mine, AVX2)
    elif mode == "bf16":
        if "openvino" in whole:
            claim("%s bf16: openvino / frcnn-detect" % name, whole["openvino"] / mine, BF16)
    else:
        if whole:
            best = min(whole, key=whole.get)
            claim("%s: %s, the fastest / frcnn-detect" % (name, best), whole[best] / mine, MODELS[name])
        if "openvino" in seconds and all(n in seconds for n in PART):
            mixture = seconds["ncnn-part"] + seconds["openvino"] - seconds["openvino-part"]
            claim("%s: the best mixture (%.4f s) / frcnn-detect" % (name, mixture), mixture / mine, MIXTURE)
        if name == "resnet50_fpn" and "torchvision" in whole:
            claim("%s: memory of torchvision / frcnn-detect" % name, next(p.mb for p in peers if p.name == "torchvision") / ours.mb, MEMORY)


def quantized(architecture):
    """Our int8 model, not older than the program that makes it; None when there is none."""
    program = os.path.join(os.path.dirname(detect), "frcnn-quantize")
    path = os.path.join(cache, architecture + ".int8.safetensors")
    if not os.path.exists(program):
        return None
    if os.path.exists(path) and os.path.getmtime(path) > os.path.getmtime(program):
        return path
    folder = os.path.dirname(os.path.abspath(image))
    some = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".jpg")][:12]
    run = subprocess.run(
        [program, "-q", "-j", threads, "--model", checkpoint, "--arch", architecture, "-o", path, *some],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if run.returncode != 0:
        sys.exit("%s\ndetect_compare.py: cannot make the int8 model" % run.stderr)
    return path


def judge_int8(ours, peers):
    int8, fp32, *avx2 = ours
    seconds = {p.name: statistics.median(p.seconds) for p in [*ours, *peers]}
    dense = [a + b for a, b in zip(int8.part, int8.head)]
    seconds["dense"] = statistics.median(dense)
    for p in ours:
        print("%-20s %9.4f s %8.0f MiB          kernels %s" % (p.name, seconds[p.name], p.mb, p.cpu))
    for p in peers:
        own = seconds["dense"] if p.name == "openvino-dense" else seconds[int8.name]
        print("%-20s %9.4f s %8.0f MiB %6.2fx  %s" % (p.name, seconds[p.name], p.mb, seconds[p.name] / own, p.version))
    print("%-20s %9.4f s  which openvino-dense is compared with" % ("  our dense part", seconds["dense"]))
    begun = statistics.median(int8.start)
    packed = statistics.median(s - o for s, o in zip(int8.start, int8.opened))
    print("%-20s %9.4f s  from exec to the end of no image" % ("  our start", begun))
    print("%-20s %9.4f s  of it, more than frcnn-model info takes: graphs, weights packed" % ("", packed))
    print("%-20s %9.4f s  to the end of one" % ("  our cold start", statistics.median(int8.cold)))
    if "onnxruntime" in seconds:
        claim("int8: ONNX Runtime's QDQ / frcnn-detect", seconds["onnxruntime"] / seconds[int8.name], INT8_ORT)
    claim("int8: our fp32 / our int8", seconds[fp32.name] / seconds[int8.name], INT8_OWN)
    if "openvino-dense" in seconds:
        claim("int8: OpenVINO's dense part / ours", seconds["openvino-dense"] / seconds["dense"], INT8_DENSE)
    if avx2:
        claim("int8 avx2: our fp32 / our int8", seconds[avx2[1].name] / seconds[avx2[0].name], INT8_AVX2)
    claim("int8: memory of our fp32 / of our int8", fp32.mb / int8.mb, INT8_MEMORY)
    claim("int8: half an image / packing", seconds[int8.name] / 2 / packed, INT8_START)


def compare_int8():
    architecture = "fasterrcnn_resnet50_fpn"
    model = quantized(architecture)
    if not model:
        print("int8: left out: no frcnn-quantize beside %s" % detect)
        return
    ours = [
        Ours(model, architecture, "int8", "frcnn-detect int8"), Ours(checkpoint, architecture, "fp32", "frcnn-detect fp32"),
        Ours(model, architecture, "avx2", "our int8, avx2"), Ours(checkpoint, architecture, "avx2", "our fp32, avx2"),
    ]  # fmt: skip
    if ours[2].run(1).returncode != 0:
        print("int8 avx2: left out: this machine or build has no such kernels")
        ours = ours[:2]
    peers = start("resnet50_fpn", architecture, checkpoint, "4", "int8")
    before, began = others_seconds(), time.monotonic()
    for _ in range(rounds):
        for program in [*ours, *peers]:
            program.turn(images)
        ours[0].turn_cold()
    for program in [*ours, *peers]:
        program.end()
    busy = "" if before is None else ", %.2f cores taken by other programs" % ((others_seconds() - before) / (time.monotonic() - began))
    print("\nresnet50_fpn, int8%s" % busy)
    judge_int8(ours, peers)


def compare(name, mode):
    architecture = "fasterrcnn_" + name
    model, labels = (checkpoint, "4") if name == "resnet50_fpn" else (make("weights", architecture), "91")
    if not model:
        print("%s: left out: torchvision, which makes its weights, is not installed" % name)
        return
    ours = Ours(model, architecture, mode)
    if ours.run(1).returncode != 0:
        print("%s %s: left out: this machine or build has no such kernels" % (name, mode))
        return
    before, began = others_seconds(), time.monotonic()
    peers = start(name, architecture, model, labels, mode)
    for _ in range(rounds):
        for program in [ours, *peers]:
            program.turn(images * 10 if name == SHORT else images)
    for program in [ours, *peers]:
        program.end()
    # A busy machine slows whoever waits at barriers most: figures from there are not worth much.
    busy = "" if before is None else ", %.2f cores taken by other programs" % ((others_seconds() - before) / (time.monotonic() - began))
    print("\n%s, %s%s" % (name, mode, busy))
    judge(name, mode, ours, peers)


def main():
    print("medians of %d turns of %d images, %s threads, load before: %.2f" % (rounds, images, threads, os.getloadavg()[0]))
    for mode in (os.environ.get("BENCH_MODES") or "fp32 bf16 avx2 int8").split():
        if mode == "int8":
            compare_int8()
            continue
        for name in (os.environ.get("BENCH_MODELS") or " ".join(MODELS)).split():
            compare(name, mode)
    for framework, why in missing.items():
        print("%s: left out: %s" % (framework, why))
    for what in broken:
        print("detect: broken: %s" % what)
    return 1 if broken else 0


cache = os.environ.get("BENCH_CACHE")
temporary = None if cache else tempfile.mkdtemp()
cache = cache or temporary
try:
    os.makedirs(cache, exist_ok=True)
    status = main()
finally:
    if temporary:
        shutil.rmtree(temporary)
sys.exit(status)
