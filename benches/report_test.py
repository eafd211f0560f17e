#!/usr/bin/env python3
"""Opens pages that `limn report` makes in a headless Chromium, and uses them as a person would.

    python3 benches/report_test.py PAGE.html... [--shots DIR]

Nothing but the standard library is needed. Exits with 0 when all held, 1 with a line for each thing that did not, 77 where there is
no Chromium (CHROMIUM names one).
"""
import argparse
import pathlib
import sys
import tempfile

from chromium import DESKTOP, PHONE, Browser, binary


def use(browser, url, fail):
    """A desktop: curves, pointing at them, controls, the slider by mouse and by keyboard."""
    browser.open(url, DESKTOP)
    drawn = browser.js("[...document.querySelectorAll('.chart')].map(c => [...c.querySelectorAll('.curve, circle')].some("
                       "p => { const b = p.getBBox(); return b.width + b.height > 1; }))")
    fail(not drawn, "there are no charts")
    fail(not all(drawn), f"charts without a curve: {drawn}")
    reading = "document.querySelector('.chart .reading').textContent"
    before = browser.js(reading)
    browser.mouse("mouseMoved", browser.place(".chart svg", 0.3))
    fail(browser.js(reading) == before or "step" not in browser.js(reading), "pointing at a curve reads nothing")
    curve = "document.querySelector('.chart .curve').getAttribute('d')"
    before = browser.js(curve)
    browser.click(browser.place("#log"))
    fail(browser.js(curve) == before, "the log scale changes nothing")
    silent = browser.js("[...document.querySelectorAll('.chart')].filter(c => !c.querySelector('.scale').textContent && "
                        "[...c.querySelectorAll('.tick')].some(t => t.textContent.startsWith('-'))).map(c => c.textContent)")
    fail(silent, f"charts that stay linear and do not say so: {silent}")
    loose = browser.js("[...document.querySelectorAll('.chart')].filter(c => c.querySelectorAll('circle').length > 1 && "
                       "![...c.querySelectorAll('.tests')].some(p => p.getBBox().width > 1)).length")
    fail(loose > 0, f"{loose} charts with dots that nothing joins")
    fail(browser.js("[...document.querySelectorAll('circle')].some(c => c.getAttribute('cx') - c.getAttribute('r') < 52)"),
         "a dot stands on the axis")
    alike = browser.js("[...document.querySelectorAll('.chart')].filter(c => { const all = [...c.querySelectorAll('.curve')]"
                       ".map(p => p.getAttribute('stroke-dasharray')); return new Set(all).size < all.length; }).length")
    fail(alike > 0, f"{alike} charts in which curves of the same values hide each other")
    before = browser.js(curve)
    browser.click(browser.place("#smooth", 0.95))
    fail(browser.js(curve) == before, "smoothing changes nothing")
    moments = int(browser.js("document.getElementById('moment').max"))
    if moments > 0:
        shown = "[document.getElementById('moment').value, document.querySelector('#moments img').src, " \
                "document.getElementById('moment-value').textContent]"
        last = browser.js(shown)
        start, end = browser.place("#moment", 0.98), browser.place("#moment", 0.02)
        browser.mouse("mousePressed", start, button="left", buttons=1, clickCount=1)
        browser.mouse("mouseMoved", end, button="left", buttons=1)
        browser.mouse("mouseReleased", end, button="left", clickCount=1)
        first = browser.js(shown)
        fail(first[0] != "0" or first[1] == last[1] or first[2] == last[2], f"the slider does not move by the mouse: {first[::2]}")
        browser.key("ArrowRight", 39)
        fail(browser.js(shown)[0] != "1", "the slider does not move by the arrow keys")
        browser.key("End", 35)
        fail(browser.js(shown) != last, "the slider does not go back to its end")
    # All controls can be reached by the keyboard, and it can be seen where it is.
    for error in browser.errors():
        fail(True, error)
    browser.open(url, DESKTOP)
    reached = set()
    for _ in range(200):
        browser.key("Tab", 9)
        name = browser.js("(e => e === document.body ? '' : e.id || e.getAttribute('class') || e.tagName)(document.activeElement)")
        if not name:
            break
        reached.add(name)
        outline = browser.js("getComputedStyle(document.activeElement).outlineStyle")
        fail(outline == "none", f"it cannot be seen that {name} has the focus")
    wanted = {"axis", "log", "smooth", "every"} | ({"moment", "play"} if moments > 0 else set())
    fail(not wanted <= reached, f"not reached by the keyboard: {sorted(wanted - reached)}")
    browser.click(browser.place("#every"))
    fail(browser.js("document.querySelectorAll('#settings tbody tr').length") < 10, "not all settings are shown")
    for name in browser.js("[...document.querySelectorAll('img')].filter(i => !i.naturalWidth || !i.alt).map(i => i.alt)"):
        fail(True, f"a picture is broken or has no words: {name!r}")
    browser.settle()
    for name in browser.js("[...document.querySelectorAll('figure img')].filter(i => i.clientHeight > 490 || "
                           "(i.clientWidth >= i.naturalWidth) !== (getComputedStyle(i).imageRendering === 'pixelated')"
                           ").map(i => `${i.alt}: ${i.naturalWidth}x${i.naturalHeight} as ${i.clientWidth}x${i.clientHeight}`)"):
        fail(True, f"a picture is larger than it should be, or blurred: {name}")
    for error in browser.errors():
        fail(True, error)


def look(browser, url, fail, shots, name):
    """Light, dark, and as narrow as a phone."""
    grounds = []
    for what, size, dark in [("light", DESKTOP, False), ("dark", DESKTOP, True), ("phone", PHONE, False), ("phone-dark", PHONE, True)]:
        browser.open(url, size, dark)
        wide = browser.js("document.scrollingElement.scrollWidth")
        fail(wide > size[0], f"{what}: the page is {wide} wide on a screen of {size[0]}")
        grounds.append(browser.js("getComputedStyle(document.body).backgroundColor"))
        small = browser.js("[...document.querySelectorAll('p, td, li, figcaption, label')].filter("
                           "e => e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < 12).length")
        fail(small > 0, f"{what}: {small} texts are smaller than 12 pixels")
        for error in browser.errors():
            fail(True, f"{what}: {error}")
        if shots:
            browser.shot(shots / f"{name}-{what}.png")
    fail(grounds[0] == grounds[1], "dark is as light as light")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path, help="folder for screenshots")
    args = parser.parse_args()
    chromium = binary()
    if not chromium:
        return 77
    if args.shots:
        args.shots.mkdir(parents=True, exist_ok=True)
    faults = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(chromium, profile)
        try:
            for page in args.pages:
                url = page.resolve().as_uri()

                def fail(is_wrong, words):
                    if is_wrong:
                        faults.append(f"{page}: {words}")

                use(browser, url, fail)
                look(browser, url, fail, args.shots, f"{page.resolve().parent.name}-{page.stem}")
        finally:
            browser.close()
    print("\n".join(faults) or f"{len(args.pages)} pages: good")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
