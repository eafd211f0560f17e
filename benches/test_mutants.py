#!/usr/bin/env python3
"""Whether benches/mutants.py tells what came of a mistake: with a stand-in for cargo that reads a file of numbers."""
import os
import stat
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import mutants

# `cargo test --locked --release --lib [--no-run] -- [FILTER]`: sum.rs is a program if it has an a and a b; the test `sums` wants `a + b`,
# `waits` waits for a minute where there is `a - b`, and `none` is not there.
CARGO = """#!%s -IBS
import sys, time
text = open("sum.rs").read()
if "a" not in text or "b" not in text:
    print("error[E0425]: no sum")
    sys.exit(101)
if "--no-run" in sys.argv:
    sys.exit(0)
if "none" in sys.argv:
    print("test result: ok. 0 passed; 0 failed; 0 ignored")
    sys.exit(0)
if "waits" in sys.argv and "a - b" in text:
    time.sleep(60)
good = "a + b" in text
print("test of::sums ... " + ("ok" if good else "FAILED"))
print("test of::others ... ok")
print("test result: x. %%d passed; %%d failed; 0 ignored" %% (good, not good))
sys.exit(0 if good else 101)
""" % sys.executable


class Tests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)
        (self.scratch / "sum.rs").write_text("fn sum(a, b) { a + b; // a + b\n}\n")
        path = self.scratch / "cargo"
        path.write_text(CARGO)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        os.environ["CARGO"] = str(path)
        self.addCleanup(os.environ.pop, "CARGO")
        self.cargo = mutants.Cargo(self.scratch)
        self.said = []

    def fate(self, old, new, test="--lib sums", nth=1):
        mutant = mutants.Mutant("a mistake" if nth == 1 else "drawn: a mistake", "sum.rs", old, new, test, nth)
        mutants.judge([mutant], self.cargo, lambda *words, **_: self.said.append(" ".join(words)))
        self.assertIn("a + b; // a + b", (self.scratch / "sum.rs").read_text(), "the copy is as it was")
        return mutant

    def test_a_mistake_that_a_test_notices_is_killed_and_the_test_named(self):
        mutant = self.fate("{ a + b", "{ a - b")
        # The comment still says it.
        self.assertEqual(mutant.fate, mutants.SURVIVED)
        mutant = self.fate("{ a + b; // a + b", "{ a - b")
        self.assertEqual((mutant.fate, mutant.failed), (mutants.KILLED, ["of::sums"]))

    def test_what_is_no_program_did_not_build(self):
        mutant = self.fate("fn sum(a, b) { a + b; // a + b", "x")
        self.assertEqual((mutant.fate, mutant.failed), (mutants.UNBUILT, ["error[E0425]: no sum"]))

    def test_what_does_not_end_is_killed(self):
        self.addCleanup(setattr, mutants, "LIMIT", mutants.LIMIT)
        mutants.LIMIT = 1
        self.assertEqual(self.fate("{ a + b; // a + b", "{ a - b", "--lib waits").fate, mutants.KILLED)

    def test_a_test_that_is_not_there_judges_nothing(self):
        self.assertIsNone(self.fate("{ a + b", "{ a - b", "--lib none").fate)
        self.assertIn("runs no test", self.said[-1])

    def test_text_that_stands_twice_or_not_at_all_is_not_judged(self):
        self.assertIsNone(self.fate("a + b", "a - b").fate)
        self.assertIsNone(self.fate("a * b", "a - b").fate)
        self.assertEqual(self.fate("a + b", "a - b", nth=2).fate, mutants.SURVIVED)

    def test_mistakes_of_one_build_are_made_at_once(self):
        (self.scratch / "other.rs").write_text("one\n")
        both = [mutants.Mutant("a", "sum.rs", "{ a + b; // a + b", "{ a - b", "--lib sums", build="x"),
                mutants.Mutant("b", "other.rs", "one", "two", "--lib sums", build="x")]
        mutants.judge(both, self.cargo, lambda *words, **_: None)
        self.assertEqual([m.fate for m in both], [mutants.KILLED] * 2)
        self.assertEqual((self.scratch / "other.rs").read_text(), "one\n")
        text = mutants.report(both)
        self.assertIn("2 made: 2 killed, 0 survived", text)

    def test_mistakes_with_tests_of_one_target_are_judged_in_one_run(self):
        (self.scratch / "other.rs").write_text("one\n")
        calls, call = [], self.cargo.call
        self.cargo.call = lambda words, *rest: (calls.append(words), call(words, *rest))[1]
        both = [mutants.Mutant("a", "sum.rs", "{ a + b; // a + b", "{ a - b", "--lib sums", build="x"),
                mutants.Mutant("b", "other.rs", "one", "two", "--lib others", build="x")]
        mutants.judge(both, self.cargo, lambda *words, **_: None)
        self.assertEqual([(m.fate, m.failed) for m in both], [(mutants.KILLED, ["of::sums"]), (mutants.SURVIVED, [])])
        self.assertEqual(len([words for words in calls if "--no-run" not in words]), 1)

    def test_where_one_of_a_build_is_no_program_each_is_made_alone(self):
        (self.scratch / "other.rs").write_text("one\n")
        both = [mutants.Mutant("a", "sum.rs", "fn sum(a, b) { a + b; // a + b", "x", "--lib sums", build="x"),
                mutants.Mutant("b", "other.rs", "one", "two", "--lib sums", build="x")]
        mutants.judge(both, self.cargo, lambda *words, **_: None)
        self.assertEqual([m.fate for m in both], [mutants.UNBUILT, mutants.SURVIVED])

    def test_kernels_that_are_checked_apart_share_a_build(self):
        def of(file):
            env = {"LIMN_KERNELS": ",".join(mutants.kernels_of(file))}
            return mutants.Mutant(file, file, "a", "b", "--test kernels", env=env)

        files = ["optimisers/adam.rs", "random/dropout.rs", "optimisers/adam.rs", "random/mod.rs", "pixels/mod.rs"]
        made = mutants.in_builds([of(f"src/kernels/{file}") for file in files])
        self.assertEqual([m.build[-1] for m in made], ["1", "1", "2", "2", "1"])
        self.assertEqual(made[3].env["LIMN_KERNELS"], "bernoulli,random")
        self.assertIn("skew", made[4].env["LIMN_KERNELS"])
        self.assertEqual(mutants.kernels_of("src/kernels/checks.rs"), [])

    def test_what_one_test_leaves_alive_goes_to_a_wider_one(self):
        def of(new, test, wider):
            return mutants.Mutant("a", "sum.rs", "{ a + b; // a + b", new, test, wider=wider)

        said = []
        killed, same = of("{ a - b", "--lib others", ["--lib sums"]), of("{ a + b + a", "--lib others", ["--lib sums"])
        for mutant in killed, same:
            self.assertEqual(mutants.judge_soundly([mutant], self.cargo, False, lambda *words, **_: said.append(words)), set())
        self.assertEqual([(m.fate, m.test) for m in (killed, same)],
                         [(mutants.KILLED, "--lib sums"), (mutants.SURVIVED, "--lib sums")])
        # A test that fails without a mistake says nothing.
        (self.scratch / "sum.rs").write_text("fn sum(a, b) { a - b; }\n")
        mutant = mutants.Mutant("a", "sum.rs", "a - b;", "a * b;", "--lib others", wider=["--lib sums"])
        self.assertEqual(len(mutants.judge_soundly([mutant], self.cargo, False, lambda *words, **_: None)), 1)
        self.assertIsNone(mutant.fate)

    def test_a_test_that_fails_anyway_says_nothing(self):
        (self.scratch / "sum.rs").write_text("fn sum(a, b) { a - b }\n")
        mutant = mutants.Mutant("a", "sum.rs", "a - b", "a + b", "--lib sums")
        self.assertEqual(len(mutants.control([mutant], self.cargo, lambda *words, **_: None)), 1)

    def test_every_mistake_of_the_list_has_its_place(self):
        for mutant in mutants.listed(HERE / "mutants.toml"):
            text = (mutants.ROOT / mutant.file).read_text()
            self.assertNotEqual(mutant.made(text), text, mutant.name)

    def test_drawn_mistakes_are_in_functions_and_the_same_again(self):
        files = [f for f in mutants.sources() if str(f).startswith("src/kernels/random") and f.suffix == ".rs"]
        one, again = (mutants.drawn(files, 20, 3) for _ in range(2))
        self.assertEqual([m.name for m in one], [m.name for m in again])
        self.assertEqual(len({m.name + str(m.nth) for m in one}), 20)
        for mutant in one:
            text = (mutants.ROOT / mutant.file).read_text()
            line = text[:mutant.place(text)].count("\n")
            self.assertFalse(text.splitlines()[line].strip().startswith("//"), mutant.name)


if __name__ == "__main__":
    unittest.main()
