#!/usr/bin/env python3
"""The Parzen figure of the first GAN, small, beside that of the same GAN in PyTorch, over some seeds.

    benches/parzen.py [--seeds 10] [--steps 1500] [--limn target/release/limn] [--device cpu] [--out FOLDER] > table.md

Both train `gan-small` on MNIST with averaged weights (train.ema=0.99) and are held by the protocol of 2014: 10,000
samples, a width of ten from 0.1 to 1 chosen on the last 1,000 training images, 10,000 test images. PyTorch's networks,
game and settings are those of assets/fixtures, which training steps are held against; its random numbers are its own.
That its figure is the same is shown first, with samples of limn's. Needs torch and numpy, and MNIST, which `limn data get mnist`
fetches. What is known of a seed is kept in FOLDER, and not made again.
"""
import argparse
import json
import math
import os
import subprocess
import sys

import numpy as np
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "assets", "fixtures"))
sys.dont_write_bytecode = True
from models import read_idx_images  # noqa: E402
from networks import KINDS, Draws  # noqa: E402
from presets import PRESETS  # noqa: E402
from steps import optimizer, play  # noqa: E402

SAMPLES, HELD_OUT, EMA = 10_000, 1_000, 0.99
WIDTHS = [10 ** (k / 9 - 1) for k in range(10)]


def log_likelihoods(samples, images, width):
    """log p of images [m, d] under Gaussians of this width around samples [n, d]."""
    n, d = samples.shape
    norms = samples.double().square().sum(1)
    out = []
    for x in images.split(500):
        square = (x.double().square().sum(1)[:, None] + norms - 2 * (x @ samples.T).double()).clamp(min=0)
        out.append(torch.logsumexp(-square / (2 * width**2), 1))
    return torch.cat(out) - math.log(n) - d / 2 * math.log(2 * math.pi * width**2)


def parzen(samples, validation, test):
    """-> the width that does best on validation images, the mean on test images with it."""
    best = max(WIDTHS, key=lambda width: log_likelihoods(samples, validation, width).mean().item())
    return best, log_likelihoods(samples, test, best).mean().item()


class Own(Draws):
    """PyTorch's own random numbers in place of limn's."""

    @classmethod
    def normal(cls, shape):
        return torch.randn(shape)

    @classmethod
    def uniform(cls, shape):
        return torch.rand(shape)


def in_pytorch(seed, steps, train):
    """Samples of the average of a generator that was trained so many steps."""
    torch.manual_seed(seed)
    Draws.normal, Draws.uniform = Own.normal, Own.uniform
    preset = PRESETS["gan-small"]
    model = KINDS["gan"](preset["model"])
    for net, bound in zip(model.nets, model.rules):
        for name, p in net.named_parameters():
            torch.nn.init.zeros_(p) if name.endswith("bias") else torch.nn.init.uniform_(p, -bound, bound)
    optimizers = [optimizer(preset["optim"], net) for net in model.nets]
    averages = [p.detach().clone() for p in model.nets[0].parameters()]
    batch, order, at = preset["train"]["batch"], torch.randperm(len(train)), 0
    for t in range(steps):
        if at + batch > len(order):
            order, at = torch.randperm(len(train)), 0
        play(model, preset["model"], optimizers, train[order[at:at + batch]].unflatten(1, (1, 28, 28)), None, t)
        at += batch
        for average, p in zip(averages, model.nets[0].parameters()):
            average.lerp_(p.detach(), 1 - EMA)
    with torch.no_grad():
        for average, p in zip(averages, model.nets[0].parameters()):
            p.copy_(average)
        return model.nets[0](model.prior((SAMPLES, preset["model"]["latent"])))


def in_limn(limn, seed, steps, folder):
    """limn's run, and its figure."""
    run = os.path.join(folder, f"limn-{seed}")
    call = lambda *words: subprocess.run([*limn, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
    if not os.path.exists(os.path.join(run, "done")):
        call("train", "gan-small", "--data", "mnist", "--steps", str(steps), "--set", f"train.ema={EMA}",
             "--set", f"train.seed={seed}", "--out", run, "--quiet")
        open(os.path.join(run, "done"), "w").close()
    told = map(json.loads, call("eval", run, "--metric", "parzen", "--json").splitlines())
    return run, next(figure["value"] for figure in told if figure["name"] == "parzen")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--limn", default=os.path.join(ROOT, "target", "release", "limn"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", default=os.path.join("runs", "parzen"))
    parser.add_argument("--mnist", default=os.path.expanduser("~/.cache/limn/mnist"))
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)

    def read(name):
        return torch.from_numpy(read_idx_images(os.path.join(args.mnist, name)).copy()).flatten(1).float() / 255

    train, test = read("train-images-idx3-ubyte"), read("t10k-images-idx3-ubyte")
    validation = train[-HELD_OUT:]
    limn = [args.limn]
    os.environ.setdefault("LIMN_DEVICE", args.device)
    known_at = os.path.join(args.out, "figures.json")
    known = json.load(open(known_at)) if os.path.exists(known_at) else {}
    for seed in range(args.seeds):
        figures = known.setdefault(str(seed), {})
        if "limn" not in figures:
            run, figures["limn"] = in_limn(limn, seed, args.steps, args.out)
            if seed == 0:
                samples = os.path.join(run, "parzen.npz")
                subprocess.run([*limn, "sample", run, "--n", str(SAMPLES), "--out", samples], check=True,
                               stdout=subprocess.DEVNULL)
                with np.load(samples) as arrays:
                    drawn = torch.from_numpy(next(iter(arrays.values())).astype(np.float32)).flatten(1)
                drawn = drawn / 255 if drawn.max() > 1 else drawn
                figures["same samples"] = parzen(drawn, validation, test)[1]
        if "torch" not in figures:
            figures["torch"] = parzen(in_pytorch(seed, args.steps, train), validation, test)[1]
        print(seed, figures, file=sys.stderr, flush=True)
        with open(known_at, "w") as file:
            json.dump(known, file)
    rows = {name: np.array([known[str(seed)][name] for seed in range(args.seeds)]) for name in ("limn", "torch")}
    print("| | " + " | ".join(str(seed) for seed in range(args.seeds)) + " | mean | deviation |")
    print("|---" * (args.seeds + 3) + "|")
    for name, title in (("limn", "limn"), ("torch", "PyTorch")):
        values = rows[name]
        cells = [*values, values.mean(), values.std(ddof=1)]
        print(f"| {title} | " + " | ".join(f"{v:.1f}" for v in cells) + " |")
    of, by = rows["torch"].mean(), rows["limn"].mean() - rows["torch"].mean()
    error = math.sqrt(sum(v.var(ddof=1) / len(v) for v in rows.values()))
    print(f"\nlimn's mean is {abs(by) / of:.1%} {'above' if by > 0 else 'below'}, with a standard error of {error / of:.1%}. "
          f"limn's samples of seed 0: {known['0']['limn']:.1f} by limn's figure, "
          f"{known['0'].get('same samples', math.nan):.1f} by the other, of as many samples drawn anew.")


if __name__ == "__main__":
    main()
