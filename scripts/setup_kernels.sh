# shellcheck shell=bash disable=SC2154 # setup.sh sets what is used here
# The part of setup.sh that fetches packages of other Debian suites than the one that is installed: kernels, and what
# etcd comes in. It is sourced there.

kernel_apt_packages=(qemu-system-x86 e2fsprogs)

# Installs QEMU, fetches kernels and prints the path of one image per version, in the order of the
# arguments. An image stays in the cache until its folder is removed.
setup_kernels() {
    need_apt_packages "${kernel_apt_packages[@]}"
    local version image
    for version in "$@"; do
        [[ $version =~ ^[0-9]+(\.[0-9]+)*$ ]] || { say "not a kernel version: $version"; exit 2; }
    done
    for version in "$@"; do
        image=$cache/kernels/$version/vmlinuz
        [[ -s $image ]] || locked kernels fetch_kernel "$version" "$image"
        printf '%s\n' "$image"
    done
}

# The Debian suites that have a kernel, in the order in which they are asked.
suites_with() {
    case $1 in
    5.10*) echo bullseye-security bullseye ;;
    6.1 | 6.1.*) echo bookworm-security bookworm ;;
    6.12*) echo bookworm-security trixie-security trixie ;;
    *) echo trixie-backports ;;
    esac
}

# Takes the newest package of that version. The packages of point releases come and go, and some
# are listed and not there any more: so names are looked up, and the next one is tried.
fetch_kernel() {
    local version=$1 image=$2 suite package suites
    [[ ! -s $image ]] || return 0 # another process fetched it while we waited
    read -ra suites <<<"$(suites_with "$version")"
    for suite in "${suites[@]}"; do
        update_suite "$suite" || continue
        for package in $(kernel_packages "$suite" "$version" | head -n 6); do
            say "fetching $package of $suite"
            if unpack_kernel "$suite" "$package" "$(dirname "$image")"; then
                return 0
            fi
        done
    done
    say "could not fetch a kernel $version from Debian's ${suites[*]}; what apt said is above"
    return 1
}

# Runs an apt command that knows nothing but one suite and keeps what it learns in our cache.
suite_apt() {
    local state=$cache/kernels/apt/$1 command=$2
    shift 2
    # Suites that get no more updates have lists that are past their date, and apt's own user may
    # not write to our cache.
    "$command" -q -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::Lists="$state/lists" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$state/cache" -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 \
        -o APT::Sandbox::User=root "$@"
}

update_suite() {
    local suite=$1 state=$cache/kernels/apt/$1 mirror
    mirror=$(mirror_of "$suite")
    if [[ -z $mirror ]]; then
        say "found no mirror for $suite: this needs a Debian whose apt sources name its own suite"
        return 1
    fi
    mkdir -p "$state"/{lists,cache}/partial "$state/cache/archives/partial"
    printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg "$mirror" "$suite" >"$state/sources.list"
    suite_apt "$suite" apt-get update >&2
}

# The mirror that this machine's own suites come from. Security updates have one of their own.
mirror_of() {
    local suite
    suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    [[ $1 != *-security ]] || suite+=-security
    # shellcheck disable=SC2016 # $(...) is apt's own syntax
    apt-get indextargets --format '$(RELEASE) $(CODENAME) $(SITE)' 'Created-By: Packages' |
        awk -v suite="$suite" '$1 == suite || $2 == suite { print $NF; exit }'
}

# Names of packages, the newest first. Where a release has several, linux-binary has the image, and
# those signed for Secure Boot are there more often.
kernel_packages() {
    local name="^linux-(image|binary)-${2//./\\.}\\..*-cloud-amd64(-unsigned)?\$"
    suite_apt "$1" apt-cache search --names-only "$name" | sed 's/ .*//' |
        sort -t- -k3,4Vr -k2,2
}

# Steps are chained, as bash does not stop at an error in what an `if` asks.
unpack_kernel() {
    local suite=$1 package=$2 folder=$3
    local fresh=$folder.new
    rm -rf "$fresh"
    mkdir -p "$fresh/files"
    (cd "$fresh" && suite_apt "$suite" apt-get download "$package" >&2) &&
        dpkg-deb -x "$fresh"/*.deb "$fresh/files" &&
        find "$fresh/files" -type f -name 'vmlinuz*' -exec mv {} "$fresh/vmlinuz" \; &&
        [[ -s $fresh/vmlinuz ]] || return 1
    rm -rf "$fresh/files" "$fresh"/*.deb "$folder"
    printf '%s\n' "$package" >"$fresh/package"
    mv -T "$fresh" "$folder"
}
