#!/usr/bin/env bash
# Installs what building and testing gotap needs beyond Rust (rustup) and Go, on Debian 12 or later.
#
#   scripts/setup.sh                  apt packages (compilers, libelf, wrk)
#   scripts/setup.sh collector        builds the OpenTelemetry Collector the tests send to
#   scripts/setup.sh go VERSION...    fetches Go toolchains, e.g. 1.18.10 1.27.3
#   scripts/setup.sh ci               everything above that CI needs, and cargo-deny
#
# Standard output carries results only: the path of the collector, or one GOROOT per version.
# What is downloaded or built goes below ${GOTAP_CACHE:-$HOME/.cache/gotap}, so that several clones
# share it; apt packages are the one exception. The script may be run again at any time and by
# several processes at once: it does nothing when nothing is missing.
#
# Exit codes: 0 done, 1 a step failed, 2 wrong usage, 77 something must be installed by hand.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${GOTAP_CACHE:-$HOME/.cache/gotap}

apt_packages=(clang-19 llvm-19 libelf-dev zlib1g-dev pkg-config wrk make gcc)
cargo_deny_version=0.20.2

say() { printf 'setup: %s\n' "$*" >&2; }
by_hand() { say "$*"; exit 77; }

# Runs a function while holding the lock file of that name.
locked() {
    local lock=$cache/$1.lock
    shift
    mkdir -p "$cache"
    (flock 9 && "$@") 9>"$lock"
}

# Go with its own module and build cache below ours.
go_cached() {
    env -u GOROOT GOMODCACHE="$cache/go-mod" GOCACHE="$cache/go-build" \
        GOFLAGS=-buildvcs=false "$@"
}

need_go() {
    command -v go >/dev/null || by_hand "please install Go 1.26 or newer and put it in PATH"
}

missing_apt_packages() {
    local installed
    # shellcheck disable=SC2016 # ${...} is dpkg-query's own syntax
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${apt_packages[@]}" 2>/dev/null |
        sed -n 's/^installed //p') || true # it fails when it knows nothing of one of the names
    printf '%s\n' "${apt_packages[@]}" | grep -Fxv "$installed" || true
}

setup_base() {
    command -v cargo >/dev/null || by_hand "please install Rust with rustup and put cargo in PATH"
    need_go
    command -v dpkg-query >/dev/null ||
        by_hand "this is no Debian: please install the equivalents of ${apt_packages[*]}"
    local missing
    mapfile -t missing < <(missing_apt_packages)
    ((${#missing[@]})) || return 0
    ((EUID == 0)) || by_hand "please run as root: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    locked apt apt_install "${missing[@]}"
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >&2
}

# Builds the collector once per state of its sources and prints the path of the binary.
setup_collector() {
    need_go
    local sources=$repo/apps/collector key binary
    key=$(cat "$sources"/{go.mod,go.sum,main.go} | sha256sum | cut -c1-16)
    binary=$cache/collector/$key/otelcol
    [[ -x $binary ]] || locked collector build_collector "$sources" "$binary"
    printf '%s\n' "$binary"
}

build_collector() {
    local sources=$1 binary=$2
    [[ ! -x $binary ]] || return 0 # another process built it while we waited
    say "building the OpenTelemetry Collector (one to three minutes)"
    mkdir -p "$(dirname "$binary")"
    CGO_ENABLED=0 go_cached go build -C "$sources" -trimpath -ldflags='-s -w' -o "$binary.new" . >&2
    mv "$binary.new" "$binary"
}

# Fetches toolchains and prints one GOROOT per version, in the order of the arguments.
setup_go() {
    need_go
    local version
    for version in "$@"; do
        [[ $version =~ ^1\.[0-9]+(\.[0-9]+|rc[0-9]+)?$ ]] || { say "not a Go version: $version"; exit 2; }
    done
    for version in "$@"; do
        local root=$cache/go/$version
        has_go "$version" "$root" || locked "go-$version" fetch_go "$version" "$root"
        printf '%s\n' "$root"
    done
}

# The version is read, too: the root may be a link to an installed Go that was upgraded since.
has_go() {
    [[ -x $2/bin/go && $(head -n 1 "$2/VERSION") == "go$1" ]]
}

# The go command fetches other versions of itself as modules. They are linked out of the module
# cache, because Go 1.19 refuses to work from inside of it.
fetch_go() {
    local version=$1 root=$2 fetched
    ! has_go "$version" "$root" || return 0
    say "fetching Go $version"
    fetched=$(GOTOOLCHAIN=go$version go_cached go env GOROOT)
    mkdir -p "$cache/go"
    rm -rf "$root.new"
    if [[ $fetched == "$cache"/* ]]; then
        cp -al "$fetched" "$root.new"
        chmod u+w "$root.new"
    else
        ln -s "$fetched" "$root.new" # the installed Go is this version
    fi
    mv -T "$root.new" "$root"
}

setup_ci() {
    setup_base
    setup_collector
    [[ -x $cache/bin/cargo-deny ]] || command -v cargo-deny >/dev/null || locked cargo-deny build_cargo_deny
}

# Debian has no package of it.
build_cargo_deny() {
    [[ ! -x $cache/bin/cargo-deny ]] || return 0
    say "building cargo-deny $cargo_deny_version (several minutes)"
    cargo install --quiet --locked --root "$cache" --version "$cargo_deny_version" cargo-deny >&2
    say "cargo-deny is in $cache/bin"
}

case "${1:-base}" in
base) setup_base ;;
collector) setup_collector ;;
go) shift && setup_go "$@" ;;
ci) setup_ci ;;
*)
    say "usage: setup.sh [base | collector | go VERSION... | ci]"
    exit 2
    ;;
esac
