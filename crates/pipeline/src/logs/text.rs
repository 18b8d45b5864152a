//! How bad a line of a log is, by what common loggers of Go write: `log/slog`, zap, zerolog, logrus, klog. Not here:
//! what else it says.

use trace::Severity;

/// Bytes at the start of a line in which its level is looked for.
const LOOKED_AT: usize = 256;
/// What stands before a level: in JSON, in key and value pairs.
const KEYS: [&str; 8] = [
    "\"level\":",
    "\"severity\":",
    "\"lvl\":",
    "\"Level\":",
    "\"L\":",
    "level=",
    "severity=",
    "lvl=",
];

/// The severity of a line; `None` where it names none.
pub(super) fn severity(line: &str) -> Option<Severity> {
    let mut end = line.len().min(LOOKED_AT);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let start = &line[..end];
    let keyed = KEYS.iter().find_map(|key| {
        let value = start.split_once(key)?.1.trim_start().trim_start_matches('"');
        let end = value.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(value.len());
        Some(named(&value[..end]))
    });
    match keyed {
        Some(found) => found,
        None if start.starts_with('{') => None,
        None => klog(start).or_else(|| word(start)),
    }
}

/// `E1129 13:05:06.123456 ...`, as klog and glog write.
fn klog(line: &str) -> Option<Severity> {
    let (letter, rest) = line.split_at_checked(1)?;
    let date = rest.get(..5)?;
    let is_date = date[..4].bytes().all(|byte| byte.is_ascii_digit()) && date.ends_with(' ');
    match letter {
        _ if !is_date => None,
        "I" => Some(Severity::Info),
        "W" => Some(Severity::Warn),
        "E" => Some(Severity::Error),
        "F" => Some(Severity::Fatal),
        _ => None,
    }
}

/// A level in capitals among the first words, behind dates and times: what is written in other ways may be part of
/// a sentence.
fn word(line: &str) -> Option<Severity> {
    let words = line.split(|c: char| c.is_whitespace() || c == '|').filter(|w| !w.is_empty());
    for word in words.take(4) {
        let word = without_colour(word);
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let in_capitals = word.bytes().all(|byte| byte.is_ascii_uppercase());
        return in_capitals.then(|| named(word)).flatten();
    }
    None
}

/// A word without the codes that colour it on a terminal.
fn without_colour(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = behind.split_once('m').map_or("", |(_, rest)| rest);
    }
    out + rest
}

fn named(level: &str) -> Option<Severity> {
    Some(match level.to_ascii_lowercase().as_str() {
        "trace" | "trc" => Severity::Trace,
        "debug" | "dbg" | "debu" => Severity::Debug,
        "info" | "inf" | "notice" | "information" => Severity::Info,
        "warn" | "wrn" | "warning" => Severity::Warn,
        "error" | "err" | "erro" => Severity::Error,
        "fatal" | "ftl" | "panic" | "pnc" | "dpanic" | "critical" | "fata" => Severity::Fatal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_common_loggers_are_known() {
        let cases = [
            (r#"{"time":"2026-11-29T13:00:00Z","level":"ERROR","msg":"x"}"#, Some(Severity::Error)),
            (r#"{"level":"warn","ts":1,"msg":"level=info"}"#, Some(Severity::Warn)),
            (r#"{"severity": "debug"}"#, Some(Severity::Debug)),
            ("time=2026-11-29T13:00:00Z level=INFO msg=x", Some(Severity::Info)),
            ("2026/11/29 13:00:00 WARN slow request", Some(Severity::Warn)),
            ("2026-11-29T13:00:00.000Z\tERROR\tmain.go:3\tfailed", Some(Severity::Error)),
            ("[ERROR] failed", Some(Severity::Error)),
            ("\u{1b}[90m1:05PM\u{1b}[0m \u{1b}[32mINF\u{1b}[0m started", Some(Severity::Info)),
            ("E1129 13:05:06.123456    1 main.go:1] failed", Some(Severity::Error)),
        ];
        for (line, wanted) in cases {
            assert_eq!(severity(line), wanted, "{line}");
        }
    }

    #[test]
    fn what_names_no_level_has_none() {
        for line in [
            "",
            "hello",
            "2026/11/29 13:00:00 Error rates rise",
            "Info about x",
            "{\"msg\":\"ERROR\"}",
            "ERRORS: 3",
            "é",
        ] {
            assert_eq!(severity(line), None, "{line}");
        }
    }
}
