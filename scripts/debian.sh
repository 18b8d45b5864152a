#!/usr/bin/env bash
# Makes a small Debian with systemd and prints its folder: `scripts/debian.sh SUITE`, such as trixie (as root). It goes
# below ${GOTAP_CACHE:-$HOME/.cache/gotap}/debian, 100 MB each, and stays there until it is removed.
#
# Exit codes: 0 done, 1 a step failed, 2 wrong usage, 77 something is missing that it can't install.
set -euo pipefail

cache=${GOTAP_CACHE:-$HOME/.cache/gotap}
suite=${1:-}
[[ $suite =~ ^[a-z]+$ ]] || { echo "usage: debian.sh SUITE" >&2; exit 2; }
if ! command -v debootstrap >/dev/null; then
    ((EUID == 0)) || { echo "debian: please install debootstrap" >&2; exit 77; }
    apt-get install -y -qq --no-install-recommends debootstrap >&2
fi

# Of the same mirror that this machine's packages come from.
mirror() {
    # shellcheck disable=SC2016 # $(...) is apt's own syntax
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sed '/security/d; s|/*$||' | head -n 1
}

folder=$cache/debian/$suite
mkdir -p "$cache/debian"
exec 9>"$cache/debian.lock"
flock 9
if [[ ! -d $folder ]]; then
    from=$(mirror)
    [[ -n $from ]] || { echo "debian: apt names no mirror: this needs a Debian" >&2; exit 1; }
    rm -rf "$folder.new"
    echo "debian: fetching $suite (some minutes)" >&2
    debootstrap --variant=minbase --include=systemd,systemd-sysv "$suite" "$folder.new" "$from" >&2
    rm -rf "$folder.new"/var/cache/apt/* "$folder.new"/var/lib/apt/lists/* "$folder.new"/usr/share/{doc,locale,man}/*
    mv "$folder.new" "$folder"
fi
printf '%s\n' "$folder"
