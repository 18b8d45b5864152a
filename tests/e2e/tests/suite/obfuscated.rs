//! Every command that looks into Go's runtime, on programs whose metadata is obfuscated, stripped to the bone or
//! damaged, and on such as a Go of the future built. What is said is right or `null` with the reason; else there is one
//! sentence, which says what is wrong with the program. Not here: memory that holds nonsense (`hostile`).

mod asked;

use anyhow::{Context, Result, ensure};
use gotap_e2e::altered::{Altered, change_magic, function_table, replace};
use gotap_e2e::can_trace;
use gotap_e2e::goroutines::RuntimeApp;
use gotap_testkit::go::{self, Mode, Version};

use asked::{COMMANDS, Command};

/// What is to become of all commands.
#[derive(Clone, Copy)]
enum Then {
    /// All numbers are right, and none is unknown.
    Right,
    /// Numbers are right, or `null` with a reason. A command that does not know the layout of this runtime may also
    /// refuse, with one of its sentences.
    RightOrNull,
    /// One sentence with these words.
    Refused(&'static str),
}

/// A way to alter a program.
struct Row {
    what: &'static str,
    minor: u32,
    alter: fn(&mut [u8], Version) -> Result<()>,
    then: Then,
    /// By command: what its output lists under `missing`.
    missing: &'static [(&'static str, &'static [&'static str])],
}

const UNCERTAIN: (&str, &[&str]) =
    ("certainty about counters", &["goroutines", "gc", "sched", "chan"]);

/// What most programs are built with.
const NEWEST: u32 = Version::NEWEST.minor;

const OBFUSCATED: [Row; 5] = [
    Row {
        what: "names of the program's own functions and types",
        minor: NEWEST,
        alter: |data, _| replace(data, b"main.", b"q9xk."),
        then: Then::Right,
        missing: &[("names", &["goroutines", "chan"])],
    },
    Row {
        what: "no section headers",
        minor: NEWEST,
        alter: without_sections,
        then: Then::Right,
        missing: &[],
    },
    Row {
        what: "names of the runtime's functions",
        minor: NEWEST,
        alter: |data, _| replace(data, b"\0runtime.", b"\0rzqwexs."),
        then: Then::Refused("was not found in the code"),
        missing: &[],
    },
    Row {
        what: "names of the type of goroutines",
        minor: NEWEST,
        alter: |data, _| scramble_type(data, "g"),
        then: Then::Refused("was the program obfuscated?"),
        missing: &[],
    },
    Row {
        what: "names of the types of channels and of the scheduler",
        minor: NEWEST,
        alter: |data, _| {
            for name in ["hchan", "sudog", "p", "m"] {
                scramble_type(data, name)?;
            }
            Ok(())
        },
        then: Then::RightOrNull,
        missing: &[("channels", &["goroutines", "chan"]), ("the scheduler", &["sched"])],
    },
];

const DAMAGED: [Row; 5] = [
    Row {
        what: "another magic number of the function table",
        minor: NEWEST,
        alter: |data, _| change_magic(data, 0xc1),
        then: Then::Refused("unknown magic 0xffffffc1"),
        missing: &[],
    },
    Row {
        what: "a function table that is cut off",
        minor: NEWEST,
        alter: |data, _| header(data, 0, |functions| functions / 2),
        then: Then::Refused("damaged function table"),
        missing: &[],
    },
    Row {
        what: "a function table with too many functions",
        minor: NEWEST,
        alter: |data, _| header(data, 0, |functions| functions + 1000),
        then: Then::Refused("damaged function table"),
        missing: &[],
    },
    Row {
        what: "a table of lines and frames that stands elsewhere",
        minor: NEWEST,
        alter: |data, _| header(data, 6, |offset| offset + 64),
        then: Then::Refused("damaged function table"),
        missing: &[],
    },
    Row {
        what: "a table of files that stands elsewhere",
        minor: NEWEST,
        alter: |data, _| header(data, 5, |offset| offset - 8),
        then: Then::Refused("damaged function table"),
        missing: &[],
    },
];

const UNKNOWN: [Row; 2] = [
    Row {
        what: "a Go of the future",
        minor: NEWEST,
        alter: of_the_future,
        then: Then::Right,
        missing: &[UNCERTAIN],
    },
    Row {
        what: "a Go that does not say which one it is",
        minor: NEWEST,
        alter: |data, version| claim(data, version, "devel +x"),
        then: Then::Right,
        missing: &[UNCERTAIN],
    },
];

/// Versions that say they are others, whose tables do not fit.
const OTHERS: [Row; 3] = [
    Row {
        what: "Go 1.18 that says it is of the future",
        minor: 18,
        alter: of_the_future,
        then: Then::RightOrNull,
        missing: &[],
    },
    Row {
        what: "Go 1.23 that says it is Go 1.26",
        minor: 23,
        alter: |data, version| claim(data, version, "go1.26.99"),
        then: Then::RightOrNull,
        missing: &[],
    },
    Row {
        what: "Go 1.26 that says it is Go 1.23",
        minor: 26,
        alter: |data, version| claim(data, version, "go1.23.9"),
        then: Then::RightOrNull,
        missing: &[],
    },
];

/// Lets a program say that a Go of the future built it, in as many letters.
fn of_the_future(data: &mut [u8], version: Version) -> Result<()> {
    let is_short = version.to_string().len() == 6;
    claim(data, version, if is_short { "go1.99.9" } else { "go1.99.99" })
}

fn claim(data: &mut [u8], version: Version, name: &str) -> Result<()> {
    replace(data, format!("go{version}").as_bytes(), name.as_bytes())
}

/// As `sstrip` leaves a file.
fn without_sections(data: &mut [u8], _: Version) -> Result<()> {
    /// `e_shoff`, and the three numbers at the end: size, count, and where their names are.
    const PLACES: [std::ops::Range<usize>; 2] = [40..48, 58..64];
    for place in PLACES {
        data[place].fill(0);
    }
    Ok(())
}

/// Changes the name of a type descriptor of the runtime, which begins with its length.
fn scramble_type(data: &mut [u8], name: &str) -> Result<()> {
    let text = format!("*runtime.{name}");
    let mut from = vec![u8::try_from(text.len())?];
    from.extend(text.as_bytes());
    let mut to = from.clone();
    *to.last_mut().context("a name")? = b'~';
    replace(data, &from, &to)
}

/// Changes a word of the function table's header, of which the runtime itself does not use these.
fn header(data: &mut [u8], word: usize, change: fn(u64) -> u64) -> Result<()> {
    let at = function_table(data)? + 8 + 8 * word;
    let old = u64::from_le_bytes(data[at..at + 8].try_into()?);
    data[at..at + 8].copy_from_slice(&change(old).to_le_bytes());
    Ok(())
}

/// Runs all commands on an altered program.
fn observe(row: &Row, failures: &mut Vec<String>) -> Result<()> {
    let (version, mode) = match row.minor {
        NEWEST => (Version::NEWEST, Mode::Stripped),
        minor => *go::selected_of(minor).first().context("a build of this version")?,
    };
    let original = go::build("runtimeapp", version, mode)?;
    let altered = Altered::new(&original, |data| (row.alter)(data, version))?;
    let mut app = asked::start(&altered.program, version)?;
    for command in &COMMANDS {
        if let Err(error) = one(row, command, &mut app) {
            failures.push(format!("{}, {}: {error:#}", row.what, command.name));
        }
    }
    Ok(())
}

fn one(row: &Row, command: &Command, app: &mut RuntimeApp) -> Result<()> {
    let said = asked::ask(app, command)?;
    match row.then {
        Then::Refused(words) => said.is_refusal(words),
        Then::RightOrNull if said.code == Some(1) => said.is_refusal(""),
        _ => {
            said.is_result()?;
            let unknown = said.compare(command)?;
            ensure!(matches!(row.then, Then::RightOrNull) || unknown.is_empty(), "{unknown:?}");
            said.lacks(command, row.missing)
        }
    }
}

fn run(name: &str, rows: &[Row]) {
    if !can_trace(name) || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let mut failures = Vec::new();
    for row in rows {
        if let Err(error) = observe(row, &mut failures) {
            failures.push(format!("{}: {error:#}", row.what));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn obfuscated_programs_give_right_numbers_or_a_sentence() {
    run("obfuscated_programs_give_right_numbers_or_a_sentence", &OBFUSCATED);
}

#[test]
fn damaged_programs_give_a_sentence() {
    run("damaged_programs_give_a_sentence", &DAMAGED);
}

#[test]
fn programs_of_an_unknown_go_give_right_numbers_with_a_warning() {
    run("programs_of_an_unknown_go_give_right_numbers_with_a_warning", &UNKNOWN);
}

/// A Go that is not known may have another runtime than the one that it is taken for: tables that do not fit must not
/// lead to numbers.
#[test]
fn tables_that_do_not_fit_give_no_wrong_numbers() {
    run("tables_that_do_not_fit_give_no_wrong_numbers", &OTHERS);
}
