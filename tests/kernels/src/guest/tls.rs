//! TLS: HTTP/1.1 and HTTP/2 over it, served and called.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, SOON, Span};
use gotap_kernel_tests::program;
use gotap_testkit::go::Version;
use gotap_testkit::process::Running;

/// Requests of each sort.
const REQUESTS: usize = 5;

/// The newest Go has HTTP/2 in a package of its own, the oldest has it bundled. One gotap observes all,
/// as the verifier takes its time in a machine like this.
pub(crate) fn http1_and_http2() -> Result<()> {
    let mut pairs = Vec::new();
    for version in [Version::NEWEST, Version::OLDEST] {
        for (flags, protocol) in [(&["-tls"][..], "1.1"), (&["-tls", "-h2"], "2")] {
            pairs.push(Pair::start(version, flags, protocol)?);
        }
    }
    let pids: Vec<String> = pairs.iter().map(|pair| pair.app.pid().to_string()).collect();
    let selection: Vec<&str> = pids.iter().flat_map(|pid| ["--pid", pid]).collect();
    let gotap = Gotap::trace(&selection)?;
    for pair in &pairs {
        pair.trace(&gotap).with_context(|| pair.what.clone())?;
    }
    gotap.finish(pairs.len() * 2 * REQUESTS).map(drop)
}

/// A service that is observed, and the one that it calls.
struct Pair {
    program: PathBuf,
    flags: &'static [&'static str],
    protocol: &'static str,
    what: String,
    app: App,
    _backend: App,
}

impl Pair {
    fn start(
        version: Version,
        flags: &'static [&'static str],
        protocol: &'static str,
    ) -> Result<Self> {
        let program = program("httpapp", version);
        let backend = App::start_with(&program, flags, &[])?;
        let url = format!("https://{}", backend.address);
        let app = App::start_with(&program, &[flags, &["-backend", &url]].concat(), &[])?;
        let what = format!("Go {version}, HTTP/{protocol}");
        Ok(Self { program, flags, protocol, what, app, _backend: backend })
    }

    /// Another process calls the observed one, which calls its backend, all with these flags.
    fn trace(&self, gotap: &Gotap) -> Result<()> {
        let before = gotap.spans()?.len();
        let (count, url) = (REQUESTS.to_string(), format!("https://{}/call/go", self.app.address));
        let arguments = [self.flags, &["-client", &count, &url]].concat();
        let mut client = Running::start(&self.program, &arguments, &[])?;
        ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
        let spans = gotap.wait_for_spans(before + 2 * REQUESTS)?.split_off(before);
        for span in &spans {
            let found = span.text("network.protocol.version");
            ensure!(found == Some(self.protocol), "{found:?} in {span:#?}");
            ensure!(span.int("http.response.status_code") == Some(200), "{span:#?}");
        }
        for server in spans.iter().filter(|span| span.is_server()) {
            ensure!(server.text("url.scheme") == Some("https"), "{server:#?}");
            let children = spans.iter().filter(|span| span.is_client() && span.is_child_of(server));
            ensure!(children.count() == 1, "{}", Span::list(&spans));
        }
        Ok(())
    }
}
