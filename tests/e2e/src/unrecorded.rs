//! Which tests of the suite trace and have no recording in `tests/replay`, and why. Not here: how recordings are made
//! (`recorded`).

/// Each reason, with its tests and modules.
pub const UNRECORDED: &[(&str, &[&str])] = &[
    (
        "it has very many spans, which are like those of others",
        &[
            "attach_load",
            "crowd",
            "fasthttp_parents::no_call_in_fasthttp_has_a_wrong_parent_under_load",
            "fresh::objects_that_end_in_untouched_memory_are_read",
            "grpc_client::no_grpc_call_has_a_wrong_parent_under_load",
            "http2::a_burst_of_calls_is_seen_in_full",
            "http2::concurrent_streams_are_told_apart",
            "http2_ends::connections_that_end_under_load_cost_no_span",
            "http2_frames::streams_that_are_reset_at_once_end",
            "joined::grpc_calls_under_load_join_what_serves_them",
            "joined::http_calls_under_load_join_what_serves_them",
            "lifecycle::attaching_and_detaching_under_load_harms_nothing",
            "nested",
            "parents_contexts::starters_are_found_among_many_goroutines",
            "parents_load",
            "parents_reuse",
            "routes_random",
            "torn::programs_that_are_preempted_mix_nothing_up",
        ],
    ),
    (
        "it tests something other than its spans, and may have no spans at all",
        &[
            "http3::a_server_of_http3_is_told_that_it_is_not_traced",
            "large::a_large_file_is_read_in_little_memory",
            "lifecycle::a_hangup_ends_gotap_unless_it_is_ignored",
            "sdk::programs_with_the_sdk_are_named_and_can_be_left_to_it",
            "unreadable",
        ],
    ),
    ("its gotap is killed", &["lifecycle::a_killed_gotap_leaves_nothing_behind"]),
    (
        "it needs containers, and recordings do not say where a process runs",
        &["namespaces::runtimes"],
    ),
];
