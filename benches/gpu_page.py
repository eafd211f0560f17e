"""PNG files without a library, sheets of pictures, and results as a page."""
import json
import os
import struct
import sys
import zlib

#: Values of a pixel by PNG's colour types: grey, RGB, grey with alpha, RGB with alpha.
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: The most pixels a picture may have; samples have far fewer.
PIXELS = 1 << 24


def read_png(path):
    """Width, height and the RGB bytes of a picture of eight bits that is not interlaced.

    Raises ValueError for any other file.
    """
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != SIGNATURE:
        raise ValueError("%s is no PNG" % path)
    at, packed, head = 8, b"", None
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        at += length + 12
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
    if head is None or head[2] != 8 or head[3] not in CHANNELS or head[6]:
        raise ValueError("%s is no PNG of eight bits in grey or RGB" % path)
    width, height, per = head[0], head[1], CHANNELS[head[3]]
    if width * height > PIXELS:
        raise ValueError("%s is too large" % path)
    try:
        lines = zlib.decompress(packed)
    except zlib.error as error:
        raise ValueError("%s: %s" % (path, error))
    stride = width * per
    if len(lines) != height * (stride + 1):
        raise ValueError("%s ends too early" % path)
    rows, above = [], bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        above = unfilter(lines[start], bytearray(lines[start + 1:start + 1 + stride]), above, per)
        rows.append(above)
    grey = per < 3
    rgb = bytearray(3 * width * height)
    for channel in range(3):
        rgb[channel::3] = b"".join(bytes(row[0 if grey else channel::per]) for row in rows)
    return width, height, rgb


def unfilter(kind, line, above, per):
    """A line as it was before PNG's filter `kind`."""
    if kind == 2:
        return bytearray((a + b) & 255 for a, b in zip(line, above))
    if kind > 4:
        raise ValueError("PNG knows no filter %d" % kind)
    for i in range(len(line)) if kind else ():
        left, up, corner = (line[i - per], above[i], above[i - per]) if i >= per else (0, above[i], 0)
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) >> 1
        else:
            # The one of the three that is nearest to left + up - corner; in doubt the first.
            guess = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
        line[i] = (line[i] + guess) & 255
    return line


def write_png(path, width, height, rgb):
    """Writes RGB bytes as a PNG."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    stride = 3 * width
    lines = b"".join(b"\0" + bytes(rgb[y * stride:(y + 1) * stride]) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 6)) + chunk(b"IEND", b""))


#: Letters of 3x5 dots, a number of 15 bits each, the top left dot first.
FONT = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789-+. ", [
    0b111101111101101, 0b110101110101110, 0b111100100100111, 0b110101101101110, 0b111100110100111, 0b111100110100100,
    0b111100101101111, 0b101101111101101, 0b111010010010111, 0b001001001101111, 0b101101110101101, 0b100100100100111,
    0b101111111101101, 0b110101101101101, 0b111101101101111, 0b111101111100100, 0b111101101111001, 0b110101110101101,
    0b111100111001111, 0b111010010010010, 0b101101101101111, 0b101101101101010, 0b101101111111101, 0b101101010101101,
    0b101101010010010, 0b111001010100111, 0b111101101101111, 0b010110010010111, 0b111001111100111, 0b111001111001111,
    0b101101111001001, 0b111100111001111, 0b111100111101111, 0b111001010010010, 0b111101111101111, 0b111101111001111,
    0b000000111000000, 0b000010111010000, 0b000000000000010, 0]))


#: How wide a sheet may be.
ACROSS = 1400


def tile(path):
    """A picture as it goes onto a sheet: small ones twice as large, very large ones cut."""
    width, height, rgb = read_png(path)
    return cut(*(enlarge(width, height, rgb) if width < 320 else (width, height, rgb)), ACROSS - 8)


def sheet(entries, path, limit=15 << 20):
    """Writes one picture of many, each under its name: rows as full as a sheet is wide. An entry is a name, a width,
    a height and RGB bytes. The names that the sheet had no room for come back."""
    left_out, rows, row, width = [], [], [], 0
    for entry in entries:
        if row and width + entry[1] + 8 > ACROSS:
            rows, row, width = rows + [row], [], 0
        row.append(entry)
        width += entry[1] + 8
    rows += [row] if row else []
    across = max((sum(w + 8 for _, w, _, _ in row) for row in rows), default=0)
    while rows:
        height = sum(max(h for _, _, h, _ in row) + 24 for row in rows)
        canvas = bytearray(b"\xff" * (3 * across * height))
        top = 4
        for row in rows:
            x = 4
            for name, w, h, rgb in row:
                label(canvas, across, x, top, name, w)
                for y in range(h):
                    at = 3 * ((top + 16 + y) * across + x)
                    canvas[at:at + 3 * w] = rgb[3 * w * y:3 * w * (y + 1)]
                x += w + 8
            top += max(h for _, _, h, _ in row) + 24
        write_png(path, across, height, canvas)
        if os.path.getsize(path) <= limit:
            break
        left_out += [name for name, _, _, _ in rows.pop()]
        os.unlink(path)
    return left_out


def enlarge(w, h, rgb):
    """Every pixel as four."""
    out = bytearray()
    for y in range(h):
        line = rgb[3 * w * y:3 * w * (y + 1)]
        wide = bytearray(6 * w)
        for c in range(3):
            wide[c::6] = line[c::3]
            wide[c + 3::6] = line[c::3]
        out += wide + wide
    return 2 * w, 2 * h, out


def cut(w, h, rgb, most):
    """The top left part of a picture, no side longer than `most`."""
    if w <= most and h <= most:
        return w, h, rgb
    wide, high = min(w, most), min(h, most)
    return wide, high, b"".join(bytes(rgb[3 * w * y:3 * (w * y + wide)]) for y in range(high))


def label(canvas, across, x, top, text, width):
    """Writes a name in black, dots of 2x2 pixels, as far as the width goes."""
    for k, letter in enumerate(text.lower()[:max(4, width // 8)]):
        dots = FONT.get(letter, FONT["."])
        for dot in range(15):
            if dots >> (14 - dot) & 1:
                for dy in range(2):
                    at = 3 * ((top + 2 * (dot // 3) + dy) * across + x + 8 * k + 2 * (dot % 3))
                    if x + 8 * k + 6 < across:
                        canvas[at:at + 6] = b"\0" * 6


def results(folder):
    """The results of a folder; a last line that was cut off is left out."""
    found = []
    with open(os.path.join(folder, "results.jsonl"), encoding="utf-8") as file:
        for line in file:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict) and "step" in value:
                found.append(value)
    return found


def report(folder):
    """Prints a folder's results as Markdown. Exit code 2 if there are none."""
    try:
        found = results(folder)
    except OSError as error:
        print("there are no results to report: %s" % error, file=sys.stderr)
        return 2
    print("\n".join(page(found)))
    return 0


def page(found):
    """The lines of a page: the machine, ceilings, whole steps, what was expected of them, sampling, checks, the
    gallery, what went wrong."""
    lines = []
    for part in (about, ceilings, steps, expected, sampling, checks, gallery, faults):
        section = part(found)
        lines += section + [""] if section else []
    return lines or ["There are no results."]


def first(found, step):
    """The first object that a step printed."""
    return next((r["data"][0] for r in found if r["step"] == step and r.get("data")), {})


def table(head, rows):
    if not rows:
        return []
    line = "| %s |".__mod__
    return [line(" | ".join(head)), line(" | ".join("---" for _ in head))] + [line(" | ".join(row)) for row in rows]


def figure(value, digits=2):
    return "-" if not isinstance(value, (int, float)) else "{:,.{}f}".format(value, digits)


def about(found):
    roof, host, torch = first(found, "roof"), first(found, "host"), first(found, "torch")
    devices = next((r["data"] for r in found if r["step"] == "devices" and r.get("data")), [])
    device = roof.get("device") or next((d.get("name") for d in devices if d.get("default")), "an unknown device")
    adapter = next((d for d in devices if d.get("name") == device), {})
    lines = ["# limn on %s" % device, ""]
    if adapter.get("driver"):
        lines.append("- driver: %s, %s" % (adapter["driver"], adapter.get("backend")))
    if host:
        lines.append("- host: %s, %s CPUs" % (host.get("system"), host.get("cpus")))
    if torch:
        lines.append("- PyTorch %s, CUDA %s, on %s" % (torch.get("torch"), torch.get("cuda"), torch.get("on")))
    else:
        lines.append("- PyTorch was not there")
    return lines


def ceilings(found):
    roof = first(found, "roof")
    names = [("gflops", "f32", "TFLOP/s"), ("f16_gflops", "f16", "TFLOP/s"), ("matrix_gflops", "matrix units", "TFLOP/s"),
             ("gb_per_s", "copying", "GB/s")]
    rows = []
    for key, name, unit in names:
        if roof.get(key) is not None:
            rows.append(["limn", name, figure(roof[key] / (1e3 if unit == "TFLOP/s" else 1)), unit])
    if shortest_launch(found):
        rows.append(["limn", "a launch", figure(1e3 * shortest_launch(found)), "us"])
    for peak in next((r["data"] for r in found if r["step"] == "torch peaks" and r.get("data")), []):
        units = (("TFLOP/s", "tflops"), ("us", "us"), ("GB/s", "gb_per_s"))
        unit, key = next(pair for pair in units if pair[1] in peak or pair is units[-1])
        rows.append(["torch", str(peak.get("peak")), figure(peak.get(key)), unit])
    return ["## Ceilings", ""] + table(["by", "what", "rate", "unit"], rows) if rows else []


def steps(found):
    """A line for each preset; the ratio is limn's time over PyTorch's, each side's better figure when nobody waits."""
    times, order = {}, []
    for result in found:
        if result.get("kind") != "step" or result["status"] != "ok" or not result.get("data"):
            continue
        preset = result["preset"]
        if preset not in order:
            order.append(preset)
        times[preset, result.get("side"), result["mode"]] = result["data"][-1]
    rows = []
    for preset in order:
        def ms(side, mode):
            return times.get((preset, side, mode), {}).get("pipelined_ms")
        def ratio(ours, theirs):
            return figure(ours / theirs) if ours and theirs else "-"
        full, mixed = ms("limn", "full"), ms("limn", "mixed")
        torch = [ms("torch", mode) for mode in ("fp32", "tf32", "amp")]
        one = times.get((preset, "limn", "full"), {})
        rows.append([preset, str(one.get("batch", "-")), figure(full, 3), figure(mixed, 3), *[figure(t, 3) for t in torch],
                     ratio(full, torch[0]), ratio(mixed, torch[1]), ratio(mixed, torch[2]),
                     figure(one.get("gflops"), 1), figure(100 * one["ceiling_share"], 1)
                     if one.get("ceiling_share") is not None else "-"])
    head = ["preset", "batch", "limn ms", "limn mixed", "torch fp32", "tf32", "amp", "limn / fp32", "mixed / tf32",
            "mixed / amp", "limn GFLOP/s", "% of ceiling"]
    return ["## Training steps", "", "Milliseconds a step when nobody waits for its end.", ""] + table(head, rows) \
        if rows else []


def shortest_launch(found):
    """Milliseconds of a launch that has next to nothing to do, by the better variant; None if it was not measured."""
    told = next((r["data"] for r in found if r["step"] == "launch" and r.get("data")), [])
    return min((one["ms"] for one in told if one.get("ms")), default=None)


def expected(found):
    """Steps beside what model_gpu.py expects of them in a good and a bad case."""
    def data(**labels):
        return next((r["data"][-1] for r in found if r.get("data") and r["status"] == "ok"
                     and all(r.get(key) == value for key, value in labels.items())), {})
    rows = []
    for result in found:
        if result.get("kind") != "model" or result["status"] != "ok" or not result.get("data"):
            continue
        one, preset = result["data"][-1], result["preset"]
        took = data(kind="step", side="limn", mode="full", preset=preset).get("pipelined_ms")
        torch = data(kind="step", side="torch", mode="fp32", preset=preset).get("pipelined_ms")
        verdict = "-"
        if took:
            verdict = "faster" if took < one["good_ms"] else "slower" if took > one["bad_ms"] else "within"
        span = "%s to %s" % (figure(one["good_ms"], 3), figure(one["bad_ms"], 3))
        rows.append([preset, figure(took, 3), span, verdict,
                     *("%s to %s" % (figure(one["good"][key], 3), figure(one["bad"][key], 3))
                       for key in ("arithmetic", "memory", "launches")),
                     figure(torch, 3), "%s, its %s" % (figure(one["torch_fp32_ms"], 3), one["torch_by"])])
    head = ["preset", "limn ms", "expected", "", "arithmetic", "memory", "launches", "torch fp32", "expected"]
    title = ["## Beside the model", "", "What model_gpu.py expects of this GPU, in milliseconds.", ""]
    return title + table(head, rows) if rows else []


def sampling(found):
    rows = []
    for result in found:
        if result.get("kind") == "sample" and result.get("data"):
            one = result["data"][-1]
            rows.append([str(one.get("preset")), str(one.get("batch")), figure(one.get("cached_s"), 3),
                         figure(one.get("cached_images_per_s")), figure(one.get("naive_s"), 3), figure(one.get("ratio"), 1)])
    head = ["preset", "images", "cached s", "images/s", "naive s", "ratio"]
    return ["## Sampling pixel by pixel", ""] + table(head, rows) if rows else []


def checks(found):
    total = {}
    for result in found:
        if result.get("kind") == "check":
            one = total.setdefault(result.get("precision"), [0, 0, 0, 0])
            data = (result.get("data") or [{}])[0]
            one[0] += data.get("checks", 0)
            one[1] += data.get("failures", 0)
            one[2] += 1
            # 1 says that checks fell short, which are counted; anything else did not come to its end.
            one[3] += result["status"] != "ok" and result.get("rc") != 1
    rows = [[str(precision), figure(one[0], 0), figure(one[1], 0), "%d of %d" % (one[2] - one[3], one[2])]
            for precision, one in total.items()]
    return ["## Checks", ""] + table(["precision", "checks", "failed", "kernels done"], rows) if rows else []


def gallery(found):
    rows = []
    for result in found:
        if result.get("kind") == "gallery":
            figures = ", ".join("%s %s %s" % (f.get("name"), figure(f.get("value")), f.get("unit"))
                                for f in result.get("figures", []))
            rows.append([result["preset"], str(result.get("data_set")), figure(result.get("trained_s"), 0),
                         str(result.get("trained_steps", "-")), figures or "-", str(result.get("sheet") or "-")])
    return ["## Trained presets", ""] + table(["preset", "data", "s", "steps", "figures", "sheet"], rows) if rows else []


def faults(found):
    """Everything that did not end well, once each reason for steps that were left out."""
    lines, left_out = [], {}
    for result in found:
        if result["status"] == "skipped":
            left_out.setdefault(result.get("why", "?"), []).append(result["step"])
        elif result["status"] != "ok" and result["step"] not in ("torch", "kernels"):
            why = result.get("why") or (result.get("tail") or ["it said nothing"])[-1]
            lines.append("- %s: %s (exit code %s): %s" % (result["step"], result["status"], result.get("rc"), why))
    for why, names in left_out.items():
        shown = ", ".join(names[:6]) + (" and %d more" % (len(names) - 6) if len(names) > 6 else "")
        lines.append("- left out, %s: %s" % (why, shown))
    return ["## What did not end well", ""] + lines if lines else []
