"""A headless Chromium, spoken to by its DevTools protocol over a pipe. Nothing but the standard library is needed."""
import base64
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
# WebGPU on the processor.
WEBGPU = ["--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-vulkan=swiftshader",
          "--use-webgpu-adapter=swiftshader", "--ignore-gpu-blocklist"]
DESKTOP, PHONE = (1280, 900, False), (360, 740, True)


def binary():
    """Where Chromium is: CHROMIUM, or what is on the path. Says so where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        print("there is no Chromium here; CHROMIUM=PATH names one")
    return found


class Browser:
    """A Chromium with one page."""

    def __init__(self, binary, profile, flags=("--disable-gpu",)):
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()

        def place():
            # Away from 3 and 4 first, which may be among the four.
            one, other = os.dup(theirs_in), os.dup(theirs_out)
            one, other = (os.dup(one), os.dup(other)) if {one, other} & {3, 4} else (one, other)
            os.dup2(one, 3)
            os.dup2(other, 4)

        flags = ["--headless", "--no-sandbox", *flags, "--remote-debugging-pipe", "--no-first-run",
                 f"--user-data-dir={profile}", "--disable-dev-shm-usage", "about:blank"]
        self.process = subprocess.Popen([binary, *flags], preexec_fn=place, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in), os.close(theirs_out)
        self.to, self.of, self.held, self.number, self.session = ours_out, ours_in, b"", 0, None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Runtime", "Log", "Page", "Network"]:
            self.call(f"{domain}.enable")

    def next(self, seconds):
        """The next message, or None after so many seconds without one."""
        end = time.monotonic() + seconds
        while b"\0" not in self.held:
            if not select.select([self.of], [], [], max(0, end - time.monotonic()))[0]:
                return None
            piece = os.read(self.of, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.held += piece
        message, self.held = self.held.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        while True:
            answer = self.next(30)
            if answer is None:
                raise RuntimeError(f"no answer to {method}")
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def settle(self, seconds=0.3):
        while (message := self.next(seconds)) is not None:
            self.events.append(message)

    def open(self, url, size, dark=False):
        self.events.clear()
        width, height, phone = size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=url)
        end = time.monotonic() + 20
        while self.js("document.readyState") != "complete" and time.monotonic() < end:
            time.sleep(0.05)
        self.settle()

    def js(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def place(self, selector, across=0.5, down=0.5):
        """A point inside of an element, which is scrolled to."""
        self.js(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        rect = self.js(f"(r => [r.x, r.y, r.width, r.height])(document.querySelector({selector!r}).getBoundingClientRect())")
        return {"x": rect[0] + across * rect[2], "y": rect[1] + down * rect[3]}

    def mouse(self, kind, at, **more):
        self.call("Input.dispatchMouseEvent", type=kind, **at, **more)

    def click(self, at):
        for kind in ["mousePressed", "mouseReleased"]:
            self.mouse(kind, at, button="left", buttons=1, clickCount=1)

    def key(self, key, code):
        for kind in ["rawKeyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def errors(self):
        """What went wrong on the page, and what it asked the network for."""
        self.settle(0.1)
        for event in self.events:
            kind, said = event.get("method"), event.get("params", {})
            if kind == "Runtime.exceptionThrown":
                yield f"an exception: {said['exceptionDetails']}"
            elif kind == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                yield f"console: {[a.get('value') for a in said['args']]}"
            elif kind == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
                yield f"log: {said['entry']['text']}"
            elif kind == "Network.requestWillBeSent" and not said["request"]["url"].startswith(("file:", "data:")):
                yield f"a request for {said['request']['url']}"

    def shot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        picture = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(picture))

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def wait(browser, expression, seconds=120):
    """Until an expression is true, or so many seconds are over."""
    end = time.monotonic() + seconds
    while not browser.js(expression):
        if time.monotonic() > end:
            raise RuntimeError(f"{expression} did not come true")
        time.sleep(0.05)


def later(browser, expression, seconds=300):
    """The value that a promise is resolved to within so many seconds."""
    browser.js(f"window.result = undefined; ({expression}).then(v => {{ window.result = [v]; }}, e => {{ window.result = [String(e)]; }})")
    wait(browser, "window.result !== undefined", seconds)
    return browser.js("window.result[0]")
