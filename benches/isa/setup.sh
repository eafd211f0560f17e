#!/usr/bin/env bash
# Fetches Mesa's compilers for GPUs that this machine does not have into a folder of their own (LIMN_GPU_LAB, or
# ~/.cache/limn-gpu-lab; about 400 MB), and compiles the layer that reads what they make. Nothing is installed. Needs
# Debian on amd64, apt-get, cc and python3. What is there already is kept; UPDATE=1 fetches anew.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=${LIMN_GPU_LAB:-$HOME/.cache/limn-gpu-lab}
mkdir -p "$lab" && lab=$(cd "$lab" && pwd)
root=$lab/root lib=$lab/root/usr/lib/x86_64-linux-gnu
fail() { echo "setup.sh: $*" >&2; exit 2; }

# The source of Debian packages that this machine is set up with: that of its own release, else any of Debian's.
debian() {
  python3 - <<'PY'
import glob, re
release = re.search(r'^VERSION_CODENAME=(\S+)', open('/etc/os-release').read(), re.M)
found = []
for path in ['/etc/apt/sources.list', *sorted(glob.glob('/etc/apt/sources.list.d/*'))]:
    try:
        text = re.sub(r'^#.*\n?', '', open(path).read(), flags=re.M)
    except OSError:
        continue
    if path.endswith('.sources'):
        for stanza in re.split(r'\n\s*\n', text):
            fields = re.findall(r'^([\w-]+):((?:.*\n?)(?:[ \t].*\n?)*)', stanza, re.M)
            f = {key.lower(): words.split() for key, words in fields}
            if 'deb' in f.get('types', []) and f.get('enabled', ['yes']) != ['no'] and f.get('uris'):
                found.append((f['uris'][0], f.get('suites', []), f.get('components', [])))
    elif path.endswith('.list'):
        for uri, suite, rest in re.findall(r'^deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)(.*)$', text, re.M):
            found.append((uri, [suite], rest.split()))
main = [f for f in found if 'main' in f[2]]
named = [f[0] for f in main if release and release[1] in f[1]]
print(*(named or [f[0] for f in main if f[0].rstrip('/').endswith('/debian')])[:1])
PY
}

fetch() {
  for tool in apt-get dpkg cc python3; do command -v "$tool" > /dev/null || fail "needs $tool"; done
  [ "$(dpkg --print-architecture)" = amd64 ] || fail "is for amd64, as the emulated devices are"
  local apt=$lab/apt source signed= key=/usr/share/keyrings/debian-archive-keyring.gpg
  source=$(debian); [ -n "$source" ] || fail "/etc/apt names no source of Debian's packages"
  [ ! -e $key ] || signed="[signed-by=$key]"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$lab/debs"
  : > "$apt/status"
  printf "deb $signed $source %s main\n" trixie trixie-backports > "$apt/sources.list"
  cat > "$apt/apt.conf" <<CONF
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke;
CONF
  export APT_CONFIG=$apt/apt.conf
  apt-get -qq update || fail "the lists of packages did not come"
  apt-get -s install -y mesa-vulkan-drivers/trixie-backports mesa-drm-shim/trixie-backports libvulkan-dev spirv-tools \
    > "$apt/plan" || { tail -5 "$apt/plan" >&2; fail "apt finds no way to install Mesa"; }
  # Without what a compiler of shaders never loads.
  local want; want=$(sed -nE 's/^Inst (\S+) \((\S+) .*/\1=\2/p' "$apt/plan" |
    grep -vE '^(python3|libpython3|perl|libperl|dpkg|tar|debconf|netbase|tzdata|media-types|openssl|libssl|readline)' |
    grep -vE '^(libreadline|libsqlite|libncurses|libdb5|libx11-data|libuuid|libacl|libbz2|libpcre|libselinux)' |
    grep -vE '^(libdrm-common|libc-bin|gcc-14-base)')
  # Unpacked whole into an empty folder and then moved: a download that breaks off leaves the last good one.
  rm -rf "$root.new"; mkdir -p "$root.new"
  local package file
  for package in $want; do
    file=${package%%=*}_${package#*=}; file=${file//:/%3a}
    ls "$lab/debs/${file}"_*.deb > /dev/null 2>&1 || (cd "$lab/debs" && apt-get -qq download "$package") ||
      fail "$package did not come"
    dpkg -x "$lab"/debs/"$file"_*.deb "$root.new"
  done
  rm -rf "$root"; mv "$root.new" "$root"
  rm -rf "$lib"/*.a "$root/usr/share/doc" "$lab/debs" "$apt/lists" "$apt/cache"
  sed -nE 's/^Inst (mesa-vulkan-drivers|mesa-drm-shim|libvulkan1|libllvm\S*) \((\S+) .*/\1 \2/p' "$apt/plan" \
    > "$lab/versions"
  date +%F > "$lab/fetched"
  unset APT_CONFIG
}

[ -e "$lab/fetched" ] && [ "${UPDATE:-0}" != 1 ] || fetch

# The loader's files, with absolute paths.
mkdir -p "$lab/icd" "$lab/layers" "$lab/cache"
for from in "$root"/usr/share/vulkan/icd.d/*.json; do
  name=$(basename "$from" .json); name=${name%.x86_64}; name=${name%_icd}
  driver=$(sed -nE 's/.*"library_path": *"([^"]+)".*/\1/p' "$from")
  sed -E "s|(\"library_path\": *)\"[^\"]+\"|\1\"$lib/$(basename "$driver")\"|" "$from" > "$lab/icd/$name.json"
done
cc -O1 -Wall -shared -fPIC -pthread -I"$root/usr/include" -o "$lab/layers/libwatch.so.new" "$here/watch.c"
mv "$lab/layers/libwatch.so.new" "$lab/layers/libwatch.so"
cat > "$lab/layers/watch.json" <<JSON
{"file_format_version":"1.1.2","layer":{"name":"VK_LAYER_LIMN_watch","type":"GLOBAL",
"library_path":"$lab/layers/libwatch.so","api_version":"1.3.0","implementation_version":"1",
"description":"writes down what a compiler makes of pipelines"}}
JSON
