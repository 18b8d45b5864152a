//! Two agents, as on two machines: each observes one program in a network namespace of its own. Both send to one
//! Collector, which sends to one Jaeger: that has one trace.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Namespace, SOON, can_trace, eventually};
use gotap_testkit::collector::{Collector, Forward};
use gotap_testkit::jaeger::Jaeger;
use serde_json::Value;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn spans(trace: &Value) -> &[Value] {
    trace["spans"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn two_agents_make_one_trace() -> Result<()> {
    if !can_trace("two_agents_make_one_trace") {
        return Ok(());
    }
    let jaeger = Jaeger::start()?;
    let to = jaeger.endpoint();
    let collector = Collector::start_copy(&Collector::program()?, Some(Forward::Grpc(&to)))?;
    let program = App::newest()?;
    let (first, second) = (Namespace::new()?, Namespace::new()?);
    let back = second.start_with(&program, &first.join(&second)?, &[])?;
    // It passes requests on with their headers: between machines nothing else joins them.
    let url = format!("http://{}", back.address);
    let front = first.start_with(&program, first.address(), &["-backend", &url])?;
    let endpoint = collector.grpc_endpoint();
    let agent = |name: &str, app: &App| -> Result<Gotap> {
        let pid = app.pid().to_string();
        let arguments =
            ["run", "--otlp-endpoint", &endpoint, "--service-name", name, "--pid", &pid];
        let agent = Gotap::start(&arguments, &[("GOTAP_OTLP_METRICS", "false")])?;
        agent.wait_ready()?;
        Ok(agent)
    };
    let agents = [agent("front", &front)?, agent("back", &back)?];
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let answer = front.get("/proxy/hello", &[("traceparent", &parent)])?;
    ensure!(answer.status == 200, "{}", answer.status);
    let of_back = || -> Result<Option<Value>> {
        let traces = jaeger.traces("back")?.into_iter();
        Ok(traces.into_iter().find(|trace| trace["traceID"] == TRACE && spans(trace).len() == 3))
    };
    ensure!(eventually(SOON, || of_back().is_ok_and(|trace| trace.is_some())), "no trace of both");
    let trace = of_back()?.context("the trace")?;
    let mut found = BTreeSet::new();
    for span in spans(&trace) {
        let process = span["processID"].as_str().context("a process")?;
        let service = trace["processes"][process]["serviceName"].as_str().context("a service")?;
        let tags = span["tags"].as_array().map_or(&[][..], Vec::as_slice);
        let kind = tags.iter().find(|tag| tag["key"] == "span.kind").context("a kind")?;
        found.insert((service.to_owned(), kind["value"].as_str().unwrap_or_default().to_owned()));
    }
    let wanted = [("front", "server"), ("front", "client"), ("back", "server")];
    let wanted = wanted.map(|(service, kind)| (service.to_owned(), kind.to_owned()));
    ensure!(found == BTreeSet::from(wanted), "{trace:#}");
    for (agent, made) in agents.into_iter().zip([2, 1]) {
        let summary = agent.stop()?.summary;
        ensure!(summary.spans == made && summary.delivered == Some(made), "{summary:?}");
    }
    Ok(())
}
