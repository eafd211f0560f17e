"""What the compilers of four GPUs make of training steps, without the GPUs; see ../isa.sh.

For each preset and target: every launch of the step with the pipelines that it runs; of those that multiply, the
loop's instructions per multiply-add, the epilogue, registers, spills and occupancy; and the golden table, with which
they are compared. How the code is read is in machine.py and spirv.py.
"""
import argparse
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
import machine
import spirv

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GOLDEN = os.path.join(ROOT, "assets/golden/isa.txt")
TARGETS = ["nvk-ampere", "radv-navi31", "apple-m1", "adreno-740"]
PRESETS = ["vae", "vae-conv", "dcgan", "dcgan-28", "pixelcnn", "pixelcnn-cifar", "pixelcnn-gated", "wavegan-small"]
#: How much heavier than in the golden table a loop may be.
HEAVIER = 1.02
#: A launch is a product from so many multiply-adds on for each word of its largest operand: memory binds the others.
PRODUCT = 8
#: What drivers call a figure: NVK, RADV, Honeykrisp, Turnip.
REGISTERS = ("Number of GPRs", "VGPRs", "GPRs", "Registers used")
OCCUPANCY = ("Max warps/SM", "Subgroups per SIMD", "Threads", "Max Waves Per Core")
COUNT = ("Instruction count", "Instructions", "Instruction Count")
SPILLS = ("Spills to memory", "Fills from memory", "Spilled VGPRs", "Spilled SGPRs", "Spills", "Fills", "STP Count",
          "LDP Count")
#: Workgroup memory of a multiprocessor of sm86, and what each workgroup takes of it besides its own.
SM86_SHARED, SM86_EACH = 100 << 10, 1 << 10


class Failed(Exception):
    """A command on a target that did not end well."""


def on(target, folder, argv):
    """What a program prints on an emulated GPU. Its pipelines are left in `folder`."""
    done = subprocess.run([os.path.join(HERE, "run.sh"), target, folder, *argv], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.strip()][-3:]
        raise Failed("%s on %s: exit code %d: %s" % (" ".join(argv[1:]), target, done.returncode, " | ".join(told)))
    return done.stdout


def first(figures, names):
    return next((figures[name] for name in names if name in figures), None)


def pipelines(folder):
    """{number: what is known of a pipeline}, from what run.sh left."""
    found = {}
    with open(os.path.join(folder, "stats.jsonl"), encoding="utf-8") as lines:
        for figures in map(json.loads, lines):
            number = figures["id"]
            with open(os.path.join(folder, "spv", "%04d.spv" % number), "rb") as file:
                module = spirv.Module(file.read())
            with open(os.path.join(folder, "isa", "%04d.txt" % number), encoding="utf-8", errors="replace") as file:
                code = machine.blocks(file.read())
            occupancy = first(figures, OCCUPANCY)
            if "Max warps/SM" in figures and module.threads and module.shared:
                # NVK's figure is by registers alone.
                warps = -(-module.threads // 32)
                occupancy = min(occupancy // warps * warps, SM86_SHARED // (module.shared + SM86_EACH) * warps)
            found[number] = {
                "shader": figures["name"], "threads": module.threads, "shared": module.shared,
                "instructions": first(figures, COUNT), "registers": first(figures, REGISTERS), "occupancy": occupancy,
                "spills": sum(figures.get(name, 0) for name in SPILLS), "step": module.step(),
                "code": machine.shape(code, module.step()) if code else {},
            }
    return found


def dispatches(folder):
    """(pipeline, workgroups) of all dispatches, command buffer after command buffer."""
    with open(os.path.join(folder, "runs.txt"), encoding="utf-8") as file:
        found = re.findall(r"(-?\d+):(\d+),(\d+),(\d+)", file.read())
    return [(int(n), [int(x), int(y), int(z)]) for n, x, y, z in found]


def match(launches, known, ran):
    """The pipelines of each stage of a program's launches: the first place where its dispatches ran as planned."""
    wanted = [(stage["shader"], stage["workgroups"]) for launch in launches for stage in launch["stages"]]
    names = [(known[n]["shader"] if n in known else None, grid) for n, grid in ran]
    start = next((i for i in range(len(names) - len(wanted) + 1) if names[i:i + len(wanted)] == wanted), None)
    if start is None:
        raise Failed("the dispatches of the program are not among those that ran")
    return [n for n, _ in ran[start:start + len(wanted)]]


def step(target, preset, folder, limn):
    """A training step on a target: its launches with the pipelines of their stages. Of launches that multiply,
    `product` is the stage that does."""
    plan = on(target, os.path.join(folder, "plan"), [limn, "plan", preset, "--json"])
    plan = next(json.loads(line) for line in plan.splitlines() if line.startswith("{"))
    on(target, os.path.join(folder, "step"), [limn, "bench", "step", preset, "--tune", "off", "--json"])
    known = pipelines(os.path.join(folder, "step"))
    numbers = iter(match(plan["program"], known, dispatches(os.path.join(folder, "step"))))
    launches = []
    for row in plan["program"]:
        launch = {key: row[key] for key in ("part", "kernel", "shape", "variant", "flops", "bytes")}
        launch["stages"] = [{"workgroups": stage["workgroups"], **known[next(numbers)]} for stage in row["stages"]]
        loops = [stage for stage in launch["stages"] if stage["code"]]
        if loops and launch["flops"] >= 2 * PRODUCT * max(operand["len"] for operand in row["operands"]):
            launch["product"] = max(loops, key=lambda stage: (stage["code"]["loop"]["fma"], stage["instructions"]))
        launches.append(launch)
    return {"target": target, "preset": preset, "batch": plan["batch"], "launches": launches}


def rows(launches):
    """The products of a step by kernel and variant, those with most arithmetic first; means are weighted by it."""
    groups, whole = {}, sum(launch["flops"] for launch in launches if "product" in launch) or 1
    for launch in launches:
        if "product" in launch:
            groups.setdefault((launch["kernel"], launch["variant"]), []).append(launch)
    groups = {("all", "products"): [launch for group in groups.values() for launch in group], **groups}

    def row(name, group):
        flops, found = sum(launch["flops"] for launch in group), [launch["product"] for launch in group]

        def mean(part, what):
            parts = [(launch["flops"], launch["product"]["code"][part][what]) for launch in group]
            parts = [(weight, value) for weight, value in parts if value is not None]
            return sum(w * v for w, v in parts) / sum(w for w, _ in parts) if parts else None
        # What has next to no arithmetic may have any epilogue.
        large = [launch["product"]["code"] for launch in group if launch["flops"] > 0.01 * whole]
        epilogues = [code["after"] / code["stored"] for code in large or [p["code"] for p in found] if code["stored"]]
        return {"kernel": name[0], "variant": name[1], "launches": len(group), "share": flops / whole,
                "loop": mean("loop", "per_fma"), "core": mean("core", "per_fma"),
                "words": mean("loop", "words_per_fma"), "epilogue": max(epilogues, default=None),
                "registers": max(p["registers"] or 0 for p in found),
                "occupancy": min(p["occupancy"] or 0 for p in found), "spills": max(p["spills"] for p in found),
                "shared": max(p["shared"] for p in found), "open": any(p["code"]["open"] for p in found)}
    made = [row(name, group) for name, group in groups.items() if group]
    return sorted(made, key=lambda r: -r["launches"] * (r["kernel"] == "all") - r["share"])


def number(value, digits=2):
    return "-" if value is None else "%.*f" % (digits, value) if isinstance(value, float) else str(value)


HEAD = ["kernel", "variant", "launches", "share %", "loop", "core", "words", "epilogue", "regs", "occup", "spills",
        "shared B"]


def cells(row):
    return [row["kernel"], row["variant"], str(row["launches"]), number(100.0 * row["share"], 1),
            number(row["loop"]) + "*" * row["open"], number(row["core"]), number(row["words"]),
            number(row["epilogue"], 0), *(str(row[k]) for k in ("registers", "occupancy", "spills", "shared"))]


def table(lines):
    """Lines of cells, in columns."""
    width = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    sides = [str.ljust if i < 2 else str.rjust for i in range(len(width))]
    return "\n".join("  ".join(f(x, w) for f, x, w in zip(sides, line, width)).rstrip() for line in lines)


def markdown(lines):
    rule = "|" + "---|" * 2 + "--:|" * (len(lines[0]) - 2)
    made = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([made[0], rule, *made[1:]])


def read_golden(path):
    """{(target, preset, kernel, variant): instructions of the loop per multiply-add}"""
    found = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as lines:
            for words in map(str.split, lines):
                if words and not words[0].startswith("#"):
                    found[tuple(words[:4])] = float(words[4])
    return found


def golden_lines(results, kept):
    """The golden table: what was measured in place of the same targets' and presets' lines, the others as they were."""
    now = {(r["target"], r["preset"]) for r in results}
    found = {key: value for key, value in kept.items() if key[:2] not in now}
    for result in results:
        for row in rows(result["launches"]):
            found[result["target"], result["preset"], row["kernel"], row["variant"]] = row["loop"]
    places = {name: k for names in (TARGETS, PRESETS) for k, name in enumerate(names)}
    order = sorted(found, key=lambda key: (places.get(key[0], 99), places.get(key[1], 99), key[2] != "all", key))
    lines = ["# Instructions of products' loops for each multiply-add; `benches/isa.sh --bless` writes this.",
             "# target      preset          kernel                     variant              loop"]
    return lines + ["%-13s %-15s %-26s %-18s %6.3f" % (*key, found[key]) for key in order]


def compare(results, golden):
    """(lines about what is not as in the golden table, whether a loop got heavier)"""
    told, heavier = [], False
    for result in results:
        at = (result["target"], result["preset"])
        now = {(r["kernel"], r["variant"]): r["loop"] for r in rows(result["launches"])}
        was = {key[2:]: value for key, value in golden.items() if key[:2] == at}
        for key in sorted({*now, *was}):
            name = " ".join((*at, *key))
            if key not in was:
                told.append("new      %s: %.3f" % (name, now[key]))
            elif key not in now:
                told.append("gone     %s: was %.3f" % (name, was[key]))
            elif now[key] > HEAVIER * was[key]:
                told.append("heavier  %s: %.3f, was %.3f" % (name, now[key], was[key]))
                heavier = True
            elif was[key] > HEAVIER * now[key]:
                told.append("lighter  %s: %.3f, was %.3f" % (name, now[key], was[key]))
    return told, heavier


def page(results, versions):
    """All results as Markdown."""
    presets = list(dict.fromkeys(r["preset"] for r in results))
    targets = list(dict.fromkeys(r["target"] for r in results))
    whole = {(r["target"], r["preset"]): next(iter(rows(r["launches"])), None) for r in results}
    lines = [["all products of a step", "launches", *targets]]
    for preset in presets:
        counts = {len(r["launches"]) for r in results if r["preset"] == preset}
        found = [whole.get((target, preset)) for target in targets]
        lines.append([preset, "/".join(map(str, sorted(counts))), *(number(row and row["loop"]) for row in found)])
    about = "By `benches/isa.sh --page`, whose head says what the columns mean. The first table has the loops' " \
        "instructions for each multiply-add, over all products of a step by their share of its arithmetic. Nothing was " \
        "computed, and times are not in it. Compilers: %s." % ", ".join(versions)
    parts = ["# What compilers of GPUs make of training steps", about, markdown(lines)]
    for preset in presets:
        for result in results:
            if result["preset"] == preset:
                parts.append("## %s, batch %d, %s" % (preset, result["batch"], result["target"]))
                parts.append(markdown([HEAD, *map(cells, rows(result["launches"]))]))
    return "\n\n".join(parts) + "\n"


def kernels(target, names, folder, limn):
    """A table of the pipelines with a loop that `limn bench NAMES` makes on a target."""
    on(target, folder, [limn, "bench", *names, "--json"])
    lines = [["shader", "#", "instr", "loop", "core", "before", "epilogue", "regs", "occup", "spills", "shared B"]]
    for n, p in sorted(pipelines(folder).items()):
        code = p["code"]
        if code and not p["shader"].startswith("("):
            epilogue = code["after"] / code["stored"] if code["stored"] else None
            loop = number(code["loop"]["per_fma"]) + "*" * code["open"]
            lines.append([p["shader"], str(n), str(p["instructions"]), loop, number(code["core"]["per_fma"]),
                          number(code["before"], 0), number(epilogue, 0),
                          *(str(p[k]) for k in ("registers", "occupancy", "spills", "shared"))])
    return table(lines)


def arguments(argv):
    parser = argparse.ArgumentParser(prog="benches/isa.sh")
    names = {"type": lambda text: text.split(","), "metavar": "A,B"}
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="without any: " + ", ".join(PRESETS))
    parser.add_argument("--target", default=TARGETS, help="GPUs (%s)" % ",".join(TARGETS), **names)
    parser.add_argument("--kernel", help="kernels as `limn bench` names them, in place of presets", **names)
    parser.add_argument("--limn", default=os.path.join(ROOT, "target/release/limn"), metavar="PATH")
    parser.add_argument("--out", default=os.path.join(ROOT, "target/isa"), metavar="FOLDER",
                        help="where machine code and steps go (target/isa)")
    parser.add_argument("--golden", default=GOLDEN, metavar="FILE", help="the table that is compared with")
    parser.add_argument("--bless", action="store_true", help="write that table")
    parser.add_argument("--page", metavar="FILE", help="write all tables as Markdown")
    return parser.parse_args(argv)


def main(argv):
    args = arguments(argv)
    if args.kernel:
        for target in args.target:
            folder = os.path.join(args.out, target, "kernels")
            print("== %s" % target, kernels(target, args.kernel, folder, args.limn), sep="\n", flush=True)
        return 0
    results, failed = [], 0
    for preset in args.presets or PRESETS:
        for target in args.target:
            folder = os.path.join(args.out, target, preset)
            try:
                result = step(target, preset, folder, args.limn)
            except Failed as error:
                print("FAILED %s on %s: %s" % (preset, target, error), file=sys.stderr)
                failed += 1
                continue
            with open(os.path.join(folder, "launches.json"), "w", encoding="utf-8") as file:
                json.dump(result, file)
            results.append(result)
            print("== %s, batch %d, %s: %d launches" % (preset, result["batch"], target, len(result["launches"])))
            print(table([HEAD, *map(cells, rows(result["launches"]))]), flush=True)
    golden = read_golden(args.golden)
    told, heavier = compare(results, golden)
    if args.page:
        lab = os.environ.get("LIMN_GPU_LAB") or os.path.expanduser("~/.cache/limn-gpu-lab")
        with open(os.path.join(lab, "versions"), encoding="utf-8") as file:
            versions = file.read().splitlines()
        with open(args.page, "w", encoding="utf-8") as file:
            file.write(page(results, versions))
    if args.bless:
        with open(args.golden, "w", encoding="utf-8") as file:
            file.write("\n".join(golden_lines(results, golden)) + "\n")
        return 2 if failed else 0
    print("\n".join(told) if told else "as in the golden table", flush=True)
    return 2 if failed else int(heavier)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
