#!/usr/bin/env python3
"""Whether two builds of limn compute the same bits: trains fifty steps of eight presets on each device, and prints the
SHA-256 of every final checkpoint's tensors (their names, types, shapes and bytes) as a table; with --against FILE it
holds them against such a table and exits with 1 where one differs.

    benches/bits.py [--limn target/release/limn] [--devices cpu,llvmpipe] [--against assets/results/2026-11-29-bits.md]
"""
import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile

PRESETS = [
    "vae", "vae-iwae-small", "dcgan-28-small", "wgan-gp-small", "biggan-small", "pixelcnn-small", "pixelcnn-gated-small",
    "pixelrnn-row-small",
]


def digest(path):
    """SHA-256 of the tensors of a safetensors file, in the order of their names; its metadata may say what they are."""
    with open(path, "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    sha = hashlib.sha256()
    for name in sorted(name for name in head if name != "__metadata__"):
        tensor = head[name]
        begin, end = tensor["data_offsets"]
        sha.update(json.dumps([name, tensor["dtype"], tensor["shape"]]).encode())
        sha.update(data[begin:end])
    return sha.hexdigest()


def trained(limn, preset, device, folder):
    """The digest of a run's final checkpoint. Kernels are those that come first: measuring would choose by time."""
    out = os.path.join(folder, f"{preset}-{device}")
    args = [limn, "train", preset, "--device", device, "--steps", "50", "--tune", "off", "--out", out]
    done = subprocess.run(args + ["--set", "train.sample_every=0"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(args)} failed:\n{done.stderr}")
    return digest(os.path.join(out, "checkpoint.safetensors"))


def rows(path):
    """The digests of a table that this program printed."""
    with open(path) as file:
        cells = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in file if line.startswith("|")]
    return {(row[0], row[1]): row[2] for row in cells if len(row) == 3 and len(row[2]) == 64}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limn", default="target/release/limn")
    parser.add_argument("--devices", default="cpu,llvmpipe")
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--against", metavar="FILE")
    args = parser.parse_args()
    known, differ = rows(args.against) if args.against else {}, 0
    print("| preset | device | SHA-256 of the tensors after 50 steps |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for device in args.devices.split(","):
            for preset in args.presets.split(","):
                found = trained(args.limn, preset, device, folder)
                wanted = known.get((preset, device))
                remark = "" if wanted in (None, found) else " differs"
                differ += bool(remark)
                print(f"| {preset} | {device} | `{found}` |{remark}", flush=True)
    if args.against:
        print(f"{differ} differ", file=sys.stderr)
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
