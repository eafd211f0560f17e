#!/usr/bin/env python3
"""Whether benches/drivers.py finds what it looks for: with stand-ins for the tests of kernels that pass, fail or are refused."""
import os
import stat
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import drivers

# A stand-in for the tests: WRONG says what is wrong with a device.
TESTS = r'''#!%s -IBS
import os, sys
wrong, words = os.environ.get("WRONG", ""), sys.argv[1:]
print("running 1 test")
if "--exact" in words:
    if "mixed" in words[1] and os.environ.get("LIMN_DEVICE") == "SwiftShader" and wrong != "f16":
        print("a device: NoF16 { adapter: x }")
        sys.exit(101)
    ratio = "1.5" if wrong == "kernel" else "NaN" if wrong == "nan" else "0.25"
    print("test of_all ... matmul 3x4 by 4x5 [first] worst 1e-7 bound 4e-7 ratio", ratio)
    print("matmul 3x4 [second] worst 0e0 bound 4e-7 ratio 0.125")
    print("pool 2x2 [first] worst 0e0 bound 0e0 ratio 0")
    if wrong == "silent":
        print("thread panicked: no device")
    sys.exit(0 if wrong in ("", "f16", "found") else 101)
print("test result: ok. 2 passed; %%d failed;" %% (wrong == "found"))
sys.exit(101 if wrong == "found" else 0)
''' % sys.executable


def table(wrong, folder):
    program = os.path.join(folder, "tests")
    with open(program, "w") as file:
        file.write(TESTS)
    os.chmod(program, stat.S_IRWXU)
    # Chromium may not be here; the stand-in has its driver all the same.
    code = f"import sys; sys.path.insert(0, {HERE!r}); import drivers; drivers.CHROMIUM = ['/']; drivers.main()"
    done = subprocess.run([sys.executable, "-B", "-c", code, "--program", program], capture_output=True, text=True,
                          env={**os.environ, "WRONG": wrong})
    return done.returncode, done.stdout


class Drivers(unittest.TestCase):
    def test_what_passes_is_a_table(self):
        with tempfile.TemporaryDirectory() as folder:
            code, said = table("", folder)
        self.assertEqual(code, 0, said)
        rows = {line.split("|")[1].strip(): line for line in said.splitlines() if line.startswith("|")}
        self.assertIn("2, 0.25", rows["matmul"])
        self.assertIn("1, 0.00", rows["pool"])
        # A processor, four limits of two drivers, of which one is refused.
        self.assertEqual(rows["all"].count("3 |"), 8, said)
        self.assertIn("SwiftShader, as a GPU, f16: refused, as it must", said)
        self.assertIn("2 passed", rows["SwiftShader"])

    def test_what_fails_is_found(self):
        for wrong, words in [("kernel", "1 of 2 FAILED"), ("nan", "1 of 2 FAILED"), ("silent", "no device"),
                             ("f16", "not refused"), ("found", "| FAILED |")]:
            with tempfile.TemporaryDirectory() as folder:
                code, said = table(wrong, folder)
            self.assertEqual(code, 1, wrong)
            self.assertIn(words, said, wrong)

    def test_lines_of_tests_are_read(self):
        lines = ["test references::x ... conv2d 2x3 image [tile 4] worst 1.0e-7 bound 2e-7 ratio 0.500", "test y ... ok",
                 "conv2d 1x1 [direct] worst inf bound 2e-7 ratio inf"]
        kernel = drivers.seen("\n".join(lines))["conv2d"]
        self.assertEqual((kernel.checks, kernel.failed, kernel.worst), (2, 1, 0.5))


if __name__ == "__main__":
    unittest.main()
