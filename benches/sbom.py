#!/usr/bin/env python3
"""Writes limn's bill of materials as CycloneDX 1.6, the crates that the program is linked of, and holds it against the schema.

    python3 benches/sbom.py --out target/limn.cdx.json

It needs cyclonedx-python-lib (`make supply` brings it). The same Cargo.lock makes the same file.
"""
import argparse
import datetime
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

import licences

ROOT = pathlib.Path(__file__).resolve().parent.parent


def component(name, version, licence, kind, digest):
    # Older crates say "MIT/Apache-2.0" where SPDX has "MIT OR Apache-2.0".
    terms = LicenseFactory().make_from_string(re.sub(r"\s*/\s*", " OR ", licence))
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else []
    purl = PackageURL("cargo", None, name, version)
    return Component(name=name, version=version, type=kind, licenses=[terms], hashes=hashes, purl=purl, bom_ref=str(purl))


def bom():
    # What is the same is to be the same file: its number is made of the lock, and its time is that of the last commit.
    lock = (ROOT / "Cargo.lock").read_text()
    made = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, lock))
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    made.metadata.timestamp = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    locked = tomllib.loads(lock)["package"]
    digests = {(package["name"], package["version"]): package.get("checksum") for package in locked}
    own = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    made.metadata.component = component(own["name"], own["version"], own["license"], ComponentType.APPLICATION, None)
    for name, version, licence, _ in licences.packages():
        made.components.add(component(name, version, licence, ComponentType.LIBRARY, digests[(name, version)]))
    reached = licences.edges()
    known = {(c.name, c.version): c for c in [made.metadata.component, *made.components]}
    for crate, needs in reached.items():
        made.register_dependency(known[crate], [known[need] for need in needs])
    return made


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--out", required=True, type=pathlib.Path)
    out = arguments.parse_args().out
    made = bom()
    text = make_outputter(made, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        print(f"the bill of materials is not one: {fault}")
        return 1
    out.write_text(text + "\n")
    print(f"{out}: limn and {len(made.components)} crates")
    return 0


if __name__ == "__main__":
    sys.exit(main())
