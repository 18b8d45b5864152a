//! A MariaDB server, which speaks MySQL's protocol, that belongs to one test.
//!
//! It keeps its data in a temporary folder, listens on a free loopback port and asks for no
//! password. What it stores is lost with it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::daemon::{Daemon, Home};
use crate::setup;

const USER: &str = "gotap";
const DATABASE: &str = "shop";

/// A running server; dropping it ends it and removes its files.
#[derive(Debug)]
pub struct Mysql {
    daemon: Daemon,
}

impl Mysql {
    /// Starts a server and waits until it accepts connections, which takes some seconds.
    pub fn start() -> Result<Self> {
        let programs = setup(&["mariadb"])?;
        let home = Home::create("gotap-mysql-")?;
        let mut install = home.command(Path::new("/usr/bin/mariadb-install-db"));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        install.arg("--skip-test-db").args(files(&home));
        home.run(&mut install).context("create a MariaDB database")?;
        let first = home.path().join("first.sql");
        fs::write(&first, first_statements())
            .with_context(|| format!("write {}", first.display()))?;

        let ready = "ready for connections";
        let daemon = Daemon::start(home, ready, libc::SIGKILL, |home, port| {
            let mut server = home.command(&programs.join("mariadbd"));
            server.arg("--no-defaults").args(files(home)).args([
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=16M",
            ]);
            server.arg(format!("--port={port}")).arg(format!("--init-file={}", first.display()));
            server
        });
        Ok(Self { daemon: daemon.context("start MariaDB")? })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.daemon.port()
    }

    /// What a client needs to know, as go-sql-driver/mysql reads it.
    pub fn dsn(&self) -> String {
        format!("{USER}@tcp(127.0.0.1:{})/{DATABASE}", self.port())
    }
}

/// Where everything lies that the server writes.
fn files(home: &Home) -> [String; 4] {
    let folder = home.path().display();
    [
        format!("--datadir={folder}/data"),
        format!("--tmpdir={folder}"),
        format!("--socket={folder}/socket"),
        format!("--pid-file={folder}/pid"),
    ]
}

/// What the server executes before it is ready, one statement a line.
fn first_statements() -> String {
    format!(
        "CREATE DATABASE IF NOT EXISTS {DATABASE};\n\
         CREATE USER IF NOT EXISTS {USER}@'127.0.0.1';\n\
         GRANT ALL ON *.* TO {USER}@'127.0.0.1';\n"
    )
}
