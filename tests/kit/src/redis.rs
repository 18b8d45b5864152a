//! A Redis server that belongs to one test: alone, as a node of a cluster, or as a sentinel.
//!
//! It keeps its data in memory, listens on a free loopback port and asks for no password; the user
//! [`USER`] has one, for clients that want to tell who they are. What it stores is lost with it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::daemon::{Daemon, Home, free_port};
use crate::setup;

/// The user that has a password.
pub const USER: &str = "gotap";
/// The password of [`USER`].
pub const PASSWORD: &str = "secret-password";
/// What sentinels call the server that they watch.
pub const MASTER: &str = "shop";

/// How long nodes may take to agree on a cluster.
const AGREEING: Duration = Duration::from_secs(30);
/// A cluster's slots are these and the smaller ones.
const LAST_SLOT: u16 = 16383;

/// A running server; dropping it ends it and removes its files.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
}

impl Redis {
    /// Starts a server and waits until it accepts connections.
    pub fn start() -> Result<Self> {
        Self::start_with(&[], "").context("start Redis")
    }

    /// Starts a sentinel that watches a server under the name [`MASTER`].
    pub fn start_sentinel(watched: &Self) -> Result<Self> {
        let monitor = format!("sentinel monitor {MASTER} 127.0.0.1 {} 1\n", watched.port());
        Self::start_with(&["--sentinel"], &monitor).context("start a Redis sentinel")
    }

    /// Starts `redis-server` with these flags, and these lines in its configuration.
    fn start_with(flags: &[&str], settings: &str) -> Result<Self> {
        let program = setup(&["redis"])?;
        let home = Home::create("gotap-redis-")?;
        symlink(&program, home.path().join("redis-server")).context("link redis-server")?;
        let users = if flags.is_empty() {
            format!("user {USER} on >{PASSWORD} ~* &* +@all\nsave \"\"\nappendonly no\n")
        } else {
            String::new()
        };
        write_settings(&home, &format!("bind 127.0.0.1\n{users}{settings}"))?;
        // It logs to standard output, and the name that it is called by says what it is.
        let script = "exec ./redis-server redis.conf \"$@\" >&2";
        let ready = if flags.is_empty() { "Ready to accept connections" } else { "Sentinel ID is" };
        let daemon = Daemon::start(home, ready, libc::SIGKILL, |home, port| {
            let mut server = home.command(Path::new("/bin/sh"));
            server.args(["-c", script, "redis"]).args(flags).args(["--port", &port.to_string()]);
            server
        })?;
        Ok(Self { daemon })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.daemon.port()
    }

    /// What clients dial.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Sends a command, whose words have no spaces, and returns its answer: what follows the sign of
    /// a simple answer, or the bytes of a string.
    pub fn ask(&self, command: &str) -> Result<String> {
        let answer = self.try_ask(command);
        answer.with_context(|| format!("ask Redis for \"{command}\""))
    }

    fn try_ask(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let (sign, rest) = line.trim_end().split_at_checked(1).context("no answer")?;
        match sign {
            "+" | ":" => Ok(rest.to_owned()),
            "$" if rest == "-1" => Ok(String::new()),
            "$" => {
                let mut bytes = vec![0; rest.parse()?];
                answer.read_exact(&mut bytes)?;
                Ok(String::from_utf8(bytes)?)
            }
            _ => bail!("{line}"),
        }
    }
}

/// Two nodes, each of which has one half of the slots. Nothing is replicated.
#[derive(Debug)]
pub struct Cluster {
    nodes: [Redis; 2],
}

impl Cluster {
    /// Starts the nodes and waits until both serve.
    pub fn start() -> Result<Self> {
        let buses = [free_port()?, free_port()?];
        let node = |bus: u16| {
            let settings =
                format!("cluster-enabled yes\ncluster-port {bus}\ncluster-announce-ip 127.0.0.1\n");
            Redis::start_with(&[], &settings).context("start a node of a Redis cluster")
        };
        let nodes = [node(buses[0])?, node(buses[1])?];
        let half = LAST_SLOT / 2;
        nodes[0].ask(&format!("CLUSTER ADDSLOTSRANGE 0 {half}"))?;
        nodes[1].ask(&format!("CLUSTER ADDSLOTSRANGE {} {LAST_SLOT}", half + 1))?;
        nodes[1].ask("CLUSTER SET-CONFIG-EPOCH 2")?;
        nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", nodes[1].port(), buses[1]))?;
        let started = Instant::now();
        for node in &nodes {
            while !node.ask("CLUSTER INFO")?.contains("cluster_state:ok") {
                ensure!(started.elapsed() < AGREEING, "the nodes of the cluster do not agree");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(Self { nodes })
    }

    /// The node with the lower slots, and the one with the others.
    pub fn nodes(&self) -> &[Redis; 2] {
        &self.nodes
    }
}

/// Sentinels rewrite their settings, and so have to own them.
fn write_settings(home: &Home, settings: &str) -> Result<()> {
    let file = home.path().join("redis.conf");
    fs::write(&file, settings).with_context(|| format!("write {}", file.display()))?;
    let folder = fs::metadata(home.path()).context("look at the folder")?;
    let (user, group) = (Some(folder.uid()), Some(folder.gid()));
    chown(&file, user, group).with_context(|| format!("chown {}", file.display()))
}
