#!/usr/bin/env bash
# Makes a Debian package of gotap with its systemd unit, and prints the path of the package.
#
# usage: scripts/package.sh [BINARY [FOLDER]]
#   BINARY   what is packed; without it, a release build
#   FOLDER   where the package goes; target/package without it
#
# Exit codes: 0 done, 1 a step failed, 77 something is missing that it can't install.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repo/target}
# A release binary without symbols is not larger.
most_bytes=25000000

say() { printf 'package: %s\n' "$*" >&2; }
for tool in dpkg-deb strip readelf nm pkg-config; do
    command -v "$tool" >/dev/null || { say "please install $tool (dpkg and binutils)"; exit 77; }
done

binary=${1:-}
folder=${2:-$target/package}
# What is packed for a test need not be small.
compression=(-Zgzip -z1)
# libelf's folder, where it can be linked statically: Debian 13's needs libzstd, too, which libbpf's build does not name.
static_libraries() {
    local folder
    folder=$(pkg-config --variable=libdir libelf) || return 1
    [[ -e $folder/libelf.a && -e $folder/libz.a ]] && ! nm "$folder/libelf.a" 2>/dev/null | grep -q 'U ZSTD_' &&
        printf '%s\n' "$folder"
}

if [[ -z $binary ]]; then
    features=()
    if libraries=$(static_libraries); then
        export LIBBPF_SYS_LIBRARY_PATH=$libraries
        features=(--features static)
    else
        say "this libelf can't be linked statically: the package depends on it"
    fi
    cargo build --quiet --release --locked --package gotap "${features[@]}" --manifest-path "$repo/Cargo.toml" >&2
    binary=$target/release/gotap
    compression=(-Zxz)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{DEBIAN,usr/bin,usr/lib/systemd/system,etc/gotap,usr/share/doc/gotap}
chmod 755 "$work" "$root"
strip -o "$root/usr/bin/gotap" "$binary"
chmod 755 "$root/usr/bin/gotap"
size=$(stat -c %s "$root/usr/bin/gotap")
if [[ $binary == */release/* ]] && ((size > most_bytes)); then
    say "the binary has $size bytes, and $most_bytes are allowed"
    exit 1
fi
install -m 644 "$repo/deploy/systemd/gotap.service" "$root/usr/lib/systemd/system/"
# It may get the password of a collector. The service reads it by CAP_DAC_READ_SEARCH.
install -m 640 "$repo/deploy/systemd/gotap.yaml" "$root/etc/gotap/"
install -m 644 "$repo/README.md" "$repo/CHANGELOG.md" "$root/usr/share/doc/gotap/"
for shell in bash zsh fish; do
    case $shell in
    bash) file=bash-completion/completions/gotap ;;
    zsh) file=zsh/vendor-completions/_gotap ;;
    fish) file=fish/vendor_completions.d/gotap.fish ;;
    esac
    mkdir -p "$(dirname "$root/usr/share/$file")"
    "$binary" completions "$shell" >"$root/usr/share/$file"
done
mkdir -p "$root/usr/share/man/man1"
"$binary" man "$root/usr/share/man/man1"
gzip --best --no-name "$root"/usr/share/man/man1/*
cat "$repo/LICENSE" - >"$root/usr/share/doc/gotap/copyright" <<'TEXT'

The BPF programs in the binary are also under GPL-2.0-only. libbpf is under BSD-2-Clause. Where the package does not
depend on libelf1, the binary contains libelf of elfutils, under LGPL-3.0-or-later (/usr/share/common-licenses/LGPL-3),
and zlib. It can be linked again with another libelf from gotap's sources, by scripts/package.sh.
TEXT

version=$("$binary" --version | sed -n 's/^gotap \([0-9][^ ]*\).*/\1/p')
architecture=$(dpkg --print-architecture)
glibc=$(readelf --version-info --wide "$root/usr/bin/gotap" | grep -o 'GLIBC_2\.[0-9.]*' | sort -V | tail -n 1)
needs_of() {
    local library
    readelf --dynamic --wide "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r library; do
        case $library in
        libc.so.6 | libm.so.6 | ld-linux*) echo "libc6 (>= ${glibc#GLIBC_})" ;;
        libgcc_s.so.1) echo libgcc-s1 ;;
        libelf.so.1) echo "libelf1 | libelf1t64" ;;
        libz.so.1) echo zlib1g ;;
        *) say "the binary needs $library, and this script knows no package that has it" && return 1 ;;
        esac
    done | sort -u
}
needs=$(needs_of "$root/usr/bin/gotap")
installed=$(du -sk --exclude=DEBIAN "$root" | cut -f 1)
echo /etc/gotap/gotap.yaml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<TEXT
Package: gotap
Version: $version
Architecture: $architecture
Maintainer: The gotap authors <gotap@localhost>
Installed-Size: $installed
Depends: ${needs//$'\n'/, }
Section: admin
Priority: optional
Description: see inside running Go programs, without touching them
 gotap attaches to Go programs with eBPF: no code change, no rebuild, no restart. It shows the requests that they
 serve and make as OpenTelemetry traces, and what their goroutines, channels, garbage collector and scheduler do.
 .
 The service is installed and not started: set a collector in /etc/gotap/gotap.yaml and run
 "systemctl enable --now gotap".
TEXT

# Not in a chroot or an image that is being built, where DPKG_ROOT is set or systemd does not run.
cat >"$root/DEBIAN/postinst" <<'TEXT'
#!/bin/sh
set -e
if [ -z "$DPKG_ROOT" ] && [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # Only if it runs already, as with an older version.
    systemctl try-restart gotap.service
fi
TEXT
cat >"$root/DEBIAN/prerm" <<'TEXT'
#!/bin/sh
set -e
if [ -z "$DPKG_ROOT" ] && [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now gotap.service
fi
TEXT
cat >"$root/DEBIAN/postrm" <<'TEXT'
#!/bin/sh
set -e
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
TEXT
chmod 755 "$root"/DEBIAN/{postinst,prerm,postrm}

mkdir -p "$folder"
package=$folder/gotap_${version}_$architecture.deb
dpkg-deb --root-owner-group "${compression[@]}" --build "$root" "$package" >&2
say "the binary has $size bytes"
printf '%s\n' "$package"
