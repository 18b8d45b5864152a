#!/usr/bin/env bash
# What `make demo` runs: builds gotap and the shop of apps/shop, starts the shop as it is, and watches its
# requests with gotap for some seconds. Ends by itself and leaves nothing running.
#
# Exit codes: 0 done, 1 a step failed, 77 not root, or something is missing that it can't install.
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
    local i
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        stop "${pids[i]}"
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

title() { printf '\n--- %s\n' "$*"; }

# Waits until a file has a line that begins so; `pid` writes it.
wait_line() {
    local pid=$1 file=$2 line=$3
    for ((i = 0; i < 600; i++)); do
        ! grep -sq "^$line" "$work/$file" || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "demo: this is what was said instead of \"$line\":" >&2
    cat "$work/$file" "$work/${file%.out}.err" >&2
    return 1
}

title "1. Build gotap, and a shop in Go with plain \`go build\`"
"$repo/scripts/setup.sh"
cargo build --quiet --release --package gotap --manifest-path "$repo/Cargo.toml"
gotap=${CARGO_TARGET_DIR:-$repo/target}/release/gotap
"$repo/scripts/shop.sh" build
customers=${GOTAP_CACHE:-$HOME/.cache/gotap}/shop/customers

title "2. Start its services, with a PostgreSQL and a Redis: none of them knows of tracing"
"$repo/scripts/shop.sh" >"$work/shop.out" 2>"$work/shop.err" &
pids+=($!)
wait_line $! shop.out ready
mapfile -t select < <(sed -n 's/^[a-z]* \([0-9]*\) .*/--pid=\1/p' "$work/shop.out")
gateway=http://$(sed -n 's/^gateway [0-9]* //p' "$work/shop.out")
cat "$work/shop.out"

title "3. gotap ps: what gotap can see in them"
"$gotap" ps "${select[@]}"

title "4. gotap trace all --tree: attach to the running shop while customers come for $seconds seconds"
"$gotap" trace all --tree "${select[@]}" >"$work/trace.out" 2>"$work/trace.err" &
trace=$!
pids+=("$trace")
wait_line "$trace" trace.err 'gotap: ready'
"$customers" -gateway "$gateway" -rate 10 -for "${seconds}s" >"$work/customers.out"
sleep 1
kill "$trace"
wait "$trace"

echo "What customers got:"
sed 's/^/  /' "$work/customers.out"
echo "One order, through four services:"
# The first tree with all of them: lines up to the next root.
awk '!/[└├│]/ { if (tree ~ /payment.*insert into charges/ && tree ~ /inventory/) { exit } tree = "" }
    { tree = tree $0 "\n" } END { printf "%s", tree }' "$work/trace.out"
echo "An order whose card is declined:"
awk '!/[└├│]/ { if (tree ~ / 402 / && tree ~ /payment/) { exit } tree = "" }
    { tree = tree $0 "\n" } END { printf "%s", tree }' "$work/trace.out"

title "5. gotap top --once: rates, errors and times of $seconds seconds, and who calls whom"
# It serves what Prometheus would scrape; nobody listens for traces.
"$gotap" run "${select[@]}" --prometheus-listen 127.0.0.1:0 --otlp-endpoint http://127.0.0.1:9 \
    >"$work/run.out" 2>"$work/run.err" &
run=$!
pids+=("$run")
wait_line "$run" run.err 'gotap: ready'
"$gotap" top --once -d "${seconds}s" "${select[@]}" >"$work/top.out" 2>"$work/top.err" &
top=$!
pids+=("$top")
wait_line "$top" top.err 'gotap: ready'
"$customers" -gateway "$gateway" -rate 10 -for "${seconds}s" >/dev/null
wait "$top"
cat "$work/top.out"
metrics=$(sed -n 's|.*metrics at http://\([0-9.]*\):\([0-9]*\)/.*|\1/\2|p' "$work/run.err")
exec 3<>"/dev/tcp/$metrics"
printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
echo "Who calls whom, by the service graph's metrics:"
awk -F'"' '/^traces_service_graph_request_total/ { calls[$2 " -> " $4] = substr($7, 3) }
    /^traces_service_graph_request_failed_total/ { failed[$2 " -> " $4] = substr($7, 3) }
    END { for (edge in calls) printf "  %s: %d calls, %d failed\n", edge, calls[edge], failed[edge] }' \
    <&3 | sort
exec 3>&-
kill "$run"
wait "$run" || true

title "What gotap said on standard error"
cat "$work/trace.err"

title "What you saw"
cat <<'TEXT'
Each line is an operation that has ended: time, service[pid], whether the service received it (server) or made
it (client), method or system, status, duration, and path, URL, method or statement.
- Lines with the same trace belong together, and each stands below its parent. Within a service gotap finds the
  parent by the context (parent=context). Between services it is the call at the other end of the connection
  (parent=connection): no service sends a traceparent, and gotap writes nothing into what it observes.
- route is the pattern of Go's ServeMux: it becomes http.route and the span's name.
- Values in statements are replaced by ?.
The services were built without any flag or library for this, and they were not restarted.
Next: `gotap run` sends the same spans to an OpenTelemetry collector.
TEXT
