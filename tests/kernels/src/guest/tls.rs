//! TLS: HTTP/1.1 and HTTP/2 over it, served and called.

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;

/// Requests of each sort.
const REQUESTS: usize = 5;

/// The newest Go has HTTP/2 in a package of its own, the oldest has it bundled.
pub(crate) fn http1_and_http2() -> Result<()> {
    for version in [Version::NEWEST, Version::OLDEST] {
        for (flags, protocol) in [(&["-tls"][..], "1.1"), (&["-tls", "-h2"], "2")] {
            trace(version, flags, protocol)
                .with_context(|| format!("Go {version}, HTTP/{protocol}"))?;
        }
    }
    Ok(())
}

/// Another process calls the observed one, which calls its backend, all with these flags.
fn trace(version: Version, flags: &[&str], protocol: &str) -> Result<()> {
    let program = program("httpapp", version);
    let backend = App::start_with(&program, flags, &[])?;
    let url = format!("https://{}", backend.address);
    let app = App::start_with(&program, &[flags, &["-backend", &url]].concat(), &[])?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let (count, url) = (REQUESTS.to_string(), format!("https://{}/call/go", app.address));
    let mut client = Running::start(&program, &[flags, &["-client", &count, &url]].concat(), &[])?;
    ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
    let spans = gotap.finish(2 * REQUESTS)?;
    for span in &spans {
        let found = span.text("network.protocol.version");
        ensure!(found == Some(protocol), "{found:?} in {span:#?}");
        ensure!(span.int("http.response.status_code") == Some(200), "{span:#?}");
    }
    for server in spans.iter().filter(|span| span.is_server()) {
        ensure!(server.text("url.scheme") == Some("https"), "{server:#?}");
        let children = spans.iter().filter(|span| span.is_client() && span.is_child_of(server));
        ensure!(children.count() == 1, "{}", Span::list(&spans));
    }
    Ok(())
}
