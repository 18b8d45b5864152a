//! A page as lines of cells. Not here: which page, and how it is drawn.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::app::Page;
use super::format::seconds;
use super::model::{Operation, Rates, Request, View};
use super::once::{of_process, of_rates};
use crate::output::text::{clock, printable};

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Process(u32),
    Operation(u32, Operation),
    /// By its trace and its end.
    Request([u8; 16], u64),
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) key: Key,
    pub(crate) cells: Vec<String>,
    /// By which it is ordered, one a column; texts have none.
    order: Vec<Option<f64>>,
    /// Whether something failed.
    pub(crate) failed: bool,
}

impl Line {
    /// Whether one of the cells has the text, in lower case.
    pub(crate) fn matches(&self, filter: &str) -> bool {
        filter.is_empty() || self.cells.iter().any(|cell| cell.to_lowercase().contains(filter))
    }
}

/// A column: its title and how wide it is; the one of no width takes what is left.
pub(crate) type Column = (&'static str, u16);

/// A page.
pub(crate) struct Table {
    pub(crate) columns: &'static [Column],
    pub(crate) lines: Vec<Line>,
}

const PROCESSES: &[Column] = &[
    ("SERVICE", 0),
    ("PID", 7),
    ("RATE", 6),
    ("ERR%", 4),
    ("P50", 6),
    ("P99", 6),
    ("GOROUT", 6),
    ("GC/S", 5),
    ("HEAP", 5),
    ("CPU%", 5),
];
const OPERATIONS: &[Column] = &[
    ("SERVICE", 14),
    ("KIND", 6),
    ("RATE", 6),
    ("ERR%", 4),
    ("P50", 6),
    ("P99", 6),
    ("OPERATION", 0),
];
const REQUESTS: &[Column] =
    &[("TIME", 15), ("TOOK", 6), ("OUTCOME", 12), ("TRACE", 8), ("WHAT", 0)];

impl Table {
    pub(crate) fn columns(page: &Page) -> &'static [Column] {
        match page {
            Page::Processes => PROCESSES,
            Page::Operations(_) => OPERATIONS,
            Page::Requests(..) => REQUESTS,
        }
    }

    pub(crate) fn of(page: &Page, view: &View, requests: &VecDeque<Request>) -> Self {
        let lines = match page {
            Page::Processes => processes(view),
            Page::Operations(pid) => operations(view, *pid),
            Page::Requests(pid, operation) => {
                let own = requests.iter();
                let own = own.filter(|r| r.pid == *pid && r.operation == *operation);
                own.map(request).collect()
            }
        };
        Self { columns: Self::columns(page), lines }
    }

    /// Orders the lines: numbers downwards and texts upwards, or the other way round.
    pub(crate) fn sort(&mut self, column: usize, ascending: bool) {
        self.lines.sort_by(|a, b| {
            let number = |line: &Line| line.order.get(column).copied().flatten();
            let order = match (number(a), number(b)) {
                (Some(a), Some(b)) => b.total_cmp(&a),
                // What is not known stands at the end.
                (Some(_), None) => return Ordering::Less,
                (None, Some(_)) => return Ordering::Greater,
                (None, None) => a.cells.get(column).cmp(&b.cells.get(column)),
            };
            if ascending { order.reverse() } else { order }
        });
    }
}

fn of_numbers(rates: &Rates) -> [Option<f64>; 4] {
    [Some(rates.per_second), rates.error_share(), rates.p50, rates.p99]
}

fn processes(view: &View) -> Vec<Line> {
    let line = |row: &super::model::Row| {
        let mut order = vec![None, Some(f64::from(row.pid))];
        order.extend(of_numbers(&row.rates));
        order.push(row.goroutines.map(|n| n as f64));
        order.push(row.collections_per_second);
        order.push(row.heap.map(|n| n as f64));
        order.push(row.cpu);
        let (key, cells) = (Key::Process(row.pid), of_process(row).to_vec());
        Line { key, cells, order, failed: row.rates.errors > 0 }
    };
    view.rows.iter().map(line).collect()
}

fn operations(view: &View, pid: Option<u32>) -> Vec<Line> {
    let rows = view.rows.iter().filter(|row| pid.is_none_or(|pid| row.pid == pid));
    let lines = rows.flat_map(|row| {
        row.operations.iter().map(|(operation, rates)| {
            let mut cells = vec![printable(&row.service)];
            cells.push(if operation.made { "client" } else { "server" }.to_owned());
            cells.extend(of_rates(rates));
            cells.push(printable(&operation.name));
            let mut order = vec![None, None];
            order.extend(of_numbers(rates));
            order.push(None);
            let key = Key::Operation(row.pid, operation.clone());
            Line { key, cells, order, failed: rates.errors > 0 }
        })
    });
    lines.collect()
}

fn request(one: &Request) -> Line {
    let trace = one.trace_id.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let cells = vec![
        clock(one.end_unix_nano),
        seconds(one.seconds),
        printable(&one.outcome),
        trace,
        printable(&one.what),
    ];
    let order = vec![Some(one.end_unix_nano as f64), Some(one.seconds), None, None, None];
    Line { key: Key::Request(one.trace_id, one.end_unix_nano), cells, order, failed: one.failed }
}
