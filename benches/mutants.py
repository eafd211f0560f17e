#!/usr/bin/env python3
"""Makes mistakes in limn one by one, in a copy of it, and tells which of them no test notices.

usage: python3 benches/mutants.py [--only WORDS] [--build N] [--generate N [--seed S]] [--no-control] [--scratch FOLDER]
                                  [--report FILE.md]

Mistakes are those of benches/mutants.toml, or those whose names contain WORDS; with --generate also N that are drawn from the
functions of src/kernels, src/ops, src/program and src/train: a sign, a bound, a condition turned round. Each is judged by the
narrowest test that should notice it; a drawn one that it leaves alive, by wider ones. The copy is made in --scratch and kept
there, so that the next run compiles little.

  killed          its test failed, or did not end in the time given
  survived        its test passed: a test is missing, or nobody could see a difference
  did not build   it is no program

Tests are first run without a mistake: what fails then says nothing. CARGO names another cargo. Python 3.11.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600  # seconds of a test, after which nobody would wait on
BUILD_LIMIT = 1800
KILLED, SURVIVED, UNBUILT = "killed", "survived", "did not build"

# What is drawn: (name, what stands there, what is put in its place), within functions that are no tests.
SLIPS = [
    ("a bound off by one", " < ", " <= "), ("a bound off by one", " <= ", " < "), ("a bound off by one", " >= ", " > "),
    ("a wrong sign", " + ", " - "), ("a wrong sign", " - ", " + "), ("a factor that is a term", " * ", " + "),
    ("a factor instead of a divisor", " / ", " * "), ("a quotient instead of a remainder", " % ", " / "),
    ("a condition turned round", " == ", " != "), ("a condition turned round", " != ", " == "),
    ("one condition of two", " && ", " || "), ("both conditions of two", " || ", " && "),
    ("a smaller instead of a larger", ".max(", ".min("), ("a larger instead of a smaller", ".min(", ".max("),
    ("a condition that always holds", ".is_empty()", ".len() > 0"),
]

# Functions that say how far off a result may be, what it costs, or what a person reads: more or less of it is no mistake.
ASIDE = {"bounds", "permitted", "error", "flops", "flops_each", "bytes", "cost", "label", "settings", "cases", "shapes",
         "example", "fmt", "mixed_bounds", "moment"}

# The tests of a folder of sources, the narrowest first: a drawn mistake that one leaves alive goes to the next.
TESTS = [
    ("src/kernels/", ["--test kernels references::", "--lib", "--test programs"]),
    ("src/ops/", ["--test graph", "--test programs", "--test train pytorch::"]),
    ("src/program/", ["--test programs", "--lib", "--test train pytorch:: runs::"]),
    ("src/train/", ["--lib train::", "--test train", "--test command_line models:: run_folders::"]),
]


class Mutant:
    """A mistake: in `file`, the `nth` place where `old` stands has `new`."""

    def __init__(self, name, file, old, new, test, nth=1, build=None, env=None, equivalent=None, wider=()):
        self.name, self.file, self.old, self.new, self.test, self.nth = name, file, old, new, test, nth
        self.wider = list(wider)
        self.build, self.env, self.equivalent = build or name, env or {}, equivalent
        self.fate, self.seconds, self.failed = None, 0.0, []

    def place(self, text):
        """Where its text stands; an error where that is not clear."""
        places = [m.start() for m in re.finditer(re.escape(self.old), text)]
        if len(places) < self.nth or (self.nth == 1 and len(places) > 1 and not self.drawn()):
            raise ValueError(f'"{self.name}": the text stands {len(places)} times in {self.file}')
        return places[self.nth - 1]

    def drawn(self):
        return self.name.startswith("drawn: ")

    def made(self, text):
        at = self.place(text)
        return text[:at] + self.new + text[at + len(self.old):]


def listed(path):
    return [Mutant(**entry) for entry in tomllib.loads(path.read_text())["mutant"]]


def code_lines(text):
    """(offset, line) of what is code within functions: no comments, attributes, declarations or tests."""
    at, tests = 0, text.find("#[cfg(test)]")
    inside = False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if 0 <= tests <= at:
            return
        named = re.match(r"(?:pub(?:\([a-z ]+\))? )?(?:const )?(?:unsafe )?fn (\w+)", bare)
        if named:
            inside = named[1] not in ASIDE
        elif line.startswith("}"):
            inside = False
        elif inside and bare and '"' not in bare and not bare.startswith(("//", "#[", "pub ", "where", "use ", "impl")):
            yield at, line
        at += len(line)


def drawn(files, count, seed):
    """Mistakes drawn from these files: the k-th place of each kind of slip is as likely as any other."""
    places = []
    for file in files:
        text = (ROOT / file).read_text()
        for at, line in code_lines(text):
            for name, old, new in SLIPS:
                for found in re.finditer(re.escape(old), line):
                    if "<'" in line or "->" in line or "dyn " in line or "EPS" in line:
                        continue
                    places.append((file, at + found.start(), line.strip(), name, old, new))
    chosen, state = [], seed * 2654435761 + 1
    while places and len(chosen) < count:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        file, at, line, name, old, new = places.pop((state >> 33) % len(places))
        nth = (ROOT / file).read_text()[:at].count(old) + 1
        test, *wider = next(tests for folder, tests in TESTS if str(file).startswith(folder))
        env = {"LIMN_KERNELS": ",".join(kernels_of(file))} if kernels_of(file) else {}
        chosen.append(Mutant(f"drawn: {name} in {file}: `{line}`", str(file), old, new, test, nth, env=env, wider=wider))
    return in_builds(chosen)


def kernels_of(file):
    """The kernels that a file has, or where it has none those of its folder: they are checked alone."""
    file = Path(file)
    if file.parts[:2] != ("src", "kernels") or len(file.parts) < 4:
        return []
    listed = re.findall(r'"(\w+)": (\w+)::', (ROOT / "src" / "kernels" / "list.rs").read_text())
    listed += [(name, name) for name in ("adam", "rmsprop", "sgd")]
    for files in [[file], (ROOT / file).parent.glob("*.rs")]:
        modules = {of.parent.name if of.name == "mod.rs" else of.stem for of in files}
        names = sorted(name for name, module in listed if module in modules)
        if names:
            return names
    return []


def in_builds(mutants):
    """Mistakes in kernels of folders that share none are made at once."""
    builds = []
    for mutant in mutants:
        names = mutant.env.get("LIMN_KERNELS", "").split(",")
        folder = Path(mutant.file).parent
        # A test takes the kernels in whose names one of its words is.
        free = (b for b in builds if folder not in b[1] and not any(n in m or m in n for n in names for m in b[0]))
        build = next(free, None) if mutant.env else None
        if build is None:
            build = ([], set(), f"drawn {len(builds) + 1}")
            builds.append(build)
        build[0].extend(names)
        build[1].add(folder)
        mutant.build = build[2]
    return mutants


def sources():
    """What git knows, and what it does not ignore."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [Path(name) for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def copied(scratch):
    """Brings the copy up to date; what is the same keeps its time, so that cargo compiles what changed."""
    for name in sources():
        to = scratch / name
        if not to.exists() or to.read_bytes() != (ROOT / name).read_bytes():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to)
            os.utime(to)


class Cargo:
    """Runs cargo in the copy, each call as a group of its own that is ended when it takes too long."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.command = os.environ.get("CARGO", "cargo").split()

    def call(self, words, limit, env=None):
        """-> exit code, None where the time ran out, and what it printed."""
        env = os.environ | {"RUST_BACKTRACE": "0", "CARGO_TERM_COLOR": "never"} | (env or {})
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(self.command + words, cwd=self.scratch, env=env, stdout=out, stderr=subprocess.STDOUT,
                                       start_new_session=True)
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None, ""
            out.seek(0)
            return process.returncode, out.read().decode(errors="replace")

    def build(self, targets):
        """Builds the tests of these targets; what the compiler says where that fails."""
        words = ["test", "--locked", "--release", "--no-run", *(word for target in targets for word in target)]
        code, text = self.call(words, BUILD_LIMIT)
        return text if code != 0 else None

    def test(self, words, limit=None, env=None):
        """A test's command: `TARGET FILTERS`, the target being `--lib` or `--test NAME`."""
        target, filters = parted(words)
        failed = self.build([target])
        if failed is not None:
            return UNBUILT, failed
        code, text = self.call(["test", "--locked", "--release", *target, "--", *filters], limit or LIMIT, env)
        if code is None:
            return KILLED, "it did not end"
        ran = sum(int(n) + int(m) for n, m in re.findall(r"(\d+) passed; (\d+) failed", text))
        if ran == 0:
            raise ValueError(f"`{' '.join(words)}` runs no test:\n{text[-1500:]}")
        return SURVIVED if code == 0 else KILLED, text


def parted(words):
    """A test's command as its target and its filters."""
    words = words.split()
    return (words[:1], words[1:]) if words[0] == "--lib" else (words[:2], words[2:])


def tried(mutants, cargo, say):
    """Runs the tests of mistakes that are made, all of which one target has: once for all, and one by one where that
    says nothing of some."""
    target = parted(mutants[0].test)[0]
    filters = sorted({word for mutant in mutants for word in parted(mutant.test)[1]})
    begun = time.monotonic()
    fate, text = cargo.test(" ".join(target + filters), len(mutants) * LIMIT, mutants[0].env)
    seconds = (time.monotonic() - begun) / len(mutants)
    ended = dict(re.findall(r"^test (\S+).* \.\.\. (ok|FAILED)$", text, re.M))
    for mutant in mutants:
        words = parted(mutant.test)[1]
        mine = [name for name in ended if not words or any(word in name for word in words)]
        mutant.failed = [name for name in mine if ended[name] == "FAILED"]
        mutant.seconds = seconds
        if fate == UNBUILT:
            mutant.fate, mutant.failed = UNBUILT, re.findall(r"^error.*", text, re.M)[:2]
        elif mutant.failed:
            mutant.fate = KILLED
        elif mine and "test result:" in text:
            mutant.fate = SURVIVED
        elif len(mutants) > 1:
            tried([mutant], cargo, say)
            continue
        else:
            mutant.fate = fate
        say(f"{mutant.fate}, {mutant.seconds:.0f} s: {mutant.name} {' '.join(mutant.failed[:3])}", flush=True)


def judge(mutants, cargo, say=print):
    """Makes each mistake and notes what came of it."""
    builds = {}
    for mutant in mutants:
        builds.setdefault(mutant.build, []).append(mutant)
    for group in builds.values():
        texts = {}
        try:
            for mutant in group:
                text = texts.get(mutant.file) or (cargo.scratch / mutant.file).read_text()
                texts[mutant.file] = mutant.made(text)
            before = {file: (cargo.scratch / file).read_text() for file in texts}
            try:
                for file, text in texts.items():
                    (cargo.scratch / file).write_text(text)
                runs = {}
                for mutant in group:
                    runs.setdefault((*parted(mutant.test)[0], json.dumps(mutant.env)), []).append(mutant)
                # Side by side, which each test then finds done.
                cargo.build(sorted({tuple(parted(mutant.test)[0]) for mutant in group}))
                for _, together in sorted(runs.items()):
                    tried(together, cargo, say)
            finally:
                for file, text in before.items():
                    (cargo.scratch / file).write_text(text)
        except ValueError as error:
            say(f"not judged: {error}", flush=True)
        if len(group) > 1 and any(mutant.fate == UNBUILT for mutant in group):
            say("one of these is no program: each is made alone", flush=True)
            for mutant in group:
                mutant.build = mutant.name
            judge(group, cargo, say)


def control(mutants, cargo, say=print):
    """The tests without a mistake; those that fail anyway."""
    bad = set()
    for test, env in sorted({(m.test, json.dumps(m.env)) for m in mutants}):
        fate, text = cargo.test(test, env=json.loads(env))
        if fate != SURVIVED:
            bad.add((test, env))
            say(f"fails without a mistake: {test}\n{text[-1500:]}", flush=True)
    return bad


def judge_soundly(mutants, cargo, known, say=print):
    """Judges what is alive by wider and wider tests, each of which is known to pass, or is first run, without a
    mistake; those that fail anyway."""
    bad = set() if known else control(mutants, cargo, say)
    sound = [mutant for mutant in mutants if (mutant.test, json.dumps(mutant.env)) not in bad]
    judge(sound, cargo, say)
    alive = [mutant for mutant in sound if mutant.fate == SURVIVED and mutant.wider]
    for mutant in alive:
        mutant.test, mutant.env, mutant.build = mutant.wider.pop(0), {}, mutant.name
    return bad | judge_soundly(alive, cargo, known, say) if alive else bad


def report(mutants):
    """A table in Markdown."""
    lines = ["| mistake | file | judged by | came of it |", "|---|---|---|---|"]
    for m in mutants:
        fate = m.fate or "not judged"
        if m.fate == SURVIVED and m.equivalent:
            fate = f"the same: {m.equivalent}"
        elif m.failed and m.fate == KILLED:
            fate += f" by `{m.failed[0]}`" + (f" and {len(m.failed) - 1} more" if len(m.failed) > 1 else "")
        lines.append(f"| {m.name} | {m.file} | `{m.test}` | {fate} |".replace("||", "\\|\\|"))
    counts = {fate: sum(m.fate == fate for m in mutants) for fate in (KILLED, SURVIVED, UNBUILT, None)}
    lines.append(f"\n{len(mutants)} made: {counts[KILLED]} killed, {counts[SURVIVED]} survived, "
                 f"{counts[UNBUILT]} did not build, {counts[None]} not judged.")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mistakes whose names contain this")
    parser.add_argument("--build", default="", help="mistakes of this build")
    parser.add_argument("--generate", type=int, default=0, metavar="N", help="so many drawn ones beside those of the list")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scratch", type=Path, default=ROOT / "target" / "mutants", help="where the copy is made")
    parser.add_argument("--report", type=Path, help="a file for the table")
    parser.add_argument("--no-control", action="store_true", help="the tests are known to pass without a mistake")
    args = parser.parse_args()
    if "CARGO_TARGET_DIR" not in os.environ and "CARGO" not in os.environ:
        os.environ["CARGO_TARGET_DIR"] = str(ROOT / "target")
    os.environ.setdefault("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
    args.scratch.mkdir(parents=True, exist_ok=True)
    copied(args.scratch)
    files = [f for f in sources() if f.suffix == ".rs" and any(str(f).startswith(folder) for folder, _ in TESTS)]
    files = [f for f in files if "tests" not in f.name]
    mutants = listed(ROOT / "benches" / "mutants.toml") + drawn(files, args.generate, args.seed)
    mutants = [m for m in mutants if args.only in m.name and args.build in ("", m.build)]
    cargo = Cargo(args.scratch)
    bad = judge_soundly(mutants, cargo, args.no_control)
    text = report(mutants)
    print(text)
    if args.report:
        args.report.write_text(text + "\n")
    sys.exit(any(m.fate == SURVIVED and not m.equivalent for m in mutants) or bool(bad))


if __name__ == "__main__":
    main()
