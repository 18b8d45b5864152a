#!/usr/bin/env bash
# Starts the shop of apps/shop: four services, with a PostgreSQL and a Redis of their own on free ports of
# 127.0.0.1. Prints "NAME PID ADDRESS" for each service, then "ready", and runs until it gets SIGTERM or SIGINT.
# Nothing is left behind then.
#
# usage: scripts/shop.sh [build]     with `build` it builds the services and ends
#
# Exit codes: 0 done, 1 a step failed, 77 not root, or something is missing that it can't install.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${GOTAP_CACHE:-$HOME/.cache/gotap}
programs=$cache/shop

fail() {
    echo "shop: $*" >&2
    exit 1
}

# Go would look into git for the version, and git refuses folders of other users.
build() {
    mkdir -p "$programs"
    (
        flock 9
        env -u GOROOT GOMODCACHE="$cache/go-mod" GOCACHE="$cache/go-build" GOFLAGS=-buildvcs=false \
            go build -C "$repo/apps/shop" -trimpath -o "$programs/" ./cmd/...
    ) 9>"$cache/shop.lock"
}

if [[ ${1:-} == build ]]; then
    build
    exit
fi
if ((EUID != 0)); then
    echo "shop: please run it as root, as PostgreSQL is started as another user" >&2
    exit 77
fi
postgres=$("$repo/scripts/setup.sh" postgres)
redis=$("$repo/scripts/setup.sh" redis)
build

work=$(mktemp -d)
chmod 755 "$work"
pids=()

cleanup() {
    trap - EXIT INT TERM
    # The databases come first in the list and end last.
    local i
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null || true
        wait "${pids[i]}" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 0' INT TERM

# A port of 127.0.0.1 at which nobody listens.
free_port() {
    local port
    for ((i = 0; i < 100; i++)); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no free port was found"
}

# Waits until something listens at a port.
wait_port() {
    for ((i = 0; i < 300; i++)); do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null || return 0
        sleep 0.1
    done
    cat "$work/$1.log" >&2
    fail "$1 did not start"
}

# A command's prefix: it ends with this script, also if that is killed.
tied=(setpriv --pdeathsig TERM --)

# Runs a command as nobody, whose folder is $work/data.
as_nobody() {
    exec setpriv --pdeathsig TERM --reuid=65534 --regid=65534 --clear-groups "$@"
}

# Starts a service and gives its address.
start() {
    local name=$1
    shift
    # The service may open it later than it is read.
    : >"$work/$name.out"
    OTEL_SERVICE_NAME=$name "${tied[@]}" "$programs/$name" "$@" >"$work/$name.out" 2>"$work/$name.log" &
    pids+=($!)
    for ((i = 0; i < 300; i++)); do
        address=$(sed -n 's/^listening //p' "$work/$name.out")
        if [[ -n $address ]]; then
            echo "$name ${pids[-1]} $address"
            return
        fi
        sleep 0.1
    done
    cat "$work/$name.log" >&2
    fail "$name did not start"
}

mkdir "$work/data"
chown 65534:65534 "$work/data"
(cd "$work/data" && as_nobody "$postgres/initdb" --pgdata=pg --auth=trust --locale=C --encoding=UTF8 \
    --no-sync --username=shop >"$work/initdb.log" 2>&1) || { cat "$work/initdb.log" >&2; fail "initdb failed"; }
pg_port=$(free_port)
(cd "$work/data" && as_nobody "$postgres/postgres" -D pg -p "$pg_port" -k "$work/data" \
    -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=16MB \
    -c dynamic_shared_memory_type=mmap >"$work/postgres.log" 2>&1) &
pids+=($!)
redis_port=$(free_port)
ln -s "$redis" "$work/redis-server"
"${tied[@]}" "$work/redis-server" --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no \
    >"$work/redis.log" 2>&1 &
pids+=($!)
wait_port postgres "$pg_port"
wait_port redis "$redis_port"
database="postgres://shop@127.0.0.1:$pg_port/postgres?sslmode=disable"
# It accepts connections a moment before it takes queries.
for ((i = 0; i < 100; i++)); do
    ! "$postgres/psql" "$database" -qAtc 'select 1' >"$work/psql.log" 2>&1 || break
    sleep 0.1
done

start inventory -counts "127.0.0.1:$redis_port"
inventory=$address
start payment -database "$database"
payment=$address
start order -database "$database" -cache "127.0.0.1:$redis_port" -inventory "$inventory" \
    -payment "http://$payment"
start gateway -orders "http://$address"
echo ready
# Interrupted by the signals that end it, as `sleep` in the foreground is not.
"${tied[@]}" sleep infinity &
pids+=($!)
wait $!
