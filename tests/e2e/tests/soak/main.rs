//! For minutes or hours: programs come and go, the collector goes away and comes back as another one, a disk is full.
//! gotap's memory and files stay as many, everything is counted, and nothing is left in the kernel. `make soak` runs
//! this; `SOAK_SECONDS` says for how long, `SOAK_TARGETS` how many programs are asked all the time.
//!
//! What is compared is gotap's own memory (`RssAnon`), which leaks would add to. Resident pages of its binary are not.
//!
//! Not here: steps of the clock. Nothing can step it for gotap alone, as a time namespace has no wall clock of its own,
//! and the machine's belongs to others. tests/kernels sets that of a guest.

mod charged;
mod kernel;
mod load;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{App, Gotap, Proxy, SOON, binary, can_trace, eventually, memory, sites_in, usage};
use gotap_testkit::collector::Collector;
use gotap_testkit::http;
use tempfile::TempDir;

use charged::Charged;
use kernel::Objects;
use load::Steady;

/// How long a collector runs, and how long there is none.
const UP: Duration = Duration::from_secs(7);
const DOWN: Duration = Duration::from_secs(5);
/// For each program so little that an outage fills it.
const QUEUE: u64 = 131_072;
/// How long memory may grow at the start, or a third of the whole time if that is less: series of programs that have
/// ended are kept for a minute.
const WARM_UP: Duration = Duration::from_secs(120);
/// Memory may grow by so much afterwards, in kB: the allocator gives back what is free only where nothing above it is in
/// use.
const GROWTH: u64 = 2 << 10;

/// A program at a path of its own, so that those of others are not observed.
fn own_program() -> Result<(TempDir, PathBuf)> {
    let original = App::newest()?;
    let beside = original.parent().context("a folder of programs")?;
    let folder = TempDir::with_prefix_in("gotap-soak-", beside).context("create a folder")?;
    let program = folder.path().join("httpapp");
    fs::hard_link(&original, &program).context("link httpapp")?;
    Ok((folder, program))
}

/// A collector that comes and goes, and the ids of all spans that its incarnations got.
struct Outages {
    proxy: Proxy,
    collector: Option<Collector>,
    changes: Instant,
    received: BTreeSet<String>,
    outages: usize,
}

impl Outages {
    fn start() -> Result<Self> {
        let (proxy, received) = (Proxy::new()?, BTreeSet::new());
        let mut own =
            Self { proxy, collector: None, changes: Instant::now(), received, outages: 0 };
        own.up()?;
        Ok(own)
    }

    fn up(&mut self) -> Result<()> {
        let collector = Collector::start()?;
        self.proxy.up(&collector.grpc_endpoint())?;
        (self.collector, self.changes) = (Some(collector), Instant::now() + UP);
        Ok(())
    }

    /// Ends the collector, which writes first what it took.
    fn down(&mut self) -> Result<()> {
        self.proxy.down()?;
        if let Some(mut collector) = self.collector.take() {
            collector.process().stop()?;
            self.received.extend(collector.spans()?.into_iter().map(|span| span.span_id));
        }
        (self.outages, self.changes) = (self.outages + 1, Instant::now() + DOWN);
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        match &self.collector {
            _ if Instant::now() < self.changes => Ok(()),
            Some(_) => self.down(),
            None => self.up(),
        }
    }
}

/// A small disk.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Result<Self> {
        let folder = TempDir::new().context("create a folder")?;
        let arguments = ["-t", "tmpfs", "-o", "size=512k", "tmpfs"];
        let mounted = Command::new("mount").args(arguments).arg(folder.path()).status();
        ensure!(mounted.context("run mount")?.success(), "mount a tmpfs");
        Ok(Self(folder))
    }

    /// Starts a gotap that writes to it.
    fn fill(&self, pid: u32) -> Result<Child> {
        let file = File::create(self.0.path().join("spans.json")).context("create a file")?;
        let arguments = ["trace", "http", "--format", "json", "--pid", &pid.to_string()];
        let mut gotap = Command::new(binary());
        gotap.args(arguments).stdin(Stdio::null()).stdout(file).stderr(Stdio::piped());
        gotap.spawn().context("start gotap")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// One sentence says that the disk is full, and the exit code is 1.
fn disk_is_full(gotap: Child) -> Result<()> {
    let output = gotap.wait_with_output().context("wait for gotap")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("No space left on device"), "{said}");
    Ok(())
}

/// A program that runs for a moment; how many requests it answered.
fn visitor(program: &Path) -> Result<u64> {
    let app = App::start(program)?;
    for _ in 0..5 {
        app.get("/hello", &[])?;
        std::thread::sleep(Duration::from_millis(60));
    }
    Ok(5)
}

/// A number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).unwrap_or_default().parse().unwrap_or(otherwise)
}

/// What gotap used at a time.
#[derive(Debug)]
struct Used {
    after: Duration,
    /// In kB.
    memory: u64,
    files: usize,
}

/// Prometheus's part: without it gotap keeps what programs that have ended did for a quarter of an hour.
fn scrape(gotap: &Gotap) -> Result<()> {
    let said = gotap.process.wait_for_error("gotap: metrics at ", SOON)?;
    let (_, address) = said.split_once("http://").context("where metrics are")?;
    let address = address.strip_suffix("/metrics").context("the path of metrics")?;
    let answer = http::get(address, "/metrics", &[])?;
    ensure!(answer.status == 200, "/metrics: {}", answer.status);
    Ok(())
}

#[test]
fn memory_stays_flat_and_everything_is_counted() -> Result<()> {
    if !can_trace("memory_stays_flat_and_everything_is_counted") {
        return Ok(());
    }
    let (seconds, targets) = (setting("SOAK_SECONDS", 600), setting("SOAK_TARGETS", 1).max(1));
    eprintln!("soak: {seconds} s, {targets} programs; steps of the clock are not part of it");
    let (_folder, program) = own_program()?;
    let apps = (0..targets).map(|_| App::start(&program)).collect::<Result<Vec<_>>>()?;
    let app = &apps[0];
    let mut outages = Outages::start()?;
    let endpoint = outages.proxy.endpoint();
    let executable = program.to_str().context("a path in UTF-8")?;
    let arguments = ["run", "--executable", executable, "--otlp-endpoint", &endpoint];
    let more = ["--prometheus-listen", "127.0.0.1:0", "--metrics-interval", "1s"];
    let queue = (targets * QUEUE).to_string();
    let settings = [("GOTAP_OTLP_QUEUE_BYTES", queue.as_str())];
    let (arguments, charged) = ([&arguments[..], &more].concat(), Charged::new());
    let gotap = match &charged {
        Some(charged) => charged.start(&arguments, &settings)?,
        None => Gotap::start(&arguments, &settings)?,
    };
    gotap.wait_ready()?;
    let pid = gotap.process.pid();
    let disk = Disk::mount()?;
    let full = disk.fill(app.pid())?;
    let steady = apps.iter().map(|app| Steady::start(&app.address)).collect::<Result<Vec<_>>>()?;
    let (mut used, mut objects, mut visits) = (Vec::new(), Objects::default(), 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        outages.turn()?;
        visits += visitor(&program)?;
        scrape(&gotap)?;
        let files = usage(pid)?.1;
        used.push(Used { after: start.elapsed(), memory: memory(pid, "RssAnon")?, files });
        objects.add(pid)?;
        std::thread::sleep(Duration::from_millis(200));
    }
    if outages.collector.is_none() {
        outages.up()?;
    }
    let answered = steady.into_iter().map(Steady::stop).sum::<Result<u64>>()?;
    disk_is_full(full)?;
    let gone = || usage(pid).is_ok_and(|(_, files)| files <= used[used.len() / 4].files + 2);
    ensure!(eventually(SOON, gone), "gotap's files: {used:?}, and at last {:?}", usage(pid)?);
    say_memory(memory(pid, "VmHWM")? >> 10, charged.as_ref(), answered / seconds)?;
    let summary = gotap.stop()?.summary;
    outages.down()?;
    eprintln!("soak: {answered} and {visits} requests, {} outages, {summary:?}", outages.outages);
    check_memory(&used)?;
    let (dropped, lost) = (summary.dropped.values().sum::<u64>(), summary.lost_spans());
    let seen = summary.spans + dropped;
    ensure!(answered <= seen && seen <= answered + visits, "{seen} of {answered} and {visits}");
    let delivered = summary.delivered.context("what was delivered")?;
    ensure!(summary.spans == delivered + lost, "{summary:?}");
    ensure!(summary.lost.get("export_queue_full").is_some_and(|n| *n > 0), "{summary:?}");
    let received = outages.received.len() as u64;
    // What a collector took when it was cut off is counted as lost, or was sent again.
    ensure!(delivered <= received && received <= summary.spans, "{received}: {summary:?}");
    ensure!(eventually(SOON, || sites_in(app.pid()).ok() == Some(0)), "probes are left");
    ensure!(
        eventually(SOON, || objects.left().is_ok_and(|left| left.is_empty())),
        "left: {:?}",
        objects.left()?
    );
    Ok(())
}

/// As rows of the table in docs/kubernetes.md.
fn say_memory(peak: u64, charged: Option<&Charged>, rate: u64) -> Result<()> {
    let release =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's release")?;
    let version: Vec<_> = release.split('.').take(2).collect();
    eprintln!("| on Linux {}, some {rate} requests a second | |", version.join("."));
    eprintln!("| gotap's own memory (`VmHWM`), at most | {peak} MiB |");
    match charged.map(Charged::mebibytes).transpose()? {
        Some([most, now]) => {
            eprintln!("| charged to its cgroup, at most | {most} MiB |");
            eprintln!("| the same at the end | {now} MiB |");
        }
        None => eprintln!("soak: this machine does not count what the kernel keeps for gotap"),
    }
    Ok(())
}

/// The lower quartile: what is there for a moment, while an outage lasts, does not count.
fn lower_quartile(used: &[Used]) -> Result<u64> {
    let mut memory: Vec<_> = used.iter().map(|used| used.memory).collect();
    memory.sort_unstable();
    memory.get(memory.len() / 4).copied().context("too short")
}

/// Of what is left after the start, the second half uses no more than the first.
fn check_memory(used: &[Used]) -> Result<()> {
    let whole = used.last().context("too short")?.after;
    let warm = used.partition_point(|used| used.after < WARM_UP.min(whole / 3));
    let (first, second) = used[warm..].split_at((used.len() - warm) / 2);
    let (first, second) = (lower_quartile(first)?, lower_quartile(second)?);
    let all: Vec<_> = used.iter().map(|used| used.memory).collect();
    eprintln!("soak: after {warm} of {} rounds {first} kB of memory, then {second} kB", used.len());
    ensure!(second <= first + GROWTH, "{first} kB became {second} kB: {all:?}");
    Ok(())
}
