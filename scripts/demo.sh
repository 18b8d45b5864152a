#!/usr/bin/env bash
# What `make demo` runs: builds gotap and a small web shop in Go, starts the shop as it is, and
# watches its requests with gotap for some seconds. Ends by itself and leaves nothing running.
#
# Exit codes: 0 done, 1 a step failed, 77 not root, or something must be installed by hand.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
seconds=6

if ((EUID != 0)); then
    echo "demo: please run it as root, because loading eBPF programs needs it" >&2
    exit 77
fi

work=$(mktemp -d)
pids=()

stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

cleanup() {
    trap - EXIT INT TERM
    local pid
    for pid in "${pids[@]}"; do
        stop "$pid"
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

title() { printf '\n--- %s\n' "$*"; }

# Starts a program in the background. Its output goes to a file of its name.
start() {
    local name=$1
    shift
    "$@" >"$work/$name.out" 2>"$work/$name.err" &
    pids+=($!)
}

# Prints the first line that a server writes: its URL.
url_of() {
    for ((i = 0; i < 100; i++)); do
        if [[ -s $work/$1.out ]]; then
            head -n 1 "$work/$1.out"
            return
        fi
        sleep 0.1
    done
    echo "demo: $1 did not start:" >&2
    cat "$work/$1.err" >&2
    return 1
}

# Waits until gotap is attached.
wait_ready() {
    for ((i = 0; i < 300; i++)); do
        ! grep -q '^gotap: ready' "$work/trace.err" || return 0
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    echo "demo: gotap could not attach:" >&2
    cat "$work/trace.err" >&2
    "$gotap" doctor >&2 || true
    return 1
}

title "1. Build gotap, and a web shop in Go with plain \`go build\`"
"$repo/scripts/setup.sh"
cargo build --quiet --release --package gotap --manifest-path "$repo/Cargo.toml"
gotap=${CARGO_TARGET_DIR:-$repo/target}/release/gotap
# Go would look into git for the version, and git refuses folders of other users.
env -u GOROOT GOFLAGS=-buildvcs=false go build -C "$repo/apps/demo" -o "$work/shop" .

title "2. Start two services that know nothing of tracing: shop calls payments"
start payments env OTEL_SERVICE_NAME=payments "$work/shop" payments
payments=$(url_of payments)
start shop "$work/shop" serve -payments "$payments"
shop=$(url_of shop)
shop_pids=("${pids[@]}")
echo "payments on $payments, shop on $shop"

title "3. gotap ps: which Go programs run here, and what gotap can see in them"
"$gotap" ps

title "4. gotap trace http: attach to the running shop and watch visitors for $seconds seconds"
select=("${shop_pids[@]/#/--pid=}")
"$gotap" trace http "${select[@]}" 2>"$work/trace.err" &
trace=$!
pids+=("$trace")
wait_ready "$trace"
"$work/shop" visitors -shop "$shop" -for "${seconds}s"
sleep 0.5
kill -INT "$trace"
wait "$trace"

title "What gotap said on standard error"
cat "$work/trace.err"

title "What you saw"
cat <<'TEXT'
Each line is a request that has ended: time, service[pid], whether the service received it (server)
or made it (client), method, status, duration, and path or URL.
- route is the pattern of Go's ServeMux: it becomes http.route and the span's name.
- Lines with the same trace belong together. The shop's two calls to payments have a parent, the
  checkout that made them: one was found by its context (parent=context), the other was made in a
  goroutine without it and was found by who started the goroutine (parent=ancestor).
- A declined card is a 402; zoe's bank is slow, so the shop gives up: "context deadline exceeded".
- payments begins traces of its own, as the shop sends no traceparent header. gotap uses the header
  where there is one, but does not write into what it observes.
The shop was built without any flag or library for this, and it was not restarted.
Next: `gotap run` sends the same spans to an OpenTelemetry collector.
TEXT
