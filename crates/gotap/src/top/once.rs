//! The table for scripts: once, as text or JSON.

use serde_json::{Value, json};

use super::format::{bytes, count, number, or_dash, percent, seconds};
use super::model::{Rates, Row, View};
use crate::output::text::printable;

/// Characters of an operation's name that are shown at most.
const NAME: usize = 60;

/// As lines of text.
pub(crate) fn text(view: &View) -> Vec<String> {
    let rows = ordered(view);
    let cells: Vec<[String; 10]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(rows.iter().flat_map(|row| {
            std::iter::once(of_process(row)).chain(row.operations.iter().map(
                |(operation, rates)| {
                    let direction = if operation.made { "client" } else { "server" };
                    let name: String = printable(&operation.name).chars().take(NAME).collect();
                    let [rate, errors, p50, p99] = of_rates(rates);
                    let none = String::new;
                    let what = format!("  {direction} {name}");
                    [what, none(), rate, errors, p50, p99, none(), none(), none(), none()]
                },
            ))
        }))
        .collect();
    let width = |column: usize| {
        cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 10]| {
        let rest = row[1..].iter().zip(&widths[1..]);
        let rest: String = rest.map(|(cell, width)| format!("  {cell:>width$}")).collect();
        format!("{:<width$}{rest}", row[0], width = widths[0]).trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

const HEAD: [&str; 10] =
    ["SERVICE", "PID", "RATE", "ERR%", "P50", "P99", "GOROUT", "GC/S", "HEAP", "CPU%"];

/// The cells of a process.
pub(crate) fn of_process(row: &Row) -> [String; 10] {
    let [rate, errors, p50, p99] = of_rates(&row.rates);
    [
        printable(&row.service),
        row.pid.to_string(),
        rate,
        errors,
        p50,
        p99,
        or_dash(row.goroutines, count),
        or_dash(row.collections_per_second, number),
        or_dash(row.heap, bytes),
        or_dash(row.cpu, percent),
    ]
}

/// Rate, share of errors and quantiles.
pub(crate) fn of_rates(rates: &Rates) -> [String; 4] {
    [
        number(rates.per_second),
        or_dash(rates.error_share(), percent),
        or_dash(rates.p50, seconds),
        or_dash(rates.p99, seconds),
    ]
}

/// As one JSON object. What is not known is null.
pub(crate) fn json(view: &View) -> Value {
    let process = |row: &Row| {
        let operations = row.operations.iter().map(|(operation, rates)| {
            let mut out = json!({
                "kind": if operation.made { "client" } else { "server" },
                "name": operation.name,
            });
            extend(&mut out, rates);
            out
        });
        let mut out = json!({
            "service": row.service,
            "pid": row.pid,
            "goroutines": row.goroutines,
            "gc_cycles_per_second": row.collections_per_second,
            "heap_live_bytes": row.heap,
            "cpu_cores": row.cpu,
            "operations": operations.collect::<Vec<_>>(),
        });
        extend(&mut out, &row.rates);
        out
    };
    let processes: Vec<_> = ordered(view).into_iter().map(process).collect();
    json!({"seconds": view.over.as_secs_f64(), "processes": processes})
}

fn extend(out: &mut Value, rates: &Rates) {
    out["count"] = json!(rates.count);
    out["errors"] = json!(rates.errors);
    out["per_second"] = json!(rates.per_second);
    out["p50_seconds"] = json!(rates.p50);
    out["p99_seconds"] = json!(rates.p99);
}

/// The busiest process first.
fn ordered(view: &View) -> Vec<&Row> {
    let mut rows: Vec<_> = view.rows.iter().collect();
    rows.sort_by(|a, b| b.rates.per_second.total_cmp(&a.rates.per_second).then(a.pid.cmp(&b.pid)));
    rows
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::{counts, resource, snapshot};
    use super::*;

    fn view() -> View {
        let shop = resource("shop", 7);
        let before = snapshot(10, vec![counts(&shop, 100, 10)]);
        View::between(&before, &snapshot(20, vec![counts(&shop, 200, 60)]))
    }

    #[test]
    fn text_has_a_line_for_each_process_and_operation() {
        let lines = text(&view());
        let words: Vec<Vec<&str>> = lines.iter().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(words[0], HEAD);
        assert_eq!(words[1][..4], ["shop", "7", "10.0", "50"]);
        assert_eq!(words[1][6..], ["34", "10.0", "-", "10"]);
        assert_eq!(words[2][..5], ["server", "GET", "/a", "10.0", "50"]);
        assert_eq!(words[3], ["client", "GET", "h:80", "0", "-", "-", "-"]);
    }

    #[test]
    fn json_says_what_is_not_known() {
        let json = json(&view());
        let process = &json["processes"][0];
        assert_eq!((&json["seconds"], &process["count"]), (&json!(10.0), &json!(100)));
        assert!(
            process["heap_live_bytes"].is_null()
                && process["operations"][1]["p50_seconds"].is_null()
        );
        assert_eq!(process["operations"][0]["errors"], json!(50));
    }
}
