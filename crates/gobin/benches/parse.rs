//! How long reading a binary takes: `cargo bench -p gobin --bench parse`.
//!
//! Two programs, mapped into memory: `apps/httpapp`, and `apps/large` with its more than 60,000
//! functions (its first build takes some minutes). Further files can be named in
//! `GOTAP_BENCH_FILES`, separated by colons. Printed are the best and the median of some rounds, in
//! milliseconds; everything together is meant to stay below 150 ms in the large program.

use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gobin::{Binary, Global};
use gotap_testkit::go::{self, Mode, Version};
use memmap2::Mmap;

const ROUNDS: usize = 15;

/// A step of reading a binary, all of whose results are dropped.
type Step = (&'static str, fn(&Binary<'_>));

const STEPS: [Step; 3] = [
    ("functions by name", |binary| {
        black_box(binary.function("no such function"));
    }),
    ("types", |binary| {
        black_box(binary.types().find_struct("net/http.Request"));
    }),
    ("globals", |binary| {
        black_box(Global::ALL.map(|global| binary.global(global)));
    }),
];

fn main() {
    // `cargo test` runs benches, too: there it is enough that they compile.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut files: Vec<PathBuf> = ["httpapp", "large"]
        .map(|app| go::build(app, Version::of(26), Mode::Plain).expect("the program is built"))
        .into();
    if let Some(more) = std::env::var_os("GOTAP_BENCH_FILES") {
        files.extend(std::env::split_paths(&more));
    }
    for file in files {
        measure(&file);
    }
}

/// Maps the file anew, so that the page faults of a first look are counted.
fn map(path: &Path) -> Mmap {
    let file = File::open(path).expect("the file can be opened");
    // SAFETY: programs in the cache are never written again.
    unsafe { Mmap::map(&file) }.expect("the file can be mapped")
}

fn measure(path: &Path) {
    let data = map(path);
    let binary = Binary::parse(&data).expect("it is a Go program");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (functions, structs) = (binary.functions().len(), binary.types().structs().count());
    println!("{name}: {} MiB, {functions} functions, {structs} structs", data.len() >> 20);

    let mut times = vec![Vec::new(); STEPS.len() + 2];
    for _ in 0..ROUNDS {
        let data = map(path);
        let all = Instant::now();
        let binary = Binary::parse(&data).expect("it parsed before");
        times[0].push(all.elapsed().as_secs_f64() * 1e3);
        for (i, (_, step)) in STEPS.iter().enumerate() {
            let start = Instant::now();
            step(&binary);
            times[i + 1].push(start.elapsed().as_secs_f64() * 1e3);
        }
        times[STEPS.len() + 1].push(all.elapsed().as_secs_f64() * 1e3);
    }
    let names = ["parse"].into_iter().chain(STEPS.iter().map(|(name, _)| *name)).chain(["all"]);
    for (name, mut times) in names.zip(times) {
        times.sort_by(f64::total_cmp);
        println!("  {name:<18} best {:8.3} ms, median {:8.3} ms", times[0], times[ROUNDS / 2]);
    }
}
