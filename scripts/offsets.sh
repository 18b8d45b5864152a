#!/usr/bin/env bash
# Writes crates/runtime/src/offsets.tsv from the DWARF of a program that is built with each supported
# Go version: run it when tests/kit knows a new one. Takes some minutes the first time.
#
# Exit codes: 0 done, 1 a step failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
GOTAP_WRITE_OFFSETS=1 cargo test --locked --package gotap-oracle-tests offsets_are_those_of_dwarf
git diff --stat -- crates/runtime/src/offsets.tsv
