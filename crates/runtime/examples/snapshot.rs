//! What snapshots of a process's goroutines take: `cargo run --release -p goruntime --example snapshot
//! -- PID`. Prints the CPU time of reading the binary, and then of each of some snapshots.

use std::time::Instant;

use gobin::Binary;
use gomem::Remote;
use goproc::Process;
use goruntime::group::group;
use goruntime::{Layout, Snapshot};

/// Milliseconds that this thread has been running on a processor.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    first.unwrap_or(0.0) / 1e6
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid = std::env::args().nth(1).ok_or("usage: snapshot PID")?.parse()?;
    let process = Process { pid };
    let data = std::fs::read(process.path("exe"))?;
    let before = cpu_ms();
    let binary = Binary::parse(&data)?;
    let types = binary.types();
    let layout = Layout::new(&binary, &types)?;
    println!("binary: {:.1} ms", cpu_ms() - before);
    let image = binary.image();
    let start = process.executable_start().unwrap_or(0);
    let moved = start.wrapping_sub(image.lowest_vaddr() & !0xfff);
    let bias = if image.is_pie() { moved } else { 0 };
    for _ in 0..8 {
        let (before, begun) = (cpu_ms(), Instant::now());
        let snapshot = Snapshot::take(&Remote::new(process), &layout, &binary, bias)?;
        let taken = cpu_ms() - before;
        let groups = group(&snapshot, |goroutine| !goroutine.system).len();
        println!(
            "{} goroutines in {groups} groups: {taken:.1} ms, grouped {:.1} ms, wall {:.1} ms",
            snapshot.goroutines.len(),
            cpu_ms() - before,
            begun.elapsed().as_secs_f64() * 1e3
        );
    }
    Ok(())
}
