#!/usr/bin/env python3
"""Writes assets/licences.txt, which `limn --licences` prints: what is built into the program, and on what terms.

    python3 benches/licences.py            # writes it, from what cargo has fetched
    python3 benches/licences.py --check    # exits with 1 where it is not that of Cargo.lock

Crates that are only built or tested with are left out. Of each licence the text that most crates have stands there once;
whose copyright it is stands with the crate.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "assets" / "licences.txt"
HEAD = """What is built into limn, and on what terms

limn itself is under the MIT licence (LICENSE). The built-in images, fashion-mini, are a part of Zalando Research's
Fashion-MNIST, Copyright 2017 Zalando SE, https://github.com/zalandoresearch/fashion-mnist, MIT licence. The font in charts
is Ubuntu Light, Copyright 2010, 2011 Canonical Ltd., Ubuntu Font Licence 1.0, by the crate epaint_default_fonts.

The crates:
"""
KINDS = {"MIT": "Permission is hereby granted, free of charge", "Apache-2.0": "Apache License",
         "BSD-3-Clause": "Redistributions of source code", "BSD-2-Clause": "Redistributions of source code",
         "ISC": "Permission to use, copy, modify", "Zlib": "This software is provided 'as-is'",
         "Unicode-3.0": "UNICODE LICENSE V3", "MPL-2.0": "Mozilla Public License", "BSL-1.0": "Boost Software License",
         "CC0-1.0": "CC0 1.0", "0BSD": "Permission to use, copy, modify", "Unlicense": "This is free and unencumbered"}
# Of a choice of licences the first of these is taken.
TAKEN = ["MIT", "Apache-2.0", "Zlib", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Unicode-3.0", "BSL-1.0", "CC0-1.0",
         "Unlicense", "MPL-2.0"]


def linked():
    """The crates that the program is linked of, on any system, by cargo's names: what cargo knows of each, and which of
    them each is made with."""
    # Those of all features: whoever builds a program with less has a list that is a little too long.
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--features", "mpi"]
    about = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    nodes = {node["id"]: node for node in about["resolve"]["nodes"]}
    known = {package["id"]: package for package in about["packages"]}
    root, edges = about["resolve"]["root"], {}
    left = [root]
    while left:
        one = left.pop()
        if one in edges:
            continue
        edges[one] = []
        for dep in nodes[one]["deps"]:
            macros = any("proc-macro" in target["kind"] for target in known[dep["pkg"]]["targets"])
            if not macros and any(kind["kind"] is None for kind in dep["dep_kinds"]):
                edges[one].append(dep["pkg"])
        left += edges[one]
    return root, known, edges


def packages():
    """The crates that the program is linked of, limn itself left out: name, version, licence, folder."""
    root, known, edges = linked()
    found = [known[one] for one in edges if one != root]
    return sorted(((p["name"], p["version"], p["license"] or "", pathlib.Path(p["manifest_path"]).parent) for p in found))


def edges():
    """Of each of them, and of limn, which of them it is made with, by name and version."""
    _, known, all_edges = linked()
    name = lambda one: (known[one]["name"], known[one]["version"])  # noqa: E731
    return {name(one): [name(dep) for dep in deps] for one, deps in all_edges.items()}


def texts(folder):
    """The licences that lie in a crate's folder."""
    for path in sorted(folder.iterdir()):
        if re.match(r"(?i)(licen[cs]e|copying|unlicense|notice)", path.name) and path.is_file():
            yield path.read_text(errors="replace")


def names(expression):
    """The licences of an expression that are taken: one of each choice."""
    taken = []
    for part in re.split(r"\s+AND\s+", expression.replace("/", " OR ").replace("(", " ").replace(")", " ")):
        choices = [choice.strip().split(" WITH ")[0] for choice in part.split(" OR ")]
        taken.append(min(choices, key=lambda c: TAKEN.index(c) if c in TAKEN else len(TAKEN)))
    return list(dict.fromkeys(taken))


def text():
    lines, of_kind = [HEAD], collections.defaultdict(collections.Counter)
    for name, version, expression, folder in packages():
        rights = []
        for licence in texts(folder):
            rights += re.findall(r"(?im)^\s*(copyright (?:\(c\)|©|\d).*\S)\s*$", licence)
            for kind, mark in KINDS.items():
                if mark in licence and len(licence) < 40_000:
                    body = re.sub(r"(?im)^.*copyright (?:\(c\)|©|\d).*\n", "", licence).strip()
                    of_kind[kind][re.sub(r"[ \t]+$", "", body, flags=re.M)] += 1
        whose = "; ".join(dict.fromkeys(" ".join(r.split()) for r in rights if "yyyy" not in r and "[year]" not in r))
        lines.append(f"{name} {version}: {expression}" + (f"; {whose}" if whose else "") + "\n")
    used = sorted({kind for _, _, expression, _ in packages() for kind in names(expression)})
    for kind in used:
        lines.append(f"\n{'=' * 80}\n{kind}\n\n")
        same = of_kind.get(kind)
        lines.append((same.most_common(1)[0][0] if same else f"https://spdx.org/licenses/{kind}.html") + "\n")
    return "".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the list is an old one")
    args = parser.parse_args()
    if not args.check:
        OUT.write_text(text())
        return 0
    listed = set(re.findall(r"(?m)^(\S+ \d\S*): ", OUT.read_text()))
    wanted = {f"{name} {version}" for name, version, _, _ in packages()}
    for name in sorted(listed ^ wanted):
        print(f"{OUT.relative_to(ROOT)}: {name} {'is missing' if name in wanted else 'is not built in any more'}")
    if listed != wanted:
        print("python3 benches/licences.py writes it anew")
    return int(listed != wanted)


if __name__ == "__main__":
    sys.exit(main())
