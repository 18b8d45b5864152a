//! A real API server with its etcd, without controllers and kubelets: who uses it makes what these would make.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::daemon::free_port;
use crate::process::Running;
use crate::setup;

/// How long the server may take to start.
const STARTING: Duration = Duration::from_secs(120);
/// Of who may do everything.
const ADMIN: &str = "admin-token-of-a-test";

/// A running API server; dropping it ends the processes and removes their files.
#[derive(Debug)]
pub struct Cluster {
    // The order matters: the processes end before their folder is removed.
    server: Option<Running>,
    _etcd: Running,
    program: PathBuf,
    etcd_url: String,
    kubectl: PathBuf,
    folder: TempDir,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Cluster {
    /// Starts one. It is built first, which takes up to half an hour.
    pub fn start() -> Result<Self> {
        let program = setup(&["kubernetes"])?;
        let etcd = setup(&["etcd"])?;
        let kubectl = setup(&["helm"])?.join("kubectl");
        let folder = TempDir::with_prefix("gotap-kube-").context("create a folder")?;
        let key = rcgen::KeyPair::generate().context("make a key")?;
        for (name, text) in [
            ("sa.key", key.serialize_pem()),
            ("sa.pub", key.public_key_pem()),
            ("tokens.csv", format!("{ADMIN},admin,1,\"system:masters\"\n")),
        ] {
            std::fs::write(folder.path().join(name), text)
                .with_context(|| format!("write {name}"))?;
        }
        let (etcd_url, peer) = (url(free_port()?), url(free_port()?));
        let data = folder.path().join("etcd");
        let etcd = Running::start(
            &etcd,
            &[
                "--data-dir",
                &data.to_string_lossy(),
                "--listen-client-urls",
                &etcd_url,
                "--advertise-client-urls",
                &etcd_url,
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
                "--initial-cluster",
                &format!("default={peer}"),
                "--unsafe-no-fsync",
            ],
            &[],
        )?;
        let (port, server) = (free_port()?, None);
        let mut cluster = Self { server, _etcd: etcd, program, etcd_url, kubectl, folder, port };
        cluster.up()?;
        Ok(cluster)
    }

    /// Starts the server, also after it was ended; what it knew it knows again.
    pub fn up(&mut self) -> Result<()> {
        let file = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        let arguments = [
            format!("--etcd-servers={}", self.etcd_url),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--secure-port={}", self.port),
            format!("--cert-dir={}", file("certs")),
            format!("--service-account-key-file={}", file("sa.pub")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            "--service-account-issuer=https://cluster.test".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            // As in clusters of all distributions, where pods of the system need it.
            "--allow-privileged=true".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ];
        self.server = Some(Running::start(&self.program, &arguments, &[])?);
        let until = Instant::now() + STARTING;
        while self.kubectl(&["get", "--raw", "/readyz"], "").is_err() {
            if Instant::now() > until {
                let said = self.server.as_ref().map(Running::stderr).unwrap_or_default();
                bail!("the API server does not start: {}", said.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Ends the server.
    pub fn down(&mut self) -> Result<()> {
        let mut server = self.server.take().context("it runs")?;
        server.signal(9)?;
        server.wait(Duration::from_secs(10)).map(drop)
    }

    /// The certificates by which the server is known.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certs/apiserver.crt")
    }

    /// Runs kubectl as who may do everything, and gives what it prints.
    pub fn kubectl<A: AsRef<OsStr>>(&self, arguments: &[A], input: &str) -> Result<String> {
        self.kubectl_as(ADMIN, arguments, input)
    }

    /// Runs kubectl with a token.
    pub fn kubectl_as<A: AsRef<OsStr>>(
        &self,
        token: &str,
        arguments: &[A],
        input: &str,
    ) -> Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.arg(format!("--server=https://127.0.0.1:{}", self.port));
        command.arg(format!("--token={token}"));
        command.arg("--insecure-skip-tls-verify=true");
        command.arg(format!("--cache-dir={}", self.folder.path().join("cache").display()));
        command.args(arguments).env("KUBECONFIG", "/dev/null");
        output(command, input)
    }

    /// Makes objects, which the server checks strictly.
    pub fn apply(&self, objects: &str) -> Result<String> {
        self.kubectl(&["apply", "--server-side", "--validate=strict", "-f", "-"], objects)
    }

    /// Runs helm against it.
    pub fn helm<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<String> {
        let mut command = helm(self.folder.path())?;
        command.arg(format!("--kube-apiserver=https://127.0.0.1:{}", self.port));
        command.args([format!("--kube-token={ADMIN}"), "--kube-insecure-skip-tls-verify".into()]);
        command.args(arguments);
        output(command, "")
    }
}

/// helm, which keeps what it has to in a folder.
pub fn helm(folder: &Path) -> Result<Command> {
    let mut command = Command::new(setup(&["helm"])?.join("helm"));
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, folder);
    }
    command.env("KUBECONFIG", "/dev/null");
    Ok(command)
}

/// Runs a command to its end and gives what it prints.
pub fn output(mut command: Command, input: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {name}"))?;
    let stdin = child.stdin.take();
    stdin.context("its input")?.write_all(input.as_bytes()).context("write its input")?;
    let output = child.wait_with_output().with_context(|| format!("run {name}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{name}: {}: {said}{printed}", output.status);
    Ok(printed)
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
