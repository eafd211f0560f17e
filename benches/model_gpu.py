#!/usr/bin/env python3
"""How long a training step takes on a GPU that is not here, by a small model: between a good and a bad case.

    benches/model_gpu.py [PRESET...] [--gpu A,B] [--isa FOLDER] [--page FILE]     from the launches that isa.sh left
    benches/model_gpu.py PRESET --limn PATH --device D --results FOLDER --json    of this machine's GPU, for gpu.py

A step in f32 is its launches one after the other, each with the time of its arithmetic, its memory, and a launch:

- Arithmetic: the instructions of a workgroup (the loop's for each multiply-add, by isa.sh; prologue and epilogue) on a
  unit (a multiprocessor, compute unit or core) that issues one for each of its lanes a cycle. Units take whole
  workgroups, so a launch takes as long as the unit with most of them. A unit needs two warps for each of its schedulers
  to be busy in the good case, four in the bad, in which it then issues in 85% of the cycles.
- Memory: every operand goes over the memory's bus once, at 92% of the data sheet's rate or 75%. In the good case what
  fits into half of the last cache comes from there, and arithmetic hides memory or the other way round; in the bad case
  nothing does.
- A launch: what lies between two that depend on each other (the barrier, the last workgroups of one and the first of
  the next), guessed; gpu.py measures the least of it.

What it leaves out: reads of an operand that no cache holds for the next workgroup, what the stages of a launch hand
each other, bank conflicts, scalar units that work beside the lanes, clocks that fall, and the host, which records
ahead. The compilers are Mesa's: NVIDIA's and Apple's make other code, rather better, so that products may take less
than in the good case; there is none for an H100 here, and code for GA102 takes its place. Rates are the data sheets',
or for gpu.py limn's ceilings that it measured.

PyTorch in fp32 and TF32, eager: products at 65% of the peak (or TF32 at 35% of its own), 1.6 times limn's traffic,
for nothing is fused, or where that is longer the host, with four kernels for each launch of limn's and 7 us for each.
"""
import argparse
import json
import math
import os
import subprocess
import sys
from collections import namedtuple

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "isa"))
import report as isa

#: Units, lanes and schedulers of each, clock in GHz, GB/s, MB of the last cache and how much faster it is than memory;
#: microseconds of a launch in the good and the bad case; the target of isa.sh; TF32's TFLOP/s; parts of its name.
Gpu = namedtuple("Gpu", "name units lanes schedulers ghz gb_s cache_mb cache_gain launch_us target tf32 called")
GPUS = {
    "h100": Gpu("H100 SXM", 132, 128, 4, 1.98, 3350.0, 50.0, 2.5, (2.0, 8.0), "nvk-ampere", 495.0, ("H100",)),
    "h200": Gpu("H200", 132, 128, 4, 1.98, 4800.0, 50.0, 1.8, (2.0, 8.0), "nvk-ampere", 495.0, ("H200",)),
    "rtx-4070": Gpu("RTX 4070", 46, 128, 4, 2.475, 504.0, 36.0, 3.5, (2.0, 8.0), "nvk-ampere", 29.1, ("RTX 4070",)),
    "rx-7800-xt": Gpu("RX 7800 XT", 60, 64, 2, 2.43, 624.0, 64.0, 3.0, (3.0, 10.0), "radv-navi31", None, ("7800 XT",)),
    "m2": Gpu("Apple M2", 10, 128, 4, 1.398, 100.0, 8.0, 2.0, (4.0, 15.0), "apple-m1", None, ("Apple M2",)),
}
#: For a GPU of no known name: what its maker's are like. The units follow from its measured peak.
MAKERS = [("nvk-ampere", ("nvidia", "geforce", "rtx", "tesla", "quadro"), GPUS["rtx-4070"]),
          ("radv-navi31", ("amd", "radeon"), GPUS["rx-7800-xt"]), ("apple-m1", ("apple",), GPUS["m2"])]
PRESETS = ["dcgan", "dcgan-28", "pixelcnn", "pixelcnn-cifar", "pixelcnn-gated", "vae", "vae-conv", "wavegan-small"]
#: Milliseconds that PyTorch's eager steps in fp32 are thought to take on an H100, from figures of others, and why.
THOUGHT = {"dcgan": (8.5, 10.0, "its products, at 60 to 70% of the peak"),
           "dcgan-28": (2.0, 2.5, "its host: some 300 small kernels"),
           "pixelcnn": (10.0, 14.0, "unfused passes over memory, and convolutions of few channels"),
           "pixelcnn-cifar": (9.0, 11.0, "its products, and unfused passes over memory")}
#: Of a warp's invocations; of a workgroup's, where only a listing is known.
WARP, THREADS = 32, 256
BUSY, RATE = (1.0, 0.85), (0.92, 0.75)
#: PyTorch: shares of the peaks, traffic beside limn's, kernels for each launch of limn's, microseconds of each.
TORCH_FP32, TORCH_TF32, TORCH_BYTES, TORCH_KERNELS, TORCH_US = 0.65, 0.35, 1.6, 4, 7.0

Time = namedtuple("Time", "arithmetic memory launches total")


def peak(gpu):
    """Multiply-adds and additions in f32, a second."""
    return 2e9 * gpu.units * gpu.lanes * gpu.ghz


def resident(occupancy, gpu):
    """Warps that a unit holds, of a driver's figure for occupancy."""
    if occupancy is None:
        return 32
    return {"nvk": occupancy, "radv": occupancy * gpu.schedulers, "apple": occupancy // WARP}[gpu.target.split("-")[0]]


def arithmetic(stage, instructions, gpu, bad):
    """Seconds of a stage of which a workgroup takes so many instructions, counted for each lane."""
    groups = math.prod(stage["workgroups"])
    warps = -(-(stage.get("threads") or THREADS) // WARP)
    each = -(-groups // gpu.units)
    held = min(each, max(1, resident(stage.get("occupancy"), gpu) // warps)) * warps
    fill = min(1.0, held / (gpu.schedulers * (4 if bad else 2)))
    return each * instructions / (gpu.lanes * gpu.ghz * 1e9 * fill * BUSY[bad])


def predict(launches, gpu, bad, loop_of=None):
    """The Time of a step in the good or the bad case, in seconds. `loop_of` tells the instructions for each
    multiply-add of a launch that comes with no code of its own."""
    spent = [0.0, 0.0, 0.0, 0.0]
    for launch in launches:
        compute = 0.0
        product = launch.get("product")
        for stage in launch["stages"]:
            code = stage.get("code")
            if stage == product:
                adds = launch["flops"] / 2.0 / math.prod(stage["workgroups"])
                around = (code["before"] + code["after"]) * stage["threads"]
                compute += arithmetic(stage, adds * code["loop"]["per_fma"] + around, gpu, bad)
                product = None  # another stage may be its like
            elif code is not None:
                compute += arithmetic(stage, stage["instructions"] * stage["threads"], gpu, bad)
        if loop_of and launch["stages"] and not any("code" in stage for stage in launch["stages"]):
            stage = max(launch["stages"], key=lambda s: math.prod(s["workgroups"]))
            loop = loop_of(launch) or 0.0
            compute = arithmetic(stage, launch["flops"] / 2.0 / math.prod(stage["workgroups"]) * loop, gpu, bad)
        cached = not bad and launch["bytes"] < 0.5e6 * gpu.cache_mb
        memory = launch["bytes"] / (RATE[bad] * 1e9 * gpu.gb_s * (gpu.cache_gain if cached else 1.0))
        wait = 1e-6 * gpu.launch_us[bad] * max(1, len(launch["stages"]))
        total = (compute + memory if bad else max(compute, memory)) + wait
        spent = [a + b for a, b in zip(spent, (compute, memory, wait, total))]
    return Time(*spent)


def torch_ms(launches, gpu, tf32=False):
    """Milliseconds that an eager step of PyTorch is estimated to take, and by what."""
    rate = max(TORCH_FP32 * peak(gpu), TORCH_TF32 * 1e12 * gpu.tf32 if tf32 else 0.0)
    device = 1e3 * (sum(launch["flops"] for launch in launches) / rate
                    + TORCH_BYTES * sum(launch["bytes"] for launch in launches) / (RATE[0] * 1e9 * gpu.gb_s))
    host = 1e-3 * TORCH_US * TORCH_KERNELS * len(launches)
    return (host, "host") if host > device else (device, "device")


def steps(folder, target, presets):
    """{preset: launches} of what isa.sh left for a target."""
    found = {}
    for preset in presets:
        path = os.path.join(folder, target, preset, "launches.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found[preset] = json.load(file)
    return found


def page(folder, gpus, presets):
    """The predictions as Markdown, with what is assumed: a table for each GPU."""
    lines = ["# Training steps on GPUs, predicted", "",
             "By `benches/isa.sh` and then `benches/model_gpu.py --page`; none of it is measured. This is assumed:", "",
             *__doc__[__doc__.index("A step in f32"):].splitlines(), ""]
    for gpu in gpus:
        found = steps(folder, gpu.target, presets)
        nvidia = gpu.tf32 is not None
        about = "%d units of %d lanes at %.2f GHz (%.1f TFLOP/s), %.0f GB/s, %.0f MB of cache, %.0f to %.0f us a " \
            "launch; code of %s." % (gpu.units, gpu.lanes, gpu.ghz, peak(gpu) / 1e12, gpu.gb_s, gpu.cache_mb,
                                     *gpu.launch_us, gpu.target)
        lines += ["## %s" % gpu.name, "", about, ""]
        head = ["preset", "batch", "GFLOP", "GB", "launches", "limn ms", "arithmetic ms", "memory ms", "launches ms",
                "GFLOP/s", "torch fp32 ms", "torch tf32 ms", "thought"]
        lines += ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 2) + "---|"]
        for preset, step in found.items():
            launches = step["launches"]
            good, bad = (predict(launches, gpu, case) for case in (False, True))
            flops, size = (sum(launch[key] for launch in launches) for key in ("flops", "bytes"))
            torch = ["%.1f (%s)" % torch_ms(launches, gpu, tf32) if nvidia else "-" for tf32 in (False, True)]
            thought = "-"
            if preset in THOUGHT and gpu is GPUS["h100"]:
                thought = "%.1f to %.1f: %s" % THOUGHT[preset]
            spans = ["%.2f to %.2f" % (1e3 * getattr(good, part), 1e3 * getattr(bad, part))
                     for part in ("total", "arithmetic", "memory", "launches")]
            lines.append("| %s | %d | %.1f | %.2f | %d | %s | %.0f to %.0f | %s | %s |" % (
                preset, step["batch"], flops / 1e9, size / 1e9, len(launches), " | ".join(spans),
                flops / 1e9 / bad.total, flops / 1e9 / good.total, " | ".join(torch), thought))
        lines.append("")
    return "\n".join(lines)


def longest(step, gpu, count):
    """Lines of a step's longest launches in the good case: time, share of the step, part, kernel, workgroups."""
    times = [(predict([launch], gpu, False).total, launch) for launch in step["launches"]]
    whole = sum(seconds for seconds, _ in times)
    lines = []
    for seconds, launch in sorted(times, key=lambda pair: -pair[0])[:count]:
        groups = "+".join(str(math.prod(stage["workgroups"])) for stage in launch["stages"])
        lines.append("%8.3f ms %5.1f%%  %-22s %s %s %s, workgroups %s" % (
            1e3 * seconds, 100.0 * seconds / whole, launch["part"], launch["kernel"], launch["shape"],
            launch["variant"], groups))
    return lines


def of_machine(name, roof, launch_ms):
    """The Gpu of a device by its name and limn's ceilings of it; None where nothing like it is known."""
    known = next((gpu for gpu in GPUS.values() if any(part.lower() in name.lower() for part in gpu.called)), None)
    if known is None:
        like = next((gpu for _, parts, gpu in MAKERS if any(part in name.lower() for part in parts)), None)
        if like is None or not roof.get("gflops"):
            return None
        each = 2.0 * like.lanes * like.ghz * (2.0 if like.target.startswith("radv") else 1.0)
        known = like._replace(name=name, units=max(1, round(roof["gflops"] / each)))
    elif roof.get("gflops"):
        # Its clock, or a larger model of its name; pairs of instructions are no faster clock.
        ratio = 1e9 * roof["gflops"] / peak(known)
        if ratio > 1.3 and not known.target.startswith("radv"):
            known = known._replace(units=round(known.units * ratio))
        else:
            known = known._replace(ghz=known.ghz * min(ratio, 1.15))
    if roof.get("gb_per_s"):
        known = known._replace(gb_s=roof["gb_per_s"] / RATE[0])
    if launch_ms:
        known = known._replace(launch_us=(1e3 * launch_ms, 2e3 * launch_ms))
    return known


def loops(golden, target, preset):
    """A function that tells the loop of a launch from the golden table: this preset's, else the mean of others', else
    that of all products; None for kernels that are no products there."""
    table = {}
    for (at, of, kernel, variant), loop in golden.items():
        if at == target:
            table.setdefault((kernel, variant), {})[of] = loop
    kernels = {kernel for kernel, _ in table}

    def loop_of(launch):
        found = table.get((launch["kernel"], launch["variant"]))
        if found is None and launch["kernel"] in kernels:
            found = table[("all", "products")]
        return found and found.get(preset, sum(found.values()) / len(found))
    return loop_of


def measured(folder):
    """limn's ceilings and the milliseconds of its smallest launch, from a folder of gpu.py."""
    found = {}
    with open(os.path.join(folder, "results.jsonl"), encoding="utf-8") as lines:
        for result in map(json.loads, lines):
            if result.get("data"):
                found[result["step"]] = result["data"]
    launch = min((one["ms"] for one in found.get("launch", []) if one.get("ms")), default=None)
    return (found.get("roof") or [{}])[0], launch


def here(args):
    """Prints what the model says of this machine's GPU, as an object. Exit code 2 where it says nothing."""
    words = [args.limn, "plan", args.presets[0], "--json", *(["--batch", args.batch] if args.batch else []),
             *(["--device", args.device] if args.device else [])]
    told = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    plan = next(json.loads(line) for line in told.splitlines() if line.startswith("{"))
    roof, launch_ms = measured(args.results) if args.results else ({}, None)
    gpu = of_machine(plan["device"], roof, launch_ms)
    if gpu is None:
        print("there is no model of %s" % plan["device"], file=sys.stderr)
        return 2
    loop_of = loops(isa.read_golden(args.golden), gpu.target, args.presets[0])
    good, bad = (predict(plan["program"], gpu, case, loop_of) for case in (False, True))
    torch = torch_ms(plan["program"], gpu)
    print(json.dumps({"preset": args.presets[0], "batch": plan["batch"], "gpu": gpu.name, "good_ms": 1e3 * good.total,
                      "bad_ms": 1e3 * bad.total, "good": {k: 1e3 * v for k, v in good._asdict().items()},
                      "bad": {k: 1e3 * v for k, v in bad._asdict().items()}, "torch_fp32_ms": torch[0],
                      "torch_by": torch[1], "units": gpu.units, "gb_per_s": gpu.gb_s, "launch_us": gpu.launch_us}))
    return 0


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--gpu", type=lambda text: text.split(","), default=list(GPUS), metavar="A,B",
                        help="of " + ", ".join(GPUS))
    parser.add_argument("--isa", default=os.path.join(isa.ROOT, "target/isa"), metavar="FOLDER",
                        help="what isa.sh left (target/isa)")
    parser.add_argument("--page", metavar="FILE", help="write the tables there")
    parser.add_argument("--longest", type=int, default=0, metavar="N", help="steps' longest launches, and no tables")
    parser.add_argument("--golden", default=isa.GOLDEN, metavar="FILE", help="the loops of kernels, for --limn")
    parser.add_argument("--limn", metavar="PATH", help="ask it for the plan of a preset on this machine's GPU")
    parser.add_argument("--batch", metavar="N")
    parser.add_argument("--device", metavar="D")
    parser.add_argument("--results", metavar="FOLDER", help="of gpu.py, with the GPU's ceilings")
    parser.add_argument("--json", action="store_true", help="an object, with --limn always")
    args = parser.parse_args(argv)
    if args.limn:
        return here(args)
    unknown = [name for name in args.gpu if name not in GPUS]
    if unknown:
        parser.error("no GPU is called %s; there are %s" % (unknown[0], ", ".join(GPUS)))
    for name in args.gpu if args.longest else []:
        for preset, step in steps(args.isa, GPUS[name].target, args.presets or PRESETS).items():
            print("%s on %s" % (preset, GPUS[name].name), *longest(step, GPUS[name], args.longest), sep="\n")
    if args.longest:
        return 0
    text = page(args.isa, [GPUS[name] for name in args.gpu], args.presets or PRESETS)
    if "| " not in text:
        parser.error("%s has no launches: run benches/isa.sh first" % args.isa)
    if args.page:
        with open(args.page, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
