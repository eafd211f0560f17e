#!/usr/bin/env python3
"""Tests of benches/model_gpu.py: what binds a step, and whose figures are taken for a machine."""
import contextlib
import io
import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import model_gpu

H100 = model_gpu.GPUS["h100"]
#: Lanes of an H100 times cycles a second.
UNIT = 128 * 1.98e9


def product(groups, flops, loop=2.0, size=0, around=0, occupancy=64):
    code = {"loop": {"per_fma": loop}, "before": around, "after": around}
    stage = {"workgroups": [groups, 1, 1], "threads": 256, "occupancy": occupancy, "instructions": 1000, "code": code}
    return {"kernel": "conv2d", "variant": "tile", "flops": flops, "bytes": size, "stages": [stage], "product": stage}


def passing(size):
    stage = {"workgroups": [1, 1, 1], "threads": 256, "occupancy": 64, "instructions": 0, "code": {}}
    return {"kernel": "copy", "variant": "vec4", "flops": 0, "bytes": size, "stages": [stage]}


class Model(unittest.TestCase):
    def predict(self, *launches, bad=False, **more):
        return model_gpu.predict(launches, H100, bad, **more)

    def test_a_unit_takes_whole_workgroups(self):
        # 2 instructions for each of 2e9 multiply-adds: every unit has one workgroup, or one of them two.
        even, odd = self.predict(product(132, 4e9)), self.predict(product(133, 4e9 * 133 / 132))
        self.assertAlmostEqual(even.arithmetic, 2.0 * 2e9 / 132 / UNIT)
        # Two workgroups of eight warps keep it no busier than one: all four schedulers have two already.
        self.assertAlmostEqual(odd.arithmetic / even.arithmetic, 2.0)

    def test_what_does_not_multiply_is_counted_too(self):
        plain, around = self.predict(product(132, 4e9)), self.predict(product(132, 4e9, around=50))
        self.assertAlmostEqual(around.arithmetic - plain.arithmetic, 2 * 50 * 256 / UNIT)

    def test_few_warps_leave_a_unit_idle_in_the_bad_case(self):
        many, few = (self.predict(product(1320, 4e9, occupancy=warps), bad=True) for warps in (64, 8))
        self.assertAlmostEqual(few.arithmetic / many.arithmetic, 2.0)
        good = self.predict(product(1320, 4e9))
        self.assertAlmostEqual(many.arithmetic / good.arithmetic, 1 / 0.85)

    def test_memory_and_its_cache(self):
        large, small = self.predict(passing(1e9)), self.predict(passing(1e7))
        self.assertAlmostEqual(large.memory, 1e9 / (0.92 * 3350e9))
        self.assertAlmostEqual(large.memory / small.memory, 100 * 2.5)
        self.assertAlmostEqual(self.predict(passing(1e7), bad=True).memory, 1e7 / (0.75 * 3350e9))

    def test_one_hides_the_other_in_the_good_case_only(self):
        both = product(132, 4e9, size=1e8)
        good, bad = self.predict(both), self.predict(both, bad=True)
        self.assertAlmostEqual(good.total, max(good.arithmetic, good.memory) + 2e-6)
        self.assertAlmostEqual(bad.total, bad.arithmetic + bad.memory + 8e-6)

    def test_a_listing_without_code_takes_the_golden_loops(self):
        golden = {("nvk-ampere", "dcgan", "conv2d", "tile"): 3.0, ("nvk-ampere", "vae", "conv2d", "tile"): 2.0,
                  ("nvk-ampere", "dcgan", "all", "products"): 4.0, ("apple-m1", "dcgan", "conv2d", "tile"): 9.0}

        def of(preset, kernel="conv2d", variant="tile"):
            return model_gpu.loops(golden, "nvk-ampere", preset)({"kernel": kernel, "variant": variant})
        self.assertEqual([of("dcgan"), of("vae"), of("other"), of("vae", variant="new")], [3.0, 2.0, 2.5, 4.0])
        self.assertIsNone(of("dcgan", kernel="copy"))
        listed = {"kernel": "conv2d", "variant": "tile", "flops": 4e9, "bytes": 0,
                  "stages": [{"shader": "s", "workgroups": [132, 1, 1]}]}
        found = self.predict(listed, loop_of=model_gpu.loops(golden, "nvk-ampere", "dcgan"))
        self.assertAlmostEqual(found.arithmetic, 3.0 * 2e9 / 132 / UNIT)

    def test_pytorch_waits_for_its_host_or_its_device(self):
        self.assertEqual(model_gpu.torch_ms([product(132, 1e6)] * 50, H100), (50 * 4 * 7e-3, "host"))
        ms, by = model_gpu.torch_ms([product(132, 1e12)], H100)
        self.assertEqual(by, "device")
        self.assertAlmostEqual(ms, 1e3 / (0.65 * 66.908), places=1)
        self.assertLess(model_gpu.torch_ms([product(132, 1e12)], H100, tf32=True)[0], ms / 3)

    def test_a_machine_is_known_by_its_name_or_its_maker(self):
        roof = {"gflops": 60000.0, "gb_per_s": 3000.0}
        known = model_gpu.of_machine("NVIDIA H100 80GB HBM3", roof, 0.003)
        self.assertEqual((known.units, known.target, known.launch_us), (132, "nvk-ampere", (3.0, 6.0)))
        self.assertAlmostEqual(known.gb_s * 0.92, 3000.0)
        self.assertAlmostEqual(model_gpu.peak(known) / 1e12, 60.0)
        large = model_gpu.of_machine("Apple M2 Max", {"gflops": 13600.0}, None)
        self.assertEqual((large.units, large.ghz), (38, 1.398))
        other = model_gpu.of_machine("NVIDIA GeForce RTX 3080", {"gflops": 2 * 68 * 128 * 2.475}, None)
        self.assertEqual((other.name, other.units, other.gb_s), ("NVIDIA GeForce RTX 3080", 68, 504.0))
        self.assertEqual(model_gpu.of_machine("AMD Radeon RX 6600", roof, None).target, "radv-navi31")
        self.assertIsNone(model_gpu.of_machine("llvmpipe", roof, None))

    def test_the_page(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "nvk-ampere", "dcgan")
            os.makedirs(path)
            with open(os.path.join(path, "launches.json"), "w") as file:
                launches = [{**launch, "part": "d.0", "shape": "x[1]"} for launch in (product(132, 4e9), passing(1e9))]
                json.dump({"preset": "dcgan", "batch": 128, "launches": launches}, file)
            told = io.StringIO()
            with contextlib.redirect_stdout(told):
                self.assertEqual(model_gpu.main(["--gpu", "h100,h200", "--isa", folder]), 0)
            self.assertEqual(told.getvalue().count("| dcgan | 128 | 4.0 | 1.00 | 2 |"), 2)
            self.assertIn("| 8.5 to 10.0: its products", told.getvalue())
            told = io.StringIO()
            with contextlib.redirect_stdout(told):
                self.assertEqual(model_gpu.main(["--gpu", "h100", "--isa", folder, "--longest", "1"]), 0)
            self.assertRegex(told.getvalue(), r"^dcgan on H100 SXM\n   0.326 ms  72.9%  d.0 +copy x\[1\] vec4, ")
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                model_gpu.main(["--gpu", "h300", "--isa", folder])


if __name__ == "__main__":
    unittest.main()
