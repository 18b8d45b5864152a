//! How many spans a second a core turns from the ring buffer's bytes into OTLP's: records are replayed through
//! the stages and the queue to a sink that encodes them. All threads' CPU time counts. It fails where that is
//! far too slow. GOTAP_WRITE_DOCS=1 writes the table into docs/benchmarks.md.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use export::Encoder;
use pipeline::{MAX_QUEUED, Pipeline, Place, Sampling, SharedMeter, Sink, Stages};
use red::{Consumer, Settings};
use rustix::time::{ClockId, clock_gettime};
use trace::{Assembler, ProcessInfo, Resource, Span, Value};
use wire::synthetic::{Request, http};

/// Traces that are replayed. Each is a call and the request that it becomes.
const TRACES: u64 = 500_000;
/// Spans between two looks at the ring buffer.
const ROUND: u64 = 5_000;
/// What one core must get through in a second, at the least.
const WANTED: f64 = 200_000.0;

/// Of all threads: others may run on the machine.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Encodes as the exporter does, and sends nothing.
struct Encoded(Encoder);

impl Sink for Encoded {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn span(&mut self, span: &Span) -> anyhow::Result<()> {
        black_box(self.0.push(span));
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _patience: Duration) -> anyhow::Result<()> {
        Ok(())
    }
}

fn process(name: &str) -> ProcessInfo {
    let attributes = vec![
        ("service.name".to_owned(), Value::Text(name.into())),
        ("process.pid".to_owned(), Value::Int(4711)),
    ];
    ProcessInfo { resource: Arc::new(Resource::new(attributes)), ..ProcessInfo::default() }
}

/// The records of a call and of the request that it becomes, to which each trace gives its own ids.
struct Replay {
    records: [Vec<u8>; 2],
}

/// Offsets in a record.
const TRACE_ID: usize = 32;
const SPAN_ID: usize = 48;
const PARENT: usize = 56;

impl Replay {
    fn new() -> Self {
        let call = Request {
            instance: 1,
            client: true,
            trace_id: [0; 16],
            span_id: [0; 8],
            parent: None,
            trace_flags: 1,
            start_ns: 1_000_000,
            end_ns: 3_000_000,
            status: 200,
            target: "/users/1234",
            host: "users.shop.example.com:8080",
            route: "",
        };
        let served = Request {
            instance: 2,
            client: false,
            parent: Some([0; 8]),
            end_ns: 2_000_000,
            route: "GET /users/{id}",
            ..call
        };
        Self { records: [http(&served), http(&call)] }
    }

    /// The next trace's records: what was served ends first.
    fn next(&mut self, number: u64) -> &[Vec<u8>; 2] {
        let [served, call] = &mut self.records;
        let (trace, id) = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number * 2 + 1);
        for (record, id) in [(&mut *served, id + 1), (call, id)] {
            record[TRACE_ID..TRACE_ID + 8].copy_from_slice(&trace.to_le_bytes());
            record[TRACE_ID + 8..SPAN_ID].copy_from_slice(&number.to_le_bytes());
            record[SPAN_ID..PARENT].copy_from_slice(&id.to_le_bytes());
        }
        served[PARENT..PARENT + 8].copy_from_slice(&id.to_le_bytes());
        &self.records
    }
}

fn meter() -> Arc<SharedMeter> {
    let consumers = vec![Consumer::Push];
    let settings = Settings { service_graph: true, consumers, ..Settings::default() };
    Arc::new(SharedMeter::new(&settings, 0))
}

/// Nanoseconds of CPU time for each span, through as many stages as are asked for.
fn measure(metered: bool, sinks: Vec<Box<dyn Sink>>) -> anyhow::Result<f64> {
    let sinks = Pipeline::start(sinks, MAX_QUEUED, |error| panic!("{error}"))?;
    let meter = metered.then(meter);
    let sampling = Sampling::default();
    let mut stages = Stages::new(Assembler::new(), meter, sampling, sinks.clone());
    stages.add_process(1, process("gateway"), false, Place::Known, 0);
    stages.add_process(2, process("users"), false, Place::Known, 0);
    let mut replay = Replay::new();
    let started = cpu_time();
    for number in 0..TRACES {
        for record in replay.next(number) {
            stages.event(wire::decode(black_box(record)), 1 << 60);
        }
        if number % (ROUND / 2) == 0 {
            stages.round(number * 20_000, 0, false);
            while sinks.outlets().any(|outlet| outlet.queued() > MAX_QUEUED / 2) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
    stages.round(u64::MAX, 0, true);
    sinks.finish(Duration::from_secs(20));
    let took = cpu_time() - started;
    anyhow::ensure!(stages.counts().spans == TRACES * 2, "{:?}", stages.counts());
    anyhow::ensure!(sinks.outlets().all(|outlet| outlet.dropped() == 0), "a queue was full");
    Ok(took.as_nanos() as f64 / (TRACES * 2) as f64)
}

/// Nanoseconds to decode a record.
fn decoding() -> f64 {
    let mut replay = Replay::new();
    let started = cpu_time();
    for number in 0..TRACES {
        for record in replay.next(number) {
            let _ = black_box(wire::decode(black_box(record)));
        }
    }
    (cpu_time() - started).as_nanos() as f64 / (TRACES * 2) as f64
}

const BEGIN: &str = "<!-- pipeline:begin -->\n";
const END: &str = "<!-- pipeline:end -->";

/// Writes the table into the documentation.
fn write(table: &str) -> anyhow::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md");
    let text = std::fs::read_to_string(path)?;
    let (before, rest) = text.split_once(BEGIN).context(BEGIN)?;
    let (_, after) = rest.split_once(END).context(END)?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}"))?)
}

fn main() -> anyhow::Result<()> {
    let encoded: Vec<Box<dyn Sink>> = vec![Box::new(Encoded(Encoder::default()))];
    let rows = [
        ("decoding the record", decoding()),
        ("making a span", measure(false, Vec::new())?),
        ("measuring it, with the service graph", measure(true, Vec::new())?),
        ("encoding it as OTLP, in a thread of its own", measure(true, encoded)?),
    ];
    let rate = 1e9 / rows[3].1;
    let mut table = String::from("| up to | CPU time a span |\n|---|---:|\n");
    for (what, ns) in rows {
        table.push_str(&format!("| {what} | {ns:.0} ns |\n"));
    }
    println!("{table}{rate:.0} spans a second on one core");
    if std::env::var_os("GOTAP_WRITE_DOCS").is_some() {
        write(&table)?;
    }
    anyhow::ensure!(rate >= WANTED, "fewer than {WANTED}");
    Ok(())
}
