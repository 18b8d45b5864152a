//! What is allocated, for people.

use anyhow::Result;

use super::View;
use super::routes::Amount;
use crate::output::line;

/// A size class is printed if it has this part of all bytes.
const LEAST: u64 = 1000;
/// Callers of a function that are printed.
const CALLERS: usize = 3;

impl View<'_, '_> {
    pub(super) fn print(&self) -> Result<()> {
        let (service, pid) = (&self.target.service, self.target.process.pid);
        let version = self.target.binary.build_info().go_version;
        let rate = |number: f64| number / self.seconds.max(1e-9);
        let over = if self.since_start {
            format!("since it started {:.0} s ago", self.seconds)
        } else {
            format!("over {:.1} s", self.seconds)
        };
        line(format!("{service}[{pid}] {version}, {over}"))?;
        if let Some(sums) = &self.sums {
            let of = match sums.rate {
                _ if self.seen.is_some() => format!("{}: {}", self.source(), sums.samples),
                rate => format!(
                    "its profile buckets: {} samples, one for each {}",
                    sums.samples,
                    size(rate as f64)
                ),
            };
            line(format!(
                "{}/s and {:.0} objects/s, by {of}{}",
                size(rate(sums.bytes)),
                rate(sums.objects),
                self.expected(sums.samples),
            ))?;
        }
        if let Some(classes) = &self.classes {
            line(format!(
                "{}/s and {:.0} objects/s, by the runtime's counters",
                size(rate(classes.bytes() as f64)),
                rate(classes.objects() as f64),
            ))?;
        }
        self.routes_text(&rate)?;
        self.functions_text(&rate)?;
        self.large_text(&rate)?;
        self.classes_text(&rate)?;
        for note in &self.notes {
            line(format!("note: {note}"))?;
        }
        Ok(())
    }

    fn expected(&self, samples: u64) -> String {
        let error = self.error(samples).filter(|error| *error > 0.0);
        error.map(|share| format!("  (±{:.0} %)", 100.0 * share)).unwrap_or_default()
    }

    fn routes_text(&self, rate: &impl Fn(f64) -> f64) -> Result<()> {
        let (Some(routes), Some(sums)) = (&self.routes, &self.sums) else { return Ok(()) };
        line(format!("\n{:>7} {:>10} {:>12}  for requests of", "share", "bytes/s", "objects/s"))?;
        let row = |name: &str, amount: &Amount| {
            line(format!(
                "{:>6.1}% {:>10} {:>12.0}  {name}{}",
                100.0 * amount.bytes / sums.bytes.max(1.0),
                size(rate(amount.bytes)),
                rate(amount.objects),
                self.expected(amount.samples),
            ))
        };
        for (operation, amount) in routes.routes.iter().take(self.top) {
            row(&operation.to_string(), amount)?;
        }
        let (shown, others) = routes.routes.split_at(routes.routes.len().min(self.top));
        if !others.is_empty() && !shown.is_empty() {
            let mut sum = Amount::default();
            for (_, amount) in others {
                sum.samples += amount.samples;
                sum.objects += amount.objects;
                sum.bytes += amount.bytes;
            }
            row(&format!("({} other routes)", others.len()), &sum)?;
        }
        row("(no request)", &routes.none)?;
        for (name, amount) in [
            (
                "(requests whose end was not seen, so that their route is not known)",
                &routes.not_ended,
            ),
            ("(not known: the goroutine could not be read)", &routes.unread),
        ] {
            if amount.samples > 0 {
                row(name, amount)?;
            }
        }
        Ok(())
    }

    fn functions_text(&self, rate: &impl Fn(f64) -> f64) -> Result<()> {
        let Some(sums) = &self.sums else { return Ok(()) };
        line(format!("\n{:>7} {:>10} {:>12}  function", "share", "bytes/s", "objects/s"))?;
        for function in self.functions() {
            line(format!(
                "{:>6.1}% {:>10} {:>12.0}  {}{}",
                100.0 * function.bytes / sums.bytes,
                size(rate(function.bytes)),
                rate(function.objects),
                place(function.stack.first()),
                self.expected(function.samples),
            ))?;
            for caller in function.stack.iter().skip(1).take(CALLERS) {
                line(format!("{:34}{}", "", place(Some(caller))))?;
            }
        }
        Ok(())
    }

    fn large_text(&self, rate: &impl Fn(f64) -> f64) -> Result<()> {
        let large = self.large();
        if self.sums.is_none() || large.is_empty() {
            return Ok(());
        }
        line(format!("\nobjects of {} and more", size(self.large as f64)))?;
        for (function, objects, bytes) in large {
            let (bytes, objects) = (size(rate(bytes)), rate(objects));
            line(format!(
                "{:7} {bytes:>10} {objects:>12.1}  {}",
                "",
                place(function.stack.first())
            ))?;
        }
        Ok(())
    }

    fn classes_text(&self, rate: &impl Fn(f64) -> f64) -> Result<()> {
        let Some(classes) = &self.classes else { return Ok(()) };
        line(format!(
            "\n{:>7} {:>10} {:>12}  by size class, rounded up to it",
            "size", "bytes/s", "objects/s"
        ))?;
        let least = classes.bytes() / LEAST;
        let is_shown = |(class, n): &&(u64, u64)| *n > 0 && class.saturating_mul(*n) >= least;
        for (class, objects) in classes.small.iter().filter(is_shown) {
            let objects = *objects as f64;
            let bytes = size(rate(objects * *class as f64));
            line(format!("{class:>7} {bytes:>10} {:>12.0}", rate(objects)))?;
        }
        if classes.large_objects > 0 {
            let bytes = size(rate(classes.large_bytes as f64));
            let objects = rate(classes.large_objects as f64);
            line(format!("{:>7} {bytes:>10} {objects:>12.1}", "larger"))?;
        }
        Ok(())
    }
}

fn place(frame: Option<&goruntime::Position<'_>>) -> String {
    frame.map_or_else(
        || "(no stack was kept)".to_owned(),
        |frame| format!("{}  {}:{}", frame.name(), frame.file, frame.line),
    )
}

fn size(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (bytes, 0);
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{number:.0} B") } else { format!("{number:.1} {}", UNITS[unit]) }
}
