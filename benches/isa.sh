#!/usr/bin/env bash
# What the compilers of GPUs make of limn's kernels, on a machine without those GPUs. Mesa's drivers for NVIDIA (NVK),
# AMD (RADV), Apple (Honeykrisp) and Adreno (Turnip) are whole compilers, and open a device that is not there on
# Debian's mesa-drm-shim. limn's training steps run on it: shaders become machine code, and nothing is computed.
#
#   benches/isa.sh                              eight presets on four targets, compared with assets/golden/isa.txt:
#                                               exit code 1 if a product's loop got more than 2% heavier, 2 if
#                                               something failed
#   benches/isa.sh dcgan --target nvk-ampere    one of them (radv-navi31, apple-m1, adreno-740; isa/run.sh has more)
#   benches/isa.sh --kernel conv2d              the pipelines that `limn bench conv2d` makes
#   benches/isa.sh --bless                      writes the golden table
#   benches/isa.sh --page FILE.md               all tables as Markdown
#   benches/isa.sh --help                       the rest
#
# Columns: `loop` and `core` are instructions for each multiply-add, in the loop that loads and multiplies and in its
# largest straight block; * where the loop holds one that was not unrolled and is counted once, so that `core` says
# more. `words` of workgroup memory are read for each multiply-add. `epilogue`: instructions behind the loop for each
# word that is written there, at most, of launches with a hundredth of the arithmetic. `regs` of an invocation (Apple:
# of 16 bits; Adreno: vectors of 4), `occup` (NVK: warps of a multiprocessor; RADV: waves of a SIMD; Apple: threads of
# a core; Adreno: waves of a core), `spills` to memory. Counts are of written instructions: times, memory and what waits
# for it are not in them. NVK is not NVIDIA's compiler: take its figures for an upper bound.
#
# The first call fetches the compilers (isa/setup.sh: about 400 MB into ~/.cache/limn-gpu-lab, by apt-get, on Debian for
# amd64). In target/isa are each pipeline's machine code and SPIR-V, and each step's launches as JSON.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case " $* " in *" --help "* | *" -h "*) sed -n 's/^# \{0,1\}//p' "$0" | tail -n +2 ;; *) "$here/isa/setup.sh" ;; esac
exec python3 "$here/isa/report.py" "$@"
