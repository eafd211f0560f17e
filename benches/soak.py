#!/usr/bin/env python3
"""An hour of what befalls a training: beside one run that nobody disturbs, others are interrupted (INT, TERM, HUP), killed,
stopped and continued, run out of disk, are contended for by a second process, sampled from and evaluated while they go on,
and resumed, until they end; each must end with the bits of a run that was left alone. The undisturbed one must keep its
memory, its open files and threads, and the processor's time that a step takes. Prints a table; exits with 1 where
something is not as it must be.

    benches/soak.py [--limn target/release/limn] [--minutes 60] [--devices cpu,llvmpipe] [--seed 0]

The disk that runs out is a small tmpfs, where this user may mount one; without it that part is left out, aloud.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

# Preset, settings, steps by device (the processor first).
MODELS = [
    ("vae", ["train.batch=32", "model.hidden=32"], [3000, 600]),
    ("gan-small", ["train.batch=32", "model.hidden=32"], [3000, 400]),
    ("gmm-small", ["train.batch=100", "model.components=5"], [1500, 300]),
    ("pixelcnn-small", ["train.batch=4", "model.hidden=4"], [400, 150]),
]
OFTEN = ["train.checkpoint_every=20", "train.sample_every=100", "train.keep=2", "train.eval_every=0", "train.views_every=0"]
# The small disk's kilobytes.
DISK = 32 << 10
# Growth that counts as none: a share, and in the unit of what is measured.
MEMORY = (0.02, 8 << 10)
FILES = (0.0, 0.5)
# The time of a step is judged where it was measured so often: what is short is all noise.
OFTEN_ENOUGH = 40
SPEED = (0.15, 0.5)


def settings(words):
    return [word for setting in words for word in ("--set", setting)]


def grows(series, allowed):
    """By how much the last quarter's median is above the second's, where that is more than is allowed; else None."""
    quarter = len(series) // 4
    if quarter < 2:
        return None
    early, late = (statistics.median(series[at * quarter:(at + 1) * quarter]) for at in (1, 3))
    share, absolute = allowed
    return late - early if late > early * (1 + share) + absolute else None


def process(pid):
    """Kilobytes in memory, open files, threads, and seconds of the processor of a process."""
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    files = len(os.listdir(f"/proc/{pid}/fd"))
    return int(status["VmRSS"].split()[0]), files, int(status["Threads"]), seconds


def device_memory(pid):
    """Mebibytes of a GPU that a process has, where nvidia-smi tells; a software driver's memory is the process's own."""
    try:
        query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
        rows = subprocess.run(query, capture_output=True, text=True, timeout=10).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        return None
    known = dict(row.split(", ") for row in rows if row.count(", ") == 1)
    return int(known[str(pid)]) if known.get(str(pid), "").isdigit() else None


def rows(run):
    """Rows of a run's metrics."""
    try:
        with open(os.path.join(run, "metrics.csv"), "rb") as file:
            return max(file.read().count(b"\n") - 1, 0)
    except OSError:
        return 0


def digest(run):
    """SHA-256 of a run's checkpoint, and its losses without times."""
    with open(os.path.join(run, "checkpoint.safetensors"), "rb") as file:
        sha = hashlib.sha256(file.read())
    with open(os.path.join(run, "metrics.csv")) as file:
        for line in file:
            sha.update(line.rsplit(",", 2)[0].encode())
    return sha.hexdigest()


class Steady(threading.Thread):
    """A run that nobody disturbs, and what it takes as it goes on."""

    def __init__(self, soak, device):
        super().__init__(daemon=True)
        self.soak, self.device, self.series, self.failed = soak, device, [], None

    def run(self):
        out = os.path.join(self.soak.folder, "steady")
        args = ["train", "vae", "--steps", "100000000", "--device", self.device, "--tune", "off", "--out", out]
        words = ["train.batch=32", "model.hidden=32", "train.checkpoint_every=200", "train.sample_every=500", "train.keep=2"]
        child = self.soak.start(args + settings(words))
        before = None
        while time.time() < self.soak.end and not self.soak.faults and child.poll() is None:
            time.sleep(self.soak.tick)
            try:
                memory, files, threads, seconds = process(child.pid)
            except (OSError, KeyError, ValueError):
                break
            steps = rows(out)
            if before and steps > before[0] and before[0] > 0:
                cost = (seconds - before[1]) / (steps - before[0])
                self.series.append((memory, files, threads, 1e3 * cost, device_memory(child.pid)))
            if before is None or steps > before[0]:
                before = (steps, seconds)
        if child.poll() is not None:
            self.failed = "it ended: " + child.communicate()[1].strip()
            return
        child.send_signal(signal.SIGINT)
        code = child.wait(timeout=120)
        if code != 130:
            self.failed = f"told to stop it ended with {code}"

    def verdicts(self):
        """Lines of a table, and whether all is well."""
        names = ["memory, MiB", "open files", "threads", "processor's ms a step", "GPU memory, MiB"]
        lines, good = [], not self.failed
        for at, (name, allowed) in enumerate(zip(names, [MEMORY, FILES, FILES, SPEED, (0.02, 16)])):
            series = [row[at] / 1024 if at == 0 else row[at] for row in self.series if row[at] is not None]
            if not series:
                continue
            allowed = (allowed[0], allowed[1] / 1024) if at == 0 else allowed
            more = grows(series, allowed) if at != 3 or len(series) >= OFTEN_ENOUGH else None
            good &= more is None
            quarter = max(len(series) // 4, 1)
            early, late = statistics.median(series[quarter:2 * quarter] or series), statistics.median(series[-quarter:])
            verdict = "flat" if more is None else f"GROWS by {more:.2f}"
            lines.append(f"| {self.device}: {name} | {early:.2f} | {late:.2f} | {len(series)} | {verdict} |")
        if self.failed:
            lines.append(f"| {self.device}: the undisturbed run | | | | FAILED: {self.failed} |")
        return lines, good


class Soak:
    """What is done in a time, in a folder."""

    def __init__(self, limn, folder, minutes, seed):
        self.limn, self.folder, self.random = os.path.abspath(limn), folder, random.Random(seed)
        self.end = time.time() + 60 * minutes
        self.tick = max(0.2, min(10.0, minutes))
        self.events, self.faults, self.compared = {}, [], 0
        self.disk = self.mount()

    def mount(self):
        disk = os.path.join(self.folder, "disk")
        os.mkdir(disk)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}k", "tmpfs", disk], capture_output=True)
        if made.returncode != 0:
            print("LEFT OUT: a full disk, as nothing can be mounted here", file=sys.stderr)
            return None
        return disk

    def close(self):
        if self.disk:
            subprocess.run(["umount", "-l", self.disk], capture_output=True)

    def environment(self):
        return dict(os.environ, LIMN_CACHE=os.path.join(self.folder, "cache"), NODEVICE_SELECT="1")

    def start(self, args):
        # Signals that were ignored stay so in a child, and this may have been started in the background.
        def heard():
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen([self.limn, *args], text=True, env=self.environment(), preexec_fn=heard, **pipes)

    def call(self, args, codes, words=""):
        """A command that ends by itself, with one of these codes and these words."""
        child = self.start(args)
        try:
            said = child.communicate(timeout=300)[1]
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return self.fault(args, "hangs")
        if child.returncode not in codes or words not in said or "mistake in limn" in said:
            self.fault(args, f"ended with {child.returncode}: {said.strip()}")

    def fault(self, args, words):
        self.faults.append(f"`limn {' '.join(args)}` {words}")

    def count(self, event):
        self.events[event] = self.events.get(event, 0) + 1

    def beginning(self, model, device, out, steps):
        preset, own, _ = model
        args = ["train", preset, "--steps", str(steps), "--device", device, "--tune", "off", "--out", out]
        return args + settings(own + OFTEN)

    def torture(self, model, device, steps):
        """One run from its beginning to its end, however often it is ended on its way, beside one that is left alone."""
        home = self.disk if self.disk and self.random.random() < 0.5 else self.folder
        run, whole = os.path.join(home, "run"), os.path.join(self.folder, "whole")
        for folder in (run, whole):
            shutil.rmtree(folder, ignore_errors=True)
        began = time.time()
        self.call(self.beginning(model, device, whole, steps), [0])
        long = time.time() - began
        while time.time() < self.end and not self.faults:
            goes_on = os.path.exists(os.path.join(run, "config.toml"))
            args = ["train", "--resume", run, "--tune", "off"] if goes_on else self.beginning(model, device, run, steps)
            child = self.start(args)
            ended = self.disturb(child, run, device, self.random.uniform(0, 0.6) * long)
            said = child.communicate(timeout=300)[1]
            if ended == "done" and child.returncode == 0 or "is complete" in said:
                if digest(run) != digest(whole):
                    self.fault(args, "ended with other bits")
                self.compared += 1
                return
            wanted = {"KILL": [-9], "disk": [0, 2, 130]}.get(ended, [0, 130])
            # One that has not said a word may not listen to signals yet, and has nothing to save.
            if ended in ("INT", "TERM", "HUP") and not said:
                wanted.append(-getattr(signal, "SIG" + ended))
            if child.returncode not in wanted or "mistake in limn" in said:
                self.fault(args, f"ended with {child.returncode} after {ended}: {said.strip()}")

    def disturb(self, child, run, device, wait):
        """Waits so long, does something to a run, and tells what."""
        try:
            child.wait(timeout=wait)
            return "done"
        except subprocess.TimeoutExpired:
            pass
        kinds = ["INT", "TERM", "HUP", "KILL", "STOP", "contender", "sample", "eval"] + ["disk"] * bool(self.disk)
        event = self.random.choice(kinds)
        self.count(event)
        if event in ("INT", "TERM", "HUP", "KILL"):
            child.send_signal(getattr(signal, "SIG" + event))
            return event
        if event == "disk":
            self.fill(child)
            return event
        if event == "STOP":
            child.send_signal(signal.SIGSTOP)
            time.sleep(self.random.uniform(0.1, 2))
            child.send_signal(signal.SIGCONT)
        elif os.path.exists(os.path.join(run, "checkpoint.safetensors")) and child.poll() is None:
            if event == "contender":
                # One that has ended meanwhile leaves its folder to whoever comes.
                self.call(["train", "--resume", run], [0, 2])
            elif event == "sample":
                self.call(["sample", run, "--device", device, "--n", "4", "--out", run + ".png"], [0])
            else:
                self.call(["eval", run, "--device", device, "--n", "16"], [0, 2])
        try:
            child.wait(timeout=max(wait, 1))
            return "done"
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
            return "INT"

    def fill(self, child):
        """Fills the small disk until the run notices, or for some seconds."""
        filler = os.path.join(self.disk, "filler")
        try:
            with open(filler, "wb", buffering=0) as file:
                while True:
                    file.write(b"\0" * 4096)
        except OSError:
            pass
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(timeout=60)
            except subprocess.TimeoutExpired:
                child.kill()
        os.remove(filler)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limn", default="target/release/limn")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--devices", default="cpu,llvmpipe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="runs of a tenth of the steps")
    args = parser.parse_args()
    devices = args.devices.split(",")
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(args.limn, folder, args.minutes, args.seed)
        steady = Steady(soak, devices[-1])
        steady.start()
        try:
            turn = 0
            while time.time() < soak.end and not soak.faults:
                device = devices[turn % len(devices)]
                model = MODELS[turn // len(devices) % len(MODELS)]
                soak.torture(model, device, model[2][device != "cpu"] // (10 if args.short else 1))
                turn += 1
            steady.join(timeout=180)
        finally:
            soak.close()
    lines, good = steady.verdicts()
    print("| what | second quarter | last quarter | measured | |\n|---|---|---|---|---|")
    print("\n".join(lines))
    told = ", ".join(f"{event} {times}" for event, times in sorted(soak.events.items()))
    print(f"\n{args.minutes:g} minutes, seed {args.seed}: {soak.compared} runs ended with the bits of one left alone; {told}")
    for fault in soak.faults:
        print("FAULT: " + fault)
    sys.exit(bool(soak.faults) or not good or soak.compared == 0)


if __name__ == "__main__":
    main()
