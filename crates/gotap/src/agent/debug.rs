//! Profiles of observed processes by HTTP, under the paths that Go's own `net/http/pprof` has, for `go tool pprof`.
//! Part of the server that is there for Prometheus, and only where a setting asks for it. Not here: how
//! profiles are taken (`profile`, `goroutines`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Targets;
use crate::config::Serve;
use crate::profile::Taken;

/// Profiles that are taken at once.
const AT_ONCE: usize = 2;
/// Of how many seconds a profile is that does not say it, as in Go.
const SECONDS: f64 = 30.0;
/// The longest one.
const MOST_SECONDS: f64 = 300.0;
/// What there is, by the names that Go has for it, and gotap's own.
const KINDS: [&str; 8] =
    ["profile", "heap", "allocs", "goroutine", "mutex", "block", "wall", "offcpu"];

#[derive(Clone)]
struct Shown {
    targets: Arc<Targets>,
    at_once: Arc<Semaphore>,
    to: Serve,
}

/// The paths, for those who may see them.
pub(super) fn routes(targets: Arc<Targets>, to: Serve) -> Router {
    let shown = Shown { targets, at_once: Arc::new(Semaphore::new(AT_ONCE)), to };
    Router::new()
        .route("/debug/targets", get(list))
        .route("/targets/{pid}/debug/pprof/", get(index))
        .route("/targets/{pid}/debug/pprof/{kind}", get(one))
        .layer(middleware::from_fn_with_state(shown.clone(), check))
        .with_state(shown)
}

/// Lets those in who ask from this machine, also not a web page of another one that a browser here shows.
async fn check(
    State(shown): State<Shown>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let is_local =
        peer.ip().to_canonical().is_loopback() && is_local_name(host.unwrap_or_default());
    if shown.to == Serve::All || is_local {
        return next.run(request).await;
    }
    let why = "profiles are shown to this machine alone, unless profiles.serve is all\n";
    (StatusCode::FORBIDDEN, why).into_response()
}

/// Whether a Host header names this machine as itself.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn list(State(shown): State<Shown>) -> Response {
    let all = shown.targets.all().into_iter().map(|(pid, target)| {
        let at = format!("/targets/{pid}/debug/pprof/");
        json!({"pid": pid, "service": target.service, "profiles": at})
    });
    let text = format!("{}\n", json!({ "targets": all.collect::<Vec<_>>() }));
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn index(State(shown): State<Shown>, Path(pid): Path<u32>) -> Response {
    match shown.targets.get(pid) {
        Some(_) => format!("{}\n", KINDS.join("\n")).into_response(),
        None => unknown(pid),
    }
}

fn unknown(pid: u32) -> Response {
    let why = format!("process {pid} is not observed: /debug/targets lists those that are\n");
    (StatusCode::NOT_FOUND, why).into_response()
}

/// How many seconds a query asks for, if it says it, and if that can be done.
fn seconds(query: &str) -> Option<Result<f64, ()>> {
    let given = query.split('&').find_map(|part| part.strip_prefix("seconds="))?;
    let number = given.parse().ok().filter(|n| (0.0..=MOST_SECONDS).contains(n));
    Some(number.ok_or(()))
}

/// Ends the profile when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn one(
    State(shown): State<Shown>,
    Path((pid, kind)): Path<(u32, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    if shown.targets.get(pid).is_none() {
        return unknown(pid);
    }
    let Ok(given) = seconds(&query.unwrap_or_default()).transpose() else {
        let why = format!("seconds: want a number up to {MOST_SECONDS}\n");
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let seconds = given.unwrap_or(SECONDS);
    let given = given.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64);
    let taken = match kind.as_str() {
        "profile" => Taken::Cpu(Duration::from_secs_f64(seconds)),
        "wall" => Taken::Wall(Duration::from_secs_f64(seconds)),
        "offcpu" => Taken::Offcpu(Duration::from_secs_f64(seconds)),
        "heap" => Taken::Heap(given),
        "allocs" => Taken::Alloc(given),
        "mutex" => Taken::Mutex(given),
        "block" => Taken::Block(given),
        "goroutine" => Taken::Goroutines,
        _ => {
            let why = format!("no such profile; there are: {}\n", KINDS.join(", "));
            return (StatusCode::NOT_FOUND, why).into_response();
        }
    };
    let Ok(_permit) = shown.at_once.try_acquire() else {
        let why = "too many profiles are being taken: try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let stop = StopOnDrop(Arc::default());
    let stopped = stop.0.clone();
    let bytes =
        tokio::task::spawn_blocking(move || crate::profile::take(pid, taken, stopped)).await;
    match bytes {
        Ok(Ok(bytes)) => answer(&kind, bytes),
        Ok(Err(why)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why:#}\n")).into_response(),
        // A panic has been printed.
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the profile failed\n").into_response(),
    }
}

fn answer(kind: &str, bytes: Vec<u8>) -> Response {
    let mut headers = HeaderMap::new();
    let name = format!("attachment; filename=\"{kind}\"");
    headers
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    if let Ok(name) = name.parse() {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    (headers, bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_and_bounded() {
        assert_eq!(seconds("debug=1"), None);
        assert_eq!(seconds("a=b&seconds=1.5"), Some(Ok(1.5)));
        for bad in ["seconds=", "seconds=x", "seconds=-1", "seconds=301", "seconds=NaN"] {
            assert_eq!(seconds(bad), Some(Err(())), "{bad}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["127.0.0.1:9464", "localhost", "localhost:1", "[::1]:9464", "127.1.2.3"] {
            assert!(is_local_name(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "10.0.0.1:9464", "[::2]:1"] {
            assert!(!is_local_name(host), "{host}");
        }
    }
}
