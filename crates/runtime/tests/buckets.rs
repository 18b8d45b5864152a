//! The profiler's buckets, size classes and flight recorders, read from outside, against what the program
//! says of itself.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test, in helpers, too")]

use std::collections::BTreeMap;
use std::time::Duration;

use gobin::Binary;
use gomem::Remote;
use goproc::Process;
use goruntime::{AllocationProfile, Layout, SizeClasses, Symbols, WaitProfile, Waits, flight};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(120);

/// A program with its bytes.
struct App {
    process: Running,
    data: Vec<u8>,
    bias: u64,
}

impl App {
    fn start(minor: u32, mode: Mode, arguments: &[&str]) -> Self {
        Self::start_with(minor, mode, arguments, &[])
    }

    fn start_with(minor: u32, mode: Mode, arguments: &[&str], more: &[(&str, &str)]) -> Self {
        let path = go::build("runtimeapp", Version::of(minor), mode).unwrap();
        let process = Running::start(&path, arguments, more).unwrap();
        process.wait_for("ready", SOON).unwrap();
        let data = std::fs::read(&path).unwrap();
        let bias = bias(process.pid(), &data);
        Self { process, data, bias }
    }

    fn memory(&self) -> Remote {
        Remote::new(Process { pid: self.process.pid() })
    }

    fn report(&mut self, number: usize) -> Value {
        self.process.signal(10).unwrap();
        let text = self.process.wait_for(&format!("report-{number} "), SOON).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn bias(pid: u32, data: &[u8]) -> u64 {
    let binary = Binary::parse(data).unwrap();
    let image = binary.image();
    let start = Process { pid }.executable_start().unwrap();
    if image.is_pie() { start.wrapping_sub(image.lowest_vaddr() & !0xfff) } else { 0 }
}

const BUILDS: [(u32, Mode); 5] = [
    (18, Mode::Plain),
    (20, Mode::Pie),
    (23, Mode::Stripped),
    (25, Mode::Cgo),
    (27, Mode::Stripped),
];

/// Of each bucket that the program's `runtime.MemProfile` has, the same counts, and no others.
#[test]
fn published_buckets_are_those_of_the_program() {
    for (minor, mode) in BUILDS.into_iter().filter(|(_, mode)| mode.runs_here()) {
        // Only the two collections that it asks for: none ends between its report and what is read.
        // Up to Go 1.19 the rate in GODEBUG does not last.
        let environment = [("GOGC", "off"), ("GODEBUG", "memprofilerate=512")];
        let arguments = ["-goroutines", "20000", "-rate", "512"];
        let mut app = App::start_with(minor, mode, &arguments, &environment);
        let data = app.data.clone();
        let binary = Binary::parse(&data).unwrap();
        let types = binary.types();
        let layout = Layout::new(&binary, &types).unwrap();
        let symbols = Symbols::new(&binary, &types);
        let said = app.report(1)["profile"].clone();
        let profile = AllocationProfile::read(&app.memory(), &layout, app.bias).unwrap();
        assert_eq!(profile.rate, 512, "Go 1.{minor} {mode}");
        assert!(!profile.cut && profile.cycle >= 2, "{}", profile.cycle);
        let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for bucket in profile.buckets.iter().filter(|bucket| bucket.published.0 > 0) {
            // The program's report has the first 32 frames.
            let stack = &bucket.site.stack[..bucket.site.stack.len().min(32)];
            let mut key = bucket.site.size.to_string();
            for frame in symbols.sampled(stack) {
                key += &format!(" {}:{}", frame.name(), frame.line);
            }
            let sum = found.entry(key).or_default();
            sum.0 += bucket.published.0;
            sum.1 += bucket.published.1;
        }
        let said: BTreeMap<String, (u64, u64)> = said
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, pair)| {
                (without_goexit(key), (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap()))
            })
            .collect();
        assert!(said.len() > 20, "Go 1.{minor} {mode}: {}", said.len());
        let missing: Vec<_> = said.iter().filter(|(k, v)| found.get(*k) != Some(v)).collect();
        let more: Vec<_> = found.iter().filter(|(k, v)| said.get(*k) != Some(v)).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "Go 1.{minor} {mode}: {missing:#?} {more:#?}"
        );
    }
}

/// The end that all stacks have is not shown.
fn without_goexit(key: &str) -> String {
    match key.rsplit_once(' ') {
        Some((rest, last)) if last.starts_with("runtime.goexit:") => rest.to_owned(),
        _ => key.to_owned(),
    }
}

/// Size classes add up to what `runtime.MemStats` says.
#[test]
fn size_classes_are_those_of_the_program() {
    for (minor, mode) in BUILDS.into_iter().filter(|(_, mode)| mode.runs_here()) {
        let mut app = App::start(minor, mode, &["-quiet", "-allocate", "200"]);
        let data = app.data.clone();
        let binary = Binary::parse(&data).unwrap();
        let layout = Layout::new(&binary, &binary.types()).unwrap();
        let (memory, bias) = (app.memory(), app.bias);
        let read = || SizeClasses::read(&memory, &layout, bias).unwrap().unwrap();
        let before = read();
        let report = app.report(1);
        let memory = &report["memory"];
        let after = read();
        let (bytes, objects) = (&memory["TotalAlloc"], &memory["Mallocs"]);
        let (bytes, objects) = (bytes.as_u64().unwrap(), objects.as_u64().unwrap());
        // What lags is a span for each processor and class.
        let slack = if minor == 18 { 64 << 20 } else { 16 << 20 };
        let context = format!("Go 1.{minor} {mode}: {bytes} {} {}", before.bytes(), after.bytes());
        assert!(before.bytes() <= bytes + slack && bytes <= after.bytes() + slack, "{context}");
        assert!(bytes.abs_diff(before.bytes()) < bytes / 2, "{context}");
        assert!(objects.abs_diff(after.objects()) < objects, "{context}");
        let since = after.since(&before);
        assert!(since.bytes() <= after.bytes() && after.large_bytes > 10 << 20, "{context}");
    }
}

/// Waits are sampled only where the program asks for it; its lists are found in any case.
#[test]
fn waits_can_be_read_where_there_are_none() {
    for (minor, mode) in BUILDS.into_iter().filter(|(_, mode)| mode.runs_here()) {
        let app = App::start(minor, mode, &["-busy", "-blocking"]);
        let data = app.data.clone();
        let binary = Binary::parse(&data).unwrap();
        let types = binary.types();
        let layout = Layout::new(&binary, &types).unwrap();
        let symbols = Symbols::new(&binary, &types);
        for which in [Waits::Blocking, Waits::Mutexes] {
            let profile = WaitProfile::read(&app.memory(), &layout, app.bias, which).unwrap();
            assert!(profile.rate > 0, "Go 1.{minor} {mode}: {which:?}");
            let wanted = match which {
                Waits::Blocking => "main.answer",
                Waits::Mutexes => "main.contend",
            };
            let has = |w: &goruntime::Wait| {
                symbols.stack(&w.site.stack).iter().any(|f| f.name().starts_with(wanted))
            };
            let found: Vec<_> = profile.buckets.iter().filter(|wait| has(wait)).collect();
            let context = format!("Go 1.{minor} {mode}: {which:?} {:?}", profile.buckets.len());
            assert!(found.iter().any(|w| w.count > 1.0 && w.cycles > 0), "{context}");
        }
    }
}

/// A program that has no recorder, or has not started it, has no window.
#[test]
fn without_a_flight_recorder_there_is_no_window() {
    for (minor, why) in [(18, flight::NoWindow::NotLinked), (27, flight::NoWindow::NotStarted)] {
        let app = App::start(minor, Mode::Plain, &["-quiet"]);
        let data = app.data.clone();
        let binary = Binary::parse(&data).unwrap();
        let found = flight::window(&binary, &binary.types(), &app.memory(), app.bias).unwrap();
        assert_eq!(found, Err(why), "Go 1.{minor}");
    }
}
