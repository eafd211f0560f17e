#!/usr/bin/env python3
"""Gives pipelines to Tint, Chromium's compiler of WGSL, as pages of `limn export --format web` do, and tells what it refuses.

    python3 benches/tint_test.py [PIPELINES.jsonl] [--all]

A line of the file is a pipeline: `name`, `code` (its WGSL), `constants`, `access` (a letter for each storage binding: `r` or `w`)
and `workgroup_size`. The test `tint` of the program `kernels` writes one of every kernel. Nothing but the standard library is
needed. Exits with 0 when all were taken, 1 with Tint's words on each module and each pipeline that was not, 77 where there is no
Chromium (CHROMIUM names one), or none with WebGPU.
"""
import argparse
import json
import pathlib
import re
import sys
import tempfile
import time

from chromium import DESKTOP, WEBGPU, Browser, binary, later

REPLAY = pathlib.Path(__file__).resolve().parent.parent / "src/export/web/replay.js"
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="text/plain" id="content">{content}</script>
<script>{replay}</script>
<script>
const content = JSON.parse(document.getElementById("content").textContent);
/** Errors of modules: what they are of, the number of that, and the words. */
const errors = (kind, modules) => Promise.all(modules.map(module => module.getCompilationInfo())).then(all => all.flatMap(
  ({{ messages }}, k) => messages.filter(m => m.type === "error").map(m => [kind, k, `${{m.lineNum}}:${{m.linePos}}: ${{m.message}}`])));
async function compiled() {{
  if (!await navigator.gpu?.requestAdapter()) return null;
  const replay = await Replay.open(content, new ArrayBuffer(0), "lanes"), {{ device }} = replay;
  device.onuncapturederror = event => event.preventDefault();
  const put = content.texts.map(code => device.createShaderModule({{ code }}));
  const made = await Promise.allSettled(content.pipelines.map(pipeline => replay.compile(pipeline)));
  const faults = [...await errors("modules", replay.modules), ...await errors("texts", put)];
  const broken = new Set(faults.filter(([kind]) => kind === "modules").map(([, k]) => k));
  made.forEach(({{ reason }}, k) => {{
    if (reason && !broken.has(content.pipelines[k].module)) faults.push(["pipelines", k, reason.message]);
  }});
  return faults.filter(([kind, k]) => kind !== "texts" || !broken.has(content.of[k]));
}}
</script>
"""


def put(code, constants):
    """The text with its constants in it, as the compiler has it when it makes a pipeline."""
    def const(match):
        name, kind, default = match.groups()
        value = constants.get(name, default)
        return f"const {name}: {kind} = {kind}({value});"
    text = re.sub(r"\boverride (\w+): (\w+)(?: = ([^;]+))?;", const, code)
    left = re.search(r"\boverride\s+\w+\s*[:=].*", text)
    if left:
        raise ValueError(f"not understood: {left[0]}")
    return text


def content(rows, every):
    """The rows as a page has them, each module and each pipeline once. The browser's device takes a second to make a pipeline:
    it is asked for one of each module, or for `every` one."""
    modules, pipelines = {}, {}
    for row in rows:
        module = modules.setdefault((row["name"], row["code"]), len(modules))
        pipeline = {"module": module, "constants": row["constants"], "access": row["access"]}
        pipelines.setdefault(json.dumps(pipeline), {**pipeline, "row": row})
    pipelines = list(pipelines.values())
    firsts = {pipeline["module"]: pipeline for pipeline in reversed(pipelines)}
    return {"modules": list(modules), "pipelines": pipelines if every else list(firsts.values()),
            "texts": [put(p["row"]["code"], p["constants"]) for p in pipelines], "of": [p["module"] for p in pipelines],
            "all": pipelines, "programs": {"lanes": {}}, "limits": {}, "tensors": []}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipelines", nargs="?", type=pathlib.Path, help="none asks for the browser only")
    parser.add_argument("--all", action="store_true", help="make every pipeline on the device, which takes minutes")
    args = parser.parse_args()
    chromium = binary()
    if not chromium:
        return 77
    text = args.pipelines.read_text() if args.pipelines else ""
    given = content([json.loads(line) for line in text.splitlines()], args.all)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder)
        page = folder / "page.html"
        page.write_text(PAGE.format(content=json.dumps(given).replace("<", "\\u003c"), replay=REPLAY.read_text()))
        browser = Browser(chromium, folder / "profile", WEBGPU)
        try:
            version = browser.call("Browser.getVersion")["product"]
            browser.open(page.as_uri(), DESKTOP)
            began = time.monotonic()
            faults = later(browser, "compiled()", 3600 if args.all else 300)
            took = time.monotonic() - began
        finally:
            browser.close()
    if faults is None:
        print(f"{version} has no WebGPU here")
        return 77
    if isinstance(faults, str):
        print(f"{version}: {faults}")
        return 1
    for kind, k, words in faults:
        if kind == "modules":
            print(f"{given['modules'][k][0]}: {words}")
        else:
            row = given["all" if kind == "texts" else "pipelines"][k]["row"]
            print(f"{row['name']} {json.dumps(row['constants'])}, workgroup size {row['workgroup_size']}: {words}")
    refused = f"{len(faults)} errors" if faults else "all taken"
    print(f"{len(given['modules'])} modules, {len(given['texts'])} sets of constants in them, {len(given['pipelines'])} of them as "
          f"pipelines on the device: {refused} by {version} in {took:.1f} s")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
