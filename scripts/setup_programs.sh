# shellcheck shell=bash disable=SC2154 # setup.sh sets what is used here
# The part of setup.sh that builds programs with Go. Each function prints the path of one. It is sourced there.

# Builds apps/NAME once per state of its sources and prints the path of the binary: NAME, the binary's name, how
# long it takes, the package, and more flags for the linker.
setup_program() {
    need_go
    local name=$1 binary_name=$2 time=$3 package=$4 flags=${5:-} sources=$repo/apps/$1 key binary
    key=$(cd "$sources" && cat go.mod go.sum ./*.go | sha256sum | cut -c1-16)
    binary=$cache/$name/$key/$binary_name
    [[ -x $binary ]] || locked "$name" build_program "$sources" "$binary" "$time" "$package" "$flags"
    printf '%s\n' "$binary"
}

build_program() {
    local sources=$1 binary=$2 time=$3 package=$4 flags=$5
    [[ ! -x $binary ]] || return 0 # another process built it while we waited
    say "building ${sources##*/} ($time)"
    mkdir -p "$(dirname "$binary")"
    CGO_ENABLED=0 retry go_cached go build -C "$sources" -trimpath -ldflags="-s -w $flags" -o "$binary.new" "$package" >&2
    mv "$binary.new" "$binary"
}

setup_collector() {
    setup_program collector otelcol "one to three minutes" .
}

# Its own dependencies are in the go.mod in apps/.
setup_jaeger() {
    setup_program jaeger jaeger "four to ten minutes" github.com/jaegertracing/jaeger/cmd/jaeger
}

# Prints the path of Parca.
setup_parca() {
    need_go
    local program=$cache/parca/v0.20.0/parca
    [[ -x $program ]] || locked parca go_cached "$repo/scripts/parca.sh" "$program"
    printf '%s\n' "$program"
}

# Without the flags the server does not know its own version.
setup_kubernetes() {
    local version flags=k8s.io/component-base/version
    version=$(sed -n 's/^require k8s.io\/kubernetes //p' "$repo/apps/kubernetes/go.mod")
    flags="-X $flags.gitVersion=$version -X $flags.gitMajor=$(cut -d. -f1 <<<"${version#v}")"
    flags+=" -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
    setup_program kubernetes kube-apiserver "15 to 30 minutes" k8s.io/kubernetes/cmd/kube-apiserver "$flags"
}

# Prints the path of a garble that obfuscates programs of this Go version.
setup_garble() {
    local version=v0.18.0 root program
    root=$(setup_go "$1")
    program=$cache/garble/$version-go$1/garble
    [[ -x $program ]] || locked garble build_garble "$root" "$version" "$program"
    printf '%s\n' "$program"
}

build_garble() {
    [[ ! -x $3 ]] || return 0 # another process built it while we waited
    say "building garble $2"
    GOBIN=$(dirname "$3") GOTOOLCHAIN=local retry go_cached "$1/bin/go" install "mvdan.cc/garble@$2" >&2
}
