//! `xray.slower_than`: spans of slow requests say where their time went, others do not.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{SOON, can_trace};
use gotap_testkit::collector::{Collector, FlatSpan};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::{self, Connection};
use gotap_testkit::process::Running;

use crate::metrics::{are_documented, run_in};

/// Requests of each sort, on one connection each. The program is not read yet at the first one.
const REQUESTS: usize = 3;

fn of<'s>(spans: &'s [FlatSpan], path: &str) -> Vec<&'s FlatSpan> {
    spans.iter().filter(|span| span.text("url.path") == Some(path)).collect()
}

/// That each of these says what it did, and one that it did so almost all the time, there.
fn waited(spans: &[&FlatSpan], state: &str, function: &str) -> Result<()> {
    let key = format!("gotap.xray.{state}");
    let mut found = 0.0_f64;
    for span in spans {
        let took = (span.end - span.start) as f64 / 1e9;
        let states = span.attributes.iter().filter(|(key, value)| {
            let name = key.strip_prefix("gotap.xray.");
            name.is_some_and(|name| !name.contains('.')) && value.is_f64()
        });
        let sum: f64 = states.filter_map(|(_, value)| value.as_f64()).sum();
        ensure!((sum - took).abs() < 1e-6, "{sum} s of {took} s: {span:#?}");
        found = found.max(span.double(&key).unwrap_or(0.0) / took);
    }
    ensure!(found > 0.75, "{state} {found}: {spans:#?}");
    let last = spans.last().context("no spans")?;
    let stack = last.text("gotap.xray.stack").context("no stack")?;
    ensure!(stack.lines().any(|name| name == function), "{stack}");
    ensure!(last.text("gotap.xray.stack.state") == Some(state), "{last:#?}");
    Ok(())
}

#[test]
fn slow_spans_say_where_their_time_went() -> Result<()> {
    if !can_trace("slow_spans_say_where_their_time_went") {
        return Ok(());
    }
    let program = go::build("xrayapp", Version::NEWEST, Mode::Stripped)?;
    let app = Running::start(&program, &[] as &[&str], &[])?;
    let ready = app.wait_for("ready", SOON)?;
    let address = ready.trim().rsplit_once("http://").context("an address")?.1.to_owned();
    let collector = Collector::start()?;
    let environment = [("GOTAP_XRAY_SLOWER_THAN", "100ms"), ("GOTAP_XRAY_BUDGET", "10%")];
    let selection = ["--pid", &app.pid().to_string()];
    let (gotap, metrics) = run_in(&selection, &environment, &collector)?;
    let ask = |path: &'static str| {
        let address = address.clone();
        std::thread::spawn(move || -> Result<()> {
            let mut connection = Connection::open(&address)?;
            (0..REQUESTS).try_for_each(|_| connection.get(path, &[]).map(drop))
        })
    };
    for thread in ["/doze", "/queue", "/quick"].map(ask) {
        thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let spans = collector.wait_for(3 * REQUESTS, SOON)?;
    ensure!(spans.len() == 3 * REQUESTS, "{spans:#?}");
    waited(&of(&spans, "/doze"), "sleep", "main.doze")?;
    waited(&of(&spans, "/queue"), "mutex", "main.queue")?;
    let (mut quick, mut slow) = (of(&spans, "/quick"), 2 * REQUESTS);
    // On a busy machine one of them may be slow.
    quick.retain(|span| span.end - span.start < 100_000_000);
    slow += REQUESTS - quick.len();
    ensure!(!quick.is_empty(), "{spans:#?}");
    for span in quick {
        let xrayed = span.attributes.keys().any(|key| key.starts_with("gotap.xray."));
        ensure!(!xrayed, "{span:#?}");
    }
    let text = http::get(&metrics, "/metrics", &[])?.text();
    are_documented(&text)?;
    let looks = text.lines().find_map(|line| line.strip_prefix("gotap_xray_looks_total "));
    let looks: f64 = looks.context("no count of looks")?.parse()?;
    ensure!(looks > 20.0, "{looks} looks");
    let said = gotap.stop()?.stderr.join("\n");
    ensure!(said.contains(&format!("X-ray: {slow} requests took longer than 100ms, ")), "{said}");
    Ok(())
}
