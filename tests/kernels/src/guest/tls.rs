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
    let apps = pairs.iter().flat_map(|pair| [&pair.app, &pair.backend]);
    let pids: Vec<String> = apps.map(|app| app.pid().to_string()).collect();
    let selection: Vec<&str> = pids.iter().flat_map(|pid| ["--pid", pid]).collect();
    let gotap = Gotap::trace(&selection)?;
    for pair in &pairs {
        pair.trace(&gotap).with_context(|| pair.what.clone())?;
    }
    gotap.finish(pairs.len() * 3 * REQUESTS).map(drop)
}

/// A service and the one that it calls, both observed.
struct Pair {
    program: PathBuf,
    flags: &'static [&'static str],
    protocol: &'static str,
    what: String,
    app: App,
    backend: App,
    /// Whether it can be read whose call a stream of HTTP/2 is.
    joins: bool,
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
        let joins = protocol != "2" || version == Version::NEWEST;
        Ok(Self { program, flags, protocol, what, app, backend, joins })
    }

    /// Another process calls the observed one, which calls its backend, all with these flags.
    fn trace(&self, gotap: &Gotap) -> Result<()> {
        let before = gotap.spans()?.len();
        let (count, url) = (REQUESTS.to_string(), format!("https://{}/call/go", self.app.address));
        let arguments = [self.flags, &["-client", &count, &url]].concat();
        let mut client = Running::start(&self.program, &arguments, &[])?;
        ensure!(client.wait(SOON)?.success(), "{:?}", client.stderr());
        let spans = gotap.wait_for_spans(before + 3 * REQUESTS)?.split_off(before);
        for span in &spans {
            let found = span.text("network.protocol.version");
            ensure!(found == Some(self.protocol), "{found:?} in {span:#?}");
            ensure!(span.int("http.response.status_code") == Some(200), "{span:#?}");
        }
        let joined = spans.iter().filter(|span| span.parent == "connection");
        let is_called =
            |served: &&Span| spans.iter().any(|s| s.is_client() && served.is_child_of(s));
        let (joined, called) = (joined.clone().count(), joined.filter(is_called).count());
        ensure!(joined == called, "{}", Span::list(&spans));
        // Emulated processors can stop for long between two numbers that the kernel changes together. Then
        // one request is not joined; it is never joined with another call.
        let wanted = if self.joins { REQUESTS - 1..=REQUESTS } else { 0..=0 };
        ensure!(wanted.contains(&joined), "{}", Span::list(&spans));
        let own = Some(&self.app.pid().into());
        let servers = spans.iter().filter(|span| span.is_server());
        for server in servers.filter(|span| span.resource.get("process.pid") == own) {
            ensure!(server.text("url.scheme") == Some("https"), "{server:#?}");
            let children = spans.iter().filter(|span| span.is_client() && span.is_child_of(server));
            ensure!(children.count() == 1, "{}", Span::list(&spans));
        }
        Ok(())
    }
}
