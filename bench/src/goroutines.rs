//! What reading goroutines from outside takes: CPU time of a snapshot and of the command for programs with many of
//! them, and what their throughput is meanwhile, side by side with one that nobody reads.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gobin::Binary;
use gomem::Remote;
use goproc::Process;
use goruntime::{Layout, Snapshot};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::json;

use crate::load::Outcome;
use crate::report::median;
use crate::{measure, scenario};

/// How many goroutines the programs have.
const SIZES: [usize; 3] = [100, 10_000, 100_000];
/// Commands whose CPU time is measured in each round.
const COMMANDS: usize = 5;
/// Snapshots whose CPU time is measured in each round.
const SNAPSHOTS: usize = 10;
/// How long the load stays with a server, and how often it goes to each.
const SLICE: Duration = Duration::from_millis(500);
const SLICES: usize = 6;
/// Until the next command while a server is loaded.
const PAUSE: Duration = Duration::from_millis(250);

/// One size.
#[derive(Debug, Clone, Serialize)]
struct Row {
    goroutines: usize,
    /// CPU time of a snapshot, as the agent takes them one after the other.
    snapshot_ms: f64,
    /// CPU time of one command, and how long it took.
    command_ms: f64,
    wall_ms: f64,
    /// Throughput and CPU time of a request, of the server that nobody reads and of the other one.
    rps: [f64; 2],
    target_us: [f64; 2],
}

/// Measures, prints the table, which it gives, and writes goroutines.json.
pub(crate) fn run(gotap: &Path, rounds: usize, out: &Path) -> Result<String> {
    let program = go::build("runtimeapp", Version::of(26), Mode::Stripped)?;
    let mut rows = Vec::new();
    for size in SIZES {
        rows.push(row(gotap, &program, size, rounds).with_context(|| format!("{size}"))?);
    }
    let table = table(&rows);
    println!("{table}");
    let path = out.join("goroutines.json");
    std::fs::write(&path, serde_json::to_string_pretty(&json!({ "rows": rows }))?)?;
    println!("written: {}", path.display());
    Ok(table)
}

struct Server {
    process: Running,
    address: String,
}

fn server(program: &Path, size: usize) -> Result<Server> {
    let size = size.to_string();
    let process = Running::start(program, &["-quiet", "-work", "-goroutines", &size], &[])?;
    process.wait_for("ready", scenario::READY)?;
    let address = process.wait_for("listening ", scenario::READY)?;
    Ok(Server { process, address })
}

fn command(gotap: &Path, pid: u32) -> Result<()> {
    let mut command = Command::new(gotap);
    command.args(["goroutines", &pid.to_string(), "--format", "json"]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "gotap goroutines: {status}");
    Ok(())
}

/// CPU milliseconds of a snapshot: the median of some. The first one warms up allocator and caches, and does not count.
fn snapshot_ms(pid: u32, count: usize) -> Result<f64> {
    let process = Process { pid };
    let data = std::fs::read(process.path("exe"))?;
    let binary = Binary::parse(&data)?;
    let layout = Layout::new(&binary, &binary.types())?;
    let memory = Remote::new(process);
    let mut out = Vec::new();
    for _ in 0..=count {
        let before = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        // The program is no PIE: it is where its file says.
        drop(Snapshot::take(&memory, &layout, &binary, 0)?);
        let took = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)? - before;
        out.push(Duration::from(took).as_secs_f64() * 1e3);
    }
    Ok(median(out.split_off(1)))
}

/// CPU milliseconds of all children that have ended.
fn children_ms() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let ms =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    Ok(ms(usage.user_time()) + ms(usage.system_time()))
}

fn row(gotap: &Path, program: &Path, size: usize, rounds: usize) -> Result<Row> {
    let servers = [server(program, size)?, server(program, size)?];
    let read = servers[1].process.pid();
    let snapshot_ms = snapshot_ms(read, rounds * SNAPSHOTS)?;
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for _ in 0..rounds * COMMANDS {
        let (before, begun) = (children_ms()?, std::time::Instant::now());
        command(gotap, read)?;
        cpu.push(children_ms()? - before);
        wall.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let (mut rps, mut target_us) = ([vec![], vec![]], [vec![], vec![]]);
    for _ in 0..rounds * SLICES {
        for (i, server) in servers.iter().enumerate() {
            let before = measure::cpu_seconds(server.process.pid())?;
            let outcome = loaded(gotap, server, (i == 1).then_some(read))?;
            let used = measure::cpu_seconds(server.process.pid())? - before;
            rps[i].push(outcome.requests as f64 / outcome.seconds);
            target_us[i].push(used * 1e6 / outcome.requests as f64);
        }
    }
    Ok(Row {
        goroutines: size,
        snapshot_ms,
        command_ms: median(cpu),
        wall_ms: median(wall),
        rps: rps.map(median),
        target_us: target_us.map(median),
    })
}

/// Loads a server while its goroutines are read again and again, or not.
fn loaded(gotap: &Path, server: &Server, read: Option<u32>) -> Result<Outcome> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<()> {
            while let Some(pid) = read.filter(|_| !done.load(Ordering::Relaxed)) {
                command(gotap, pid)?;
                std::thread::sleep(PAUSE);
            }
            Ok(())
        });
        let output = Command::new(std::env::current_exe()?)
            .args(["load", "--addr", &server.address, "--connections", "8"])
            .args(["--millis", &SLICE.as_millis().to_string()])
            .stderr(Stdio::inherit())
            .output();
        done.store(true, Ordering::Relaxed);
        reader.join().map_err(|_| anyhow::anyhow!("the reader failed"))??;
        serde_json::from_slice(&output?.stdout).context("the load generator failed")
    })
}

fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| goroutines | CPU of a snapshot | CPU of one command | until it ends | req/s bare | read 4 times a second | target CPU/req bare | read |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        out.push_str(&format!(
            "| {} | {:.1} ms | {:.0} ms | {:.0} ms | {:.0} | {:.0} | {:.1} µs | {:.1} µs |\n",
            row.goroutines,
            row.snapshot_ms,
            row.command_ms,
            row.wall_ms,
            row.rps[0],
            row.rps[1],
            row.target_us[0],
            row.target_us[1],
        ));
    }
    out
}
