# shellcheck shell=bash
# Sourced by the scripts beside it: the steps that several of them share. Each is quick when nothing is left to do.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/troupe

say() { echo "troupe: $*" >&2; }
die() {
    say "$*"
    exit 1
}

is_installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# Prints what the package list $1 names and this machine lacks.
missing_packages() {
    local line name
    while read -r line; do
        local found=
        for name in ${line//|/ }; do is_installed "$name" && found=1; done
        [ -n "$found" ] || echo "$line"
    done < <(grep -v '^#' "$1")
}

# install_packages [LIST]: scripts/packages-debian.txt unless told otherwise.
install_packages() {
    local list=${1:-$root/scripts/packages-debian.txt}
    if ! command -v dpkg-query >/dev/null; then
        say "this is not Debian or Ubuntu: please install what $list names; going on"
        return
    fi
    local missing
    missing=$(missing_packages "$list")
    [ -n "$missing" ] || return 0
    local as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "please install these packages as root, then try again:" $missing
        as_root=sudo
    fi
    say "installing" $missing
    $as_root apt-get update -qq || say "apt-get update failed; trying with the package lists that are there"
    local line name chosen=()
    for line in $missing; do
        for name in ${line//|/ }; do
            if LC_ALL=C apt-cache policy "$name" | grep "Candidate: [^(]" >/dev/null; then
                chosen+=("$name")
                break
            fi
        done
    done
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${chosen[@]}" >&2 ||
        die "apt-get could not install: ${chosen[*]}"
    missing=$(missing_packages "$list")
    [ -z "$missing" ] || die "these packages are not to be had here:" $missing
}

# For the tests with a real browser, which say that they are skipped where there is none.
install_browser() {
    command -v chromium >/dev/null && return
    grep -qs '^ID=debian' /etc/os-release || return 0
    local as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || return 0
        as_root=sudo
    fi
    say "installing chromium"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2 ||
        say "no Chromium is to be had here: the browser tests are skipped"
}

# A compiler takes up to 1.5 GB on the largest files.
build_jobs() {
    local cores memory
    cores=$(nproc)
    memory=$(awk '/MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
    [ "$memory" -ge 1 ] || memory=1
    echo $((cores < memory ? cores : memory))
}

# build TARGET...: into build/release
build() {
    cd "$root"
    [ -f build/release/build.ninja ] || cmake --preset release >&2 || die "cmake failed: see its messages above"
    cmake --build --preset release -j "$(build_jobs)" --target "$@" >&2 || die "the build failed: see its messages above"
}

# A Python environment of our own, in the cache folder.
python_environment() {
    local venv=$cache/venv
    if [ ! -x "$venv/bin/pip" ]; then
        mkdir -p "$cache"
        rm -rf "$venv"
        python3 -m venv "$venv" >&2 || die "python3 -m venv failed: is python3-venv installed?"
    fi
    echo "$venv"
}
