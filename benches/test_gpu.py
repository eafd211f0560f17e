#!/usr/bin/env python3
"""Runs benches/gpu.py as a whole, with a small stand-in for limn that answers, hangs, crashes or prints nonsense."""
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import gpu_page
import gpu_run

# A stand-in for limn. FAKE holds lines `WORDS: WHAT`; the first whose words are all in the command decides.
LIMN = r'''#!%s -IBS
import json, os, signal, sys, time
sys.path.insert(0, %r)
words = sys.argv[1:]
text = " ".join(words)
for rule in os.environ.get("FAKE", "").split(";"):
    match, _, what = rule.partition(":")
    if what and all(word in words for word in match.split()):
        if what == "hang":
            if os.fork() == 0:
                os.setpgid(0, 0)  # as `timeout` does: a group of its own
                open(os.environ["PIDS"], "a").write("%%d\n" %% os.getpid())
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        if what == "crash":
            print("about to fall", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == "garbage":
            sys.stdout.buffer.write(b"\xff\xfe{not json}\n{\"half\": \n[1]\n")
            sys.exit(0)
        if what == "flood":
            while True:
                print("x" * 100000)
        if what == "refuse":
            print("limn: mixed precision needs a GPU's f16", file=sys.stderr)
            sys.exit(2)
        if what == "big":
            for k in range(60000):
                print(json.dumps({"kernel": "matmul", "ok": True, "ratio": 0.1, "case": "c" * 400}))
            sys.exit(0)
def value(flag):
    return words[words.index(flag) + 1] if flag in words else None
def say(**figures):
    print(json.dumps(figures), flush=True)
def picture(path):
    import gpu_page
    gpu_page.write_png(path, 32, 32, bytes(range(256)) * 12)
if words[0] == "devices":
    say(index=0, name="Fake GPU", backend="vulkan", kind="discrete", default=True, driver="fake 1")
elif words[:2] == ["bench", "roof"]:
    say(device="Fake GPU", gflops=1e4, f16_gflops=2e4, matrix_gflops=None, gb_per_s=900.0)
elif words[:2] == ["bench", "copy"]:
    say(kernel="copy", variant="vec4", ms=0.004)
    say(kernel="copy", variant="scalar", ms=0.005)
elif words[0] == "plan":
    say(preset=words[1], batch=64, device="NVIDIA Fake GPU", program=[
        {"kernel": "conv2d", "variant": "tile_64x64", "flops": 10**10, "bytes": 10**7,
         "stages": [{"shader": "tile_gather", "workgroups": [512, 1, 1]}]},
        {"kernel": "copy", "variant": "vec4", "flops": 0, "bytes": 9 * 10**8,
         "stages": [{"shader": "copy4", "workgroups": [512, 1, 1]}]}])
elif words[:2] == ["bench", "step"]:
    say(preset=words[2], batch=int(value("--batch") or 64), pipelined_ms=2.0, median_ms=2.5, gflops=500.0,
        ceiling_share=0.05)
elif words[:2] == ["bench", "sample"]:
    say(preset=words[2], batch=int(value("--batch")), cached_s=0.5, cached_images_per_s=2.0, naive_s=50.0, ratio=100.0)
elif words[0] == "profile":
    print("  1.000 100.0%%  matmul")
    if value("--trace"):
        json.dump({"traceEvents": []}, open(value("--trace"), "w"))
elif words[:2] == ["check", "?"]:
    sys.stderr.write("limn: no kernel is called \"?\"; there are: matmul, conv2d, copy\n")
    sys.exit(2)
elif words[0] == "check":
    say(kernel=words[1], case="a", variant="plain", ok=True, ratio=0.2)
    wrong = words[1] == "copy"
    say(kernel=words[1], case="b", variant="plain", ok=not wrong, ratio=3.0 if wrong else 0.5)
    sys.exit(1 if wrong else 0)
elif words[:2] == ["train", "?"]:
    sys.stderr.write("limn: there is no preset \"?\"; there are vae, dcgan-28, wavegan-small, pixelcnn++, classifier\n")
    sys.exit(2)
elif words[0] == "train":
    os.makedirs(value("--out"))
    open(os.path.join(os.environ["LIMN_CACHE"], "Fake-GPU.json"), "w").write('{"device": "Fake GPU"}')
    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(1))
    end = time.monotonic() + (60.0 if words[1] == os.environ.get("ENDLESS") else 0.1)
    while not stop and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1 if stop else 0)  # a second interrupt would leave without saving
    if len(stop) > 1:
        sys.exit(130)
    print("stopped after step 7 of 100 and saved" if stop else "trained 100 steps: loss 1.0000")
elif words[0] == "sample":
    picture(value("--out"))
    if "wavegan" in words[1]:
        open(value("--out").replace(".png", ".wav"), "wb").write(b"RIFF")
elif words[0] == "eval":
    say(name="loss", value=1.5, unit="nats/image", protocol="p")
else:
    sys.exit("limn: what is %%s?" %% text)
''' % (sys.executable, HERE)

# A stand-in for a Python with PyTorch and for the yardstick.
TORCH = r'''#!%s -IBS
import json, sys
if sys.argv[1] == "-c":
    print(json.dumps({"torch": "9.9", "cuda": "99", "on": "Fake GPU"}))
elif sys.argv[2] == "peaks":
    print(json.dumps({"peak": "matmul", "tflops": 50.0}))
    print(json.dumps({"peak": "a small addition", "us": 4.0}))
else:
    print(json.dumps({"model": sys.argv[2], "pipelined_ms": 1.0, "median_ms": 1.1}))
''' % sys.executable


class Runs(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.base = held.name
        self.out = os.path.join(self.base, "out")
        self.pids = os.path.join(self.base, "pids")
        self.limn, self.torch = self.program("limn", LIMN), self.program("torch", TORCH)

    def program(self, name, text):
        path = os.path.join(self.base, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def start(self, *words, fake=""):
        environment = dict(os.environ, FAKE=fake, PIDS=self.pids, TMPDIR=self.base, ENDLESS="vae" if "--gallery" in words else "")
        argv = [sys.executable, os.path.join(HERE, "gpu.py"), "--limn", self.limn, "--out", self.out, *words]
        return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run_gpu(self, *words, fake="", code=0):
        child = self.start(*words, fake=fake)
        told = child.communicate(timeout=60)[0]
        self.assertEqual(child.returncode, code, told)
        self.nothing_is_left()
        return told, self.results()

    def results(self):
        with open(os.path.join(self.out, "results.jsonl")) as file:
            return {result["step"]: result for result in map(json.loads, file)}

    def nothing_is_left(self):
        """No process that the stand-in started is alive, the folder is small, and the temporary one is gone."""
        if os.path.exists(self.pids):
            with open(self.pids) as file:
                for pid in map(int, file):
                    try:
                        with open("/proc/%d/stat" % pid) as state:
                            self.assertEqual(state.read().rpartition(")")[2].split()[0], "Z")
                    except FileNotFoundError:
                        pass
        names = os.listdir(self.out)
        self.assertLessEqual(len(names), 8, names)
        for name in names:
            self.assertLessEqual(os.path.getsize(os.path.join(self.out, name)), 16 << 20, name)
        self.assertEqual([name for name in os.listdir(self.base) if name.startswith("limn-gpu-")], [])

    def report(self):
        argv = [sys.executable, os.path.join(HERE, "gpu.py"), "--report", self.out]
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=30).stdout

    def test_a_whole_run_with_torch_and_its_report(self):
        told, results = self.run_gpu("--torch", self.torch, "--deadline", "120", "--jobs", "4")
        self.maxDiff = None
        bad = {name: r for name, r in results.items() if r["status"] != "ok" and name != "check copy, full"}
        self.assertEqual(bad, {})
        order = list(results)
        turn = order.index("step dcgan")
        self.assertEqual(order[turn:turn + 6], ["step dcgan", "model dcgan", "torch dcgan, fp32", "torch dcgan, tf32",
                                                "torch dcgan, amp", "step dcgan, mixed"])
        self.assertEqual(results["step dcgan"]["data"][0]["batch"], 128)
        self.assertIn("check matmul, mixed", results)
        self.assertNotIn("check copy, mixed", results)
        self.assertEqual(results["check copy, full"]["data"][0]["failures"], 1)
        self.assertEqual(sorted(os.listdir(self.out)),
                         ["check.jsonl", "choices.json", "log.txt", "profiles.txt", "results.jsonl", "samples.png",
                          "telemetry.jsonl", "trace.json"])
        self.assertIn("10 checks, 1 of them failed", told)
        page = self.report()
        self.assertIn("# limn on Fake GPU", page)
        self.assertIn("| dcgan | 128 | 2.000 | 2.000 | 1.000 | 1.000 | 1.000 | 2.00 | 2.00 | 2.00 | 500.0 | 5.0 |", page)
        self.assertIn("| limn | f32 | 10.00 | TFLOP/s |", page)
        self.assertIn("| torch | matmul | 50.00 | TFLOP/s |", page)
        self.assertIn("| torch | a small addition | 4.00 | us |", page)
        self.assertIn("| limn | a launch | 4.00 | us |", page)
        # Two launches of four or eight microseconds; a GB at 900 GB/s; 10 GFLOP by a loop, on 10 TFLOP/s.
        model = results["model dcgan"]["data"][0]
        self.assertEqual((model["good"]["launches"], model["bad"]["launches"]), (0.008, 0.016))
        self.assertAlmostEqual(model["good"]["memory"], 1.0 + 10 / 900, delta=0.01)
        self.assertGreater(model["good"]["arithmetic"], 2.0)
        self.assertRegex(page, r"\| dcgan \| 2\.000 \| \d\.\d{3} to \d+\.\d{3} \| (faster|within) \|")
        self.assertIn("| pixelcnn | 64 | 0.500 | 2.00 | 50.000 | 100.0 |", page)
        self.assertIn("| full | 6 | 1 | 3 of 3 |", page)
        width, height, rgb = gpu_page.read_png(os.path.join(self.out, "samples.png"))
        self.assertEqual((width, height), (3 * 72, 64 + 24))
        self.assertGreater(len(set(bytes(rgb))), 100)

    def test_without_torch_and_without_mixed_precision(self):
        lonely = self.program("lonely", "#!%s\nimport sys\nsys.exit('No module named torch')\n" % sys.executable)
        _, results = self.run_gpu("--quick", "--torch", lonely, "--deadline", "30", fake="mixed:refuse")
        self.assertEqual(results["torch"]["status"], "failed")
        self.assertEqual(results["torch vae, amp"]["status"], "skipped")
        self.assertEqual(results["step vae"]["status"], "ok")
        self.assertEqual(results["step vae, mixed"]["status"], "skipped")
        self.assertIn("f16", results["step vae, mixed"]["why"])
        self.assertIn("PyTorch was not there", self.report())

    def test_a_crash_a_hang_and_garbage_are_results(self):
        _, results = self.run_gpu("--quick", "--deadline", "40", "--torch", self.torch,
                                  fake="roof:crash;profile dcgan-28-small:hang;sample:garbage")
        self.assertEqual((results["roof"]["status"], results["roof"]["rc"]), ("failed", -signal.SIGSEGV))
        self.assertEqual(results["roof"]["tail"], ["about to fall"])
        self.assertEqual(results["profile dcgan-28-small"]["status"], "timeout")
        self.assertLess(results["profile dcgan-28-small"]["seconds"], 7)
        self.assertEqual((results["sample pixelcnn-small, 1"]["status"], results["sample pixelcnn-small, 1"]["data"]),
                         ("ok", []))
        self.assertEqual(results["picture vae"]["status"], "failed")
        self.assertEqual(results["check conv2d, full"]["data"][0]["checks"], 2)
        self.assertIn("roof: failed (exit code -11): about to fall", self.report())

    def test_a_deadline_cuts_short_and_says_so(self):
        start = time.monotonic()
        told, results = self.run_gpu("--deadline", "3", fake="step:hang", code=0)
        self.assertLess(time.monotonic() - start, 6)
        self.assertEqual(results["step dcgan"]["status"], "timeout")
        left_out = results["step biggan"]
        self.assertEqual((left_out["status"], left_out["why"]), ("skipped", "no time was left"))
        self.assertIn("skipped", told.splitlines()[-1] + told.splitlines()[-2])

    def test_a_signal_ends_it_in_good_order(self):
        child = self.start("--deadline", "60", "--torch", self.torch, fake="roof:hang")
        while not os.path.exists(self.pids):
            self.assertIsNone(child.poll())
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        start = time.monotonic()
        told = child.communicate(timeout=20)[0]
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(child.returncode, 128 + signal.SIGTERM)
        self.nothing_is_left()
        results = self.results()
        self.assertEqual((results["roof"]["status"], results["roof"]["why"]), ("stopped", "stopped by SIGTERM"))
        self.assertEqual(results["devices"]["status"], "ok")
        self.assertEqual(results["check all, full"]["status"], "skipped")
        self.assertIn(" steps: ", told.splitlines()[-1])

    def test_files_stay_small_whatever_is_printed(self):
        print_bytes = gpu_run.PRINT_BYTES
        _, results = self.run_gpu("--quick", "--deadline", "60", "--kernels", "matmul", "--torch", self.torch,
                                  fake="roof:flood;check matmul full:big")
        self.assertEqual(results["roof"]["status"], "failed")
        self.assertIn("printed more than %d MiB" % (print_bytes >> 20), results["roof"]["why"])
        self.assertEqual(results["check matmul, full"]["data"][0]["checks"], 60000)
        with open(os.path.join(self.out, "check.jsonl")) as file:
            self.assertIn("the file is full", file.read().splitlines()[-1])

    def test_the_gallery_trains_draws_and_tells(self):
        data = os.path.join(self.base, "sets")
        os.makedirs(os.path.join(data, "mnist"))
        _, results = self.run_gpu("--gallery", "--deadline", "25", "--data-dir", data, fake="eval:garbage")
        self.assertEqual([r["preset"] for r in results.values() if r.get("kind") == "gallery"],
                         ["pixelcnn++", "wavegan-small", "vae", "dcgan-28", "classifier"])
        one = results["picture pixelcnn++"]
        self.assertEqual((one["status"], one["data_set"], one["sheet"]), ("ok", "builtin", "samples.png"))
        self.assertEqual(results["picture vae"]["data_set"], "mnist")
        self.assertEqual(results["picture wavegan-small"]["data_set"], "its own")
        self.assertNotIn("sample classifier", results)
        self.assertEqual([results["picture vae"]["trained_steps"], one["trained_steps"]], [7, 100])
        self.assertGreater(results["train vae"]["interrupted_s"], 0)
        self.assertEqual(sorted(name for name in os.listdir(self.out) if name.startswith("s")),
                         ["samples-2.png", "samples.png", "sounds.wav"])
        self.assertIn("| pixelcnn++ | builtin |", self.report())

    def test_what_cannot_work_is_said_at_once(self):
        def refused(*words):
            argv = [sys.executable, os.path.join(HERE, "gpu.py"), *words]
            child = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
            self.assertEqual(child.returncode, 2)
            self.assertNotIn("Traceback", child.stdout)
            return child.stdout
        self.assertIn("make build", refused("--out", self.out, "--limn", os.path.join(self.base, "none")))
        self.assertIn("--out FOLDER", refused())
        self.assertIn("no results", refused("--report", self.base))
        os.makedirs(self.out)
        open(os.path.join(self.out, "results.jsonl"), "w").close()
        self.assertIn("has results already", refused("--out", self.out))


class Pictures(unittest.TestCase):
    def test_every_filter_of_png_is_read(self):
        import struct
        import zlib
        width, height, per = 5, 5, 3
        plain = [bytearray((x * 7 + y * 31 + x * y * 13) % 256 for x in range(width * per)) for y in range(height)]
        lines, above = b"", bytearray(width * per)
        for kind, line in enumerate(plain):
            coded = bytearray()
            for i, value in enumerate(line):
                left = line[i - per] if i >= per else 0
                corner = above[i - per] if i >= per else 0
                up = above[i]
                p = left + up - corner
                distances = [abs(p - left), abs(p - up), abs(p - corner)]
                paeth = [left, up, corner][distances.index(min(distances))]
                coded.append((value - [0, left, up, (left + up) // 2, paeth][kind]) % 256)
            lines, above = lines + bytes([kind]) + coded, line

        def chunk(kind, body):
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.png")
            with open(path, "wb") as file:
                file.write(gpu_page.SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
            self.assertEqual(gpu_page.read_png(path), (width, height, bytearray(b"".join(plain))))
            gpu_page.write_png(path, width, height, b"".join(plain))
            self.assertEqual(gpu_page.read_png(path)[2], b"".join(plain))
            with open(path, "r+b") as file:
                file.truncate(60)
            self.assertRaises(ValueError, gpu_page.read_png, path)

    def test_a_sheet_leaves_out_what_has_no_room(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sheet.png")
            noise = [(name, 900, 100, os.urandom(270000)) for name in "abc"]
            self.assertEqual(gpu_page.sheet(noise, path, limit=600000), ["c"])
            self.assertEqual(gpu_page.read_png(path)[:2], (908, 248))
            self.assertLessEqual(os.path.getsize(path), 600000)


if __name__ == "__main__":
    unittest.main()
