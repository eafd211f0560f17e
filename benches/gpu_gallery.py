"""Trains presets, each for its share of the time, and puts their samples on sheets."""
import os
import re

import gpu_page
from gpu_run import GRACE, Step, offered

#: Presets whose pictures need long training, first of all others: their shares of the time. Others have 1, and those
#: whose names end in -small, which are for machines without a GPU, SMALL.
WEIGHTS = {"biggan": 5, "progan": 5, "pixelcnn++": 4, "wgan-gp": 3, "wavegan-small": 3, "dcgan": 2, "pixelcnn-cifar": 2,
           "pixelcnn-gated": 2}
SMALL = 0.3
#: Presets of pictures in colour by the beginnings of their names, and those that bring data of their own.
COLOUR = ("biggan", "progan", "pixelcnn-cifar", "pixelcnn++", "dcgan-32", "dcgan-conditional")
OWN = ("wavegan", "frames")
#: Seconds of a share below which no speed is measured and no variants are chosen.
SHORT = 15
#: Seconds before which no training is interrupted: limn has to listen for that first.
EARLIEST = 2
#: Parts of a share: measuring the speed, and training. What remains is for samples and figures.
SPEED, TRAINING = 0.2, 0.6
#: Seconds that samples and figures may take at least, and what is kept back for writing the last sheets.
LEAST, RESERVE = 10, 6
#: Sheets of a gallery: what is weighted, what else is of full size, and what is small.
SHEETS = ["samples.png", "samples-2.png", "samples-3.png"]


class Gallery:
    """Trained presets and their pictures."""

    def __init__(self, args, runner):
        self.args, self.runner = args, runner
        self.device = ["--device", args.device] if args.device else []
        self.runs = os.path.join(runner.cache, "runs")
        self.pictures, self.new = {}, set()
        self.sets = self.carried()

    def carried(self):
        """Data sets of --data-dir, shown to limn as those in its cache."""
        found = []
        cache = self.runner.env["LIMN_CACHE"]
        for name in ("mnist", "fashion-mnist", "cifar10"):
            source = os.path.join(os.path.abspath(self.args.data_dir or os.devnull), name)
            if os.path.isdir(source):
                target = os.path.join(cache, name)
                if not os.path.exists(target):
                    os.makedirs(cache, exist_ok=True)
                    os.symlink(source, target)
                found.append(name)
        return found

    def data(self, preset):
        """What a preset is trained on: a carried set that fits it, its own, or else what limn has built in."""
        if preset.startswith(OWN):
            return None
        if preset == "dcgan" or preset.startswith(COLOUR):
            return "cifar10" if "cifar10" in self.sets else "builtin"
        return next((name for name in ("mnist", "fashion-mnist") if name in self.sets), "builtin")

    def run(self):
        """Every preset, those of the largest weights first."""
        self.runner.run(Step("devices", [self.args.limn, "devices", "--json"], 60))
        asked = self.runner.run(Step("presets", [self.args.limn, "train", "?"], 60, expect=2))
        names = self.args.presets or offered(asked)
        if not names:
            self.runner.log("limn names no presets; name some with --presets")
        if self.args.quick and not self.args.presets:
            names = [name for name in names if name.endswith("-small")][:4]
        names.sort(key=lambda name: -weight(name))
        for k, preset in enumerate(names):
            share = max(0.0, self.runner.left() - RESERVE) * weight(preset) / sum(weight(name) for name in names[k:])
            self.train(preset, share)
            if k % 8 == 7:
                self.save()
        self.save()

    def train(self, preset, share):
        """One preset within its share: speed, training, samples, figures; the last three as one result more."""
        speed = None
        if share >= SHORT:
            # Variants are chosen by the training, which has more time for it.
            timed = self.runner.run(self.step("speed of %s" % preset, share * SPEED, "bench", "step", preset, "--tune",
                                              "off", "--json"))
            speed = timed["data"][-1].get("pipelined_ms") if timed["status"] == "ok" and timed["data"] else None
        seconds = share * TRAINING
        steps = int(1e3 * seconds / speed) + 1 if speed else None
        more = []
        if preset.startswith("progan") and steps:
            # Growing takes seven parts of the same length; the last one gets what is left.
            more = [word for key in ("fade_steps", "stable_steps")
                    for word in ("--set", "model.%s=%d" % (key, max(1, steps // 8)))]
        self.picture(preset, seconds, max(LEAST, share * (1 - SPEED - TRAINING)), steps, more, evaluate=True)

    def step(self, name, limit, *words, **more):
        return Step(name, [self.args.limn, *words, *self.device], max(1.0, limit), side="limn", **more)

    def picture(self, preset, seconds, rest, steps=None, more=(), evaluate=False):
        """Trains for so many seconds, and takes at most `rest` for samples and figures."""
        out = os.path.join(self.runs, preset.replace("+", "p"))
        data = self.data(preset)
        # Where the speed is not known, limn cannot know which share of the training its measuring would be.
        words = ["--steps", str(steps), *more] if steps else ["--steps", "100000000", "--tune", "off"]
        words += ["--data", data] if data else []
        trained = self.runner.run(self.step(
            "train %s" % preset, seconds + GRACE, "train", preset, "--out", out, "--set", "train.sample_every=0", *words,
            interrupt=max(EARLIEST, seconds)))
        result = {"step": "picture %s" % preset, "status": trained["status"], "rc": trained["rc"], "kind": "gallery",
                  "preset": preset, "data_set": data or "its own", "trained_s": trained["seconds"], "figures": [],
                  "sheet": None, "data": []}
        if trained["status"] == "ok":
            result["trained_steps"] = steps_of(trained)
            if not preset.startswith("classifier"):
                self.sample(preset, out, rest / 2, result)
            if evaluate:
                told = self.runner.run(self.step("eval %s" % preset, rest / 2, "eval", out, "--images", "256", "--json"))
                result["figures"] = told["data"]
        else:
            result["why"] = "it was not trained"
        self.runner.write(result)

    def sample(self, preset, out, limit, result):
        """Samples as a picture; of classes as many as make whole rows."""
        file = out + ".png"
        few = preset.startswith("pixel")
        count = 80 if "conditional" in preset or preset.startswith("biggan") else 64
        drawn = self.runner.run(self.step("sample %s" % preset, limit, "sample", out, "--out", file, "--n",
                                          str(16 if few else count)))
        if drawn["status"] == "ok" and os.path.isfile(file):
            result["sheet"] = SHEETS[sheet_of(preset)] if self.args.gallery else SHEETS[0]
            try:
                self.pictures[preset] = (result["sheet"], gpu_page.tile(file))
                self.new.add(result["sheet"])
            except (OSError, ValueError) as error:
                result.update(status="failed", sheet=None, why="its picture cannot be read: %s" % error)
        elif drawn["status"] == "ok":
            result.update(status="failed", why="limn sample wrote no picture")
        if os.path.isfile(out + ".wav"):
            self.runner.folder.take("sounds.wav", out + ".wav")

    def save(self):
        """Writes the sheets that have new pictures."""
        for name in sorted(self.new):
            chosen = [(preset, *tile) for preset, (sheet, tile) in self.pictures.items() if sheet == name]
            left_out = gpu_page.sheet(chosen, self.runner.folder.file(name))
            if left_out:
                self.runner.log("%s has no room for %s" % (name, ", ".join(left_out)))
        self.new.clear()


def weight(preset):
    return WEIGHTS.get(preset, SMALL if preset.endswith("-small") else 1)


def sheet_of(preset):
    return 0 if preset in WEIGHTS else 2 if preset.endswith("-small") else 1


def steps_of(result):
    """How many steps a training says it has taken."""
    for line in result.get("lines", []):
        match = re.match(r"(?:trained|stopped after step) (\d+)", line)
        if match:
            return int(match.group(1))
    return None
