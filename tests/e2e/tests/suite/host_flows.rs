//! `gotap flows`: what goes through interfaces of network namespaces that the tests make, against what
//! the ends and the kernel count.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use gotap_e2e::live::nothing_lost;
use gotap_e2e::{Gotap, Live, SOON, binary, can_trace, eventually};
use gotap_testkit::process::Running;
use serde_json::Value;

/// Two network namespaces with a cable between them, without IPv6, so that nothing goes by itself but
/// ARP. They are removed again.
struct Cable(String);

impl Cable {
    fn create(tag: &str) -> Result<Self> {
        let own = Self(format!("gotap{tag}{}", std::process::id()));
        let name = &own.0;
        for command in [
            format!("netns add {name}a"),
            format!("netns add {name}b"),
            format!("link add v0 netns {name}a type veth peer name v0 netns {name}b"),
            format!("netns exec {name}a sysctl -qw net.ipv6.conf.all.disable_ipv6=1"),
            format!("netns exec {name}b sysctl -qw net.ipv6.conf.all.disable_ipv6=1"),
            format!("-n {name}a address add 10.98.0.1/24 dev v0"),
            format!("-n {name}b address add 10.98.0.2/24 dev v0"),
            format!("-n {name}a link set v0 up"),
            format!("-n {name}b link set v0 up"),
        ] {
            let output = ip(&command)?;
            ensure!(output.status.success(), "ip {command}: {output:?}");
        }
        Ok(own)
    }

    /// Runs gotap at the end a; is back when it counts.
    fn flows(&self, more: &[&str]) -> Result<Running> {
        let (netns, gotap) = (format!("{}a", self.0), binary().to_string_lossy());
        let arguments = ["netns", "exec", &netns, &gotap, "flows", "--format", "json"];
        let gotap = Running::start(Path::new("/sbin/ip"), &[&arguments, more].concat(), &[])?;
        gotap.wait_for_error("gotap: ready", SOON)?;
        Ok(gotap)
    }

    /// Runs a script of perl at the end b, to its end.
    fn perl(&self, script: &str) -> Result<()> {
        let netns = format!("{}b", self.0);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &netns, "perl", "-MSocket", "-e", script]);
        let output = command.output()?;
        ensure!(output.status.success(), "{script}: {output:?}");
        Ok(())
    }
}

fn ip(arguments: &str) -> Result<Output> {
    Command::new("ip").args(arguments.split(' ')).output().context("run ip")
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in ["a", "b"] {
            let _ = ip(&format!("netns delete {}{end}", self.0));
        }
    }
}

/// Ends gotap; gives its flows, what XDP counted, and the summary.
fn ended(mut gotap: Running) -> Result<(Vec<Value>, Vec<Value>, Value)> {
    gotap.signal(libc::SIGINT)?;
    ensure!(gotap.wait(SOON)?.success(), "{:?}", gotap.stderr());
    let mut lines = Vec::new();
    for line in gotap.stdout() {
        lines.push(serde_json::from_str::<Value>(&line)?);
    }
    let summary = lines.pop().context("a summary")?["summary"].clone();
    let (xdp, flows) = lines.into_iter().partition(|line| line["xdp"].is_object());
    Ok((flows, xdp, summary))
}

/// Sends 50 datagrams of 100 bytes from b to a.
const DATAGRAMS: &str = "socket(S, AF_INET, SOCK_DGRAM, 0); bind(S, pack_sockaddr_in(4001, inet_aton('10.98.0.2'))); \
    for (1..50) { send(S, 'x' x 100, 0, pack_sockaddr_in(4000, inet_aton('10.98.0.1'))); select(undef, undef, undef, $_ < 3 ? 0.2 : 0.002); }";

const BYTES: usize = 3_000_000;

/// A stream of [`BYTES`] from b to a, slow enough that it is seen who has the sockets; gives the process
/// that got it.
fn stream(cable: &Cable) -> Result<u32> {
    let server = format!(
        "socket(L, AF_INET, SOCK_STREAM, 0); bind(L, pack_sockaddr_in(80, INADDR_ANY)); listen(L, 4);
         $| = 1; print \"up\\n\"; accept(C, L); my $n = 0;
         while (my $g = sysread(C, my $p, 65536)) {{ $n += $g }} exit($n == {BYTES} ? 0 : 1);"
    );
    let netns = format!("{}a", cable.0);
    let server = ["netns", "exec", &netns, "perl", "-MSocket", "-e", &server];
    let mut server = Running::start(Path::new("/sbin/ip"), &server, &[])?;
    server.wait_for("up", SOON)?;
    cable.perl(&format!(
        "socket(S, AF_INET, SOCK_STREAM, 0); connect(S, pack_sockaddr_in(80, inet_aton('10.98.0.1'))) or die;
         my $all = 'y' x {BYTES}; my $n = 0; while ($n < {BYTES}) {{ $n += syswrite(S, $all, {BYTES}, $n) }} sleep(3);"
    ))?;
    ensure!(server.wait(SOON)?.success(), "it did not get all");
    Ok(server.pid())
}

/// Every byte of known traffic, by tcx and by a socket's filter.
#[test]
fn flows_between_namespaces_are_exact() -> Result<()> {
    if !can_trace("flows_between_namespaces_are_exact") {
        return Ok(());
    }
    for more in [&[][..], &["--no-tcx"]] {
        let cable = Cable::create("f")?;
        let gotap = cable.flows(&[&["-i", "v0"], more].concat())?;
        cable.perl(DATAGRAMS)?;
        let server = stream(&cable)?;
        let (flows, _, summary) = ended(gotap)?;
        nothing_lost(&summary)?;
        let of = |direction: &str, protocol: &str| {
            let is_it = |f: &&Value| f["direction"] == direction && f["protocol"] == protocol;
            let all: Vec<_> = flows.iter().filter(is_it).collect();
            ensure!(all.len() == 1, "{} {direction} {protocol}: {flows:#?}", all.len());
            Ok(all[0])
        };
        let datagrams = of("ingress", "udp")?;
        // 20 bytes of IP and 8 of UDP each.
        ensure!(datagrams["packets"] == 50 && datagrams["bytes"] == 50 * 128, "{datagrams}");
        ensure!(datagrams["payloadBytes"] == 5000 && datagrams["interface"] == "v0", "{datagrams}");
        let (from, to) = (&datagrams["source"], &datagrams["destination"]);
        ensure!(from["address"] == "10.98.0.2" && from["port"] == 4001, "{datagrams}");
        ensure!(to["address"] == "10.98.0.1" && to["port"] == 4000, "{datagrams}");
        let stream = of("ingress", "tcp")?;
        // What a busy machine makes TCP send again goes over the wire, too, in segments of 1,448 bytes at most.
        let payload = stream["payloadBytes"].as_u64().context("bytes")?;
        ensure!(payload >= BYTES as u64 && payload < 2 * BYTES as u64, "{stream}");
        let packets = stream["packets"].as_u64().context("packets")?;
        // Of TCP's options SYN has 20 bytes, all others have 12.
        let headers = stream["bytes"].as_u64().context("bytes")? - payload;
        ensure!(headers == 52 * packets + 8, "{headers} of {packets}: {stream}");
        let (from, to) = (&stream["source"], &stream["destination"]);
        ensure!(to["pid"] == server && to["service"] == "perl", "{stream}");
        // The sender is in another namespace of the same host.
        ensure!(from["service"] == "perl" && from["pid"].is_u64(), "{stream}");
        let answers = of("egress", "tcp")?;
        ensure!(answers["payloadBytes"] == 0 && answers["source"] == *to, "{answers}");
        // All is in the sums: flows, and ARP.
        let sum: u64 = flows.iter().filter_map(|f| f["bytes"].as_u64()).sum();
        let v0 = &summary["interfaces"][0];
        let said = v0["ingress"]["bytes"].as_u64().zip(v0["egress"]["bytes"].as_u64());
        ensure!(said.map(|(a, b)| a + b) == Some(sum), "{sum}: {summary}");
    }
    Ok(())
}

/// How many programs are at the interface at the end a: of XDP, and at tcx for both directions.
fn programs(cable: &Cable) -> Result<[u32; 3]> {
    let link = ip(&format!("-n {}a -d link show v0", cable.0))?;
    let link = String::from_utf8(link.stdout)?;
    let xdp = u32::from(link.contains("prog/xdp"));
    let netns = File::open(format!("/var/run/netns/{}a", cable.0))?;
    // A thread changes its own namespace and no other's.
    let asking = std::thread::spawn(move || -> Result<[u32; 2]> {
        // SAFETY: the descriptor is open.
        ensure!(unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) } == 0);
        Ok([at_tcx(46)?, at_tcx(47)?])
    });
    let [ingress, egress] = asking.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
    Ok([xdp, ingress, egress])
}

/// How many programs of this attach type v0 has: `BPF_PROG_QUERY` of bpf(2).
fn at_tcx(kind: u32) -> Result<u32> {
    // SAFETY: the name ends in NUL.
    let index = unsafe { libc::if_nametoindex(c"v0".as_ptr()) };
    ensure!(index != 0, "there is no v0");
    // Interface, type, flags, flags, identifiers, their number, and what newer kernels tell.
    let mut asked = [0u32; 16];
    (asked[0], asked[1]) = (index, kind);
    // SAFETY: the kernel reads and writes at most so many bytes of what is asked, which is numbers.
    let failed = unsafe { libc::syscall(libc::SYS_bpf, 16, asked.as_mut_ptr(), 64) };
    ensure!(failed == 0, "bpf(2): {}", std::io::Error::last_os_error());
    Ok(asked[6])
}

/// However gotap ends, its links go with it.
#[test]
fn nothing_stays_at_the_interface() -> Result<()> {
    if !can_trace("nothing_stays_at_the_interface") {
        return Ok(());
    }
    let cable = Cable::create("s")?;
    ensure!(programs(&cable)? == [0; 3], "{:?}", programs(&cable)?);
    for signal in [libc::SIGINT, libc::SIGKILL] {
        let mut gotap = cable.flows(&["-i", "v0", "--xdp", "generic"])?;
        ensure!(programs(&cable)? == [1; 3], "{:?}", programs(&cable)?);
        // Another one's program is never replaced.
        let netns = format!("{}a", cable.0);
        let mut second = Command::new("ip");
        second.args(["netns", "exec", &netns]).arg(binary());
        let second = second.args(["flows", "-i", "v0", "--xdp", "generic"]).output()?;
        let said = String::from_utf8_lossy(&second.stderr);
        ensure!(second.status.code() == Some(1) && said.contains("v0"), "{second:?}");
        gotap.signal(signal)?;
        let _ = gotap.wait(SOON);
        let gone = || programs(&cable).is_ok_and(|programs| programs == [0; 3]);
        ensure!(eventually(SOON, gone), "{:?}", programs(&cable)?);
    }
    Ok(())
}

/// Frames by protocol and size.
#[test]
fn xdp_counts_what_comes_in() -> Result<()> {
    if !can_trace("xdp_counts_what_comes_in") {
        return Ok(());
    }
    for mode in ["native", "generic"] {
        let cable = Cable::create("x")?;
        let gotap = cable.flows(&["-i", "v0", "--xdp", mode])?;
        cable.perl(DATAGRAMS)?;
        let (flows, xdp, summary) = ended(gotap)?;
        nothing_lost(&summary)?;
        ensure!(summary["interfaces"][0]["xdp"] == mode, "{summary}");
        let udp: Vec<_> = xdp.iter().filter(|line| line["xdp"]["protocol"] == 17).collect();
        let [udp] = udp.as_slice() else { anyhow::bail!("{xdp:#?}") };
        let udp = &udp["xdp"];
        // With the link's header of 14 bytes.
        ensure!(udp["packets"] == 50 && udp["bytes"] == 50 * 142, "{udp}");
        ensure!(udp["size"] == "128-255" && udp["etherType"] == 0x0800, "{udp}");
        // They were let through.
        let passed = flows.iter().find(|flow| flow["protocol"] == "udp");
        ensure!(passed.is_some_and(|flow| flow["packets"] == 50), "{flows:#?}");
    }
    Ok(())
}

/// More flows than there is room for: what had to go is known as a sum.
#[test]
fn flows_that_do_not_fit_are_counted() -> Result<()> {
    if !can_trace("flows_that_do_not_fit_are_counted") {
        return Ok(());
    }
    let cable = Cable::create("e")?;
    let gotap = cable.flows(&["-i", "v0", "--flows", "256"])?;
    cable.perl(
        "for my $p (1..3000) { socket(S, AF_INET, SOCK_DGRAM, 0); \
         send(S, 'x' x 10, 0, pack_sockaddr_in(5000 + $p, inet_aton('10.98.0.1'))); \
         select(undef, undef, undef, 0.2) if $p == 1; }",
    )?;
    let (flows, _, summary) = ended(gotap)?;
    let kept: u64 = flows.iter().filter_map(|flow| flow["packets"].as_u64()).sum();
    let lost = summary["lost"]["evictedPackets"].as_u64().context("what had to go")?;
    let v0 = &summary["interfaces"][0];
    let all = v0["ingress"]["packets"].as_u64().zip(v0["egress"]["packets"].as_u64());
    let all = all.map(|(a, b)| a + b).context("sums")?;
    ensure!(all >= 3000 && kept + lost == all && lost > 2000, "{kept} + {lost}: {summary}");
    Ok(())
}

/// The host's own loopback interface, where both ends are seen, and what can't be done.
#[test]
fn interfaces_are_named_or_refused() -> Result<()> {
    if !can_trace("interfaces_are_named_or_refused") {
        return Ok(());
    }
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let live = Live::start(&["flows", "-i", "lo"])?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.send_to(&[7; 33], receiver.local_addr()?)?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.write_all(b"seven b")?;
    let (mut accepted, _) = listener.accept()?;
    accepted.read_exact(&mut [0; 7])?;
    let (flows, _) = live.finish()?;
    for direction in ["ingress", "egress"] {
        for (from, to, payload) in [
            (sender.local_addr()?, receiver.local_addr()?, 33),
            (client.local_addr()?, listener.local_addr()?, 7),
        ] {
            let is_it = |flow: &&Value| {
                flow["direction"] == direction
                    && flow["source"]["port"] == from.port()
                    && flow["destination"]["port"] == to.port()
            };
            let flow = flows.iter().find(is_it).context("the flow")?;
            ensure!(flow["payloadBytes"] == payload, "{flow}");
            ensure!(flow["destination"]["pid"] == std::process::id(), "{flow}");
        }
    }
    for (arguments, code, said) in
        [(&["-i", "nope0"][..], 2, "there is no interface"), (&["--xdp"], 2, "--interface")]
    {
        let mut gotap = Gotap::start(&[&["flows"], arguments].concat(), &[])?;
        let status = gotap.process.wait(SOON)?;
        let stderr = gotap.process.stderr().join("\n");
        ensure!(status.code() == Some(code) && stderr.contains(said), "{status}: {stderr}");
    }
    Ok(())
}
