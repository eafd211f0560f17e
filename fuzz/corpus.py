#!/usr/bin/env python3
"""Writes the files that fuzzing begins with, into fuzz/corpus/READER/: small ones of every kind that a reader takes.

    python3 fuzz/corpus.py --limn target/release/limn

Those of a run are of one that it trains for a second. What fuzzing found lies beside them, called find-*, and stays.
"""
import argparse
import gzip
import io
import json
import pathlib
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "assets" / "fixtures"
OUT = ROOT / "fuzz" / "corpus"


def put(reader, name, data):
    path = OUT / reader / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def packed(data):
    """As gzip packs it, whenever that is."""
    return gzip.compress(data, mtime=0)


def idx(magic, dims, data):
    return struct.pack(f">{1 + len(dims)}I", magic, *dims) + data


def png(width, height, colour, rows, more=()):
    """A PNG of rows of bytes: colour 0 is grey, 2 RGB, 3 a palette, 4 grey with transparency, 6 RGB with it."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    between = b"".join(chunk(kind, data) for kind, data in more)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + between + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bmp(width, height, rows):
    data = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(data), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + head + data


def tiff(width, height, data):
    """A grey TIFF of 8 bits in one strip."""
    tags = [(256, 3, width), (257, 3, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
            (278, 3, height), (279, 4, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def gif(frames):
    """Frames of 4x4 pixels in two colours: three bits a code, the first of each a reset."""
    out = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    for frame in frames:
        out += b"\x21\xf9\x04\x04\x05\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 4, 4, 0)
        bits, count, codes = 0, 0, []
        for pixel in frame:
            codes += [4, pixel]
        for code in codes + [5]:
            bits |= code << count
            count += 3
        data = bits.to_bytes((count + 7) // 8, "little")
        out += b"\x02" + bytes([len(data)]) + data + b"\0"
    return out + b"\x3b"


def wav(kind, channels, bits, data, extra=b""):
    frame = channels * bits // 8
    body = struct.pack("<HHIIHH", kind, channels, 16000, 16000 * frame, frame, bits) + extra
    chunks = b"fmt " + struct.pack("<I", len(body)) + body + b"LIST\x04\0\0\0abcd"
    chunks += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def tensors(named, metadata=None):
    """A safetensors file of these: name, type, shape, bytes."""
    header, at = ({"__metadata__": metadata} if metadata else {}), 0
    for name, dtype, shape, data in named:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in named)


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def of_images():
    images, labels = idx(0x803, [3, 4, 5], bytes(range(60))), idx(0x801, [6], bytes([0, 1, 2, 3, 9, 255]))
    for name, data in [("images", images), ("labels", labels)]:
        put(f"idx-{name}", "raw", data)
        put(f"idx-{name}", "gzip", packed(data))
        put(f"idx-{name}", "members", packed(data[:9]) + packed(data[9:]) + b"\0" * 32)
    put("cifar", "record", bytes([7]) + bytes(i % 251 for i in range(3072)))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        row = [bytes(i % 256 for i in range(3072))]
        files = {"train_lables.json": b"[3]", "test_lables.json": b"[1]", "data_batch_1.png": png(1024, 1, 2, row),
                 "data_batch_2.png": png(1024, 1, 2, row)}
        for name, data in files.items():
            about = tarfile.TarInfo(f"package/{name}")
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    put("archive", "package.tgz", packed(archive.getvalue()))


def of_pictures():
    grey = [bytes((16 * x + y) % 256 for x in range(9)) for y in range(7)]
    rgb = [bytes((30 * x + y) % 256 for x in range(3 * 9)) for y in range(7)]
    rgba = [bytes((40 * x + 9 * y) % 256 for x in range(4 * 9)) for y in range(7)]
    files = {
        "grey.png": png(9, 7, 0, grey), "rgb.png": png(9, 7, 2, rgb), "rgba.png": png(9, 7, 6, rgba),
        "palette.png": png(9, 7, 3, [bytes(x % 2 for x in range(9))] * 7,
                           [(b"PLTE", b"\0\0\0\xff\x80\0"), (b"tRNS", b"\xff\0")]),
        "rgb.bmp": bmp(9, 7, rgb), "grey.tif": tiff(9, 7, b"".join(grey)), "two.gif": gif([[0] * 16, [1] * 16]),
        "grey.pgm": b"P5\n# a picture\n9 7\n255\n" + b"".join(grey), "words.pgm": b"P2\n3 2\n255\n0 1 2\n100 200 255\n",
        "bits.pbm": b"P1\n3 2\n0 1 0\n1 0 1\n", "rgb.ppm": b"P6 9 7 255\n" + b"".join(rgb),
        "rgb.pam": b"P7\nWIDTH 9\nHEIGHT 7\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + b"".join(rgb),
    }
    for path in sorted((FIXTURES / "media").iterdir()):
        if path.suffix in (".jpg", ".tif"):
            files[path.name] = path.read_bytes()
    for name, data in files.items():
        put("picture", name, data)
    for name in ["rgba.png", "baseline.jpg", "float.tif", "grey.pgm"]:
        put("picture-size", name, files[name])
    square = [bytes(255 * ((x + y) % 2) for x in range(8)) for y in range(8)]
    put("mask", "grey.png", png(8, 8, 0, square))
    put("mask", "clear.png", png(8, 8, 4, [bytes(b for value in row for b in (255, value)) for row in square]))
    put("film", "four.gif", gif([[0] * 16, [1] * 16, [0, 1] * 8, [1, 0] * 8]))


def of_sounds():
    wave = struct.pack("<40h", *[(1000 * i) % 30000 - 15000 for i in range(40)])
    put("sound", "mono.wav", wav(1, 1, 16, wave))
    put("sound", "stereo.wav", wav(1, 2, 24, bytes(range(240))))
    put("sound", "float.wav", wav(3, 1, 32, floats([i / 40 for i in range(40)])))
    put("sound", "a-law.wav", wav(6, 1, 8, bytes(range(100, 160)), b"\0\0"))
    for name in ["tone.flac", "lame.mp3", "tone.ogg"]:
        put("sound", name, (FIXTURES / "media" / name).read_bytes())


def of_tables():
    put("labels", "head.csv", "name,label\n\"1.png\",\"cat, big\"\n2.png,cat\n3.png,dog\n4.png,\"dog\"\r\n")
    put("labels", "tabs.csv", "\ufefflabel\timage_id\ncat\ta\ndog\tb\n")
    put("labels", "plain.csv", "a.png;1\nx\\b.png;2\n")
    notes = {"bytes": 64, "stamp": "1 2", "digest": "ab", "levels": {"low": 0.0, "high": 1.0}, "sizes": None,
             "stretched": False, "counts": [1, 0, 3], "remarks": [[1, "1.png is damaged"]]}
    put("decoded-notes", "notes.json", json.dumps(notes))
    put("times", "times.json", json.dumps({"cpu": {"vae": {"seconds": 0.1, "estimated": True, "settings": "ab"}}}))
    times = {"kernel": "conv2d", "shape": "[1, 2]", "variant": "lanes", "rounds_ms": [0.25, 1e-3]}
    put("baseline", "times.json", json.dumps({"device": "cpu", "precision": "full", "times": [times]}))


def of_arrays():
    for path in sorted((FIXTURES / "arrays").iterdir()):
        put(f"latents-{path.suffix[1:]}", path.name, path.read_bytes())
    version = b"\x93NUMPY\x02\0" + struct.pack("<I", 118)
    header = b"{'descr': '<f8', 'fortran_order': True, 'shape': (2, 4), }".ljust(117) + b"\n"
    put("latents-npy", "version-2.npy", version + header + struct.pack("<8d", *range(8)))
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as file:
        for name in ["latents", "labels"]:
            shape = (2, 4) if name == "latents" else (2,)
            text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
            data = b"\x93NUMPY\x01\0" + struct.pack("<H", 118) + text + bytes(8 if name == "latents" else 2)
            about = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            about.compress_type = zipfile.ZIP_DEFLATED if name == "labels" else zipfile.ZIP_STORED
            file.writestr(about, data)
    put("latents-npz", "mixed.npz", stored.getvalue())
    put("latents-csv", "plain.csv", "a,b,c,d\n1,2,3,4\n-0.5,1e-3,0,7\n")
    two = ("latents", "F32", [2, 4], floats(range(8)))
    put("latents-safetensors", "labelled.safetensors", tensors([two, ("labels", "U8", [2], b"\x01\x02")]))
    put("latents-safetensors", "wide.safetensors", tensors([("z", "I64", [1, 4], struct.pack("<4q", 1, -2, 3, 4))]))
    for name in ["conv2d-one-pixel", "reparameterize-one", "conv2d-gaps"]:
        put("run-tensors", f"{name}.safetensors", (FIXTURES / "run" / f"{name}.in.safetensors").read_bytes())
    some = [("x", "F32", [1, 2, 3, 3], floats(range(18))), ("weight", "F32", [2, 2, 2, 2], floats(range(16))),
            ("dy", "F32", [1, 2, 2, 2], floats(range(8))), ("bias", "F32", [2], floats(range(2)))]
    put("run-tensors", "convolution.safetensors", tensors(some))
    first = [("features.0.0.weight", "F32", [32, 3, 3, 3], floats([0.5] * 864))]
    norm = [(f"features.0.1.{part}", "F32", [32], floats([1.0] * 32)) for part in
            ["weight", "bias", "running_mean", "running_var"]]
    put("network", "first-layer.safetensors", tensors(first + norm))


def of_settings():
    put("settings", "preset.toml", 'preset = "vae"\nname = "mine"\n[model]\nlatent = 2\n[train]\nsteps = 9\nkeep = 3\n')
    put("settings", "optimiser.toml", 'preset = "vae"\n[optim]\nkind = "sgd"\nlr = 0.1\n[data]\nclasses = ["a", "b"]\n')
    for kind in ["gmm-small", "pixelcnn++-small", "progan-small", "wavegan-small", "dcgan-28-small"]:
        put("settings", f"{kind}.toml", (ROOT / "assets" / "presets" / f"{kind}.toml").read_bytes())
    put("set", "some", "model.latent=3\noptim.kind=sgd\noptim.lr=.5\ntrain.steps=10\ntrain.lr_schedule=cosine\n")
    put("set", "quoted", "data.source=\"fashion-mini\"\ndata.classes=[a, b]\ntrain.ema=0.99\nmodel.layers=2\n")


def of_a_run(limn):
    small = 'preset = "vae"\n[model]\nheight = 4\nwidth = 4\nhidden = 3\nlatent = 2\n[train]\nema = 0.9\nbatch = 4\n'
    with tempfile.TemporaryDirectory() as folder:
        settings, run = pathlib.Path(folder) / "small.toml", pathlib.Path(folder) / "run"
        settings.write_text(small)
        for command in [["train", settings, "--steps", "10", "--out", run, "--log", "jsonl"], ["eval", run], ["profile", run]]:
            subprocess.run([limn, *command, "--device", "cpu", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        files = {"checkpoint": "checkpoint.safetensors", "metrics": "metrics.csv", "run-metrics": "metrics.csv",
                 "tests": "tests.csv", "metrics-jsonl": "metrics.jsonl", "figures": "figures.jsonl", "log": "log.txt",
                 "profile": "profile.json", "identity": "data.json", "run-data": "data.json", "settings": "config.toml"}
        for reader, name in files.items():
            put(reader, name, (run / name).read_bytes())
        table = json.loads((run / "profile.json").read_text())
        table["kernels"] = table["kernels"][:2]
        put("profile", "profile.json", json.dumps(table))
        (run / "log.txt").write_text((run / "log.txt").read_text() + "warning: the loss rises\n")
        put("log", "log.txt", (run / "log.txt").read_bytes())
        sitting = json.loads((run / "provenance.json").read_text())["sittings"][0]
        change = {"key": "train.batch", "from": "4", "to": "8"}
        later = {**sitting, "step": 5, "changes": [change], "variants": "ab", "ranks": 2}
        put("run-provenance", "provenance.json", json.dumps({"sittings": [sitting, later]}))
        file = (run / "checkpoint.safetensors").read_bytes()
        size = struct.unpack("<Q", file[:8])[0]
        header = json.loads(file[8:8 + size])
        header.pop("__metadata__")
        named = [(name, at["dtype"], at["shape"], file[8 + size:][slice(*at["data_offsets"])])
                 for name, at in header.items() if not name.startswith(("optim.", "average.", "clock"))]
        put("weights", "weights.safetensors", tensors(named))
        halves = [(name, "F16", shape, bytes(len(data) // 2)) for name, _, shape, data in named]
        put("weights", "halves.safetensors", tensors(halves))
    choice = {"variant": "lanes", "among": "ab", "measured": {"lanes": 0.5, "gpu": "it is wrong"}}
    put("choices", "choices.json", json.dumps({"device": "card, vulkan, driver", "kernels": {"conv2d [1]": choice}}))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--limn", required=True, help="the program")
    limn = pathlib.Path(arguments.parse_args().limn).resolve()
    for folder in OUT.iterdir() if OUT.exists() else []:
        for path in folder.iterdir():
            if not path.name.startswith("find-"):
                path.unlink()
    of_images()
    of_pictures()
    of_sounds()
    of_tables()
    of_arrays()
    of_settings()
    of_a_run(limn)
    total = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file())
    print(f"{sum(1 for _ in OUT.iterdir())} readers, {total} bytes")


if __name__ == "__main__":
    main()
