#!/usr/bin/env python3
"""What up to 1,024 ranks are expected to get done, by `limn plan --ranks`, as a page.

    benches/ranks.py --limn PATH [--page FILE]

Each rank has the preset's own batch, so that the whole batch grows with the ranks. The step of a rank by itself is what
benches/model_gpu.py predicts for an H100 SXM, the middle between its good and its bad case; of a preset that it has no
prediction for, its arithmetic at the rate of those that it has.
"""
import argparse
import json
import subprocess

#: Milliseconds of a step on an H100 SXM (assets/results/2026-11-30-model.md); None where only the arithmetic is known.
STEPS = {"dcgan": (7.57 + 11.95) / 2, "pixelcnn-cifar": (8.38 + 16.40) / 2, "biggan": None}
#: TFLOP/s of the two above in the middle, for the third.
RATE = 28.7
RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
NETWORKS = [1, 10, 50]
DEVICE = "llvmpipe"


def plan(limn, preset, *more):
    # A processor's launches would be weighed as one's: any device of wgpu's will do, Mesa's llvmpipe as well.
    command = [limn, "plan", preset, "--device", DEVICE, "--json", *map(str, more)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def table(limn, preset):
    own = plan(limn, preset)
    step = STEPS[preset] or own["gflop_per_step"] / RATE
    lines = [f"## {preset}", "",
             f"{own['batch']} images each, {own['gflop_per_step']:.0f} GFLOP, {step:.1f} ms a step by itself.", "",
             "| ranks | means a step | MB | a rank sends MB | in messages | computing ms | " +
             " | ".join(f"reduction ms, {g} GB/s | step ms | efficiency | without overlap" for g in NETWORKS) + " |",
             "|--:|--:|--:|--:|--:|--:|" + "--:|" * 4 * len(NETWORKS)]
    for ranks in RANKS:
        batch, cells = own["batch"] * ranks, []
        for network in NETWORKS:
            if ranks == 1:
                cells += ["0", f"{step:.1f}", "100%", "100%"]
                row = dict(means=0, mean_bytes=0, sent_bytes=0, messages=0, computing_ms=step)
                continue
            row = plan(limn, preset, "--batch", batch, "--ranks", ranks, "--network", network, "--step-ms", step)["ranks"]
            cells += [f"{row['reduction_ms']:.1f}", f"{row['step_ms']:.1f}", f"{100 * row['efficiency']:.0f}%",
                      f"{100 * row['efficiency_without_overlap']:.0f}%"]
        lines.append(f"| {ranks} | {row['means']} | {row['mean_bytes'] / 1e6:.1f} | {row['sent_bytes'] / 1e6:.1f} | "
                     f"{row['messages']} | {row['computing_ms']:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    global DEVICE
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limn", default="target/release/limn")
    parser.add_argument("--device", default=DEVICE, help="whose programs are looked at (default: %(default)s)")
    parser.add_argument("--page", help="file of which everything from `## dcgan` on is written anew")
    args = parser.parse_args()
    DEVICE = args.device
    text = "\n".join(table(args.limn, preset) for preset in STEPS)
    if args.page:
        head = open(args.page).read().split("\n## dcgan")[0].rstrip("\n") + "\n"
        open(args.page, "w").write(f"{head}\n{text}")
    else:
        print(text)


if __name__ == "__main__":
    main()
