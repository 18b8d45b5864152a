#!/usr/bin/env bash
# Builds the image of deploy/Dockerfile with podman (as root), and prints its name.
#
# usage: scripts/image.sh build FOLDER     some 4 GB go below FOLDER; no image of this machine's own is used or changed
#        scripts/image.sh podman FOLDER …  runs podman with the images in FOLDER
#        scripts/image.sh remove FOLDER
#
# The Dockerfile's base is an image of Rust. With GOTAP_BASE_IMAGE that image is pulled and used, such as
# docker.io/library/rust:1.95-trixie or what a mirror calls it. Otherwise no registry of images is needed: a stand-in is
# made of a small Debian of the same suite and this machine's Rust.
#
# Exit codes: 0 done, 1 a step failed, 2 wrong usage, 77 podman is missing, or debootstrap.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
image=localhost/gotap:test

say() { printf 'image: %s\n' "$*" >&2; }
own_podman() { "${podman[@]}" "$@"; }

build() {
    local base
    base=docker.io/library/$(sed -n 's/^FROM \(rust:[^ ]*\) .*/\1/p' "$repo/deploy/Dockerfile")
    mkdir -p "$folder"
    if [[ -n ${GOTAP_BASE_IMAGE:-} ]]; then
        own_podman pull --quiet "$GOTAP_BASE_IMAGE" >&2
        own_podman tag "$GOTAP_BASE_IMAGE" "$base"
    elif ! own_podman image exists "$base"; then
        make_base "$base"
    fi
    say "building (five to fifteen minutes)"
    # Without an image of each step, which would need the space once more.
    own_podman build --pull=never --layers=false --isolation chroot --network host \
        --file "$repo/deploy/Dockerfile" --tag "$image" "$repo" >&2
    printf '%s\n' "$image"
}

# Makes a stand-in for rust:VERSION-SUITE: of what that has, the Dockerfile uses Rust alone, in PATH.
make_base() {
    local name=$1 suite=${1##*-} root=$folder/base debian sysroot own=usr/local/share/ca-certificates
    debian=$("$repo/scripts/debian.sh" "$suite")
    sysroot=$(cd "$repo" && rustc --print sysroot)
    say "making $name of Debian $suite and $(rustc --version)"
    rm -rf "$root"
    cp -a "$debian" "$root"
    cp -a "$sysroot/bin" "$sysroot/lib" "$root/usr/local/"
    # Certificate authorities that an administrator added here, such as that of a proxy, are needed there, too.
    mkdir -p "$root/$own"
    find "/$own" -name '*.crt' -exec cp {} "$root/$own/" \; 2>/dev/null || true
    tar -c -C "$root" . | own_podman import --quiet - "$name" >&2
    rm -rf "$root"
}

# podman leaves a mount where images are, and a build that was ended leaves more below it.
remove() {
    [[ -d $folder ]] || return 0
    own_podman rm --all --force >/dev/null || true
    own_podman image unmount --all --force >/dev/null || true
    ! mountpoint --quiet "$folder/images/overlay" || umount --recursive "$folder/images/overlay"
    rm -rf "$folder"
}

command=${1:-} folder=${2:-}
[[ $command =~ ^(build|podman|remove)$ && -n $folder ]] || { say "usage: image.sh build|podman|remove FOLDER"; exit 2; }
for tool in podman runc; do
    command -v "$tool" >/dev/null || { say "please install podman and runc: scripts/setup.sh podman"; exit 77; }
done
podman=(podman --root "$folder/images" --runroot "$folder/run" --cgroup-manager cgroupfs --runtime runc)
case $command in
build) build ;;
podman) exec "${podman[@]}" "${@:3}" ;; # signals are for the container
remove) remove ;;
esac
