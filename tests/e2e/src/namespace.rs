//! A network namespace with one link to this one, and programs in it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use gotap_testkit::process::Running;

use crate::{App, SOON};

/// Both ends of the link. It is of this test process alone, so that several can run at a time.
const PREFIX: &str = "10.211";
/// Both ends of a link between two namespaces, which nobody else sees.
const BETWEEN: &str = "10.212.0";

/// The kernel removes the namespace and the link with the process that holds it.
#[derive(Debug)]
pub struct Namespace {
    holder: Running,
    /// The address of its end.
    address: String,
}

impl Namespace {
    /// Makes it, with a link by the name `gotapPID` on this side.
    ///
    /// # Errors
    /// When `unshare` or `ip` fail.
    pub fn new() -> Result<Self> {
        let script = "echo held $$; exec sleep 600";
        let arguments = ["--net", "/bin/sh", "-c", script];
        let holder = Running::start(Path::new("/usr/bin/unshare"), &arguments, &[])?;
        holder.wait_for("held ", SOON)?;
        let pid = holder.pid().to_string();
        let (here, there) = (format!("gotap{pid}"), "inner");
        let net = format!("{PREFIX}.{}", holder.pid() % 250);
        let (own, address) = (format!("{net}.1/24"), format!("{net}.2"));
        let other = format!("{address}/24");
        ip(&["link", "add", &here, "type", "veth", "peer", "name", there, "netns", &pid])?;
        ip(&["address", "add", &own, "dev", &here])?;
        ip(&["link", "set", &here, "up"])?;
        let inside = [
            &["address", "add", &other, "dev", there][..],
            &["link", "set", there, "up"],
            &["link", "set", "lo", "up"],
        ];
        for arguments in inside {
            let enter = ["-t", &pid, "-n", "ip"];
            command("/usr/bin/nsenter", &[&enter, arguments].concat())?;
        }
        Ok(Self { holder, address })
    }

    /// Starts an httpapp in it, which listens on its address.
    ///
    /// # Errors
    /// When it does not say that it listens.
    pub fn start(&self, program: &Path) -> Result<App> {
        self.start_with(program, &self.address, &[])
    }

    /// The same with an address of its own and more arguments.
    ///
    /// # Errors
    /// When it does not say that it listens.
    pub fn start_with(&self, program: &Path, address: &str, arguments: &[&str]) -> Result<App> {
        let (pid, listen) = (self.holder.pid().to_string(), format!("{address}:0"));
        let program = program.to_string_lossy();
        let start = ["-t", &pid, "-n", "--", &program, "-addr", &listen];
        let all = [&start[..], arguments].concat();
        let process = Running::start(Path::new("/usr/bin/nsenter"), &all, &[])?;
        let address = process.wait_for("listening ", SOON)?;
        Ok(App { process, address })
    }

    /// Lets the kernel translate addresses of connections to `port` of it: they go to `to`, and seem to come from
    /// `from`, which is nobody's.
    ///
    /// # Errors
    /// When `nft` or `ip` fail.
    pub fn translate(&self, port: u16, to: &str, from: &str) -> Result<()> {
        let pid = self.holder.pid().to_string();
        let way_back = self.address.rsplit_once('.').context("an address")?.0.to_owned() + ".1";
        let inside = [
            "ip route add default via ".to_owned() + &way_back,
            "nft add table ip translate".to_owned(),
            "nft add chain ip translate to { type nat hook prerouting priority -100 ; }".to_owned(),
            format!("nft add rule ip translate to tcp dport {port} dnat to {to}"),
            "nft add chain ip translate from { type nat hook input priority 100 ; }".to_owned(),
            format!("nft add rule ip translate from ct status dnat snat to {from}"),
        ];
        for line in inside {
            let words: Vec<&str> = line.split(' ').collect();
            command("/usr/bin/nsenter", &[&["-t", &pid, "-n", "--"][..], &words].concat())?;
        }
        Ok(())
    }

    /// Its address on the link to this namespace.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Links it with another one; gives the other's address on that link.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn join(&self, other: &Self) -> Result<String> {
        let (first, second) = (self.holder.pid().to_string(), other.holder.pid().to_string());
        let here = format!("gotap{second}");
        let peer = ["type", "veth", "peer", "name", "beside", "netns", &second];
        ip(&[&["link", "add", "name", &here, "netns", &first][..], &peer].concat())?;
        for (pid, device, address) in [(&first, here.as_str(), "1"), (&second, "beside", "2")] {
            let address = format!("{BETWEEN}.{address}/24");
            let enter = ["-t", pid, "-n", "ip"];
            for arguments in
                [&["address", "add", &address, "dev", device][..], &["link", "set", device, "up"]]
            {
                command("/usr/bin/nsenter", &[&enter, arguments].concat())?;
            }
        }
        Ok(format!("{BETWEEN}.2"))
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    command("ip", arguments)
}

fn command(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    Ok(())
}
