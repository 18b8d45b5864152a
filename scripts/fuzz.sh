#!/usr/bin/env bash
# Runs each fuzz target for some seconds:  scripts/fuzz.sh [SECONDS]
#
# `binary` mutates a small stripped Go program that is built first.
#
# Exit codes: 0 nothing found, 1 something found or a step failed, 77 a tool is missing.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seconds=${1:-60}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: please run: cargo install cargo-fuzz" >&2
    exit 77
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz: please run: rustup toolchain install nightly" >&2
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'package main\n\nfunc main() {}\n' >"$work/main.go"
env -u GOROOT CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
    go build -ldflags='-s -w' -o "$work/seed" "$work/main.go"

cd "$repo"
for target in $(cargo +nightly fuzz list); do
    printf '\n--- fuzz target %s, %s seconds\n' "$target" "$seconds"
    GOTAP_FUZZ_BINARY=$work/seed cargo +nightly fuzz run "$target" -- -max_total_time="$seconds"
done
