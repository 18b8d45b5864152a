//! The embedded BPF object: which of its programs are loaded, and how large its maps are.
//!
//! Not here: attaching (`session`), and loading further programs later (`singles`).

use libbpf_rs::{ObjectBuilder, OpenObject};
use wire::Probe;

use crate::{Error, Features, KernelVersion, Options};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gotap.bpf.o"));

/// The program that serves the sites of a process through uprobe_multi, but for starts of calls.
const MULTI: &str = "go_site";
/// The one for starts of calls: with the rest it would be too much for the verifier.
pub(crate) const CALLS: &str = "go_call";
/// The one for calls that have got their connection, for the same reason.
pub(crate) const JOINS: &str = "go_join";
/// The same that does nothing.
pub(crate) const EMPTY: &str = "go_site_empty";

/// Connections with a request that can be open at once, over all processes.
const MAX_CONNECTIONS: u32 = 131_072;
/// The same of one process.
const CONNECTIONS_OF_ONE: u32 = 16_384;
/// Types that are known over all processes, some hundreds in each.
const MAX_TYPES: u32 = 524_288;

/// The programs to load. Those of tracepoints belong to a session's first object alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Programs {
    /// Tracepoints, and this program for uprobe_multi.
    Multi(&'static str),
    /// Tracepoints alone: the kernel has no uprobe_multi, and the programs of probes come later.
    Tracepoints,
    /// The programs of these probes, for kernels without uprobe_multi.
    Singles(Vec<Probe>),
    /// Tracepoints and the programs of all probes, for kernels without uprobe_multi.
    AllSingles,
}

impl Programs {
    /// What a session loads at its start.
    pub(crate) fn at_start(features: Features, options: Options) -> Self {
        if features.uprobe_multi { Self::Multi(multi_program(options)) } else { Self::Tracepoints }
    }

    /// All that this kernel could be asked to load.
    pub(crate) fn all(features: Features) -> Self {
        if features.uprobe_multi { Self::Multi(MULTI) } else { Self::AllSingles }
    }

    fn contain(&self, name: &str) -> bool {
        let multi = matches!(name, MULTI | CALLS | JOINS | EMPTY);
        let single = name.starts_with("probe_");
        match self {
            Self::Multi(MULTI) => !single && name != EMPTY,
            Self::Multi(wanted) => name == *wanted || !multi && !single,
            Self::Tracepoints => !multi && !single,
            Self::AllSingles => !multi,
            Self::Singles(probes) => probes.iter().any(|probe| single_program(*probe) == name),
        }
    }
}

/// Whether a probe's sites belong to [`CALLS`].
fn starts_call(probe: Probe) -> bool {
    matches!(
        probe,
        Probe::HttpClientStart
            | Probe::XnetClientStart
            | Probe::GrpcClientStart
            | Probe::SqlStart
            | Probe::RedisStart
    )
}

/// Which of the two programs beside [`MULTI`] a probe's sites belong to, if to one.
pub(crate) fn own_program(probe: Probe) -> Option<&'static str> {
    let joins = matches!(
        probe,
        Probe::HttpClientJoin
            | Probe::Http2ClientJoin
            | Probe::XnetClientJoin
            | Probe::GrpcClientJoin
    );
    if joins { Some(JOINS) } else { starts_call(probe).then_some(CALLS) }
}

/// The program for uprobe_multi that was asked for.
pub(crate) fn multi_program(options: Options) -> &'static str {
    if options.empty_probes { EMPTY } else { MULTI }
}

/// Opens the embedded object, with these programs and the map sizes that suit this kernel.
pub(crate) fn open(features: Features, programs: &Programs) -> Result<OpenObject, Error> {
    let mut open = ObjectBuilder::default()
        .name("gotap")
        .and_then(|b| b.open_memory(OBJECT))
        .map_err(Error::bpf("open BPF object"))?;
    for mut program in open.progs_mut() {
        let wanted = programs.contain(&program.name().to_string_lossy());
        program.set_autoload(wanted);
    }
    size_maps(&mut open, features).map_err(Error::bpf("size maps"))?;
    Ok(open)
}

/// Where the kernel can allocate entries as they come, maps can be larger. Older
/// ones warn of it in programs of this kind, so there the map stays preallocated.
fn size_maps(open: &mut OpenObject, features: Features) -> libbpf_rs::Result<()> {
    const BPF_F_NO_PREALLOC: u32 = 1;
    if features.kernel < KernelVersion(6, 1, 0) {
        return Ok(());
    }
    for mut map in open.maps_mut() {
        let entries = match map.name().to_str() {
            Some("servers") => MAX_CONNECTIONS,
            Some("go_types") => MAX_TYPES,
            Some("marks" | "sites") => map.max_entries(),
            _ => continue,
        };
        map.set_map_flags(BPF_F_NO_PREALLOC)?;
        map.set_max_entries(entries)?;
    }
    Ok(())
}

/// Gives the map of requests no more room than it has on all kernels.
pub(crate) fn narrow(open: &mut OpenObject) -> Result<(), Error> {
    for mut map in open.maps_mut().filter(|map| map.name() == "servers") {
        let entries = map.max_entries().min(CONNECTIONS_OF_ONE);
        map.set_max_entries(entries).map_err(Error::bpf("size maps"))?;
    }
    Ok(())
}

/// The program of one probe, where there is no uprobe_multi.
pub(crate) fn single_program(probe: Probe) -> &'static str {
    match probe {
        Probe::HttpServerStart => "probe_server_start",
        Probe::HttpServerFinish => "probe_server_finish",
        Probe::HttpServerHijack => "probe_server_hijack",
        Probe::HttpConnClose => "probe_conn_close",
        Probe::HttpClientStart => "probe_client_start",
        Probe::HttpClientDone => "probe_client_done",
        Probe::HttpClientNoConn => "probe_client_no_conn",
        Probe::HttpClientCtxDone => "probe_client_ctx_done",
        Probe::NewGoroutine => "probe_new_goroutine",
        Probe::HttpClientAlternate => "probe_client_alternate",
        Probe::Http2ServerFinish => "probe_http2_finish",
        Probe::Http2ServerPanic => "probe_http2_panic",
        Probe::Http2StreamStart => "probe_http2_stream",
        Probe::XnetServerStart => "probe_xnet_start",
        Probe::XnetServerFinish => "probe_xnet_finish",
        Probe::XnetServerPanic => "probe_xnet_panic",
        Probe::XnetClientStart => "probe_xnet_client",
        Probe::XnetClientDone => "probe_xnet_done",
        Probe::GrpcServerStart => "probe_grpc_start",
        Probe::GrpcServerStatus => "probe_grpc_status",
        Probe::GrpcHandlerStatus => "probe_grpc_handler",
        Probe::GrpcClientStart => "probe_grpc_client",
        Probe::GrpcClientFinish => "probe_grpc_finish",
        Probe::SqlStart => "probe_sql_start",
        Probe::SqlEnd => "probe_sql_end",
        Probe::RedisStart => "probe_redis_start",
        Probe::RedisEnd => "probe_redis_end",
        Probe::FasthttpServerStart => "probe_fasthttp_start",
        Probe::FasthttpServerFinish => "probe_fasthttp_finish",
        Probe::FasthttpServerHijack => "probe_fasthttp_hijack",
        Probe::FasthttpConnClose => "probe_fasthttp_close",
        Probe::ConnectServerEnd => "probe_connect_end",
        Probe::ConnectClientEnd => "probe_connect_client",
        Probe::HttpClientRefused => "probe_client_refused",
        Probe::HttpClientJoin => "probe_client_join",
        Probe::Http2ClientJoin => "probe_http2_join",
        Probe::XnetClientJoin => "probe_xnet_join",
        Probe::GrpcClientJoin => "probe_grpc_join",
    }
}
