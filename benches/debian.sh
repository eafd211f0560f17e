#!/usr/bin/env bash
# Runs a program of this machine in a Debian of its own, whose drivers and layers are newer than those of a stable one
# (trixie: Mesa 25, Khronos's validation layer and spirv-val): files of this folder and of the program's are at the same
# places there. Needs root, debootstrap (which it installs), and some 600 MB.
#
#   benches/debian.sh FOLDER PROGRAM [ARGUMENT...]      FOLDER: a place for that Debian, kept for the next time
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(realpath -m "$1") program=$(realpath "$2")
shift 2
command -v debootstrap >/dev/null || { apt-get install -y -qq debootstrap || { apt-get update -qq && apt-get install -y -qq debootstrap; }; } >/dev/null
if [ ! -e "$root/made" ]; then
  rm -rf "$root"
  mkdir -p "$(dirname "$root")"
  debootstrap --variant=minbase --include=mesa-vulkan-drivers,libvulkan1,vulkan-validationlayers,spirv-tools,gcc,libc6-dev trixie "$root" >"$root.log" 2>&1 ||
    { tail -5 "$root.log"; exit 1; }
  touch "$root/made"
fi
# Tests lie two folders below those of their build, where they look for limn.
build=$(dirname "$(dirname "$(dirname "$program")")")
export root here build program
# What is mounted is gone when this ends.
unshare --mount bash -euo pipefail -c '
  mount --bind /proc "$root/proc"
  mount --bind /dev "$root/dev"
  for folder in "$here" "$build"; do
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
  done
  exec env -u VK_LAYER_PATH NODEVICE_SELECT=1 TMPDIR=/tmp chroot "$root" "$program" "$@"' debian "$@"
