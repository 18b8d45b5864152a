//! A profile for people: a table of functions with bars; and the same for programs, as JSON.

use anyhow::Result;
use profile::{Frame, Row, Table, short_name};
use serde_json::{Value, json};

use super::{Collected, Context};
use crate::cli::Format;
use crate::opened::unix_nanoseconds;
use crate::output::line;

/// Letters of the longest bar.
const BAR: f64 = 12.0;

pub(super) fn print(context: &Context<'_, '_, '_>, collected: &Collected) -> Result<()> {
    let table = Table::new(&collected.profile, collected.profile.default_type);
    match context.args.format {
        Format::Json => Ok(line(as_json(context, collected, &table))?),
        Format::Text => as_text(context, collected, &table),
    }
}

fn as_text(context: &Context<'_, '_, '_>, collected: &Collected, table: &Table<'_>) -> Result<()> {
    let (service, pid) = (&context.target.service, context.args.pid);
    let version = context.target.binary.build_info().go_version;
    let unit = unit(collected);
    line(format!("{service}[{pid}] {version}: {}", collected.what))?;
    line(format!(
        "\n{:>10} {:>6} {:>10} {:>6}  {:12}  function",
        "flat", "flat%", "cum", "cum%", ""
    ))?;
    let share = |value: i64| 100.0 * value as f64 / table.total.max(1) as f64;
    for row in table.rows.iter().take(context.args.top) {
        line(format!(
            "{:>10} {:>5.1}% {:>10} {:>5.1}%  {:12}  {}",
            value(row.flat, unit),
            share(row.flat),
            value(row.cumulative, unit),
            share(row.cumulative),
            bar(share(row.flat) / 100.0),
            place(row.frame),
        ))?;
    }
    if let Some(rest) = table.rows.len().checked_sub(context.args.top).filter(|rest| *rest > 0) {
        line(format!("... and {rest} more functions: --top {}", table.rows.len()))?;
    }
    for note in &collected.notes {
        line(format!("note: {note}"))?;
    }
    Ok(())
}

fn as_json(context: &Context<'_, '_, '_>, collected: &Collected, table: &Table<'_>) -> Value {
    let profile = &collected.profile;
    let function = |row: &Row<'_>| {
        json!({
            "function": short_name(&row.frame.function),
            "file": Some(&*row.frame.file).filter(|file| !file.is_empty()),
            "line": Some(row.frame.start_line).filter(|line| *line > 0),
            "flat": row.flat,
            "cumulative": row.cumulative,
        })
    };
    let totals = profile.types.iter().enumerate().map(
        |(kind, typ)| json!({"type": typ.kind, "unit": typ.unit, "total": profile.total(kind)}),
    );
    json!({
        "pid": context.args.pid,
        "service": context.target.service,
        "goVersion": context.target.binary.build_info().go_version,
        "timeUnixNano": unix_nanoseconds(),
        "seconds": collected.seconds,
        "unit": unit(collected),
        "total": table.total,
        "values": totals.collect::<Vec<_>>(),
        "functions": table.rows.iter().take(context.args.top).map(function).collect::<Vec<_>>(),
        "notes": collected.notes,
    })
}

fn unit(collected: &Collected) -> &str {
    let profile = &collected.profile;
    profile.types.get(profile.default_type).map_or("", |typ| &typ.unit)
}

fn place(frame: &Frame) -> String {
    let name = short_name(&frame.function);
    if frame.file.is_empty() {
        return name.into_owned();
    }
    let line = Some(frame.start_line).filter(|line| *line > 0);
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{name}  {}{line}", frame.file)
}

/// A bar in eighths of a letter.
fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 96")]
    let eighths = (share.clamp(0.0, 1.0) * BAR * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

pub(super) fn value(value: i64, unit: &str) -> String {
    let (sign, number) = (if value < 0 { "-" } else { "" }, value.unsigned_abs() as f64);
    let text = match unit {
        "nanoseconds" if number >= 1e9 => format!("{:.2}s", number / 1e9),
        "nanoseconds" => format!("{:.0}ms", number / 1e6),
        "bytes" if number >= 1_073_741_824.0 => format!("{:.2}GiB", number / 1_073_741_824.0),
        "bytes" if number >= 1_048_576.0 => format!("{:.1}MiB", number / 1_048_576.0),
        "bytes" if number >= 1024.0 => format!("{:.1}KiB", number / 1024.0),
        "bytes" => format!("{number}B"),
        _ => return value.to_string(),
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_values_are_short() {
        assert_eq!((bar(1.0).chars().count(), bar(0.0).len()), (12, 0));
        assert_eq!(bar(0.5), "██████");
        assert_eq!(value(1_234_000_000, "nanoseconds"), "1.23s");
        assert_eq!(value(20_000_000, "nanoseconds"), "20ms");
        assert_eq!(value(1536, "bytes"), "1.5KiB");
        assert_eq!(value(-2048, "bytes"), "-2.0KiB");
        assert_eq!(value(7, "count"), "7");
    }
}
