//! What clients of Redis clusters ask: which node gets what, and what is sent again to another one.

use anyhow::{Context, Result, bail, ensure};
use gotap_e2e::{App, Gotap, Span, can_trace};
use gotap_testkit::redis::Cluster;

use super::{
    Client, asked, asked_once, batches_sent, check_done, check_failed, commands, with_each,
};

#[test]
fn redis_nodes_and_redirections_are_told() -> Result<()> {
    if !can_trace("redis_nodes_and_redirections_are_told") {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let [first, second] = cluster.nodes();
    let addresses = format!("{},{}", first.address(), second.address());
    with_each(&["-cluster", &addresses], |app, gotap| {
        for (name, astray) in [("cluster8", "astray8"), ("cluster9", "astray9")] {
            let port = Some(second.port());
            let client = Client { name, port, namespace: Some("0"), parent: "context" };
            if name == "cluster9" {
                commands(&client, app, gotap)?;
            } else {
                // It can't read what today's servers say of commands, and so guesses the node.
                let spans = asked(gotap, app, &client, "set")?;
                let last = spans.last().context("nothing told")?;
                check_done(&client, last, "SET", None)?;
            }

            let lost = Client { name: astray, ..client };
            asked(gotap, app, &lost, "set")?;
            let spans = asked(gotap, app, &lost, "get")?;
            let [moved, done] = &spans[..] else { bail!("{astray}: {}", Span::list(&spans)) };
            let code = moved.text("db.response.status_code");
            ensure!(moved.status == "error" && code == Some("MOVED"), "{moved:#?}");
            // Newer clients leave out the host that the table of slots does not name.
            ensure!(moved.int("server.port") == Some(first.port().into()), "{moved:#?}");
            check_done(&lost, done, "GET", None)?;
        }
        Ok(())
    })
}

#[test]
fn redis_nodes_get_parts_of_pipelines() -> Result<()> {
    if !can_trace("redis_nodes_get_parts_of_pipelines") {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let [first, second] = cluster.nodes();
    let addresses = format!("{},{}", first.address(), second.address());
    with_each(&["-cluster", &addresses], |app, gotap| {
        for (name, astray) in [("cluster8", "astray8"), ("cluster9", "astray9")] {
            let port = Some(second.port());
            let client = Client { name, port, namespace: Some("0"), parent: "context" };
            let lost = Client { name: astray, ..client };
            let checked = if name == "cluster9" {
                node_parts(&client, app, gotap, first.port())
                    .and_then(|()| redirected(&lost, app, gotap, first.port()))
            } else {
                guessed_parts(&client, app, gotap, first.port())
            };
            checked.with_context(|| name.to_owned())?;
        }
        Ok(())
    })
}

/// A cluster's client sends each node its part, from a goroutine of its own.
fn node_parts(client: &Client<'_>, app: &App, gotap: &Gotap, other: u16) -> Result<()> {
    asked(gotap, app, client, "set")?; // the first one may need more: clusters are explored
    batches_sent(client, app, gotap)?;
    check_done(client, &asked_once(gotap, app, client, "one")?, "GET", None)?;
    let mut spans = asked(gotap, app, client, "spread")?;
    spans.sort_by_key(|span| span.int("db.operation.batch.size"));
    let [two, three] = &spans[..] else { bail!("spread: {}", Span::list(&spans)) };
    check_done(&Client { port: Some(other), ..*client }, two, "PIPELINE", Some(2))?;
    check_done(client, three, "PIPELINE", Some(3))
}

/// What comes to the wrong node is sent again, to the one that it names.
fn redirected(client: &Client<'_>, app: &App, gotap: &Gotap, wrong: u16) -> Result<()> {
    for (case, name) in [("pipeline", "PIPELINE"), ("tx", "MULTI")] {
        let spans = asked(gotap, app, client, case)?;
        let [moved, done] = &spans[..] else { bail!("{case}: {}", Span::list(&spans)) };
        // What older clients keep of a transaction is the answer to EXEC.
        let code = moved.text("db.response.status_code");
        let moved_away = code == Some("MOVED") || case == "tx" && code == Some("EXECABORT");
        ensure!(moved.status == "error" && moved_away, "{case}: {moved:#?}");
        // Newer clients leave out the host that the table of slots does not name.
        ensure!(moved.int("server.port") == Some(wrong.into()), "{case}: {moved:#?}");
        let told = (moved.name.as_str(), moved.int("db.operation.batch.size"));
        ensure!(told == (name, Some(2)), "{case}: {moved:#?}");
        check_done(client, done, name, Some(2))?;
        ensure!(moved.end <= done.start, "{case}: {}", Span::list(&spans));
    }
    Ok(())
}

/// The same of version 8, which can't read what today's servers say of commands and so guesses the
/// node of each. A transaction that is sent elsewhere it sends twice, even to both nodes at once, and
/// then an error of one shows as one of the other.
fn guessed_parts(client: &Client<'_>, app: &App, gotap: &Gotap, wrong: u16) -> Result<()> {
    for (case, name, code) in [("pipeline", "PIPELINE", "MOVED"), ("tx", "MULTI", "EXECABORT")] {
        let mut done = 0;
        for span in asked(gotap, app, client, case)? {
            let size = span.int("db.operation.batch.size");
            // One command is no pipeline.
            let named = span.name == name || case == "pipeline" && size.is_none();
            ensure!(named, "{case}: {span:#?}");
            ensure!(["context", "ancestor"].contains(&span.parent.as_str()), "{case}: {span:#?}");
            if case == "tx" && span.text("db.response.status_code") == Some(code) {
                ensure!(span.int("server.port").is_some(), "{case}: {span:#?}");
                continue;
            }
            if span.int("server.port") == Some(wrong.into()) {
                let lost = Client { port: Some(wrong), ..*client };
                check_failed(&lost, &span, &span.name, code)?;
            } else {
                check_done(client, &span, &span.name, size)?;
                done += size.unwrap_or(1);
            }
        }
        ensure!(done == 2 || case == "tx" && done > 0, "{case}: {done} commands");
    }
    Ok(())
}
