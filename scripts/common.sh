# Sourced by the scripts: where things are, what is needed, how it is built.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${SLUICE_BUILD:-$root/build}

# Debian 12 packages. The first list builds and runs sluice, the second is for lab, tests and benchmarks.
build_packages="meson ninja-build pkg-config g++ clang llvm bpftool libdpdk-dev libxdp-dev libbpf-dev libyaml-cpp-dev
  nlohmann-json3-dev libcli11-dev libspdlog-dev libpcap-dev libhttp-parser-dev libgtest-dev libgmock-dev libbenchmark-dev
  python3 iproute2 ethtool"
lab_packages="iputils-ping curl iperf3 traceroute nftables procps python3-yaml python3-jsonschema tcpdump
  netcat-openbsd socat wrk apache2-utils nmap hping3"
bench_packages="dpdk dpdk-dev xdp-tools gnuplot-nox wrk"

say() { printf '%s\n' "== $*"; }
die() { printf '%s\n' "$(basename "$0"): $*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "needs root: sudo $0 $*"; }

# Installs what is missing of the packages named.
install_packages() {
  local missing=()
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} = 0 ] && return 0
  [ "$(id -u)" = 0 ] || die "these packages are missing: ${missing[*]} (run with sudo to install them)"
  say "installing ${missing[*]}"
  apt-get update -qq || die "apt-get update failed: is a package mirror reachable?"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/tmp/sluice-apt.$$ 2>&1 ||
    { tail -5 /tmp/sluice-apt.$$ >&2; rm -f /tmp/sluice-apt.$$; die "could not install ${missing[*]}"; }
  rm -f /tmp/sluice-apt.$$
}

# build_tree DIR "TARGETS" [meson options]: configures once, builds what changed of the targets (empty: all).
build_tree() {
  local dir=$1 targets=$2; shift 2
  if [ ! -f "$dir/build.ninja" ]; then
    say "configuring $dir"
    mkdir -p "$dir"
    meson setup "$dir" "$root" "$@" >"$dir/setup.log" 2>&1 || { tail -20 "$dir/setup.log" >&2; die "meson setup failed"; }
  fi
  local note=
  [ -f "$dir/build.log" ] || note=" (the first time, five minutes or more on two cores; progress: tail -f $dir/build.log)"
  say "building $dir$note"
  ninja -C "$dir" $targets >"$dir/build.log" 2>&1 ||
    { grep -E -A5 'error|FAILED' "$dir/build.log" | head -40 >&2; die "the build failed: see $dir/build.log"; }
}
