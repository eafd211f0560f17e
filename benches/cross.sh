#!/bin/sh
# Type-checks limn for Windows and macOS, with its tests and benches, warnings denied. Nothing is linked or run.
#
#   benches/cross.sh [TARGET...]     without targets: those of the usual ones that rustup has here
#
# CARGO_FLAGS go to cargo as well (-Zbuild-std and the like, where a standard library is to be made).
set -eu
cd "$(dirname "$0")/.."
windows="x86_64-pc-windows-msvc x86_64-pc-windows-gnu"
macos="aarch64-apple-darwin x86_64-apple-darwin"
has() { [ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]; }

targets=$*
if [ -z "$targets" ]; then
  for system in "$windows" "$macos"; do
    found=
    for target in $system; do
      if [ -z "$found" ] && has "$target"; then found=$target; fi
    done
    if [ -n "$found" ]; then targets="$targets $found"; else
      echo "not checked: no target of$(printf ' %s' $system); rustup target add ${system%% *} brings one"
    fi
  done
fi

# A type-check makes no machine code: what build scripts compile in C may as well be empty.
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
cat > "$tools/cc" <<'CC'
#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then : > "$2"; shift; fi
  shift
done
CC
cat > "$tools/ar" <<'AR'
#!/bin/sh
for word; do
  case $word in *.a | *.lib) : > "$word" ;; esac
done
AR
chmod +x "$tools/cc" "$tools/ar"
for tool in dlltool x86_64-w64-mingw32-dlltool; do
  cat > "$tools/$tool" <<'TOOL'
#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in -l | --output-lib) printf '!<arch>\n' > "$2"; shift ;; esac
  shift
done
TOOL
  chmod +x "$tools/$tool"
done

for target in $targets; do
  if [ -z "${CARGO_FLAGS:-}" ] && ! has "$target"; then
    echo "not checked: rustup has no target $target here; rustup target add $target brings it"
    continue
  fi
  echo "checking for $target"
  name=$(echo "$target" | tr - _)
  # Apple's SDK is asked for by name only.
  env PATH="$PATH:$tools" "CC_$name=$tools/cc" "AR_$name=$tools/ar" SDKROOT="${SDKROOT:-$tools}" \
    RUSTFLAGS="${RUSTFLAGS:-} -Dwarnings" \
    cargo check --locked --quiet --release --all-targets --target "$target" ${CARGO_FLAGS:-}
done
