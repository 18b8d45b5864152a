//! End-to-end tests: the gotap command observes real Go programs, and every span is looked at.
//!
//! Each test starts programs of its own and selects them by process id, so tests do not see each
//! other and run in parallel. Programs are built once into the cache of `gotap_testkit`.

mod alone;
mod attach_load;
mod cli;
mod connect;
mod crowd;
mod export;
mod fasthttp;
mod fasthttp_parents;
mod fiber;
mod fresh;
mod goroutines;
mod goroutines_command;
mod grpc;
mod grpc_client;
mod http2;
mod http2_ends;
mod http2_frames;
mod http2_hard;
mod http2_library;
mod http3;
mod http_calls;
mod http_client;
mod http_context;
mod http_hard;
mod http_left;
mod http_server;
mod http_tls;
mod http_urls;
mod lifecycle;
mod namespaces;
mod nested;
mod newer_go;
mod parents;
mod parents_contexts;
mod parents_load;
mod parents_reuse;
mod parents_roads;
mod pgx;
mod redigo;
mod redis;
mod redis_cluster;
mod replaced;
mod routes;
mod routes_random;
mod runtime_numbers;
mod sampling;
mod settings;
mod sql;
mod torn;
mod trace_context;
mod unoptimised;
mod versions;
mod words;
