#!/usr/bin/env python3
"""Whether benches/soak.py finds what it looks for: with a small stand-in for limn that is as it must be, or is not."""
import os
import stat
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import soak

# A stand-in for limn: counts steps into a run's folder. WRONG says what is wrong with it.
LIMN = r'''#!%s -IBS
import fcntl, os, signal, sys, time
wrong, words = os.environ.get("WRONG", ""), sys.argv[1:]
value = lambda flag: words[words.index(flag) + 1] if flag in words else None
if words[0] != "train":
    sys.exit(0)
run, told, kept = value("--resume") or value("--out"), [], []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: told.append(1))
path = lambda name: os.path.join(run, name)
def read(name, default):
    try:
        return open(path(name)).read()
    except OSError:
        return default
def put(name, text):
    open(path(name + ".new"), "w").write(text)
    os.replace(path(name + ".new"), path(name))
if value("--steps") and value("--out"):
    os.makedirs(run, exist_ok=True)
    put("config.toml", value("--steps"))
lock = open(path("lock"), "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("limn: another limn is training there", file=sys.stderr)
    sys.exit(2)
step, total = int(read("checkpoint.safetensors", "0").split()[0]), int(read("config.toml", "0"))
steady = total > 10 ** 6
try:
    while step < total and not told:
        step += 1
        if steady and "files" in wrong:
            kept.append(os.dup(0))
        if steady and "memory" in wrong:
            kept.append(bytearray(os.urandom(1 << 20)))
        put("checkpoint.safetensors", str(step) + " x" * (wrong == "bits" and not run.endswith("whole")))
        put("metrics.csv", "step\n" + "".join("%%d,1,2\n" %% n for n in range(1, step + 1)))
        time.sleep(0.02 if steady else 0.002)
except OSError as error:
    print("limn: cannot save:", error.strerror, file=sys.stderr)
    sys.exit(2)
if told and wrong == "code":
    sys.exit(7)
sys.exit(130 if told else 0)
''' % sys.executable


class Soaks(unittest.TestCase):
    def soak(self, wrong="", minutes=0.12):
        with tempfile.TemporaryDirectory() as folder:
            limn = os.path.join(folder, "limn")
            with open(limn, "w") as file:
                file.write(LIMN)
            os.chmod(limn, os.stat(limn).st_mode | stat.S_IXUSR)
            args = [sys.executable, os.path.join(HERE, "soak.py"), "--limn", limn, "--minutes", str(minutes), "--devices", "cpu"]
            done = subprocess.run(args + ["--short"], capture_output=True, text=True, env=dict(os.environ, WRONG=wrong))
            return done.returncode, done.stdout + done.stderr

    def test_what_is_as_it_must_be_passes(self):
        code, said = self.soak()
        self.assertEqual(code, 0, said)
        self.assertIn("ended with the bits of one left alone", said)

    def test_other_bits_codes_and_leaks_are_found(self):
        for wrong, words in [("bits", ["other bits"]), ("code", ["with 7"]), ("files memory", ["open files", "memory"])]:
            code, said = self.soak(wrong)
            self.assertEqual(code, 1, f"{wrong}: {said}")
            bad = [line for line in said.splitlines() if "GROWS" in line or "FAULT" in line or "FAILED" in line]
            for word in words:
                self.assertTrue(any(word in line for line in bad), f"{wrong}: {said}")

    def test_growth_is_told_from_noise(self):
        noise = [100, 104, 97, 101] * 10
        self.assertIsNone(soak.grows(noise, (0.02, 0)))
        self.assertIsNone(soak.grows([5, 9], (0, 0)))
        self.assertEqual(soak.grows([n * 1.0 for n in range(40)], (0.02, 0)), 20.0)
        # What grows at the start and then no more is no leak.
        self.assertIsNone(soak.grows([10] * 8 + [20] * 32, (0.0, 0.5)))


if __name__ == "__main__":
    unittest.main()
