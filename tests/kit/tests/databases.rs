//! The database servers: they answer, several at once, and nothing of them stays.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use gotap_testkit::mysql::Mysql;
use gotap_testkit::postgres::Postgres;
use gotap_testkit::redis::{Cluster, MASTER, Redis};
use gotap_testkit::setup;

/// What a client prints for a query.
fn answer(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the client starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// How many processes work below this folder, also when it was removed.
fn processes_in(folder: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc is there").flatten();
    let folders = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    folders.filter(|at| at.starts_with(folder)).count()
}

#[test]
fn postgres_answers_and_leaves_nothing() {
    let psql = setup(&["postgres"]).unwrap().join("psql");
    let server = Postgres::start().unwrap();
    let other = Postgres::start().unwrap();
    assert_ne!(server.port(), other.port());
    let query = "SELECT current_user, current_database()";
    assert_eq!(answer(&psql, &["-AtXc", query, &server.dsn()]), "gotap|postgres");

    let folder = "SELECT current_setting('unix_socket_directories')";
    let folder = answer(&psql, &["-AtXc", folder, &server.dsn()]);
    assert!(processes_in(&folder) > 1);
    let port = server.port();
    drop(server);
    assert!(!is_open(port));
    assert!(!Path::new(&folder).exists(), "{folder}");
    assert_eq!(processes_in(&folder), 0);
    assert!(is_open(other.port()));
}

#[test]
fn mysql_answers_and_leaves_nothing() {
    setup(&["mariadb"]).unwrap();
    let server = Mysql::start().unwrap();
    let port = server.port();
    assert_eq!(server.dsn(), format!("gotap@tcp(127.0.0.1:{port})/shop"));
    let query = |query: &str| {
        let port = format!("--port={port}");
        let client = Path::new("/usr/bin/mariadb");
        let place = ["--no-defaults", "--host=127.0.0.1", "--user=gotap", "--database=shop"];
        answer(client, &[&place[..], &[&port, "-Ne", query]].concat())
    };
    assert_eq!(query("SELECT CONCAT(CURRENT_USER(), ' ', DATABASE())"), "gotap@127.0.0.1 shop");

    let folder = query("SELECT @@tmpdir");
    assert_eq!(processes_in(&folder), 1);
    drop(server);
    assert!(!is_open(port));
    assert!(!Path::new(&folder).exists(), "{folder}");
    assert_eq!(processes_in(&folder), 0);
}

#[test]
fn redis_answers_and_leaves_nothing() {
    let server = Redis::start().unwrap();
    let other = Redis::start().unwrap();
    assert_eq!(server.ask("SET key value").unwrap(), "OK");
    assert_eq!(server.ask("GET key").unwrap(), "value");
    assert_eq!(other.ask("GET key").unwrap(), "");
    assert!(server.ask("AUTH gotap wrong").is_err());
    assert_eq!(server.ask("AUTH gotap secret-password").unwrap(), "OK");

    let status = server.ask("INFO server").unwrap();
    let id = status.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
    let folder = fs::read_link(format!("/proc/{id}/cwd")).unwrap();
    let folder = folder.to_str().unwrap();
    assert_eq!(processes_in(folder), 1);
    let port = server.port();
    drop(server);
    assert!(!is_open(port));
    assert!(!Path::new(folder).exists(), "{folder}");
    assert_eq!(processes_in(folder), 0);
    assert!(is_open(other.port()));
}

#[test]
fn redis_nodes_share_the_slots() {
    let cluster = Cluster::start().unwrap();
    let [low, high] = cluster.nodes();
    // The slot of "foo" is 12182.
    assert_eq!(high.ask("SET foo bar").unwrap(), "OK");
    let moved = format!("{:#}", low.ask("GET foo").unwrap_err());
    assert!(moved.contains(&format!("MOVED 12182 {}", high.address())), "{moved}");
}

#[test]
fn redis_sentinels_watch() {
    let server = Redis::start().unwrap();
    let sentinel = Redis::start_sentinel(&server).unwrap();
    let status = sentinel.ask("INFO sentinel").unwrap();
    let expected = format!("name={MASTER},status=ok,address={}", server.address());
    assert!(status.contains(&expected), "{status}");
}
