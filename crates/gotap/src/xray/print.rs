//! How X-rays are printed: bars and stacks for people, one JSON object a route for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::state::Doing;
use super::tally::{Operation, Requests};
use super::times::{Stack, Sums};
use crate::output::line;

/// Letters of the longest bar.
const BAR: u64 = 30;
/// With fewer looks it is said that shares are rough: with so many, half of the time is 40 to 60 % of the looks.
const FEW: u64 = 100;
/// Frames of a stack that people see.
const FRAMES: usize = 8;

/// Where processor time was spent, by samples.
pub(super) type OnCpu = Vec<(Stack, u64)>;

/// What there is to print of one sort of requests.
pub(super) struct Shown<'s> {
    /// `None` of requests that are still running.
    pub(super) operation: Option<&'s Operation>,
    pub(super) requests: &'s Requests,
    pub(super) on_cpu: OnCpu,
    /// Whether it is known which goroutines were started.
    pub(super) knows_started: bool,
    pub(super) top: usize,
}

/// One entry of a list of stacks.
struct Entry<'s> {
    doing: Doing,
    stack: &'s Stack,
    time: u64,
}

impl Shown<'_> {
    /// Where the time was spent, the longest first. What runs has no stack in memory: samples tell.
    fn top(&self) -> Vec<Entry<'_>> {
        let on_cpu = self.on_cpu.iter();
        let sampled = on_cpu.map(|(stack, time)| Entry { doing: Doing::Cpu, stack, time: *time });
        let mut out: Vec<_> = entries(&self.requests.sums).chain(sampled).collect();
        sort(&mut out);
        out.truncate(self.top);
        out
    }

    fn top_started(&self) -> Vec<Entry<'_>> {
        let mut out: Vec<_> = entries(&self.requests.started).collect();
        sort(&mut out);
        out.truncate(self.top);
        out
    }

    pub(super) fn json(&self) -> Value {
        let requests = self.requests;
        let mut out = json!({
            "route": self.operation.and_then(|o| o.route.as_ref()),
            "method": self.operation.and_then(|o| o.method.as_ref()),
            "running": self.operation.is_none(),
            "count": requests.count,
            "seen": requests.seen(),
            "looks": requests.looks,
            "unseen": requests.unseen,
            "requestSeconds": seconds(requests.took),
            "seconds": sums(&requests.sums),
            "top": self.top().iter().map(json_of).collect::<Vec<_>>(),
            "started": null,
        });
        if self.knows_started {
            let mut all = sums(&requests.started);
            // Of these it is not known how long each lived.
            all.as_object_mut().map(|all| all.remove("unknown"));
            out["started"] = json!({
                "mostAtOnce": requests.most_started,
                "seconds": all,
                "top": self.top_started().iter().map(json_of).collect::<Vec<_>>(),
            });
        }
        out
    }

    pub(super) fn text(&self) -> anyhow::Result<()> {
        let requests = self.requests;
        let took = Duration::from_nanos(requests.took / requests.count.max(1));
        let name = self.operation.map_or_else(|| "still running".to_owned(), Operation::to_string);
        let plural = if requests.count == 1 { "" } else { "s" };
        line(format_args!(
            "{name}  {} request{plural}, {} on average, {} seen in {} looks",
            requests.count,
            short(took),
            requests.seen(),
            requests.looks
        ))?;
        if requests.looks < FEW {
            line("  so few looks give rough shares")?;
        }
        bars(&requests.sums, requests.took)?;
        stacks("spent longest in", &self.top(), requests.took)?;
        let started = requests.started.known();
        if started > 0 {
            line(format_args!(
                "  goroutines that they started, up to {} at once, {} together",
                requests.most_started,
                short(Duration::from_nanos(started))
            ))?;
            bars(&requests.started, started)?;
            stacks("these spent longest in", &self.top_started(), started)?;
        }
        Ok(line("")?)
    }
}

fn entries(sums: &Sums) -> impl Iterator<Item = Entry<'_>> {
    // What runs has left its stack behind; what is known of it is of an earlier stop.
    let known = sums.stacks().filter(|(doing, _, _)| *doing != Doing::Cpu);
    known.map(|(doing, stack, time)| Entry { doing, stack, time })
}

fn sort(entries: &mut [Entry<'_>]) {
    entries.sort_by(|a, b| (b.time, a.doing, a.stack).cmp(&(a.time, b.doing, b.stack)));
}

fn json_of(entry: &Entry<'_>) -> Value {
    let frames = entry.stack.iter().map(|place| {
        json!({
            "function": place.function,
            "file": Some(&place.file).filter(|file| !file.is_empty()),
            "line": Some(place.line).filter(|line| *line != 0),
        })
    });
    json!({
        "state": entry.doing.name(),
        "stack": frames.collect::<Vec<_>>(),
        "seconds": seconds(entry.time),
    })
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

fn sums(sums: &Sums) -> Value {
    let mut out: serde_json::Map<String, Value> = Doing::ALL
        .iter()
        .map(|doing| (doing.name().to_owned(), seconds(sums.of(*doing)).into()))
        .collect();
    out.insert("unknown".to_owned(), seconds(sums.unknown).into());
    out.into()
}

fn bars(sums: &Sums, all: u64) -> anyhow::Result<()> {
    let unknown = ("unknown", sums.unknown);
    let mut shown: Vec<_> = Doing::ALL.iter().map(|d| (d.name(), sums.of(*d))).collect();
    shown.sort_by_key(|(_, time)| u64::MAX - time);
    for (name, time) in shown.into_iter().chain([unknown]).filter(|(_, time)| *time > 0) {
        let filled = usize::try_from(u128::from(time) * u128::from(BAR) / u128::from(all.max(1)));
        let bar = "█".repeat(filled.unwrap_or(0).min(BAR as usize));
        let took = short(Duration::from_nanos(time));
        line(format_args!("  {name:<9}{:>6.1}% {took:>8}  {bar}", percent(time, all)))?;
    }
    Ok(())
}

fn percent(part: u64, all: u64) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}

fn stacks(title: &str, entries: &[Entry<'_>], all: u64) -> anyhow::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    line(format_args!("  {title}"))?;
    for entry in entries {
        let took = short(Duration::from_nanos(entry.time));
        let share = percent(entry.time, all);
        let head = format!("  {:<9}{share:>6.1}% {took:>8}  ", entry.doing.name());
        let indent = " ".repeat(head.chars().count());
        for (at, place) in readable(entry.stack).take(FRAMES).enumerate() {
            let before = if at == 0 { &head } else { &indent };
            let file = if place.file.is_empty() {
                String::new()
            } else {
                format!("  {}:{}", place.file, place.line)
            };
            line(format_args!("{before}{}{file}", place.function))?;
        }
    }
    Ok(())
}

/// The frames that people look for: not how the runtime itself waits, unless there is nothing else.
pub(super) fn readable(stack: &Stack) -> impl Iterator<Item = &super::times::Place> {
    let is_runtime = |place: &super::times::Place| place.function.starts_with("runtime.");
    let first = stack.iter().position(|place| !is_runtime(place)).unwrap_or(0);
    // The last of the runtime's own says what is waited for, as `runtime.chanrecv1`.
    stack.iter().skip(first.saturating_sub(1))
}

/// A time as people read it.
fn short(time: Duration) -> String {
    let nanoseconds = time.as_nanos() as f64;
    match nanoseconds {
        n if n < 1e6 => format!("{:.0}µs", n / 1e3),
        n if n < 1e9 => format!("{:.1}ms", n / 1e6),
        n => format!("{:.2}s", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xray::times::Place;

    fn stack(functions: &[&str]) -> Stack {
        let place = |f: &&str| Place { function: (*f).into(), file: "/src/a.go".into(), line: 7 };
        functions.iter().map(place).collect()
    }

    #[test]
    fn an_object_has_all_states_and_the_longest_stacks() {
        let mut requests = Requests { count: 2, took: 3_000_000_000, ..Requests::default() };
        requests.sums.add(Doing::Mutex, Some(&stack(&["main.lock"])), 2_000_000_000, 9);
        requests.sums.add(Doing::Io, Some(&stack(&["main.read"])), 500_000_000, 9);
        requests.sums.unknown = 500_000_000;
        let operation = Operation { method: Some("GET".into()), route: Some("/a".into()) };
        let on_cpu = vec![(stack(&["main.spin"]), 700_000_000)];
        let shown = Shown {
            operation: Some(&operation),
            requests: &requests,
            on_cpu,
            knows_started: false,
            top: 2,
        };
        let out = shown.json();
        assert_eq!((&out["route"], &out["count"]), (&json!("/a"), &json!(2)));
        assert_eq!(out["seconds"]["mutex"], json!(2.0));
        assert_eq!((&out["seconds"]["unknown"], &out["started"]), (&json!(0.5), &Value::Null));
        for name in ["cpu", "runnable", "channel", "select", "io", "syscall", "sleep", "gc"] {
            assert!(out["seconds"][name].is_number(), "{name}");
        }
        let top: Vec<_> = out["top"].as_array().unwrap().iter().map(|t| &t["state"]).collect();
        assert_eq!(top, [&json!("mutex"), &json!("cpu")]);
        assert_eq!(out["top"][1]["stack"][0]["function"], json!("main.spin"));
    }

    #[test]
    fn people_see_what_is_waited_for_and_not_how() {
        let all = stack(&["runtime.gopark", "runtime.chanrecv", "runtime.chanrecv1", "main.f"]);
        let shown: Vec<_> = readable(&all).map(|place| &*place.function).collect();
        assert_eq!(shown, ["runtime.chanrecv1", "main.f"]);
        let all = stack(&["runtime.gopark", "runtime.block"]);
        assert_eq!(readable(&all).count(), 2);
    }
}
