#!/usr/bin/env bash
# run.sh TARGET FOLDER COMMAND...: runs a program (limn bench step vae --tune off, limn plan vae, any of Vulkan) on a
# GPU that is not there, and leaves in FOLDER what its compiler made of the program's pipelines, see watch.c:
#   stats.jsonl, runs.txt, isa/N.txt, spv/N.spv
# Nothing is computed: what comes out is rubbish, and times mean nothing. LIMIT: seconds before it is stopped (120).
set -euo pipefail
lab=${LIMN_GPU_LAB:-$HOME/.cache/limn-gpu-lab}
lib=$lab/root/usr/lib/x86_64-linux-gnu
targets="nvk-turing nvk-ampere nvk-ampere-a100 radv-NAME (navi21, navi31, ...) apple-m1 adreno-NUMBER (660, 740, ...)"
[ $# -ge 3 ] || { echo "usage: run.sh TARGET FOLDER COMMAND..." >&2; echo "targets: $targets" >&2; exit 2; }
[ -e "$lab/layers/libwatch.so" ] || { echo "there are no compilers in $lab: run setup.sh first" >&2; exit 2; }
target=$1 out=$2; shift 2
case $target in
  nvk-turing)      icd=nouveau shim=nouveau; export NOUVEAU_CHIPSET=164 ;; # TU104, sm75
  nvk-ampere-a100) icd=nouveau shim=nouveau; export NOUVEAU_CHIPSET=170 ;; # GA100, sm80
  nvk-ampere)      icd=nouveau shim=nouveau; export NOUVEAU_CHIPSET=172 ;; # GA102, sm86
  radv-*)          icd=radeon shim=amdgpu; export AMDGPU_GPU_ID=${target#radv-} ;;
  apple-m1)        icd=asahi shim=asahi; export AGX_MESA_DEBUG=shaders WATCH_PRINTED=1 ;; # prints what others hand out
  adreno-*)        icd=freedreno shim=freedreno; export FD_GPU_ID=${target#adreno-} ;;
  *) echo "no target '$target'; there are: $targets" >&2; exit 2 ;;
esac
mkdir -p "$out" && out=$(cd "$out" && pwd)
rm -rf "$out/isa" "$out/spv" "$out/stats.jsonl" "$out/runs.txt"; mkdir "$out/isa" "$out/spv"
# No cache may answer for the compiler: not Mesa's, and limn's own starts empty.
cache=$(mktemp -d); trap 'rm -rf "$cache"' EXIT
export XDG_CACHE_HOME=$cache LIMN_CACHE=$cache/limn MESA_SHADER_CACHE_DISABLE=1
export VK_INSTANCE_LAYERS=VK_LAYER_LIMN_watch VK_LAYER_PATH=$lab/layers VK_LOADER_LAYERS_DISABLE='~implicit~'
export WATCH_STATS=$out/stats.jsonl WATCH_ISA=$out/isa WATCH_SPV=$out/spv WATCH_RUNS=$out/runs.txt
export VK_DRIVER_FILES=$lab/icd/$icd.json VK_ICD_FILENAMES=$lab/icd/$icd.json NODEVICE_SELECT=1
export WGPU_DEBUG=1 RAYON_NUM_THREADS=1 # names of pipelines; one compiler at a time, which may print
# Mesa is newer than this machine's C library: the loader of its own starts the program, which has to be no script.
program=$(command -v -- "$1") || { echo "no command '$1'" >&2; exit 2; }; shift
program=$(readlink -f "$program")
timeout --kill-after=5 "${LIMIT:-120}" nice -n 10 "$lib/ld-linux-x86-64.so.2" --library-path "$lib" \
  --preload "$lib/lib${shim}_noop_drm_shim.so" "$program" "$@"
