//! The short table of `gotap ps`: one line a process, for a terminal of 100 columns. Not here: the
//! whole of what is known.

use anyhow::Result;
use instruments::{Ability, Plan};

use super::Found;
use crate::inspect::{Program, Target, Unreadable};
use crate::output::line;

/// Columns of a line.
const WIDTH: usize = 100;
/// What the table has room for of a name.
const NAME: usize = 24;

pub(super) fn print(found: &Found) -> Result<()> {
    let header = ["PID", "SERVICE", "GO", "TRACES", "NOT"].map(str::to_owned);
    let rows = std::iter::once(header).chain(found.targets.iter().map(row));
    let rows: Vec<_> = rows.chain(found.unreadable.iter().map(unreadable_row)).collect();
    Ok(line(table(&rows).join("\n"))?)
}

fn row(target: &Target) -> [String; 5] {
    let program = &target.program;
    let words = words(&program.plan);
    [
        target.process.pid.to_string(),
        cut(&target.service_name, NAME),
        program.go_version.trim_start_matches("go").to_owned(),
        if words.is_empty() { "-".to_owned() } else { words.join(" ") },
        notes(program).join("; "),
    ]
}

fn unreadable_row(program: &Unreadable) -> [String; 5] {
    let (pid, name) = (program.process.pid.to_string(), cut(&program.service_name, NAME));
    [pid, name, "-".to_owned(), "-".to_owned(), program.why.to_string()]
}

fn words(plan: &Plan) -> Vec<&'static str> {
    let has = |abilities: &[Ability]| abilities.iter().any(|a| plan.abilities.contains(a));
    instruments::traced().filter(|traced| has(traced.abilities)).map(|traced| traced.word).collect()
}

/// What somebody would expect to be seen and is not.
fn notes(program: &Program) -> Vec<String> {
    let mut notes = Vec::new();
    if program.unknown_version {
        notes.push("this Go version is unknown".to_owned());
    }
    let untraced = program.libraries.iter().filter(|library| library.instruments.is_empty());
    notes.extend(untraced.map(|library| library.short()));
    // What is not linked in, nobody misses.
    let missing = program.plan.missing.iter().filter(|missing| !missing.is_absent());
    notes.extend(missing.map(|m| format!("{}: {}", m.ability.label(), m.why)));
    notes
}

fn table(rows: &[[String; 5]]) -> Vec<String> {
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let text = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, w)| format!("{cell:<w$}"));
        cut(cells.collect::<Vec<_>>().join("  ").trim_end(), WIDTH)
    };
    rows.iter().map(text).collect()
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_say_that_they_were_cut() {
        let row = |not: &str| ["1", "shop", "1.26.8", "http", not].map(str::to_owned);
        let lines = table(&[row(""), row(&"x".repeat(200))]);
        assert_eq!(lines[0], "1  shop  1.26.8  http");
        assert!(lines[1].chars().count() == WIDTH && lines[1].ends_with('…'), "{}", lines[1]);
    }
}
