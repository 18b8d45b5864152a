//! Memory that changes while it is read, and programs that are interrupted in the middle: what is told
//! is what was there at one time.

use anyhow::{Result, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::process::Running;

use crate::parents::with_each;
use crate::parents_load::observe;

const CALLS: usize = 40;

/// A string is a pointer and a length. Where another thread writes others over them, half of each may
/// be read, and what lies behind a short text be taken for a part of it.
#[test]
fn a_string_that_is_overwritten_is_told_as_it_was_sent() -> Result<()> {
    if !can_trace("a_string_that_is_overwritten_is_told_as_it_was_sent") {
        return Ok(());
    }
    with_each(|program| {
        let (app, backend) = App::start_pair(program)?;
        let gotap = Gotap::trace_pid(app.pid())?;
        for _ in 0..CALLS {
            let response = app.get("/call/rewritten", &[])?;
            let body = String::from_utf8_lossy(&response.body).into_owned();
            ensure!(body == "rewritten status=200\n", "{body}");
        }
        let spans = gotap.finish(2 * CALLS)?;
        let sent = format!("http://{}/slow", backend.address);
        let wrong: Vec<_> = spans
            .iter()
            .filter(|span| span.is_client() && span.target() != sent)
            .map(Span::target)
            .collect();
        ensure!(wrong.is_empty(), "{} of {CALLS} such as {:?}", wrong.len(), wrong.first());
        Ok(())
    })
}

/// The programs can be preempted: on each processor several are in the middle of a request at a time.
/// Each request has a trace and a path of its own, so that a mixture of two would show.
#[test]
fn programs_that_are_preempted_mix_nothing_up() -> Result<()> {
    if !can_trace("programs_that_are_preempted_mix_nothing_up") {
        return Ok(());
    }
    // More of them than processors; they end with this test.
    let busy: Vec<_> = (0..4)
        .map(|_| Running::start("/bin/sh".as_ref(), &["-c", "while :; do :; done"], &[]))
        .collect::<Result<_>>()?;
    let result = observe(&App::newest()?, &[("GOMAXPROCS", "16")]);
    drop(busy);
    result
}
