//! A PostgreSQL server that belongs to one test.
//!
//! It keeps its data in a temporary folder, listens on a free loopback port and asks for no
//! password. What it stores is lost with it.

use anyhow::{Context, Result};

use crate::daemon::{Daemon, Home};
use crate::setup;

const USER: &str = "gotap";

/// A running server; dropping it ends all its processes and removes its files.
#[derive(Debug)]
pub struct Postgres {
    daemon: Daemon,
}

impl Postgres {
    /// Starts a server and waits until it accepts connections, which takes some seconds.
    pub fn start() -> Result<Self> {
        let programs = setup(&["postgres"])?;
        let home = Home::create("gotap-postgres-")?;
        let mut initdb = home.command(&programs.join("initdb"));
        initdb.args(["--pgdata=data", "--auth=trust", "--locale=C", "--encoding=UTF8"]);
        initdb.arg("--no-sync").arg(format!("--username={USER}"));
        home.run(&mut initdb).context("create a PostgreSQL database")?;

        let ready = "ready to accept connections";
        // At SIGQUIT the server ends its processes and does not tidy up what is on the disk.
        let daemon = Daemon::start(home, ready, libc::SIGQUIT, |home, port| {
            let mut server = home.command(&programs.join("postgres"));
            server.args(["-D", "data", "-p", &port.to_string(), "-k"]).arg(home.path());
            for setting in [
                "listen_addresses=127.0.0.1",
                "fsync=off",
                "autovacuum=off",
                "authentication_timeout=10s", // its end waits for clients that say nothing
                "shared_buffers=16MB",
                "dynamic_shared_memory_type=mmap", // in the folder and not in /dev/shm
            ] {
                server.args(["-c", setting]);
            }
            server
        });
        Ok(Self { daemon: daemon.context("start PostgreSQL")? })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.daemon.port()
    }

    /// What a client needs to know, as libpq, lib/pq and pgx read it.
    pub fn dsn(&self) -> String {
        let port = self.port();
        format!("host=127.0.0.1 port={port} user={USER} dbname=postgres sslmode=disable")
    }
}
