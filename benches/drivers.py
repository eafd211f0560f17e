#!/usr/bin/env python3
"""Every kernel on every driver that is at hand, under several limits: a table of how many of its variants were held against
its reference in how many cases, and how much of what they may be off by the worst of them was off. What is expected to
fail is in EXPECTED and must: a device that has not what a test asks for, or a driver that computes wrongly.

    benches/drivers.py [--short] [--debian FOLDER] [--only WORDS] [--kernels NAMES] [--report FILE.md]

Drivers are the system's own, SwiftShader as Chromium brings it, where it is installed, and with --debian the one of a
Debian that benches/debian.sh makes in FOLDER (as root). --short tries each case with some of its variants, as `make test`
does; --only takes the drivers whose names contain one of these words. CARGO names another cargo. Exit code 1 where
something failed, or what had to fail did not.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = ["/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
            "/opt/google/chrome/vk_swiftshader_icd.json"]

# How a device is opened, with the test that does; the processor has no driver.
PROCESSOR = ("processor", "references::every_kernel_agrees_with_its_twin_on_the_cpu")
LIMITS = [
    ("as it is", "references::every_variant_agrees_with_its_reference"),
    ("WebGPU's limits", "references::every_kernel_agrees_with_its_reference_within_webgpus_default_limits"),
    ("as a GPU", "gpu_class::every_variant_of_a_gpu_agrees_with_its_reference"),
    ("as a GPU, f16", "gpu_class::every_mixed_variant_of_a_gpu_agrees_with_its_reference"),
]
# What has to be found on each driver: by tests that make mistakes, and ask for too little.
FOUND = [
    ("what is wrong, harmful or races is found", "harness::"),
    ("a barrier that is left out is missed", "barriers::"),
    ("devices with less than WebGPU's limits are refused", "references::devices_with_less"),
]
# Driver, limits, what is said.
EXPECTED = [
    ("SwiftShader", "as a GPU, f16", "NoF16"),
]
# What the tests say of a variant in a case.
LINE = re.compile(r"^(?:test .* \.\.\. )?(\w+) .*\[[^\]]*\] worst \S+ bound \S+ ratio (\S+)$")


class Kernel:
    """What was seen of a kernel on one device."""

    def __init__(self):
        self.checks, self.failed, self.worst = 0, 0, 0.0

    def cell(self):
        if self.failed:
            return f"{self.failed} of {self.checks} FAILED"
        return f"{self.checks}, {self.worst:.2f}"


def seen(output):
    """By kernel, what a test printed. A ratio above 1, or one that is no number, is a failure."""
    kernels = {}
    for line in output.splitlines():
        found = LINE.match(line)
        if found:
            kernel = kernels.setdefault(found[1], Kernel())
            ratio = float(found[2])
            kernel.checks += 1
            if ratio <= 1:
                kernel.worst = max(kernel.worst, ratio)
            else:
                kernel.failed += 1
    return kernels


def built():
    """The program of the tests of kernels."""
    cargo = os.environ.get("CARGO", "cargo")
    done = subprocess.run(
        [cargo, "test", "--locked", "--release", "--test", "kernels", "--no-run", "--message-format", "json"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    programs = [json.loads(line).get("executable") for line in done.stdout.splitlines() if line.startswith("{")]
    return next(program for program in programs if program and "/kernels-" in program)


def drivers(debian):
    """Name, command in front of a test, and environment of each."""
    own = {"LIMN_DEVICE": os.environ["LIMN_DEVICE"]} if "LIMN_DEVICE" in os.environ else {}
    found = [("the system's", [], own)]
    icd = next((path for path in CHROMIUM if os.path.exists(path)), None)
    if icd:
        found.append(("SwiftShader", [], {"VK_DRIVER_FILES": icd, "VK_ICD_FILENAMES": icd, "LIMN_DEVICE": "SwiftShader"}))
    else:
        print("NOT TESTED: SwiftShader, which Chromium brings, is not installed", file=sys.stderr)
    if debian:
        found.append(("a newer Debian's", [str(ROOT / "benches/debian.sh"), debian], {"LIMN_DEVICE": "llvmpipe"}))
    return found


def run(program, driver, words, short):
    """A test's exit code and what it said."""
    _, front, added = driver
    environment = {**os.environ, **added}
    environment.pop("LIMN_TRUST", None)
    if not short:
        environment["LIMN_TRUST"] = "1"
    done = subprocess.run(front + [program] + words, cwd=ROOT, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def expected(driver, limits):
    return next((why for name, under, why in EXPECTED if (name, under) == (driver, limits)), None)


def judged(driver, limits, code, output, kernels):
    """What one cannot read from the kernels: why a column is as it has to be, or None; and whether that is so."""
    why = expected(driver, limits)
    if why is not None:
        failed = code != 0 and why in output
        return (f"refused, as it must: {why}" if failed else f"FAILED: not refused ({why})"), failed
    if code != 0 and not any(kernel.failed for kernel in kernels.values()):
        last = [line for line in output.splitlines() if line.strip()][-12:]
        return "FAILED: " + " / ".join(last), False
    return None, code == 0


def table(columns):
    """Kernels by columns, each of which is a pair of a title and what was seen."""
    names = sorted({name for _, kernels in columns for name in kernels})
    lines = ["| kernel | " + " | ".join(title for title, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = [kernels[name].cell() if name in kernels else "" for _, kernels in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    sums = [f"{sum(kernel.checks for kernel in kernels.values()):,}" for _, kernels in columns]
    return lines + ["| all | " + " | ".join(sums) + " |"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--debian", metavar="FOLDER")
    parser.add_argument("--only", nargs="*", metavar="WORD")
    parser.add_argument("--kernels", metavar="NAMES")
    parser.add_argument("--report", metavar="FILE.md")
    parser.add_argument("--program", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kernels:
        os.environ["LIMN_KERNELS"] = args.kernels
    program = args.program or built()
    wanted = [driver for driver in drivers(args.debian) if not args.only or any(word in driver[0] for word in args.only)]
    good, columns, notes, found = True, [], [], []

    def held(driver, limits, test):
        nonlocal good
        code, output = run(program, driver, ["--exact", test, "--nocapture"], args.short)
        kernels = seen(output)
        note, right = judged(driver[0], limits, code, output, kernels)
        good = good and right and (note is not None or bool(kernels) or bool(args.kernels))
        title = limits if driver[0] == "none" else f"{driver[0]}, {limits}"
        columns.append((title, kernels))
        if note:
            notes.append(f"{title}: {note}")
        print(f"{title}: {sum(kernel.checks for kernel in kernels.values())} checks {note or ''}", file=sys.stderr, flush=True)

    held(("none", [], {}), *PROCESSOR)
    for driver in wanted:
        for limits, test in LIMITS:
            held(driver, limits, test)
        for what, tests in FOUND:
            code, output = run(program, driver, [tests], True)
            count = re.search(r"(\d+) passed; (\d+) failed", output)
            right = code == 0 and count is not None and int(count[1]) > 0
            good = good and right
            found.append(f"| {driver[0]} | {what} | {count[1] + ' passed' if right else 'FAILED'} |")
            print(found[-1], file=sys.stderr, flush=True)
            if not right:
                print(output[-3000:], file=sys.stderr)
    lines = table([column for column in columns if column[1]]) + [""] + [f"* {note}" for note in notes]
    lines += ["", "| driver | what must fail does | tests |", "|---|---|---|"] + found
    text = "\n".join(lines) + "\n"
    if args.report:
        Path(args.report).write_text(text)
    print(text)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
