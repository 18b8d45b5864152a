#!/usr/bin/env bash
# Builds Parca for `scripts/setup.sh parca`, which sets where Go keeps things: parca.sh CACHE/parca/VERSION/parca.
#
# Its pages are built by other tools than Go, and the build wants a file of them: a copy of the module gets one that is
# empty. A library of it links to a symbol of the Go runtime, which newer linkers allow only with the flag.
set -euo pipefail

program=$1
[[ ! -x $program ]] || exit 0 # another process built it while we waited
folder=$(dirname "$program")
version=$(basename "$folder")
echo "setup: building Parca $version (four to ten minutes)" >&2
cd /
from=$(go mod download -json "github.com/parca-dev/parca@$version" | sed -n 's/.*"Dir": "\(.*\)",*/\1/p')
mkdir -p "$folder"
work=$(dirname "$folder")/source
rm -rf "$work"
cp -r "$from" "$work"
chmod -R u+w "$work"
mkdir -p "$work/ui/packages/app/web/build"
: >"$work/ui/packages/app/web/build/index.html"
GOWORK=off CGO_ENABLED=0 go build -C "$work" -mod=mod -trimpath -ldflags="-s -w -checklinkname=0" \
    -o "$program.new" ./cmd/parca >&2
mv "$program.new" "$program"
rm -rf "$work"
