//! What a guest reports: a line for each thing that is known, as it is known. A guest that panics
//! or hangs leaves what it got to, and no last line.

use std::fmt;

/// What became of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All was as it should be.
    Passed,
    /// It failed, and passed when it was repeated: the console says what was wrong.
    Unsteady,
    /// It failed each time: the console says what was wrong.
    Failed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Passed, Self::Unsteady, Self::Failed];

    /// As the report has it.
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Unsteady => "unsteady",
            Self::Failed => "failed",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `uname -r`.
    Kernel(String),
    /// The verifier accepted a BPF program and went through so many instructions.
    Program(String, u32),
    /// A scenario is over.
    Scenario {
        /// Its name.
        name: String,
        /// What became of it.
        outcome: Outcome,
        /// How long it took.
        millis: u64,
    },
    /// All scenarios are over.
    Done,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(release) => write!(f, "kernel {release}"),
            Self::Program(name, instructions) => write!(f, "program {instructions} {name}"),
            Self::Scenario { name, outcome, millis } => {
                write!(f, "{} {millis} {name}", outcome.word())
            }
            Self::Done => f.write_str("done"),
        }
    }
}

impl Line {
    /// Reads a line; `None` if it is none, or cut off.
    fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let counted = || rest.split_once(' ').map(|(number, name)| (number, name.to_owned()));
        match word {
            "kernel" => Some(Self::Kernel(rest.to_owned())),
            "program" => {
                let (instructions, name) = counted()?;
                Some(Self::Program(name, instructions.parse().ok()?))
            }
            "done" => Some(Self::Done),
            word => {
                let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.word() == word)?;
                let (millis, name) = counted()?;
                let millis = millis.parse().ok()?;
                Some(Self::Scenario { name, outcome, millis })
            }
        }
    }
}

/// All that a guest reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `uname -r`, or empty.
    pub kernel: String,
    /// BPF programs and their verified instructions.
    pub programs: Vec<(String, u32)>,
    /// Scenarios, what became of them, and their milliseconds.
    pub scenarios: Vec<(String, Outcome, u64)>,
    /// Whether the guest got to the end.
    pub done: bool,
}

impl Report {
    /// Reads what came over the serial port, which ends lines in its own way.
    pub fn parse(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines().filter_map(|line| Line::parse(line.trim_end())) {
            match line {
                Line::Kernel(release) => report.kernel = release,
                Line::Program(name, instructions) => report.programs.push((name, instructions)),
                Line::Scenario { name, outcome, millis } => {
                    report.scenarios.push((name, outcome, millis));
                }
                Line::Done => report.done = true,
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(name: &str, outcome: Outcome, millis: u64) -> Line {
        Line::Scenario { name: name.into(), outcome, millis }
    }

    #[test]
    fn what_is_written_is_read() {
        let lines = [
            Line::Kernel("5.10.0-46-cloud-amd64".into()),
            Line::Program("probe_server_start".into(), 123_456),
            scenario("HTTP/1, one by one", Outcome::Passed, 1500),
            scenario("gRPC", Outcome::Unsteady, 7),
            scenario("doctor", Outcome::Failed, 3),
            Line::Done,
        ];
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let report = Report::parse(&text);
        assert_eq!(report.kernel, "5.10.0-46-cloud-amd64");
        assert_eq!(report.programs, [("probe_server_start".to_owned(), 123_456)]);
        let one_by_one = ("HTTP/1, one by one".to_owned(), Outcome::Passed, 1500);
        let grpc = ("gRPC".to_owned(), Outcome::Unsteady, 7);
        assert_eq!(report.scenarios, [one_by_one, grpc, ("doctor".to_owned(), Outcome::Failed, 3)]);
        assert!(report.done);
    }

    #[test]
    fn a_report_that_breaks_off_is_not_done() {
        let report = Report::parse("kernel 6.1.0\r\nprogram 12 a\r\npassed 3");
        assert_eq!((report.kernel.as_str(), report.programs.len()), ("6.1.0", 1));
        assert!(report.scenarios.is_empty() && !report.done);
    }
}
