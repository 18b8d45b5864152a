//! The live table on a terminal. Not here: what is shown.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table as Widget, TableState};

use super::app::{App, Page};
use super::format::number;
use super::table::{Column, Table};
use crate::output::text::printable;

const HELP: &str = "\
enter, right     look at what is selected:
                 process, operation, requests
esc, left        back; clears the filter first
tab              processes, or operations of all
up, down, j, k   select; also page up, page down, g, G
/                filter lines by a text
s, S             order by the next or the last column
r                the other way round
p, space         pause
q, ctrl-c        leave

RATE is a second, of what a process serves; of what it
asks others for if it serves nothing. - is not known.";

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let rows = Layout::vertical([Constraint::Length(1), Constraint::Min(2), Constraint::Length(1)]);
    let [head, body, foot] = rows.areas(frame.area());
    frame.render_widget(Line::raw(title(app)).style(bold()), head);
    app.height = usize::from(body.height.saturating_sub(1)).max(1);
    table(frame, app, body);
    frame.render_widget(Line::raw(footer(app)).style(dim()), foot);
    if app.help {
        help(frame);
    }
}

fn bold() -> Style {
    Style::default().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::default().add_modifier(Modifier::DIM)
}

fn title(app: &App) -> String {
    let rows = &app.view.rows;
    let rate: f64 = rows.iter().map(|row| row.rates.per_second).sum();
    let over = app.view.over.as_secs_f64();
    let processes = if rows.len() == 1 { "process" } else { "processes" };
    let (n, rate) = (rows.len(), number(rate));
    let mut out = format!("gotap top  {n} {processes}  {rate}/s over {over:.0}s");
    match app.page() {
        Page::Processes => {}
        Page::Operations(None) => out.push_str("  all operations"),
        Page::Operations(Some(pid)) => {
            let service = rows.iter().find(|row| row.pid == *pid).map(|row| row.service.as_str());
            out.push_str(&format!("  {}[{pid}]", printable(service.unwrap_or("ended"))));
        }
        Page::Requests(pid, operation) => {
            out.push_str(&format!("  [{pid}] {}", printable(&operation.name)));
        }
    }
    if app.paused {
        out.push_str("  PAUSED");
    }
    out
}

fn footer(app: &App) -> String {
    if app.editing {
        return format!("/{}_   enter: keep   esc: clear", printable(&app.filter));
    }
    let mut out = "q quit  ? help  / filter  s sort  p pause  enter open  tab all".to_owned();
    if !app.filter.is_empty() {
        out = format!("filter: {}   esc: clear   {out}", printable(&app.filter));
    } else if !app.said.is_empty() {
        out = format!("? help   {}", printable(&app.said));
    }
    out
}

fn table(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let table = app.table();
    if table.lines.is_empty() {
        let text = match (app.view.rows.is_empty(), app.filter.is_empty()) {
            (_, false) => "nothing matches the filter",
            (true, _) => "no Go process that is selected runs; waiting for one",
            _ => "nothing has happened yet",
        };
        return frame.render_widget(Paragraph::new(text).style(dim()), area);
    }
    let (sorted, ascending) = app.sorted_by();
    let titles = table.columns.iter().enumerate().map(|(i, (title, _))| {
        let mark = if ascending { "^" } else { "v" };
        let title = if i == sorted { format!("{title}{mark}") } else { (*title).to_owned() };
        aligned(title, &table, i)
    });
    let head = Row::new(titles).style(bold());
    let lines = table.lines.iter().map(|line| {
        let cells = line.cells.iter().enumerate().map(|(i, cell)| aligned(cell.clone(), &table, i));
        let style = if line.failed { Style::default().fg(Color::Red) } else { Style::default() };
        Row::new(cells).style(style)
    });
    let widths = table.columns.iter().map(|(_, width)| match width {
        0 => Constraint::Min(8),
        width => Constraint::Length(*width),
    });
    let widget = Widget::new(lines, widths)
        .header(head)
        .row_highlight_style(Style::default().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(app.position(&table));
    frame.render_stateful_widget(widget, area, &mut state);
}

/// A cell; numbers stand to the right.
fn aligned(text: String, table: &Table, column: usize) -> Cell<'static> {
    let is_text = |(title, _): &Column| {
        ["SERVICE", "KIND", "OPERATION", "TIME", "OUTCOME", "TRACE", "WHAT"].contains(title)
    };
    let text = Text::raw(text);
    Cell::new(match table.columns.get(column) {
        Some(column) if is_text(column) => text,
        _ => text.alignment(Alignment::Right),
    })
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let (width, height) = (area.width.min(60), area.height.min(16));
    let (x, y) = ((area.width - width) / 2, (area.height - height) / 2);
    let area = Rect { x, y, width, height };
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" keys ");
    frame.render_widget(Paragraph::new(HELP).block(block), area);
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
