//! An image, and containers as the DaemonSet's.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::Gotap;
use gotap_testkit::process::Running;
use gotap_testkit::{cache_dir, repo_root};
use serde_json::Value;
use tempfile::TempDir;

use crate::seccomp;

/// The image. It is removed with this value, and all that its build made.
#[derive(Debug)]
pub(crate) struct Image {
    folder: PathBuf,
    name: String,
}

fn script(command: &str, folder: &PathBuf) -> Command {
    let mut script = Command::new(repo_root().join("scripts/image.sh"));
    script.arg(command).arg(folder).stdin(Stdio::null());
    script
}

fn answer(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().context("run scripts/image.sh")?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(String::from_utf8(output.stdout).context("UTF-8")?.trim_end().to_owned())
}

impl Image {
    pub(crate) fn build() -> Result<Self> {
        let mut image = Self { folder: cache_dir()?.join("image"), name: String::new() };
        image.name = answer(&mut script("build", &image.folder))?;
        Ok(image)
    }

    fn podman(&self, arguments: &[&str]) -> Command {
        let mut podman = script("podman", &self.folder);
        podman.args(arguments);
        podman
    }

    /// A folder with its files.
    pub(crate) fn mounted(&self) -> Result<PathBuf> {
        answer(&mut self.podman(&["image", "mount", &self.name])).map(PathBuf::from)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // A container that a failure left. While somebody works on the image, its base stays on demand.
        let _ = self.podman(&["rm", "--all", "--force"]).status();
        if std::env::var_os("GOTAP_KEEP_IMAGE").is_none() {
            let _ = script("remove", &self.folder).status();
        }
    }
}

const SYS_RESOURCE: u64 = 1 << 24;

/// A set of capabilities of a process.
fn capabilities_of(set: &str, pid: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read its status")?;
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t"));
    u64::from_str_radix(line.context(set.to_owned())?, 16).context(set.to_owned())
}

/// What the manifest says of the container of the DaemonSet, as flags of podman.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    image: &'a Image,
    name: String,
    /// Has the configuration.
    folder: TempDir,
    /// The runtime's profile.
    seccomp: PathBuf,
    security: Vec<String>,
    capabilities: Vec<String>,
    arguments: Vec<String>,
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("a text: {value}"))
}

fn texts(list: &Value) -> Result<Vec<String>> {
    let list = list.as_array().with_context(|| format!("a list: {list}"))?;
    list.iter().map(|value| text(value).map(str::to_owned)).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind).context(kind.to_owned())
}

impl<'a> Container<'a> {
    pub(crate) fn of_daemon_set(image: &'a Image) -> Result<Self> {
        let manifests = fs::read_to_string(repo_root().join("deploy/kubernetes/gotap.yaml"))?;
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&manifests).context("the manifests")?;
        let folder = TempDir::new().context("create a folder")?;
        let settings = text(&of_kind(&objects, "ConfigMap")?["data"]["gotap.yaml"])?;
        fs::write(folder.path().join("gotap.yaml"), settings).context("write the settings")?;
        let pod = &of_kind(&objects, "DaemonSet")?["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let rights = &container["securityContext"];
        ensure!(texts(&rights["capabilities"]["drop"])? == ["ALL"], "{rights}");
        ensure!(rights["seccompProfile"]["type"] == "RuntimeDefault", "{rights}");
        let limit = text(&container["resources"]["limits"]["memory"])?.replace("Mi", "m");
        let mut security =
            vec![format!("--user={}", rights["runAsUser"]), format!("--memory={limit}")];
        for (is_so, flag) in [
            (pod["hostPID"] == true, "--pid=host"),
            (rights["readOnlyRootFilesystem"] == true, "--read-only"),
            (rights["allowPrivilegeEscalation"] == false, "--security-opt=no-new-privileges"),
            (
                rights["appArmorProfile"]["type"] == "Unconfined",
                "--security-opt=apparmor=unconfined",
            ),
        ] {
            ensure!(is_so, "the DaemonSet no longer is as with {flag}");
            security.push(flag.to_owned());
        }
        let mut capabilities = texts(&rights["capabilities"]["add"])?;
        if !capabilities_of("CapBnd", "self")? & SYS_RESOURCE != 0 {
            // It matters before Linux 5.11 only.
            eprintln!("image: this machine's root has no CAP_SYS_RESOURCE to give to a container");
            capabilities.retain(|name| name != "SYS_RESOURCE");
        }
        Ok(Self {
            image,
            name: format!("gotap-test-{}", std::process::id()),
            seccomp: seccomp::allowing_by_capability(folder.path())?,
            folder,
            security,
            capabilities,
            arguments: texts(&container["args"])?,
        })
    }

    pub(crate) fn without(mut self, capability: &str) -> Self {
        self.capabilities.retain(|name| name != capability);
        self
    }

    /// As podman and CRI-O were for years: bpf(2) needs more than its capability.
    pub(crate) fn with_old_profile(mut self) -> Result<Self> {
        self.seccomp = seccomp::allowing_by_administration(self.folder.path())?;
        Ok(self)
    }

    /// The network is this machine's, where the tests' collector is. Nothing but gotap's configuration is mounted.
    fn podman(&self, arguments: &[&str]) -> Command {
        let run =
            ["run", "--rm", "--name", &self.name, "--network=host", "--read-only-tmpfs=false"];
        let mut podman = self.image.podman(&run);
        podman.arg(format!("--security-opt=seccomp={}", self.seccomp.display()));
        // podman would raise them, which root may not everywhere.
        podman.args(["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"]);
        podman.args(&self.security).arg("--cap-drop=ALL");
        podman.args(self.capabilities.iter().map(|name| format!("--cap-add=CAP_{name}")));
        podman.arg(format!("--volume={}:/etc/gotap:ro", self.folder.path().display()));
        podman.args(["--env=NODE_NAME=node-a", &self.image.name]).args(arguments);
        podman
    }

    /// Runs another command than the agent's until it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.podman(arguments).output().context("run a container")
    }

    /// Starts the agent as the DaemonSet does, with more arguments.
    pub(crate) fn start(&self, more: &[&str]) -> Result<Gotap> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Ok(Gotap::of(Running::spawn(self.podman(&[&arguments[..], more].concat()))?))
    }

    /// Of the running agent, what the kernel says: its capabilities, and that it can gain none and write nowhere.
    pub(crate) fn has_few_rights(&self, kept: u64) -> Result<()> {
        let inspect = ["inspect", "--format={{.State.Pid}}", &self.name];
        let pid = answer(&mut self.image.podman(&inspect))?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let has = capabilities_of(set, &pid)?;
            ensure!(has & !kept == 0, "{set} is {has:x}");
        }
        let folder = PathBuf::from("/proc").join(&pid);
        let status = fs::read_to_string(folder.join("status")).context("read its status")?;
        ensure!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        ensure!(status.contains("Seccomp:\t2\n"), "{status}");
        let mounts = fs::read_to_string(folder.join("mountinfo")).context("read its mounts")?;
        let mut root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root = root.find(|words| words.get(4) == Some(&"/")).context("its root")?;
        ensure!(root[5].split(',').any(|option| option == "ro"), "{root:?}");
        Ok(())
    }
}
