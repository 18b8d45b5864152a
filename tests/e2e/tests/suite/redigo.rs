//! What redigo asks of Redis.

use anyhow::{Result, ensure};
use gotap_e2e::{Span, can_trace};
use gotap_testkit::redis::Redis;

use crate::redis::{Client, asked, asked_once, check_done, commands, errors, names, with_each};

#[test]
fn redigo_is_told() -> Result<()> {
    if !can_trace("redigo_is_told") {
        return Ok(());
    }
    let server = Redis::start()?;
    with_each(&["-redis", &server.address()], |app, gotap| {
        let port = Some(server.port());
        let client = Client { name: "redigo", port, namespace: None, parent: "goroutine" };
        commands(&client, app, gotap)?;
        errors(&client, app, gotap)?;
        // Answers that are taken one by one are not told, and those that come with another's are.
        let spans = asked(gotap, app, &client, "pipeline")?;
        ensure!(spans.is_empty(), "{}", Span::list(&spans));
        check_done(&client, &asked_once(gotap, app, &client, "tx")?, "MULTI", Some(2))?;
        let spans = asked(gotap, app, &client, "watch")?;
        ensure!(names(&spans) == ["WATCH", "GET", "MULTI"], "{}", Span::list(&spans));
        let spans = asked(gotap, app, &client, "nowhere")?;
        ensure!(spans.is_empty(), "{}", Span::list(&spans));
        let spans = asked(gotap, app, &client, "fresh")?;
        ensure!(names(&spans).ends_with(&["GET"]), "{}", Span::list(&spans));
        Ok(())
    })
}
