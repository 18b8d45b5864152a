//! `gotap trace tcp`: connections of programs of any language, against what their ends count themselves.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_e2e::live::nothing_lost;
use gotap_e2e::{App, Gotap, Live, SOON, can_trace, eventually};
use gotap_testkit::http;
use gotap_testkit::process::Running;
use serde_json::{Value, json};

/// A server that listens in one process and accepts in another one, as many servers do. It reads to the
/// end, answers with 777 bytes, and says how many it got.
const SERVER: &str = r#"
use Socket; $| = 1;
my ($family, $address) = @ARGV; my $six = $family eq "6";
socket(L, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or die;
my $to = $six ? pack_sockaddr_in6(0, Socket::inet_pton(AF_INET6, $address)) : pack_sockaddr_in(0, inet_aton($address));
bind(L, $to) or die "bind: $!"; listen(L, 64) or die;
my ($port) = $six ? unpack_sockaddr_in6(getsockname(L)) : unpack_sockaddr_in(getsockname(L));
my $child = fork();
if (!$child) {
  while (accept(C, L)) {
    my $n = 0; while (my $got = sysread(C, my $part, 65536)) { $n += $got; }
    syswrite(C, "y" x 777); close(C); print "read $n\n";
  }
  exit 0;
}
print "listening $port $child\n"; waitpid($child, 0);
"#;

/// The server, and the process that accepts.
struct Server {
    _process: Running,
    port: u16,
    accepts: u32,
}

impl Server {
    fn start(prefix: &[&str], address: &str) -> Result<Self> {
        let family = if address.contains(':') { "6" } else { "4" };
        let all = [prefix, &["/usr/bin/perl", "-e", SERVER, family, address]].concat();
        let process = Running::start(Path::new(all[0]), &all[1..], &[])?;
        let said = process.wait_for("listening ", SOON)?;
        let (port, accepts) = said.split_once(' ').context("port and process")?;
        Ok(Self { port: port.parse()?, accepts: accepts.parse()?, _process: process })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process that listens is killed by itself.
        let _ = Command::new("kill").args(["-9", &self.accepts.to_string()]).status();
    }
}

fn traced(port: u16, more: &[&str]) -> Result<Live> {
    Live::start(&[&["trace", "tcp", "--port", &port.to_string()], more].concat())
}

fn one<'v>(events: &'v [Value], kind: &str, role: &str) -> Result<&'v Value> {
    let found: Vec<_> = events.iter().filter(|e| e["event"] == kind && e["role"] == role).collect();
    ensure!(found.len() == 1, "{} {kind} of a {role}: {events:#?}", found.len());
    Ok(found[0])
}

/// Sends so many bytes and reads the answer to its end; gives the client's address.
fn ask(to: SocketAddr, bytes: usize) -> Result<SocketAddr> {
    let mut client = TcpStream::connect(to)?;
    client.write_all(&vec![b'x'; bytes])?;
    client.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    ensure!(answer.len() == 777, "{} bytes", answer.len());
    Ok(client.local_addr()?)
}

#[test]
fn both_ends_of_a_connection_are_told_exactly() -> Result<()> {
    const BYTES: usize = 1_234_567;
    if !can_trace("both_ends_of_a_connection_are_told_exactly") {
        return Ok(());
    }
    let addresses = ["127.0.0.1", "::1"].map(|a| a.parse::<std::net::IpAddr>());
    for address in addresses {
        let address = address?;
        let server = Server::start(&[], &address.to_string())?;
        for syscalls in [true, false] {
            let more: &[&str] = if syscalls { &[] } else { &["--no-syscalls"] };
            let live = traced(server.port, more)?;
            let to = SocketAddr::new(address, server.port);
            let from = ask(to, BYTES)?;
            live.wait_for(2, |e| e["event"] == "close")?;
            let (events, summary) = live.finish()?;
            nothing_lost(&summary)?;
            ensure!(events.len() == 4, "{events:#?}");
            for event in &events {
                let end = |a: SocketAddr| json!({"address": a.ip().to_string(), "port": a.port()});
                ensure!(event["source"] == end(from) && event["destination"] == end(to), "{event}");
                let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
                ensure!(event["family"] == family && event["error"].is_null(), "{event}");
                ensure!(event["durationNanos"].as_u64() > Some(0) || !syscalls, "{event}");
            }
            let accept = one(&events, "accept", "server")?;
            // Not the one that listens; and nobody, rather than that one.
            let known = if syscalls { json!(server.accepts) } else { Value::Null };
            ensure!(accept["pid"] == known, "{} {accept}", server.accepts);
            let (mine, its) = (one(&events, "close", "client")?, one(&events, "close", "server")?);
            ensure!(mine["pid"] == std::process::id(), "{mine}");
            ensure!(its["pid"] == server.accepts && its["service"] == "perl", "{its}");
            ensure!(one(&events, "connect", "client")?["pid"] == mine["pid"], "{events:#?}");
            for (close, sent, received) in [(mine, BYTES, 777), (its, 777, BYTES)] {
                ensure!(
                    close["bytesSent"] == sent && close["bytesReceived"] == received,
                    "{close}"
                );
                ensure!(
                    close["rttMicros"].as_u64() > Some(0) && close["reset"].is_null(),
                    "{close}"
                );
            }
        }
    }
    Ok(())
}

/// Two network namespaces with a cable between them, which are removed again.
struct Cable(String);

impl Cable {
    fn create() -> Result<Self> {
        let own = Self(format!("gotap{}", std::process::id()));
        let name = &own.0;
        for command in [
            format!("netns add {name}a"),
            format!("netns add {name}b"),
            format!("link add v0 netns {name}a type veth peer name v0 netns {name}b"),
            format!("-n {name}a address add 10.99.0.1/24 dev v0"),
            format!("-n {name}b address add 10.99.0.2/24 dev v0"),
            format!("-n {name}a link set v0 up"),
            format!("-n {name}b link set v0 up"),
        ] {
            own.ip(&command)?;
        }
        Ok(own)
    }

    fn ip(&self, arguments: &str) -> Result<()> {
        let status = Command::new("ip").args(arguments.split(' ')).status().context("run ip")?;
        ensure!(status.success(), "ip {arguments}: {status}");
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in ["a", "b"] {
            let _ = self.ip(&format!("netns delete {}{end}", self.0));
        }
    }
}

/// Connects, and sends when a line comes, closes with the next one.
const CLIENT: &str = r#"
use Socket; $| = 1;
socket(S, AF_INET, SOCK_STREAM, 0) or die;
connect(S, pack_sockaddr_in($ARGV[1], inet_aton($ARGV[0]))) or die "connect: $!";
my $go = 0; $SIG{USR1} = sub { $go++ }; print "connected\n";
select(undef, undef, undef, 0.05) while $go < 1; syswrite(S, "z" x 5000); print "sent\n";
select(undef, undef, undef, 0.05) while $go < 2; close(S); print "closed\n";
"#;

/// What `ss -tin` says of a connection behind a word, such as `bytes_sent:`.
fn said_by_ss(text: &str, word: &str) -> Option<u64> {
    let rest = text.split_ascii_whitespace().find_map(|part| part.strip_prefix(word))?;
    rest.rsplit('/').next()?.parse().ok()
}

/// What is sent while no answer comes back is sent again, as often as the kernel says itself.
#[test]
fn retransmissions_are_those_that_the_kernel_counts() -> Result<()> {
    if !can_trace("retransmissions_are_those_that_the_kernel_counts") {
        return Ok(());
    }
    let cable = Cable::create()?;
    let (a, b) = (format!("{}a", cable.0), format!("{}b", cable.0));
    let server = Server::start(&["/sbin/ip", "netns", "exec", &b], "10.99.0.2")?;
    let live = traced(server.port, &["--retransmits"])?;
    let port = server.port.to_string();
    let client = ["netns", "exec", &a, "/usr/bin/perl", "-e", CLIENT, "10.99.0.2", &port];
    let mut client = Running::start(Path::new("/sbin/ip"), &client, &[])?;
    client.wait_for("connected", SOON)?;
    cable.ip(&format!("-n {b} route add blackhole 10.99.0.1/32"))?;
    client.signal(libc::SIGUSR1)?;
    client.wait_for("sent", SOON)?;
    live.wait_for(1, |event| event["event"] == "retransmit")?;
    cable.ip(&format!("-n {b} route delete blackhole 10.99.0.1/32"))?;
    let ss = || -> Result<String> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &a, "ss", "-Htin", "dport", "=", &format!(":{port}")]);
        Ok(String::from_utf8(command.output()?.stdout)?)
    };
    let all_there = || ss().is_ok_and(|text| said_by_ss(&text, "bytes_acked:") == Some(5001));
    ensure!(eventually(SOON, all_there), "{}", ss()?);
    let truth = ss()?;
    client.signal(libc::SIGUSR1)?;
    live.wait_for(2, |event| event["event"] == "close")?;
    let (events, summary) = live.finish()?;
    nothing_lost(&summary)?;
    let close = one(&events, "close", "client")?;
    let retransmits = said_by_ss(&truth, "retrans:0/").with_context(|| truth.clone())?;
    ensure!(retransmits > 0 && close["retransmits"] == retransmits, "{close}\n{truth}");
    let told = events.iter().filter(|event| event["event"] == "retransmit").count() as u64;
    ensure!(told >= 1 && told <= retransmits, "{told} of {retransmits}: {events:#?}");
    let again = said_by_ss(&truth, "bytes_retrans:").context("bytes sent again")?;
    let sent = said_by_ss(&truth, "bytes_sent:").context("bytes sent")?;
    ensure!(close["bytesSent"] == sent - again && sent - again == 5000, "{close}\n{truth}");
    ensure!(one(&events, "close", "server")?["bytesReceived"] == 5000, "{events:#?}");
    ensure!(close["pid"] == client.pid() && close["service"] == "perl", "{close}");
    Ok(())
}

#[test]
fn failures_have_their_errors_and_resets_their_sides() -> Result<()> {
    if !can_trace("failures_have_their_errors_and_resets_their_sides") {
        return Ok(());
    }
    let me = std::process::id();
    // A listener whose queue is soon full, which nobody accepts from.
    let full = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // SAFETY: the descriptor is the listener's, which is open.
    ensure!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&full), 0) } == 0);
    let closed = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?.local_addr()?;
    let server = Server::start(&[], "127.0.0.1")?;
    let ports = [full.local_addr()?.port(), closed.port(), server.port, 9];
    let ports = ports.map(|port| port.to_string());
    let mut arguments = vec!["trace", "tcp"];
    ports.iter().for_each(|port| arguments.extend(["--port", port]));
    let live = Live::start(&arguments)?;
    ensure!(TcpStream::connect(closed).is_err());
    let patience = Duration::from_millis(300);
    let mut waiting = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&full.local_addr()?, patience) {
        ensure!(waiting.len() < 8, "its queue is never full");
        waiting.push(client);
    }
    // The answer is never read: the kernel tells the other side so.
    let mut rude = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
    rude.write_all(b"hello")?;
    rude.shutdown(Shutdown::Write)?;
    ensure!(eventually(SOON, || rude.peek(&mut [0; 777]).is_ok_and(|n| n == 777)));
    drop(rude);
    // Nothing leads there, so that nothing is sent.
    let script = "use Socket; socket(S, AF_INET, SOCK_STREAM, 0); \
                  print connect(S, pack_sockaddr_in(9, inet_aton('203.0.113.1'))) ? 'ok' : int($!)";
    let lonely = ["-n", "/usr/bin/perl", "-e", script];
    let lonely = Command::new("unshare").args(lonely).output()?;
    ensure!(lonely.stdout == b"101", "{lonely:?}");
    live.wait_for(3, |event| event["event"] == "failed")?;
    live.wait_for(1, |event| event["event"] == "close" && event["role"] == "client")?;
    let (events, summary) = live.finish()?;
    nothing_lost(&summary)?;
    let failure = |port: u16| -> Result<&Value> {
        let is_it = |e: &&Value| e["event"] == "failed" && e["destination"]["port"] == port;
        let found: Vec<_> = events.iter().filter(is_it).collect();
        ensure!(found.len() == 1, "{} at {port}: {events:#?}", found.len());
        Ok(found[0])
    };
    let refused = failure(closed.port())?;
    ensure!(refused["error"] == "ECONNREFUSED" && refused["errno"] == 111, "{refused}");
    ensure!(refused["family"] == "ipv6" && refused["pid"] == me, "{refused}");
    let gave_up = failure(full.local_addr()?.port())?;
    ensure!(gave_up["error"] == "closed" && gave_up["errno"].is_null(), "{gave_up}");
    ensure!(gave_up["durationNanos"].as_u64() > Some(250_000_000), "{gave_up}");
    let unreachable = failure(9)?;
    ensure!(
        unreachable["error"] == "ENETUNREACH" && unreachable["service"] == "perl",
        "{unreachable}"
    );
    ensure!(unreachable["destination"]["address"] == "203.0.113.1", "{unreachable}");
    ensure!(unreachable["source"]["address"].is_null(), "{unreachable}");
    let of_server = |e: &&Value| e["destination"]["port"] == server.port && e["event"] == "close";
    let ends: Vec<_> = events.iter().filter(of_server).cloned().collect();
    ensure!(one(&ends, "close", "client")?["bytesReceived"] == 777, "{ends:#?}");
    ensure!(one(&ends, "close", "server")?["bytesReceived"] == 5, "{ends:#?}");
    Ok(())
}

/// One end that goes with a reset, in the middle of a connection.
#[test]
fn a_reset_is_told_at_both_ends() -> Result<()> {
    if !can_trace("a_reset_is_told_at_both_ends") {
        return Ok(());
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let live = traced(listener.local_addr()?.port(), &[])?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (mut accepted, _) = listener.accept()?;
    accepted.write_all(b"never read")?;
    ensure!(eventually(SOON, || client.peek(&mut [0; 10]).is_ok_and(|n| n == 10)));
    drop(client);
    live.wait_for(2, |event| event["event"] == "close")?;
    let (events, _) = live.finish()?;
    let (client, server) = (one(&events, "close", "client")?, one(&events, "close", "server")?);
    ensure!(client["reset"] == "sent" && client["error"].is_null(), "{client}");
    ensure!(server["reset"] == "received" && server["error"] == "ECONNRESET", "{server}");
    ensure!(server["bytesSent"] == 10 && client["bytesReceived"] == 10, "{events:#?}");
    Ok(())
}

/// A connection that is older than gotap: its beginning is not known, all else is.
#[test]
fn connections_that_were_open_are_told_when_they_end() -> Result<()> {
    if !can_trace("connections_that_were_open_are_told_when_they_end") {
        return Ok(());
    }
    let app = App::start_with(&App::newest()?, &[], &[("OTEL_SERVICE_NAME", "tcp-shop")])?;
    let to: SocketAddr = app.address.parse()?;
    let mut client = TcpStream::connect(to)?;
    let request = b"GET /users/1 HTTP/1.1\r\nHost: x\r\n\r\n";
    client.write_all(request)?;
    let got = client.read(&mut [0; 4096])?;
    let live = traced(to.port(), &[])?;
    drop(client);
    live.wait_for(2, |event| event["event"] == "close")?;
    http::get(&app.address, "/users/2", &[])?;
    live.wait_for(1, |event| event["event"] == "accept")?;
    let (events, _) = live.finish()?;
    let old: Vec<_> = events.iter().take(2).cloned().collect();
    let (client, server) = (one(&old, "close", "client")?, one(&old, "close", "server")?);
    for end in [client, server] {
        ensure!(end["durationNanos"].is_null() && end["destination"]["port"] == to.port(), "{end}");
    }
    ensure!(client["pid"] == std::process::id() && server["pid"] == app.pid(), "{old:#?}");
    ensure!(client["bytesSent"] == request.len() && client["bytesReceived"] == got, "{client}");
    ensure!(server["service"] == "tcp-shop", "{server}");
    ensure!(one(&events, "accept", "server")?["service"] == "tcp-shop", "{events:#?}");
    Ok(())
}

/// More connections than there is room for: each end is told, and what is not known of it is counted.
#[test]
fn connections_that_do_not_fit_are_counted() -> Result<()> {
    const COUNT: usize = 60;
    if !can_trace("connections_that_do_not_fit_are_counted") {
        return Ok(());
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let live = traced(listener.local_addr()?.port(), &["--connections", "16"])?;
    let mut open = Vec::new();
    for _ in 0..COUNT {
        open.push(TcpStream::connect(listener.local_addr()?)?);
        open.push(listener.accept()?.0);
    }
    drop(open);
    live.wait_for(2 * COUNT, |event| event["event"] == "close")?;
    let (events, summary) = live.finish()?;
    let closes: Vec<_> = events.iter().filter(|event| event["event"] == "close").collect();
    ensure!(closes.len() == 2 * COUNT, "{} closes", closes.len());
    let whole = closes.iter().filter(|close| !close["durationNanos"].is_null()).count();
    let lost = summary["lost"]["notRemembered"].as_u64().context("what was not remembered")?;
    ensure!(whole <= 16 && whole as u64 + lost >= 2 * COUNT as u64, "{whole}: {summary}");
    ensure!(lost >= 2 * COUNT as u64 - 16 && summary["lost"]["ringFull"] == 0, "{summary}");
    let me = std::process::id();
    let right = |close: &&&Value| close["pid"].is_null() || close["pid"] == me;
    ensure!(closes.iter().all(|close| right(&close)), "{closes:#?}");
    Ok(())
}

#[test]
fn a_process_that_is_not_there_has_no_connections() -> Result<()> {
    if !can_trace("a_process_that_is_not_there_has_no_connections") {
        return Ok(());
    }
    let mut gotap = Gotap::start(&["trace", "tcp", "--pid", "4194303"], &[])?;
    let status = gotap.process.wait(SOON)?;
    let said = gotap.process.stderr();
    ensure!(status.code() == Some(1) && said.len() == 1, "{status}: {said:?}");
    ensure!(said[0].contains("there is no process 4194303"), "{said:?}");
    Ok(())
}
