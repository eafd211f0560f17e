#!/usr/bin/env python3
"""Tests of what benches/isa.sh reads: machine code of four compilers, SPIR-V, the golden table. No compiler is run."""
import contextlib
import io
import json
import os
import struct
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "isa"))
import machine
import report
import spirv

# The same kernel four times: a turn loads two words of global memory, synchronises, and runs a loop of four
# multiply-adds that the compiler did not unroll; two words are stored behind it.
NAK = """
==== NAK assembly
block.u 0 L0 [] -> {
      r0     = s2r sr[0x21]                     // delay=1
      r1     = mov rZ                           // delay=1
} -> [1]
block   1 L1 [0, 3] -> {
      r2     = ld.global.a64.b64 [r0..2]        // delay=1
               bar.sync 0x0                     // delay=5
} -> [2]
block   2 L2 [1, 2] -> {
      r4..6  = ld.shared.strong.cta.b64 [r1]    // delay=1
      r8     = ffma.ftz r4 r5 r8                // delay=1
      r9     = ffma.ftz r4 r6 r9                // delay=1
      r10    = ffma.ftz r4 r5 r10               // delay=1
      r11    = ffma.ftz r4 r6 r11               // delay=1
@p0            bra L2                           // delay=5
} -> [3, 2]
block   3 L3 [2] -> {
@!p1           bra L1                           // delay=5
} -> [4, 1]
block   4 L4 [3] -> {
               st.global.a64.strong.gpu.b64 [r2..4] r8  // delay=2
               exit                             // delay=5
}
"""
ACO = """
==== Assembly
BB0:
	s_mov_b32 s0, s3                       ; be800003
	v_mov_b32 v0, 0                        ; 7e000280
BB1:
	buffer_load_b64 v[2:3], v1, s[4:7], 0  ; e0540000
	s_barrier                              ; bfbd0000
BB2:
	ds_load_2addr_b32 v[4:5], v1           ; d8dc0000
	v_dual_fmac_f32 v8, v4, v5 :: v_dual_fmac_f32 v9, v4, v5 ; c8000000
	v_fmac_f32_e32 v10, v4, v5             ; 56000000
	v_fma_f32 v11, v4, v5, v11             ; d6130009
	s_cbranch_scc1 BB2                     ; bfa2fffb
	s_cbranch_vccnz BB1                    ; bfa4fff7
BB3:
	buffer_store_b64 v[8:9], v1, s[4:7], 0 ; e06c0000
	s_endpgm                               ; bfb00000
"""
AGX = """
   3:        32     %31 = ffma %28, %30, %29
   0: 7210            get_sr r0, sr80
   2: 62             mov_imm r1, 0
   4: 0501           load r2_r3, dr4, 0, i32, xy
   6: 68             barrier
   8: 690c           lload r4_r5, r1l, 0, i32, xy
   a: 3a             ffma r8, r4, r5, r8
   c: 3a             ffma r9, r4, r5, r9
   e: 3a             ffma r10, r4, r5, r10
  10: 3a             ffma r11, r4, r5, r11
  12: 20c0           jmp_exec_any -10
  14: 20c0           jmp_exec_any -16
  16: 4511           store r8_r9, dr4, r1, i32, xy, a
  18: 8800           stop
  1a: 3a             ffma r11, r4, r5, r11
"""
IR3 = """
==== IR3 Assembly
mad.f32 r0.x, r0.y, r0.z, r0.w
shpe
mov.u32u32 r0.x, r1.x
(nop1) mov.u32u32 r0.y, r1.y
l1:
(sy)ldib.b.untyped.1d.u32.2.imm.base0 r2.x, r0.y, 9
bar.g
l2:
ldl.u32 r4.x, l[r1.x], 2
(sy)(rpt1)mad.f32 r8.x, r4.x, r4.y, r8.x
mad.f32 r8.z, r4.x, r4.y, r8.z
(ss)mad.f32 r8.w, r4.x, r4.y, r8.w
br p0.x, #l2
br !p0.y, #l1
stib.b.untyped.1d.u32.2.imm.base0 r8.x, r1.w, 11
end
"""


class MachineCode(unittest.TestCase):
    def test_a_loop_in_the_code_of_every_compiler(self):
        # Instructions of the inner loop, of the rest of a turn, and before it. Two of RADV's multiply-adds are one
        # instruction; Turnip's wait is one.
        for name, text, inner, rest, before in (("nak", NAK, 6, 3, 2), ("aco", ACO, 5, 3, 2), ("agx", AGX, 6, 3, 2),
                                                ("ir3", IR3, 6, 3, 3)):
            with self.subTest(name):
                found = machine.shape(machine.blocks(text))
                self.assertEqual((found["core"]["instructions"], found["core"]["fma"]), (inner, 4))
                self.assertEqual((found["loop"]["instructions"], found["loop"]["fma"]), (inner + rest, 4))
                self.assertEqual((found["loop"]["reads"], found["loop"]["words_per_fma"]), (1, 0.5))
                self.assertEqual((found["before"], found["after"], found["stored"]), (before, 2, 2))
                self.assertTrue(found["open"])

    def test_the_turns_of_a_loop_that_was_not_unrolled(self):
        found = machine.shape(machine.blocks(NAK), step=32)
        self.assertEqual((found["trips"], found["open"]), (8.0, False))
        self.assertEqual((found["loop"]["instructions"], found["loop"]["fma"]), (3 + 8 * 6, 32))
        self.assertAlmostEqual(found["loop"]["per_fma"], 51 / 32)

    def test_a_long_epilogue_is_not_the_core(self):
        more = 9 * "      r8     = ffma.ftz r4 r5 r8  // delay=1\n"
        found = machine.shape(machine.blocks(NAK.replace("               st.global", more + "               st.global")))
        self.assertEqual((found["core"]["fma"], found["loop"]["fma"], found["after"]), (4, 4, 11))

    def test_code_without_a_product(self):
        self.assertEqual(machine.shape(machine.blocks(NAK.replace("ffma", "fadd"))), {})
        self.assertEqual(machine.shape(machine.blocks(NAK.replace("[1, 2]", "[1]").replace("[0, 3]", "[0]"))), {})
        self.assertIsNone(machine.blocks("no code at all"))


def assembled(*code):
    """A module's bytes: instructions of (number, operands)."""
    words = [0x07230203, 0x10300, 0, 100, 0]
    for op, *operands in code:
        words += [(len(operands) + 1) << 16 | op, *operands]
    return struct.pack("<%dI" % len(words), *words)


def module(*code):
    return spirv.Module(assembled(*code))


def loop(variable, header, merge, bound, body, by=3):
    """A loop over a variable from 0 (value 1) to a bound, as naga writes it."""
    n = 10 * header
    return [(62, variable, 1), (248, header), (246, merge, n + 1, 0), (248, n + 2), (61, 10, n + 3, variable),
            (176, 11, n + 4, n + 3, bound), *body, (248, n + 1), (61, 10, n + 5, variable), (128, 10, n + 6, n + 5, by),
            (62, variable, n + 6), (248, merge)]


# u32 10, f32 12, vec4 13; constants 0, 8, 2 are 1, 2, 3; 4 is no constant. A sum of four products each.
TYPES = [(16, 90, 17, 16, 8, 1), (21, 10, 32, 0), (22, 12, 32), (23, 13, 12, 4), (43, 10, 1, 0), (43, 10, 2, 8),
         (43, 10, 3, 2), (43, 10, 5, 64), (28, 14, 13, 5), (32, 15, 4, 14), (59, 15, 16, 4)]
SUM = [(142, 13, 50, 51, 52), (129, 13, 53, 54, 50)]


class Spirv(unittest.TestCase):
    def function(self, name, body):
        return [(54, 12, name, 0, 0), (248, name + 1), *body, (56,)]

    def test_multiply_adds_of_a_turn_are_those_of_its_loops_and_calls(self):
        inner = loop(20, 30, 31, 2, SUM + SUM)  # eight in steps of two: four turns of two sums of vec4s
        called = self.function(70, inner)
        turn = loop(21, 40, 41, 4, [(224, 1, 1, 1), (57, 12, 60, 70), *SUM])
        found = module(*TYPES, *called, *self.function(80, turn))
        self.assertEqual(found.step(), 4 * 8 + 4)
        self.assertEqual((found.threads, found.shared), (128, 64 * 16))

    def test_the_innermost_loop_with_a_barrier_is_the_one(self):
        turn = loop(21, 40, 41, 4, [(224, 1, 1, 1), *loop(20, 30, 31, 2, SUM)])
        taps = loop(22, 45, 46, 4, [*turn, *SUM])
        self.assertEqual(module(*TYPES, *self.function(80, taps)).step(), 4 * 4)
        calling = self.function(80, loop(22, 45, 46, 4, [(57, 12, 60, 70)]))
        self.assertEqual(module(*TYPES, *self.function(70, turn), *calling).step(), 4 * 4)

    def test_what_only_the_device_knows_is_not_guessed(self):
        unknown = loop(20, 30, 31, 4, SUM)
        self.assertIsNone(module(*TYPES, *self.function(80, loop(21, 40, 41, 4, [(224, 1, 1, 1), *unknown]))).step())
        self.assertIsNone(module(*TYPES, *self.function(80, loop(21, 40, 41, 4, SUM))).step())

    def test_a_loop_behind_that_is_not_known_is_less_than_the_product(self):
        known = loop(20, 30, 31, 2, [(224, 1, 1, 1), *SUM, *SUM])
        unknown = loop(21, 40, 41, 4, [(224, 1, 1, 1), *loop(22, 45, 46, 4, SUM)])
        self.assertEqual(module(*TYPES, *self.function(80, known + unknown)).step(), 2 * 4)
        self.assertIsNone(module(*TYPES, *self.function(80, loop(20, 30, 31, 2, [(224, 1, 1, 1), *SUM]) + unknown)).step())


def result(loop_of, target="nvk-ampere", preset="vae", variant="tile"):
    ratio = {"fma": 4, "per_fma": loop_of, "words_per_fma": 0.5}
    code = {"loop": ratio, "core": ratio, "before": 5, "after": 20, "stored": 2, "open": False}
    stage = {"shader": "tile", "workgroups": [1, 1, 1], "threads": 64, "shared": 0, "instructions": 9, "registers": 40,
             "occupancy": 48, "spills": 0, "code": code}
    launch = {"kernel": "conv2d", "variant": variant, "flops": 100, "bytes": 1, "stages": [stage],
              "product": stage}
    other = {"kernel": "copy", "variant": "vec4", "flops": 50, "bytes": 1, "stages": []}
    return {"target": target, "preset": preset, "batch": 1, "launches": [launch, other]}


class Steps(unittest.TestCase):
    def test_a_step_is_its_launches_with_the_code_of_their_pipelines(self):
        """With a stand-in for run.sh: what the layer leaves, and what limn prints."""
        def launch(kernel, flops, words, *stages):
            return {"part": "p", "kernel": kernel, "shape": "s", "variant": "v", "flops": flops, "bytes": 4 * words,
                    "operands": [{"len": words}, {"len": 1}],
                    "stages": [{"shader": name, "workgroups": [n, 1, 1]} for name, n in stages]}
        plan = {"batch": 8, "program": [launch("conv2d", 32000, 1000, ("pack", 2), ("tile", 3)),
                                        launch("matmul", 8000, 1000, ("tile", 3))]}
        loops = loop(21, 40, 41, 4, [(224, 1, 1, 1), *loop(20, 30, 31, 2, SUM)])
        code = assembled(*TYPES, (54, 12, 80, 0, 0), (248, 81), *loops, (56,))

        def on(target, folder, argv):
            if argv[1] == "plan":
                return "a remark\n%s\n" % json.dumps(plan)
            for name in ("isa", "spv"):
                os.makedirs(os.path.join(folder, name))
            figures = {"id": 0, "Instruction count": 30, "Number of GPRs": 40, "Max warps/SM": 48,
                       "Spills to memory": 1}
            with open(os.path.join(folder, "stats.jsonl"), "w") as file:
                file.write(json.dumps({**figures, "name": "pack"}) + "\n")
                file.write(json.dumps({**figures, "name": "tile", "id": 1}) + "\n")
            with open(os.path.join(folder, "runs.txt"), "w") as file:
                file.write("1:9,1,1 \n0:2,1,1 1:3,1,1 1:3,1,1 \n")
            for k, text in enumerate((NAK.replace("ffma", "fadd"), NAK)):
                with open(os.path.join(folder, "isa", "%04d.txt" % k), "w") as file:
                    file.write(text)
                with open(os.path.join(folder, "spv", "%04d.spv" % k), "wb") as file:
                    file.write(code)
            return ""
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(report, "on", on):
            found = report.step("nvk-ampere", "vae", folder, "limn")
        one, other = found["launches"]
        made = one["product"]
        self.assertEqual((made["shader"], made["spills"], made["threads"], made["occupancy"]), ("tile", 1, 128, 48))
        # Four turns of four multiply-adds, of which one turn is in the code.
        self.assertEqual((made["step"], made["code"]["trips"]), (16, 4.0))
        self.assertEqual([stage["code"] == {} for stage in one["stages"]], [True, False])
        # Four multiply-adds for each word: as fast as memory is.
        self.assertNotIn("product", other)


class Golden(unittest.TestCase):
    def run_main(self, golden, results, *words):
        told = io.StringIO()
        with mock.patch.object(report, "step", side_effect=results), contextlib.redirect_stdout(told), \
                contextlib.redirect_stderr(told):
            code = report.main(["vae", "--target", "nvk-ampere", "--golden", golden, *words, "--out", self.out])
        return code, told.getvalue()

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.out = held.name
        os.makedirs(os.path.join(self.out, "nvk-ampere", "vae"))

    def test_a_loop_that_got_heavier_is_an_error(self):
        golden = os.path.join(self.out, "isa.txt")
        self.assertEqual(self.run_main(golden, [result(2.0)], "--bless")[0], 0)
        self.assertEqual(self.run_main(golden, [result(2.0)]), (0, mock.ANY))
        self.assertEqual(self.run_main(golden, [result(2.03)])[0], 0)
        code, told = self.run_main(golden, [result(2.05)])
        self.assertEqual(code, 1)
        self.assertIn("heavier  nvk-ampere vae conv2d tile: 2.050, was 2.000", told)
        code, told = self.run_main(golden, [result(1.5)])
        self.assertEqual(code, 0)
        self.assertIn("lighter  nvk-ampere vae all products: 1.500, was 2.000", told)
        # Another kernel in its place is held against the whole.
        code, told = self.run_main(golden, [result(3.0, variant="wide")])
        self.assertEqual(code, 1)
        self.assertIn("gone     nvk-ampere vae conv2d tile", told)
        self.assertIn("heavier  nvk-ampere vae all products", told)
        code, told = self.run_main(golden, report.Failed("exit code 139"))
        self.assertEqual(code, 2)
        self.assertIn("exit code 139", told)

    def test_what_was_not_measured_stays_in_the_table(self):
        first = report.golden_lines([result(2.0), result(4.0, preset="dcgan")], {})
        path = os.path.join(self.out, "isa.txt")
        with open(path, "w") as file:
            file.write("\n".join(first))
        kept = report.read_golden(path)
        self.assertEqual(len(kept), 4)
        again = report.golden_lines([result(1.0, variant="wide")], kept)
        self.assertEqual([line.split()[1:] for line in again[2:]],
                         [["vae", "all", "products", "1.000"], ["vae", "conv2d", "wide", "1.000"],
                          ["dcgan", "all", "products", "4.000"], ["dcgan", "conv2d", "tile", "4.000"]])

    def test_dispatches_are_found_by_shader_and_workgroups(self):
        launches = [{"stages": [{"shader": "a", "workgroups": [1, 1, 1]}, {"shader": "b", "workgroups": [2, 1, 1]}]},
                    {"stages": [{"shader": "a", "workgroups": [3, 1, 1]}]}]
        known = {4: {"shader": "a"}, 5: {"shader": "b"}, 6: {"shader": "a"}}
        ran = [(4, [1, 1, 1]), (6, [1, 1, 1]), (5, [2, 1, 1]), (4, [3, 1, 1])]
        self.assertEqual(report.match(launches, known, ran), [6, 5, 4])
        with self.assertRaises(report.Failed):
            report.match(launches, known, ran[:3])

    def test_means_are_weighted_and_products_alone_count(self):
        two = result(2.0)
        two["launches"].append({**result(4.0)["launches"][0], "flops": 300, "kernel": "matmul"})
        found = report.rows(two["launches"])
        self.assertEqual([(r["kernel"], r["launches"], r["share"], r["loop"]) for r in found],
                         [("all", 2, 1.0, 3.5), ("matmul", 1, 0.75, 4.0), ("conv2d", 1, 0.25, 2.0)])
        self.assertIn("| vae | 3 | 3.50 |", report.page([two], ["mesa 1"]))


if __name__ == "__main__":
    unittest.main()
