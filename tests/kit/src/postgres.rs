//! A PostgreSQL server that belongs to one test.
//!
//! It keeps its data in a temporary folder, listens on a free loopback port and asks for no
//! password. What it stores is lost with it. For a machine that has a server's files only, there is
//! an empty database to take along, and the server's flags.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::daemon::{Daemon, Home};
use crate::setup;

const USER: &str = "gotap";

/// Of a server whose data nobody needs again.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "autovacuum=off",
    "authentication_timeout=10s", // its end waits for clients that say nothing
    "shared_buffers=16MB",
    "dynamic_shared_memory_type=mmap", // in the folder and not in /dev/shm
];

/// What the server says when it is.
pub const READY: &str = "ready to accept connections";

/// What `postgres` is called with, for a database in the folder `data`.
pub fn flags(data: &Path, port: u16) -> Vec<String> {
    let mut flags = vec!["-D".into(), data.display().to_string(), "-p".into(), port.to_string()];
    flags.extend(SETTINGS.iter().flat_map(|setting| ["-c".into(), (*setting).into()]));
    flags
}

/// What clients need to know, as libpq, lib/pq and pgx read it.
pub fn dsn(port: u16) -> String {
    format!("host=127.0.0.1 port={port} user={USER} dbname=postgres sslmode=disable")
}

/// An empty database, whose files are removed when this value is dropped.
#[derive(Debug)]
pub struct Database {
    programs: PathBuf,
    home: Home,
}

impl Database {
    /// Creates it.
    pub fn create() -> Result<Self> {
        let programs = setup(&["postgres"])?;
        let home = Home::create("gotap-postgres-")?;
        let mut initdb = home.command(&programs.join("initdb"));
        initdb.args(["--pgdata=data", "--auth=trust", "--locale=C", "--encoding=UTF8"]);
        // Any other zone is known from files, which the server's machine may not have.
        initdb.arg("--no-sync").arg(format!("--username={USER}")).env("TZ", "GMT");
        home.run(&mut initdb).context("create a PostgreSQL database")?;
        Ok(Self { programs, home })
    }

    /// Its folder, whose owner the server must run as.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The folder with PostgreSQL's programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }
}

/// A running server; dropping it ends all its processes and removes its files.
#[derive(Debug)]
pub struct Postgres {
    daemon: Daemon,
}

impl Postgres {
    /// Starts a server and waits until it accepts connections, which takes some seconds.
    pub fn start() -> Result<Self> {
        let Database { programs, home } = Database::create()?;
        // At SIGQUIT the server ends its processes and does not tidy up what is on the disk.
        let daemon = Daemon::start(home, READY, libc::SIGQUIT, |home, port| {
            let mut server = home.command(&programs.join("postgres"));
            server.args(flags(Path::new("data"), port)).arg("-k").arg(home.path());
            server
        });
        Ok(Self { daemon: daemon.context("start PostgreSQL")? })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.daemon.port()
    }

    /// The address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// What a client needs to know.
    pub fn dsn(&self) -> String {
        dsn(self.port())
    }
}
