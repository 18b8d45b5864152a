#!/usr/bin/env bash
# What `make recordings` runs: end-to-end tests whose gotap is recorded, for tests/replay. Of each test it keeps the first
# and the last recording, which are of an old and of the newest Go where the test takes several. As root.
#
# Exit codes: 0 done, 1 a test failed or recorded nothing.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Each sort of operation, and what is special about its records.
tests=(
    connect::calls_by_connect_are_told_in_each_protocol
    connect::the_span_of_a_stream_lasts_until_it_ends
    fasthttp::handlers_that_take_too_long_have_the_answer_in_their_place
    fasthttp::kept_and_pipelined_requests_of_fasthttp_have_a_span_each
    fasthttp::requests_of_fasthttp_have_all_attributes
    grpc::each_sort_of_call_is_told
    grpc_client::each_call_has_one_span
    http2::http2_calls_have_their_parents
    http2::http2_is_told_like_http1
    http_calls::a_proxy_calls_as_a_child_of_its_request
    http_calls::a_request_that_is_sent_again_has_a_span_each_time
    http_calls::calls_that_fail_in_the_middle_say_why
    http_calls::each_request_of_a_redirected_call_is_counted
    http_calls::odd_paths_are_told_as_they_are_sent
    http_client::failed_calls_say_why
    http_hard::a_panic_is_an_error_unless_it_is_recovered
    http_server::long_paths_are_cut_and_marked
    http_server::methods_are_named
    http_server::old_and_absolute_requests_are_understood
    http_urls::query_strings_are_told_only_when_they_are_asked_for
    pgx::pgx_batches_are_told
    pgx::pgx_errors_are_told
    pgx::pgx_statements_are_told
    redis::go_redis_is_told
    request_headers::headers_are_told_where_they_are_asked_for
    routes::routers_tell_the_routes_of_requests
    sql::mariadb_is_told
    sql::postgresql_is_told_through_all_drivers
    sql::sqlite_is_told_through_both_drivers
    versions::every_build_gives_the_same_spans
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$repo"
cargo=${CARGO:-cargo}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
"$cargo" build --quiet --locked --package gotap
export GOTAP_BINARY=$target/debug/gotap GOTAP_RECORDINGS=$work GOTAP_E2E_REQUIRED=1
"$cargo" test --quiet --locked --package gotap-e2e --test suite -- --exact --test-threads=2 "${tests[@]}"

mkdir "$work/streams"
shopt -s nullglob
for test in "${tests[@]}"; do
    name=${test//::/-}
    found=("$work/$name"-*.spans)
    if ((${#found[@]} == 0)); then
        echo "recordings: $test recorded nothing" >&2
        exit 1
    fi
    mapfile -t found < <(printf '%s\n' "${found[@]}" | sort -V)
    for one in "${found[0]}" "${found[-1]}"; do
        cp "${one%.spans}".{rec,spans} "$work/streams/"
    done
done
chmod 644 "$work/streams"/*
streams=tests/replay/streams
rm -rf "$streams"
cp -r "$work/streams" "$streams"
du -sh "$streams"
