//! The HTTP server for whoever watches gotap itself: `/metrics` for Prometheus, `/healthz` and `/readyz`
//! for orchestrators, and what `debug` adds. It has a thread and a runtime of its own. Not here: what is measured.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{Format, PROTOBUF, accepts_protobuf, render, render_protobuf};

use super::figures::Figures;
use crate::rights;

/// What is answered from.
#[derive(Clone)]
struct Shown {
    figures: Arc<Figures>,
    native: bool,
}

/// Starts to listen, and answers until the program ends. Gives where it listens. With `native`, Prometheus gets
/// native histograms if it takes them. `profiles` are paths of another part of gotap.
///
/// # Errors
/// When the address can't be listened on.
pub(super) fn start(
    listen: SocketAddr,
    figures: Arc<Figures>,
    native: bool,
    profiles: Option<Router>,
) -> Result<SocketAddr> {
    let listener = bind(listen)?;
    listener.set_nonblocking(true).context("prepare to listen for Prometheus")?;
    let address = listener.local_addr().context("find out where Prometheus finds us")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime for Prometheus")?;
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Shown { figures, native })
        .merge(profiles.unwrap_or_default())
        .into_make_service_with_connect_info::<SocketAddr>();
    std::thread::Builder::new()
        .name("gotap-admin".into())
        .spawn(move || {
            runtime.block_on(async {
                // Neither fails for a listener that is fine already.
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let _ = axum::serve(listener, routes).await;
            });
        })
        .context("start a thread for Prometheus")?;
    Ok(address)
}

/// Listens, or says which right is missing.
fn bind(listen: SocketAddr) -> Result<TcpListener> {
    let what = format!("listen on {listen} for Prometheus");
    TcpListener::bind(listen).map_err(|said| {
        let denied = said.kind() == ErrorKind::PermissionDenied;
        if denied && !rights::may_bind_low_ports() {
            let why = "this process lacks CAP_NET_BIND_SERVICE; run gotap as root, grant it, or take a higher port";
            return probes::Error::Denied { what, why: why.to_owned() }.into();
        }
        anyhow::Error::new(said).context(what)
    })
}

async fn metrics(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let Shown { figures, native } = shown;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let (metrics, targets) = figures.collect_flat();
    if native && accepts_protobuf(accept.unwrap_or_default()) {
        let body = render_protobuf(&metrics, &targets);
        return ([(header::CONTENT_TYPE, PROTOBUF)], body).into_response();
    }
    let text = render(&metrics, &targets, format);
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

async fn healthz(State(shown): State<Shown>) -> Response {
    answer(stuck(&shown.figures))
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let attaching = || "the processes that run are still being attached to\n";
    answer(stuck(&shown.figures).or_else(|| (!shown.figures.is_ready()).then(attaching)))
}

/// What is wrong where events are not read: of what runs, nothing is observed then.
fn stuck(figures: &Figures) -> Option<&'static str> {
    (!figures.is_healthy()).then_some("the thread that reads events is stuck\n")
}

fn answer(wrong: Option<&'static str>) -> Response {
    match wrong {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}
