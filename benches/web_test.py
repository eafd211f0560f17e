#!/usr/bin/env python3
"""Opens pages of `limn export --format web` in a headless Chromium with a software WebGPU, and uses them as a person would.

    python3 benches/web_test.py PAGE.html[=SAMPLES.safetensors]... [--shots DIR] [--class gpu|lanes]

SAMPLES is what `limn sample --seed 0 --out SAMPLES.safetensors` drew: the page's model must draw the same. Nothing but the
standard library is needed. Exits with 0 when all held, 1 with a line for each thing that did not, 77 where there is no
Chromium (CHROMIUM names one), or none with WebGPU.
"""
import argparse
import base64
import json
import pathlib
import struct
import sys
import tempfile
import time

from chromium import DESKTOP, PHONE, WEBGPU, Browser, binary, later, wait

# Of numbers from 0 to 1: two devices add up in another order, and GANs magnify that.
BOUND = 2e-3
# Pixels of drawn images that may be others: a draw within rounding of its probability changes all that follow.
OTHERS = 0.02


def images_of(path):
    """The tensor `images` of a safetensors file: how many there are, and their numbers."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    about = json.loads(data[8:8 + length])["images"]
    begin, end = (8 + length + at for at in about["data_offsets"])
    return about["shape"][0], struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])


def drag(browser, selector, places):
    """A pointer that is pressed at the first place, moved over the others, and let go."""
    points = [browser.place(selector, *place) for place in places]
    browser.mouse("mousePressed", points[0], button="left", buttons=1, clickCount=1)
    for point in points[1:]:
        browser.mouse("mouseMoved", point, button="left", buttons=1)
    browser.mouse("mouseReleased", points[-1], button="left", clickCount=1)


def agrees(browser, fail, samples):
    """What the page draws is what limn drew."""
    n, wanted = images_of(samples)
    text = later(browser, f"limn.sample({n}, 0).then(v => {{ let s = ''; "
                          "for (const b of new Uint8Array(v.buffer)) s += String.fromCharCode(b); return btoa(s); })")
    try:
        data = base64.b64decode(text, validate=True)
        drawn = struct.unpack(f"<{len(data) // 4}f", data)
    except (ValueError, struct.error):
        return fail(True, f"no samples: {text[:200]}")
    fail(len(drawn) != len(wanted), f"{len(drawn)} numbers drawn, and limn drew {len(wanted)}")
    differences = [abs(a - b) for a, b in zip(drawn, wanted)]
    others = sum(d > BOUND for d in differences) / len(differences)
    pixels = browser.js("limn.family") == "pixels"
    fail(others > (OTHERS if pixels else 0), f"{others:.2%} of the numbers differ, by up to {max(differences):.1e}")
    print(f"  {n} samples: {others:.2%} differ by more than {BOUND}, the largest difference is {max(differences):.1e}")


# Notes the kernels that the page has asked to be compiled until it shows its first picture, whatever it says of itself.
WATCH = """
if (window.GPUDevice) {
  window.waited = [];
  window.shown = false;
  const compile = GPUDevice.prototype.createComputePipelineAsync, put = CanvasRenderingContext2D.prototype.putImageData;
  GPUDevice.prototype.createComputePipelineAsync = function (about) {
    if (!window.shown) window.waited.push(about.label);
    return compile.call(this, about);
  };
  CanvasRenderingContext2D.prototype.putImageData = function (...all) {
    window.shown ||= this.canvas.id === "image";
    return put.apply(this, all);
  };
}
"""
# What takes a software device long to compile: barriers, and many registers.
LARGE = ("tile", "coop", "dot")


def first_picture(browser, fail, kind):
    """The first picture has waited for the kernels of one image alone, all of them small; then the others come by themselves."""
    waited = browser.js("window.waited")
    own = browser.js("(r => [...new Set(r.programs.decode.dispatches.map(d => d.pipeline))].map(p => "
                     "r.content.modules[r.content.pipelines[p].module][0]))(limn.replay)")
    fail(sorted(waited) != sorted(own), f"the first picture has waited for {sorted(waited)}, and is made by {sorted(own)}")
    large = [name for name in waited if name.startswith(LARGE)]
    if kind != "gpu" and browser.js("limn.replay.class") == "lanes":
        fail(large, f"the first picture has waited for the large kernels {large}")
    try:
        wait(browser, "Object.keys(limn.replay.programs).every(name => limn.replay.made.has(name))")
    except RuntimeError:
        fail(True, "some programs are compiled only when they are asked for")
    print(f"  the first picture waited for {len(waited)} kernels: {', '.join(sorted(set(waited)))}")


PICTURE = "document.querySelector('{}').toDataURL()"


def use_latent(browser, fail):
    """The slider, the plane, the dice, the classes, test images."""
    shown = PICTURE.format("#image")

    def changes(what, act):
        before = browser.js(shown)
        act()
        try:
            wait(browser, f"{shown} !== {json.dumps(before)}", 20)
        except RuntimeError:
            fail(True, f"{what} changes nothing")

    browser.js("document.querySelector('#code').open = true")
    changes("the slider", lambda: browser.click(browser.place("#sliders input", 0.9)))
    changes("the slider by its keys", lambda: [browser.key("ArrowLeft", 37) for _ in range(40)])
    if browser.js("limn.latent") > 1:
        changes("dragging on the plane", lambda: drag(browser, "#plane", [(0.5, 0.5), (0.7, 0.4), (0.9, 0.1)]))
    changes("the dice", lambda: browser.click(browser.place("#dice")))
    changes("interpolating", lambda: browser.click(browser.place("#walk")))
    browser.click(browser.place("#walk"))
    if browser.js("limn.classes") > 1:
        changes("a class", lambda: browser.click(browser.place("#classes button:nth-child(2)")))
    if browser.js("document.querySelectorAll('#tests canvas').length") > 1:
        changes("a test image", lambda: browser.click(browser.place("#tests canvas:nth-child(2)")))
    if not browser.js("document.querySelector('#arithmetic').hidden"):
        browser.js("(s => { s.value = 1; s.dispatchEvent(new Event('change')); })(document.querySelectorAll('#arithmetic select')[1])")
        changes("arithmetic", lambda: browser.click(browser.place("#arithmetic button")))


def use_pixels(browser, fail):
    """Erasing and painting by the pointer, and what is drawn then."""
    known = "limn.editor.known.reduce((a, b) => a + b)"
    if browser.js("document.querySelectorAll('#pixel-tests canvas').length"):
        browser.click(browser.place("#pixel-tests canvas"))
    else:
        browser.click(browser.place("[data-brush=paint]"))
        for down in range(1, 20):
            drag(browser, "#editor", [(x / 20, down / 20) for x in range(1, 20)])
        browser.click(browser.place("[data-brush=erase]"))
    all_known = browser.js(known)
    drag(browser, "#editor", [(0.3, 0.7), (0.5, 0.7), (0.7, 0.7)])
    fail(browser.js(known) >= all_known, "erasing hides nothing")
    browser.click(browser.place("[data-brush=paint]"))
    hidden = browser.js(known)
    drag(browser, "#editor", [(0.3, 0.7), (0.35, 0.7)])
    fail(browser.js(known) <= hidden, "painting shows nothing")
    browser.click(browser.place("[data-hide=lower]"))
    before = browser.js(PICTURE.format("#completions"))
    browser.click(browser.place("#draw"))
    wait(browser, f"{PICTURE.format('#completions')} !== {json.dumps(before)}", 60)
    wait(browser, "!document.querySelector('#status').textContent.startsWith('drawing')", 120)


# What devices and browsers may do to a page: a name, what is put in their place before the page is loaded, and words of the
# sentence that it shows instead of the model.
HINDRANCES = [
    ("without WebGPU", "Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined })", "has no WebGPU"),
    ("without an adapter", "GPU.prototype.requestAdapter = async () => null", "finds no device"),
    ("without a device", "GPUAdapter.prototype.requestDevice = async () => { throw new Error('none to be had'); }", "none to be had"),
    *((f"with a small {limit}", f"Object.defineProperty(GPUSupportedLimits.prototype, '{limit}', {{ get: () => 64 }})", f"it needs a {limit} of")
      for limit in ["maxStorageBufferBindingSize", "maxBufferSize"]),
    ("without a pipeline", "GPUDevice.prototype.createComputePipelineAsync = async () => { throw new Error('not compiled'); }", "not compiled"),
]
# The same to one that runs.
MISHAPS = [
    ("when the device is lost", "limn.replay.device.destroy()", "the device was lost"),
    # What is asked of a device reaches it with the next commands.
    ("when memory ends", "limn.replay.device.createBuffer({ size: 2 ** 52, usage: GPUBufferUsage.STORAGE }); "
                         "limn.replay.device.queue.submit([])", "does not run here"),
]


def is_still(browser, fail, what, words):
    """The page shows a sentence and the pictures made at export, nothing else moves, and nobody sees an error in the console."""
    try:
        wait(browser, "document.body.dataset.ready === 'false'", 60)
    except RuntimeError:
        return fail(True, f"{what}: nothing is said")
    browser.settle()
    told = browser.js("document.querySelector('#status').textContent")
    fail(words not in told or "drawn when the page was made" not in told, f"{what}: it says {told!r}")
    fail("parameters" not in browser.js("document.querySelector('#facts').innerText"), f"{what}: nothing is said of the model")
    fail(not browser.js("(i => i.offsetParent && i.naturalWidth > 1)(document.querySelector('#still img'))"), f"{what}: there are no pictures")
    live = browser.js("[...document.querySelectorAll('section button, section canvas')].filter(e => e.offsetParent && !e.closest('[inert]')).length")
    fail(live > 0, f"{what}: {live} controls do nothing")
    for error in browser.errors():
        fail(True, f"{what}: {error}")


def hinder(browser, url, fail):
    """A page whose model cannot run."""
    for what, script, words in HINDRANCES:
        put = browser.call("Page.addScriptToEvaluateOnNewDocument", source=f"{{ {script}; }}")["identifier"]
        # A page whose address differs behind the # only is not loaded again.
        browser.open("about:blank", DESKTOP)
        browser.open(url, DESKTOP)
        is_still(browser, fail, what, words)
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=put)


def interrupt(browser, url, fail):
    """A page whose model stops in the midst of its work."""
    for what, script, words in MISHAPS:
        browser.open("about:blank", DESKTOP)
        browser.open(url, DESKTOP)
        wait(browser, "document.body.dataset.ready")
        # Codes that are walked between, an image that is drawn, other samples.
        for control in ["#walk", "#draw", "#more"]:
            if browser.js(f"document.querySelector('{control}').offsetParent !== null"):
                browser.click(browser.place(control))
        browser.js(f"{script}; 0")
        is_still(browser, fail, what, words)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="*", help="PAGE.html, or PAGE.html=SAMPLES.safetensors; none asks for the browser only")
    parser.add_argument("--shots", type=pathlib.Path, help="folder for screenshots")
    parser.add_argument("--class", dest="kind", choices=["gpu", "lanes"], help="take the programs of this class")
    args = parser.parse_args()
    chromium = binary()
    if not chromium:
        return 77
    if not args.pages:
        return 0
    if args.shots:
        args.shots.mkdir(parents=True, exist_ok=True)
    faults, families = [], set()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(chromium, profile, WEBGPU)
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        try:
            for given in args.pages:
                page, _, samples = given.partition("=")
                page = pathlib.Path(page).resolve()
                url = page.as_uri() + (f"#{args.kind}" if args.kind else "")

                def fail(is_wrong, words):
                    if is_wrong:
                        faults.append(f"{page}: {words}")

                began = time.monotonic()
                browser.open(url, DESKTOP)
                wait(browser, "document.body.dataset.ready")
                print(f"{page.name}: ready after {time.monotonic() - began:.1f} s")
                if browser.js("document.body.dataset.ready") != "true":
                    fail(True, browser.js("document.querySelector('#status').textContent"))
                    continue
                family = browser.js("limn.family")
                if family == "latent":
                    first_picture(browser, fail, args.kind)
                if samples:
                    agrees(browser, fail, pathlib.Path(samples))
                if family == "latent":
                    use_latent(browser, fail)
                elif family == "pixels":
                    use_pixels(browser, fail)
                browser.click(browser.place("#more"))
                wait(browser, "document.querySelector('#many-words').textContent.startsWith('seed 1')", 300)
                fail("a sample here" not in browser.js("document.querySelector('#facts').innerText"), "no time of a sample")
                fail(browser.js("document.querySelector('#status').classList.contains('failed')"),
                     browser.js("document.querySelector('#status').textContent"))
                for error in browser.errors():
                    fail(True, error)
                if not families:
                    hinder(browser, url, fail)
                if family not in families:
                    interrupt(browser, url, fail)
                families.add(family)
                if args.shots:
                    browser.shot(args.shots / f"{page.stem}.png")
                    browser.open(url, PHONE, dark=True)
                    wait(browser, "document.body.dataset.ready")
                    wait(browser, "limn.family === 'pixels' || document.querySelector('#many-words').textContent !== ''")
                    wide = browser.js("document.scrollingElement.scrollWidth")
                    fail(wide > PHONE[0], f"the page is {wide} wide on a screen of {PHONE[0]}")
                    time.sleep(1)
                    browser.shot(args.shots / f"{page.stem}-phone.png")
        finally:
            browser.close()
    print("\n".join(faults) or f"{len(args.pages)} pages: good")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
