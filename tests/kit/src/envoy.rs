//! A real Envoy before one server, which traces what goes through it.

use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::daemon::free_port;
use crate::process::Running;
use crate::setup;

/// How long Envoy may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// What it listens to, how it traces, and where requests and spans go.
const CONFIG: &str = r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: LISTEN}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: AUTO
          tracing:
            random_sampling: {value: 100}
            provider:
TRACER
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: server}}]}]}
          http_filters: [{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - {name: server, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: server, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: SERVER}}}}]}]}}
  - name: spans
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}
    load_assignment: {cluster_name: spans, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: SPANS}}}}]}]}
"#;

/// By which headers it passes traces on.
#[derive(Debug, Clone, Copy)]
pub enum Tracer<'a> {
    /// `traceparent`; its own spans go to this endpoint by OTLP over gRPC, as this service.
    OpenTelemetry(&'a str, &'a str),
    /// `x-b3-...`; its own spans are lost.
    Zipkin,
}

/// A running Envoy; dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct Envoy {
    // The order matters: the process ends before its folder is removed.
    _process: Running,
    _folder: TempDir,
    /// Where it listens.
    pub address: String,
}

impl Envoy {
    /// Starts one before the server at this address.
    pub fn start(tracer: Tracer<'_>, server: &str) -> Result<Self> {
        let program = setup(&["envoy"])?;
        let folder = TempDir::with_prefix("gotap-envoy-").context("create a folder")?;
        let config = folder.path().join("envoy.yaml");
        let listen = free_port()?;
        let port = |address: &str| -> Result<String> {
            Ok(address.rsplit(':').next().context("an address has a port")?.to_owned())
        };
        let (provider, spans) = match tracer {
            Tracer::OpenTelemetry(endpoint, service) => (
                format!(
                    "              name: envoy.tracers.opentelemetry\n              typed_config: {{\"@type\": \
                     type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, service_name: {service}, \
                     grpc_service: {{envoy_grpc: {{cluster_name: spans}}, timeout: 1s}}}}"
                ),
                port(endpoint)?,
            ),
            Tracer::Zipkin => (
                "              name: envoy.tracers.zipkin\n              typed_config: {\"@type\": \
                 type.googleapis.com/envoy.config.trace.v3.ZipkinConfig, collector_cluster: spans, \
                 collector_endpoint: /api/v2/spans, collector_endpoint_version: HTTP_JSON, \
                 trace_id_128bit: true, shared_span_context: false}"
                    .to_owned(),
                "9".to_owned(),
            ),
        };
        let text = CONFIG
            .replace("LISTEN", &listen.to_string())
            .replace("SERVER", &port(server)?)
            .replace("SPANS", &spans)
            .replace("TRACER", &provider);
        std::fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let config = config.to_string_lossy();
        let arguments =
            ["-c", &config, "--concurrency", "1", "--disable-hot-restart", "-l", "info"];
        let process = Running::start(&program, &arguments, &[])?;
        process.wait_for_error("starting main dispatch loop", STARTING)?;
        Ok(Self { _process: process, _folder: folder, address: format!("127.0.0.1:{listen}") })
    }
}
