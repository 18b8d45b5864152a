#!/usr/bin/env bash
# What `make recordings` runs: end-to-end tests whose gotap is recorded, for tests/replay. As root. The recordings that
# are there name the tests: of MODULE::TEST the last one that it makes is in MODULE-TEST-last.rec, which is of the newest
# Go where it takes several; where another Go or another setting gives other records, the first one is kept as well.
#
#   recordings.sh              makes all of them anew
#   recordings.sh a::b         makes those of this test anew, or adds its last one
#   recordings.sh a::b-first   adds its first one
#
# Exit codes: 0 done, 1 a test failed or recorded nothing.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
streams=tests/replay/streams
shopt -s nullglob
# Recordings to make, as MODULE-TEST-first and MODULE-TEST-last.
wanted=()
for one in "${@:-all}"; do
    case $one in
        all) found=("$streams"/*.rec) ;;
        *-first | *-last) found=("${one//::/-}") ;;
        # A class of one character makes it a pattern, which gives only what is there.
        *) found=("$streams/${one//::/-}"-{first,last}.re[c]) ;;
    esac
    ((${#found[@]})) || found=("${one//::/-}-last")
    for name in "${found[@]}"; do wanted+=("$(basename "$name" .rec)"); done
done
mapfile -t tests < <(printf '%s\n' "${wanted[@]%-*}" | sort -u)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo=${CARGO:-cargo}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export GOTAP_BINARY=$target/debug/gotap GOTAP_RECORDINGS=$work GOTAP_E2E_REQUIRED=1
# As in the Makefile: the test called `starts` builds gotap, with the features that all tests share.
"$cargo" test --quiet --locked --workspace --test starts --test suite -- --exact --test-threads=2 "${tests[@]//-/::}"

mkdir "$work/streams"
for name in "${wanted[@]}"; do
    mapfile -t found < <(printf '%s\n' "$work/${name%-*}"-*.spans | sort -V)
    if [[ -z ${found[0]} ]]; then
        echo "recordings: ${name%-*} recorded nothing" >&2
        exit 1
    fi
    from=${found[-1]}
    [[ $name == *-last ]] || from=${found[0]}
    cp "${from%.spans}.rec" "$work/streams/$name.rec"
    cp "$from" "$work/streams/$name.spans"
done
chmod 644 "$work/streams"/*
(($#)) || rm -rf "$streams"
mkdir -p "$streams"
cp "$work/streams"/* "$streams/"
du -sh "$streams"
