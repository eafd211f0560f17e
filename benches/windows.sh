#!/usr/bin/env bash
# limn for Windows, on Debian for amd64 and as root: builds limn.exe and the test programs, and runs them under Wine, on
# Mesa's software driver as Vulkan and, through Wine's Direct3D 12 with Microsoft's compiler of shaders (FXC), as DX12. All of
# it lies in a Debian of its own in ~/.cache/limn-windows (LIMN_WINDOWS; 2.5 GB), kept for the next time; needs debootstrap
# (which it installs), npm, and rustup's target x86_64-pc-windows-gnu.
#
#   benches/windows.sh                       builds, runs every test program, and checks the kernels on both: hours, most
#                                            of them FXC's
#   benches/windows.sh test [NAME...]        builds, and runs these test programs: lib programs graph readers kernels train
#                                            command_line, `train=going_on::` for some of its tests
#   benches/windows.sh check [KERNEL...]     builds, and checks kernels on vulkan, dx12 and cpu
#   benches/windows.sh run PROGRAM WORD...   a Windows program in the current folder
#
# What is to fail there, and why, is in benches/windows/expected.txt: it has to fail, and nothing else may. How a build is
# optimised is said by cargo's own variables (CARGO_PROFILE_RELEASE_OPT_LEVEL=1, ...).
set -euo pipefail
called_in=$PWD
cd "$(dirname "$0")/.."
here=$PWD
home=$(realpath -m "${LIMN_WINDOWS:-$HOME/.cache/limn-windows}")
root=$home/debian
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo_home=$(realpath -m "${CARGO_HOME:-$HOME/.cargo}") rustup_home=$(realpath -m "${RUSTUP_HOME:-$HOME/.rustup}")
triple=x86_64-pc-windows-gnu
programs="lib programs graph readers kernels train command_line"
fail() { echo "windows.sh: $*" >&2; exit 2; }
[ "$(id -u)" = 0 ] || fail "a Debian of its own is made by root"
mkdir -p "$home"
exec 9> "$home/lock"
flock -n 9 || { echo "waiting for another benches/windows.sh"; flock 9; }

# Runs a command in that Debian, in a folder, with these at the places where they are here. All it started ends with it.
inside() { # FOLDER COMMAND...
  local folder=$1; shift
  mkdir -p "$target"
  export root here target cargo_home rustup_home folder
  unshare --mount --pid --fork --kill-child bash -euo pipefail -c '
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    for place in "$here" "$target" "$cargo_home" "$rustup_home" "$folder"; do
      mkdir -p "$root$place"
      mountpoint -q "$root$place" || mount --bind "$place" "$root$place"
    done
    exec chroot "$root" /usr/bin/env -C "$folder" "$@"' windows.sh "$@"
}

# Wine, with the variables that are ours or tell limn what to do. The display is gone with the process that it is for.
wine() { # FOLDER PROGRAM WORD...
  local folder=$1 name; shift
  local words=(-i HOME=/root PATH=/usr/lib/wine:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 WINEPREFIX=/wine WINEDEBUG=-all
    "WINEDLLOVERRIDES=d3dcompiler_47=n;mscoree,mshtml=" NODEVICE_SELECT=1 XDG_RUNTIME_DIR=/tmp
    VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/lvp_icd.json)
  for name in $(compgen -e | grep -E '^(LIMN|RUST|WGPU)_' | grep -vx LIMN_WINDOWS); do words+=("$name=${!name}"); done
  inside "$folder" "${words[@]}" bash -c '
    mkfifo /tmp/display
    Xvfb -displayfd 3 -screen 0 1024x768x24 -nolisten tcp 3>/tmp/display 2>/tmp/display.log &
    read -r -t 60 number </tmp/display || { echo "there is no display" >&2; exit 125; }
    DISPLAY=:$number wine64 "$@"
    code=$?
    wineserver -k
    exit $code' wine "$@"
}

setup() {
  if [ ! -e "$home/made" ]; then
    command -v debootstrap >/dev/null ||
      { apt-get install -y -qq debootstrap || { apt-get update -qq && apt-get install -y -qq debootstrap; }; } >/dev/null
    command -v npm >/dev/null || fail "needs npm, whose package webgpu has Microsoft's compiler of shaders"
    rm -rf "$root"
    debootstrap --variant=minbase trixie "$root" >"$home/made.log" 2>&1 \
      --include=mesa-vulkan-drivers,libvulkan1,gcc,libc6-dev,gcc-mingw-w64-x86-64-win32,wine,wine64,xvfb ||
      { tail -5 "$home/made.log"; exit 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb
    touch "$home/made"
  fi
  if [ ! -e "$home/wine" ]; then
    (cd "$home" && npm pack --silent webgpu@0.6.2 >/dev/null &&
      tar -xzf webgpu-0.6.2.tgz --strip-components=3 package/dist/win32-x64/d3dcompiler_47.dll) ||
      fail "npm's package webgpu did not come"
    rm -rf "$root/wine"
    wine /tmp wineboot --init >"$home/wineboot.log" 2>&1 || { tail -5 "$home/wineboot.log"; fail "Wine does not start"; }
    # In place of Wine's own, which does not know all of what limn's shaders are written in.
    cp "$home/d3dcompiler_47.dll" "$root/wine/drive_c/windows/system32/"
    touch "$home/wine"
  fi
}

# limn.exe and the test programs, by the toolchain that is here and mingw in that Debian. What they are called is kept.
build() {
  rustup target list --installed 2>/dev/null | grep -qx $triple || rustup target add $triple >/dev/null 2>&1 ||
    fail "needs rustup's target $triple"
  cargo fetch --locked --quiet --target $triple
  local cargo; cargo=$(rustup which cargo)
  local name set=(HOME=/root "PATH=$(dirname "$cargo"):/usr/sbin:/usr/bin:/sbin:/bin" "CARGO_HOME=$cargo_home"
    "CARGO_TARGET_DIR=$target")
  for name in $(compgen -e | grep -E '^(CARGO_(PROFILE|INCREMENTAL|BUILD)|RUSTFLAGS)'); do set+=("$name=${!name}"); done
  inside "$here" -i "${set[@]}" cargo test --locked --offline --release --target $triple --lib --tests --no-run \
    --message-format json-render-diagnostics >"$home/build.json" || fail "limn does not build for $triple"
  sed -n 's/.*"name":"\([a-z_]*\)".*"executable":"\([^"]*\.exe\)".*/\1 \2/p' "$home/build.json" |
    sed 's/^limn \(.*\/deps\/.*\)/lib \1/' >"$home/programs"
}
program() { sed -n "s/^$1 //p" "$home/programs" | tail -n 1; }

# Runs a test program and holds what failed against what is expected to.
judged() { # PROGRAM [FILTER]
  local name=$1 filter=${2:-} log=$home/$1.log list=$here/benches/windows/expected.txt exe words=() test why wrong=0
  exe=$(program "$name"); [ -n "$exe" ] || fail "there is no test program $name"
  [ -z "$filter" ] || words+=("$filter")
  while read -r _ test why; do words+=(--skip "$test"); done < <(grep "^skip:$name " "$list")
  # Wine's Direct3D calls itself a card, which is taken before the software driver unless that is named.
  LIMN_DEVICE=${LIMN_DEVICE:-vulkan} wine "$here" "$exe" "${words[@]}" >"$log" 2>&1 || true
  tr -d '\r' <"$log" | sed -n 's/^test \(\S*\)\( - should panic\)\? \.\.\. \(ok\|FAILED\)$/\3 \1/p' | sort -u >"$home/$name.tests"
  if ! grep -q '^test result' "$log"; then tail -n 20 "$log"; echo "$name: it did not come to its end"; return 1; fi
  while read -r result test; do
    why=$(sed -n "s/^fail:$name $test //p" "$list")
    case $result in
      FAILED) if [ -z "$why" ]; then echo "$name $test: FAILED"; wrong=1; else echo "$name $test: fails as expected: $why"; fi ;;
      ok) if [ -n "$why" ]; then echo "$name $test: PASSES, and was expected to fail: $why"; wrong=1; fi ;;
    esac
  done <"$home/$name.tests"
  echo "$name: $(tr -d '\r' <"$log" | sed -n 's/^test result: [a-zA-Z]*\. //p')"
  return $wrong
}

tests() {
  local wrong=0 one
  for one in "$@"; do
    case $one in *=*) judged "${one%%=*}" "${one#*=}" ;; *) judged "$one" ;; esac || wrong=1
  done
  return $wrong
}
check() {
  local wrong=0 device
  for device in vulkan dx12 cpu; do
    echo "check --device $device"
    wine "$here" "$(program limn)" check "$@" --device $device >"$home/check-$device.log" 2>&1 ||
      { wrong=1; grep -v ' ok' "$home/check-$device.log" | tail -n 20; }
    tail -n 1 "$home/check-$device.log"
  done
  return $wrong
}

case ${1:-all} in
  build) setup; build ;;
  run) shift; setup; wine "$called_in" "$@" ;;
  test) shift; [ $# != 0 ] || set -- $programs; setup; build; tests "$@" ;;
  check) shift; setup; build; check "$@" ;;
  all) setup; build; wrong=0; tests $programs || wrong=1; check || wrong=1; exit $wrong ;;
  *) sed -n '2,17s/^# \?//p' "$0"; exit 2 ;;
esac
