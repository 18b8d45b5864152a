//! gRPC of programs that OpenTelemetry's SDK instruments: gotap's spans of calls are in the traces that the
//! calls' metadata tells, and one tree is in one trace.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Ended, Gotap, SOON, Span, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;

const CHECK: &str = "grpc.health.v1.Health/Check";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Two programs: one, and the one whose gRPC service it asks.
struct Pair {
    app: App,
    backend: App,
}

impl Pair {
    fn start() -> Result<Self> {
        Self::start_mode(Mode::Plain)
    }

    fn start_mode(mode: Mode) -> Result<Self> {
        let program = go::build("sdkapp", Version::NEWEST, mode)?;
        let backend = App::start(&program)?;
        let rpc = backend.process.wait_for("rpc ", SOON)?;
        Ok(Self { app: App::start_with(&program, &["-rpc", &rpc], &[])?, backend })
    }

    /// What both do has this many spans.
    fn observe(&self, act: impl Fn() -> Result<()>, n: usize) -> Result<Ended> {
        let pids = [self.app.pid().to_string(), self.backend.pid().to_string()];
        let gotap = Gotap::trace_what("all", &["--pid", &pids[0], "--pid", &pids[1]])?;
        act()?;
        gotap.wait_for_spans(n)?;
        let mut ended = gotap.stop()?;
        ensure!(ended.summary.dropped.is_empty(), "{:?}", ended.summary);
        ensure!(ended.spans.len() == n, "{}", Span::list(&ended.spans));
        ended.spans.sort_by_key(|span| span.start);
        Ok(ended)
    }

    fn get(&self, path: &str, headers: &[(&str, &str)], n: usize) -> Result<Ended> {
        self.observe(
            || {
                let answer = self.app.get(path, headers)?;
                ensure!(answer.status == 200, "{answer:?}");
                Ok(())
            },
            n,
        )
    }
}

/// The request, its calls, and what they are at the other side.
struct Seen<'a> {
    root: &'a Span,
    calls: Vec<&'a Span>,
    leaves: Vec<&'a Span>,
}

fn seen<'a>(pair: &Pair, spans: &'a [Span]) -> Result<Seen<'a>> {
    let of = |app: &App| {
        let pid = app.pid().into();
        move |span: &&Span| span.resource.get("process.pid") == Some(&pid)
    };
    let root = spans.iter().filter(of(&pair.app)).find(|span| span.is_server());
    Ok(Seen {
        root: root.context("a root")?,
        calls: spans.iter().filter(|span| span.is_client()).collect(),
        leaves: spans.iter().filter(of(&pair.backend)).collect(),
    })
}

/// Whether a call is where its metadata says, as is the request that it is at the other side.
fn is_sent(call: &Span, leaf: &Span) -> bool {
    let ids = |span: &Span| (span.trace_id.clone(), span.parent_span_id.clone());
    let named = call.name == CHECK && leaf.name == CHECK;
    named && call.parent == "sent" && leaf.parent == "remote" && ids(call) == ids(leaf)
}

#[test]
fn a_request_is_in_the_trace_of_the_sdks_grpc_calls() -> Result<()> {
    if !can_trace("a_request_is_in_the_trace_of_the_sdks_grpc_calls") {
        return Ok(());
    }
    for mode in [Mode::Plain, Mode::Pie] {
        joins_calls(&Pair::start_mode(mode)?).with_context(|| mode.to_string())?;
    }
    Ok(())
}

fn joins_calls(pair: &Pair) -> Result<()> {
    let ended = pair.get("/rpc/call", &[], 5)?;
    let Seen { root, calls, leaves } = seen(pair, &ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(root.parent == "none" && root.parent_span_id.is_empty(), "{list}");
    // The first call ended before the SDK told its trace, and moved to it.
    ensure!(calls[0].is_child_of(root) && calls[0].parent == "context", "{list}");
    ensure!(is_sent(calls[1], leaves[1]) && calls[1].trace_id == root.trace_id, "{list}");
    ensure!(leaves[0].trace_id != root.trace_id, "{list}");
    // An interceptor appends to the metadata what a handler of statistics writes into its map.
    let ended = pair.get("/rpc/appended", &[], 3)?;
    let Seen { root, calls, leaves } = seen(pair, &ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(is_sent(calls[0], leaves[0]) && calls[0].trace_id == root.trace_id, "{list}");
    Ok(())
}

#[test]
fn grpc_calls_without_the_sdk_stay_in_their_requests_trace() -> Result<()> {
    if !can_trace("grpc_calls_without_the_sdk_stay_in_their_requests_trace") {
        return Ok(());
    }
    let pair = Pair::start()?;
    let ended = pair.get("/rpc/plain", &[], 3)?;
    let Seen { root, calls, leaves } = seen(&pair, &ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(root.parent == "none" && calls[0].is_child_of(root), "{list}");
    ensure!(leaves[0].parent == "none", "{list}");
    Ok(())
}

#[test]
fn what_a_request_brings_along_holds_for_its_grpc_calls() -> Result<()> {
    if !can_trace("what_a_request_brings_along_holds_for_its_grpc_calls") {
        return Ok(());
    }
    let pair = Pair::start()?;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    for path in ["/rpc/call", "/rpc/appended"] {
        let n = if path == "/rpc/call" { 5 } else { 3 };
        let ended = pair.get(path, &[("traceparent", &parent)], n)?;
        let Seen { root, calls, leaves } = seen(&pair, &ended.spans)?;
        let list = Span::list(&ended.spans);
        ensure!(root.trace_id == TRACE && root.parent_span_id == CALLER, "{path}: {list}");
        let (call, leaf) = (calls.last().context("a call")?, leaves.last().context("a leaf")?);
        ensure!(is_sent(call, leaf) && call.trace_id == TRACE, "{path}: {list}");
    }
    Ok(())
}

/// A service of gRPC that asks another one: its own request moves, too.
#[test]
fn a_grpc_request_is_in_the_trace_of_the_sdks_calls() -> Result<()> {
    if !can_trace("a_grpc_request_is_in_the_trace_of_the_sdks_calls") {
        return Ok(());
    }
    let pair = Pair::start()?;
    let client = go::build("grpcapp", Version::NEWEST, Mode::Plain)?;
    let rpc = pair.app.process.wait_for("rpc ", SOON)?;
    let ended = pair.observe(
        || {
            let mut client = Running::start(&client, &["-client", "-to", &rpc, "health"], &[])?;
            client.wait_for("health OK", SOON)?;
            ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
            Ok(())
        },
        3,
    )?;
    let Seen { root, calls, leaves } = seen(&pair, &ended.spans)?;
    let list = Span::list(&ended.spans);
    ensure!(root.name == CHECK && root.parent == "none", "{list}");
    ensure!(is_sent(calls[0], leaves[0]) && calls[0].trace_id == root.trace_id, "{list}");
    Ok(())
}
