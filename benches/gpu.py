#!/usr/bin/env python3
"""What a machine's GPU does with limn: one call, everything measured, and nothing lost when time runs out.

    benches/gpu.py --out FOLDER [--deadline SECONDS]       kernels, ceilings, steps beside PyTorch, profiles, checks
    benches/gpu.py --gallery --out FOLDER [...]            every preset trained for its share of the time, and pictures
    benches/gpu.py --report FOLDER                         a Markdown table of what a folder holds

Needs limn's release binary and Python's standard library; PyTorch is used where it can be imported. How to read the
results is in assets/results/gpu.md.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile

sys.dont_write_bytecode = True
import gpu_gallery
import gpu_page
from gpu_run import Folder, Runner, Step, Telemetry, offered

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "model_gpu.py")
#: Presets whose steps stand side by side with PyTorch: batch (None: the preset's) and the yardstick's name for it.
WHOLE = [("dcgan", 128, "dcgan64"), ("dcgan-28", None, "dcgan28"), ("vae", None, "vae"), ("pixelcnn", 256, "pixelcnn"),
         ("pixelcnn-cifar", None, "pixelcnn-cifar"), ("pixelcnn-gated", None, "pixelcnn-gated"),
         ("wgan-gp", None, "wgan-gp"), ("biggan", None, None)]
WHOLE_QUICK = [("vae", None, "vae"), ("dcgan-28-small", None, None)]
#: PyTorch's ways to compute, in the order of the turns.
MODES = ["fp32", "tf32", "amp"]
PROFILES = [("dcgan", 128), ("dcgan-28", None), ("vae", None), ("pixelcnn", 256)]
PROFILES_QUICK = [("vae", None), ("dcgan-28-small", None)]
#: Presets timed in mixed precision that have no turn beside PyTorch.
MIXED = ["vae-conv", "dcgan-32", "progan", "pixelcnn-256", "pixelcnn++"]
MIXED_QUICK = ["vae-conv-small"]
SAMPLING = [("pixelcnn", 1), ("pixelcnn", 16), ("pixelcnn", 64), ("pixelcnn-gated", 1), ("pixelcnn-gated", 16),
            ("pixelcnn-gated", 64), ("pixelcnn-cifar", 16)]
SAMPLING_QUICK = [("pixelcnn-small", 1), ("pixelcnn-small", 4)]
#: Presets trained for a few seconds each, for a first look at pictures.
PICTURES = [("vae", 8), ("dcgan-28", 15), ("pixelcnn", 15)]
PICTURES_QUICK = [("vae", 4)]
#: What the short check before everything else checks.
SHORT = ["matmul", "conv2d"]
SHORT_QUICK = ["reduce_sum", "upsample"]
#: Most seconds of one step, and the part of the deadline that one step may take: a hang must not cost all others.
LIMIT, PART = 60, 0.125
TORCH = "import json, torch; c = torch.cuda.is_available(); print(json.dumps({'torch': torch.__version__, " \
        "'cuda': torch.version.cuda, 'on': torch.cuda.get_device_name() if c else 'cpu'}))"


class Table:
    """The steps of a measuring run."""

    def __init__(self, args, runner):
        self.args, self.runner = args, runner
        self.torch, self.mixed = None, "it was not tried"
        self.device = ["--device", args.device] if args.device else []
        # On a slow device, choosing variants takes longer than what is timed then.
        self.tune = ["--tune", "off"] if args.quick else []
        self.limit = min(LIMIT, max(5.0, PART * args.deadline))

    def limn(self, name, *words, limit=None, json_lines=True, **more):
        """A step of limn. `devices` takes no device."""
        words = [word for word in words if word is not None]
        on = [] if words[0] == "devices" else self.device
        return Step(name, [self.args.limn, *words, *on, *(["--json"] if json_lines else [])], limit or self.limit,
                    side="limn", **more)

    def run(self):
        # The share of the deadline by which each part is over, should the device be slow.
        for part, share in ((self.about, 0.15), (self.ceilings, 0.25), (self.whole, 0.65), (self.profiles, 0.73),
                            (self.more_mixed, 0.79), (self.sampling, 0.85), (self.pictures, 0.91), (self.checks, 1.0)):
            self.runner.allow(share)
            part()

    def about(self):
        """The machine, and whether products and convolutions are right on it at all."""
        host = {"system": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count(),
                "limn": os.path.abspath(self.args.limn), "quick": self.args.quick}
        self.runner.write({"step": "host", "status": "ok", "rc": 0, "seconds": 0.0, "data": [host]})
        self.runner.run(self.limn("devices", "devices"))
        torch = self.runner.run(Step("torch", [self.args.torch, "-c", TORCH], self.limit))
        self.torch = torch["data"][0] if torch["status"] == "ok" and torch["data"] else None
        names = SHORT_QUICK if self.args.quick else SHORT
        self.runner.run(self.limn("short check", "check", *names, keep=False, precision="full"))
        mixed = self.runner.run(self.limn("short check, mixed", "check", "matmul", "--precision", "mixed", keep=False,
                                          precision="mixed"))
        # 1: some check fell short; the times are of interest all the same. A slow device is too slow for mixed precision.
        fit = mixed["status"] == "ok" or mixed["rc"] == 1 or mixed["status"] == "timeout" and not self.args.quick
        if fit or mixed["status"] == "skipped":
            self.mixed = None if fit else mixed["why"]
        else:
            said = mixed.get("tail") or [mixed.get("why", "it said nothing")]
            self.mixed = "mixed precision did not start: " + said[-1]

    def ceilings(self):
        self.runner.run(self.limn("roof", "bench", "roof"))
        # So small that its time is that of a launch behind one that it depends on.
        self.runner.run(self.limn("launch", "bench", "copy", "--shape", "x=1024"))
        self.yardstick("torch peaks", "peaks")

    def yardstick(self, name, *words, **labels):
        """A step of PyTorch, or why there is none."""
        device = "cpu" if self.torch and self.torch["on"] == "cpu" else "cuda"
        step = Step(name, [self.args.torch, self.args.torchbench, *words, "--device", device, "--json"], self.limit,
                    side="torch", **labels)
        if self.torch is None:
            return self.runner.skip(step, "PyTorch cannot be imported here")
        if device == "cpu" and not self.args.quick:
            return self.runner.skip(step, "PyTorch sees no GPU here")
        return self.runner.run(step)

    def step(self, preset, batch, precision):
        batch = ["--batch", str(batch)] if batch else []
        step = self.limn("step %s%s" % (preset, ", mixed" if precision == "mixed" else ""), "bench", "step", preset,
                         *batch, *self.tune, "--precision", precision, kind="step", preset=preset, mode=precision)
        if precision == "mixed" and self.mixed:
            return self.runner.skip(step, self.mixed)
        return self.runner.run(step)

    def model(self, preset, batch):
        """What the model of a GPU expects of a step on this one; software devices have none."""
        if self.args.quick:
            return
        size = ["--batch", batch] if batch else []
        argv = [sys.executable, MODEL, preset, "--limn", self.args.limn, *size, *self.device, "--results",
                self.runner.folder.path, "--json"]
        self.runner.run(Step("model %s" % preset, argv, self.limit, side="model", kind="model", preset=preset))

    def whole(self):
        """limn and PyTorch in turn, model after model, so that a clock that falls meets both."""
        for preset, batch, model in WHOLE_QUICK if self.args.quick else WHOLE:
            self.step(preset, batch, "full")
            self.model(preset, batch)
            for mode in MODES if model else []:
                size = ["--batch", str(batch)] if batch else []
                self.yardstick("torch %s, %s" % (preset, mode), model, *size, "--mode", mode, kind="step", preset=preset,
                               mode=mode)
            self.step(preset, batch, "mixed")

    def profiles(self):
        presets = PROFILES_QUICK if self.args.quick else PROFILES
        turns = [(preset, batch, "full") for preset, batch in presets] + [(*presets[0], "mixed")]
        for k, (preset, batch, precision) in enumerate(turns):
            trace = os.path.join(self.runner.cache, "trace.json")
            words = (["--batch", str(batch)] if batch else []) + (["--trace", trace] if k == 0 else [])
            steps = ["--steps", "2"] if self.args.quick else []
            name = "profile %s%s" % (preset, ", mixed" if precision == "mixed" else "")
            step = self.limn(name, "profile", preset, *words, *steps, *self.tune, "--precision", precision, json_lines=False,
                             text="profiles.txt")
            if precision == "mixed" and self.mixed:
                self.runner.skip(step, self.mixed)
                continue
            self.runner.run(step)
            if k == 0 and os.path.exists(trace) and not self.runner.folder.take("trace.json", trace):
                self.runner.log("the trace is too large to be kept")

    def more_mixed(self):
        for preset in MIXED_QUICK if self.args.quick else MIXED:
            self.step(preset, None, "full")
            self.model(preset, None)
            self.step(preset, None, "mixed")

    def sampling(self):
        few = ["--naive-pixels", "2"] if self.args.quick else []
        for preset, batch in SAMPLING_QUICK if self.args.quick else SAMPLING:
            self.runner.run(self.limn("sample %s, %d" % (preset, batch), "bench", "sample", preset, "--batch", str(batch),
                                      *few, kind="sample", preset=preset))

    def pictures(self):
        """A few seconds of training and what comes of it."""
        wanted = PICTURES_QUICK if self.args.quick else PICTURES
        # Starting, and drawing samples, take about as long again.
        share = min(1.0, max(0.0, self.runner.left() / 2 / sum(seconds for _, seconds in wanted)))
        sheet = gpu_gallery.Gallery(self.args, self.runner)
        for preset, seconds in wanted:
            sheet.picture(preset, seconds * share, self.limit)
        sheet.save()

    def checks(self):
        """Every kernel by itself, several at the same time, in both precisions, in the time that is left."""
        found = self.runner.run(Step("kernels", [self.args.limn, "check", "?", *self.device], self.limit, expect=2))
        names = self.args.kernels or offered(found)
        if not names:
            self.runner.log("limn names no kernels, so all are checked in one process")
        limit = self.runner.left()
        if self.args.quick:
            # Where the time cannot be enough for all, what is checked soon comes first, and nothing takes all of it.
            names, limit = sorted(names, key=of_products), max(5.0, limit / 4)
        precisions = ["full"] if self.mixed else ["full", "mixed"]
        steps = []
        for precision in precisions:
            for name in names or [None]:
                steps.append(self.limn("check %s, %s" % (name or "all", precision), "check", name, "--precision", precision,
                                       limit=limit, keep=False, kind="check", precision=precision))
        # Mixed precision is for products and convolutions: only those have such checks.
        steps = [step for step in steps if step.labels["precision"] == "full" or not names or of_products(step.argv[2])]
        self.runner.run_all(steps, self.args.jobs)


def of_products(name):
    return "conv" in name or name.startswith("matmul")


def choices(folder, runner):
    """The variants that limn chose by measuring, of all devices, in one file."""
    found = {}
    base = os.path.join(runner.cache, "limn")
    for where, _, names in os.walk(base):
        for name in names:
            if name.endswith(".json") and not name.startswith("trace"):
                try:
                    with open(os.path.join(where, name), encoding="utf-8") as file:
                        found[name] = json.load(file)
                except (OSError, ValueError):
                    continue
    text = json.dumps(found, indent=1)
    if found and len(text) < 15 << 20:
        with open(folder.file("choices.json"), "w", encoding="utf-8") as file:
            file.write(text)


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="FOLDER", help="where the files go, at most eight of at most 16 MiB each")
    parser.add_argument("--deadline", type=float, default=480, metavar="SECONDS", help="for everything (480)")
    parser.add_argument("--limn", default="target/release/limn", metavar="PATH", help="limn's binary")
    parser.add_argument("--device", metavar="D", help="passed on to limn; without it limn's default")
    parser.add_argument("--quick", action="store_true", help="small presets and few of them, for a slow device")
    parser.add_argument("--gallery", action="store_true", help="train every preset and draw samples")
    parser.add_argument("--presets", type=lambda text: text.split(","), metavar="A,B", help="those of the gallery")
    parser.add_argument("--data-dir", metavar="FOLDER", help="sets in folders mnist, fashion-mnist, cifar10")
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("--torchbench", default=os.path.join(HERE, "torchbench.py"), metavar="FILE")
    parser.add_argument("--kernels", type=lambda text: text.split(","), metavar="A,B", help="check only these")
    parser.add_argument("--jobs", type=int, default=max(2, min(6, (os.cpu_count() or 2) // 2)), metavar="N",
                        help="checks at the same time")
    parser.add_argument("--report", metavar="FOLDER", help="print a folder's results as a page, and do nothing else")
    args = parser.parse_args(argv)
    if args.report is None and args.out is None:
        parser.error("say where the results go: --out FOLDER")
    if args.out and os.path.exists(os.path.join(args.out, "results.jsonl")):
        parser.error("%s has results already; name another folder" % args.out)
    if not args.deadline > 0 or args.jobs < 1:
        parser.error("--deadline and --jobs must be more than 0")
    return args


def summary(runner):
    """What became of the steps, in two lines."""
    count = {}
    for result in runner.results:
        count[result["status"]] = count.get(result["status"], 0) + 1
    runner.log("%d steps: %s" % (len(runner.results), ", ".join("%d %s" % (n, s) for s, n in sorted(count.items()))))
    checks = [c for r in runner.results if r.get("kind") == "check" for c in r["data"]]
    if checks:
        figures = sum(c["checks"] for c in checks), sum(c["failures"] for c in checks)
        runner.log("%d checks, %d of them failed" % figures)


def main(argv):
    args = arguments(argv)
    if args.report:
        return gpu_page.report(args.report)
    if not shutil.which(args.limn):
        print("there is no program %s: run 'make build', or name one with --limn" % args.limn, file=sys.stderr)
        return 2
    args.limn = shutil.which(args.limn)
    folder = Folder(args.out)
    with tempfile.TemporaryDirectory(prefix="limn-gpu-", ignore_cleanup_errors=True) if sys.version_info >= (3, 10) \
            else tempfile.TemporaryDirectory(prefix="limn-gpu-") as cache:
        os.makedirs(os.path.join(cache, "limn"))
        runner = Runner(folder, args.deadline, cache)
        runner.listen()
        telemetry = Telemetry(runner)
        telemetry.start()
        try:
            if args.gallery:
                gpu_gallery.Gallery(args, runner).run()
            else:
                Table(args, runner).run()
        finally:
            runner.now = "end"
            telemetry.ended.set()
            choices(folder, runner)
            summary(runner)
    return 128 + getattr(signal, runner.stopped) if runner.stopped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
