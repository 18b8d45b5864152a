//! One route's pattern, in the syntaxes of the known routers, and how a path matches it.
//!
//! Patterns and paths are hostile: time and memory are bounded.

use regex_lite::{Regex, RegexBuilder, escape};

/// Parts of a pattern; one that has more is left out.
const MAX_PARTS: usize = 64;
/// Attempts to match a path with a pattern; what needs more does not match.
const MAX_STEPS: u32 = 10_000;
/// Bytes of a compiled expression.
const MAX_EXPRESSION: usize = 1 << 16;

/// A pattern, ready to be matched.
#[derive(Debug)]
pub(super) enum Pattern {
    /// Texts and parameters.
    Parts(Vec<Part>),
    /// What a path that matches starts with, and an expression for all of it.
    Whole(String, Regex),
    /// Every path matches.
    Everything,
}

/// A part of a pattern.
#[derive(Debug)]
pub(super) enum Part {
    /// Exactly this.
    Text(String),
    /// Something without a slash, for which there may be an expression.
    Segment(Option<Regex>),
    /// As the last, but it must be of some form that can't be told.
    Restricted,
    /// All that follows, which is not empty; a parameter to echo.
    Remainder,
    /// All that follows, if anything.
    Rest,
}

/// How a path matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Match {
    /// Where parameters start, and how special each is: less is more.
    parameters: Vec<(usize, u8)>,
    /// Where the rest starts, if it matched one.
    pub(super) rest: Option<usize>,
}

impl Match {
    /// Whether a router that prefers text to parameters, and those to a rest, from left to right,
    /// would come to this before the other.
    pub(super) fn is_more_special(&self, other: &Self) -> bool {
        for (mine, others) in self.parameters.iter().zip(&other.parameters) {
            if mine != others {
                // The later one has text where the other has a parameter already.
                return mine.0 > others.0 || (mine.0 == others.0 && mine.1 < others.1);
            }
        }
        self.parameters.len() < other.parameters.len()
    }
}

impl Pattern {
    /// `:name` up to a slash, `*name` for the rest; a colon may be escaped.
    pub(super) fn colons(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("\\:") {
                push_text(&mut parts, ":");
                rest = after;
            } else if rest.starts_with('*') {
                parts.push(Part::Rest);
                break;
            } else if rest.starts_with(':') {
                parts.push(Part::Segment(None));
                rest = rest.find('/').map_or("", |at| &rest[at..]);
            } else {
                // An escape stands before the colon.
                let end = rest.get(1..)?.find([':', '*', '\\']).map_or(rest.len(), |at| at + 1);
                push_text(&mut parts, rest.get(..end)?);
                rest = rest.get(end..)?;
            }
        }
        Self::of(parts)
    }

    /// `{name}` and `{name:expression}` up to a slash, `*` for the rest.
    pub(super) fn braces(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for piece in pieces(text)? {
            match piece {
                Piece::Text(text) => {
                    let (before, rest) =
                        text.split_once('*').map_or((text, None), |(b, _)| (b, Some(())));
                    push_text(&mut parts, before);
                    if rest.is_some() {
                        parts.push(Part::Rest);
                        break;
                    }
                }
                Piece::Parameter(None) => parts.push(Part::Segment(None)),
                Piece::Parameter(Some(expression)) => {
                    parts.push(match compile(&format!("^(?:{expression})$")) {
                        Some(regex) => Part::Segment(Some(regex)),
                        None => Part::Restricted,
                    });
                }
            }
        }
        Self::of(parts)
    }

    /// As [`Self::braces`], but an expression may go over slashes, and `prefix` says that more may
    /// follow; `slash`, that a last slash may be there or not.
    pub(super) fn expression(text: &str, prefix: bool, slash: bool) -> Option<Self> {
        let text = if slash { text.strip_suffix('/').unwrap_or(text) } else { text };
        let mut whole = String::from("^");
        let pieces = pieces(text)?;
        for piece in &pieces {
            match piece {
                Piece::Text(text) => whole.push_str(&escape(text)),
                Piece::Parameter(expression) => {
                    whole.push_str(&format!("(?:{})", expression.unwrap_or("[^/]+")));
                }
            }
        }
        whole.push_str(if slash { "/?" } else { "" });
        whole.push_str(if prefix { "" } else { "$" });
        let start = match pieces.first() {
            Some(Piece::Text(text)) => (*text).to_owned(),
            _ => String::new(),
        };
        if let Some(regex) = compile(&whole) {
            return Some(Self::Whole(start, regex));
        }
        // What such an expression takes can't be told.
        Self::of(vec![Part::Text(start), Part::Rest])
    }

    /// Whether it is an expression that could be compiled, or none.
    pub(super) fn is_exact(&self) -> bool {
        !matches!(self, Self::Parts(parts) if parts.iter().any(|p| matches!(p, Part::Restricted)))
    }

    /// Makes the last part, if it is a parameter, take all that follows.
    pub(super) fn take_remainder(&mut self) {
        if let Self::Parts(parts) = self
            && let Some(last @ Part::Segment(None)) = parts.last_mut()
        {
            *last = Part::Remainder;
        }
    }

    fn of(parts: Vec<Part>) -> Option<Self> {
        (parts.len() <= MAX_PARTS).then_some(Self::Parts(parts))
    }

    /// How `path` matches, if it does.
    pub(super) fn matches(&self, path: &str) -> Option<Match> {
        match self {
            Self::Everything => Some(Match::default()),
            Self::Whole(start, regex) => {
                (path.starts_with(start.as_str()) && regex.is_match(path)).then(Match::default)
            }
            Self::Parts(parts) => {
                let mut found = Match::default();
                let mut steps = MAX_STEPS;
                go_on(parts, path, 0, &mut found, &mut steps).then_some(found)
            }
        }
    }
}

/// Matches the parts with `path` from `at` on.
fn go_on(parts: &[Part], path: &str, at: usize, found: &mut Match, steps: &mut u32) -> bool {
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    let Some((part, others)) = parts.split_first() else { return at == path.len() };
    let Some(rest) = path.get(at..) else { return false };
    let (restriction, kind) = match part {
        Part::Text(text) => {
            return rest.starts_with(text.as_str())
                && go_on(others, path, at + text.len(), found, steps);
        }
        Part::Rest => {
            found.parameters.push((at, special(2, None)));
            found.rest = Some(at);
            return true;
        }
        Part::Remainder => {
            found.parameters.push((at, special(1, None)));
            return !rest.is_empty();
        }
        Part::Segment(None) => (None, 1),
        Part::Segment(Some(regex)) => (Some(regex), 0),
        Part::Restricted => (None, 0),
    };
    let known = found.parameters.len();
    let segment = rest.find('/').unwrap_or(rest.len());
    let next = match others.first() {
        Some(Part::Text(text)) => text.as_bytes().first().copied(),
        _ => None,
    };
    // Text that follows says where it ends, at its first byte; else it is all of the segment.
    let tail = next.filter(|byte| *byte != b'/');
    let end = match tail {
        Some(byte) => rest.as_bytes()[..segment].iter().position(|b| *b == byte),
        None => Some(segment),
    };
    // chi's parameters may be empty in front of a text.
    let may_be_empty = tail.is_some() && matches!(part, Part::Segment(None)) && !rest.is_empty();
    let value = end.filter(|end| *end > 0 || may_be_empty).and_then(|end| rest.get(..end));
    let Some(value) = value.filter(|v| restriction.is_none_or(|regex| regex.is_match(v))) else {
        return false;
    };
    found.parameters.push((at, special(kind, tail)));
    if go_on(others, path, at + value.len(), found, steps) {
        return true;
    }
    found.parameters.truncate(known);
    false
}

/// How special a parameter is of a kind: where text follows within the segment, more.
fn special(kind: u8, tail: Option<u8>) -> u8 {
    2 * kind + u8::from(tail.is_none())
}

fn push_text(parts: &mut Vec<Part>, more: &str) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push_str(more),
        _ if more.is_empty() => {}
        _ => parts.push(Part::Text(more.to_owned())),
    }
}

fn compile(expression: &str) -> Option<Regex> {
    RegexBuilder::new(expression).size_limit(MAX_EXPRESSION).build().ok()
}

/// What braces divide a pattern into.
enum Piece<'a> {
    Text(&'a str),
    Parameter(Option<&'a str>),
}

/// The pieces of a pattern; braces may be in braces. `None` where they do not fit together.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut out = Vec::new();
    let (mut depth, mut start) = (0u32, 0);
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'{' {
            if depth == 0 {
                out.push(Piece::Text(text.get(start..at)?));
                start = at + 1;
            }
            depth += 1;
        } else if byte == b'}' {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                let inner = text.get(start..at)?;
                out.push(Piece::Parameter(inner.split_once(':').map(|(_, expression)| expression)));
                start = at + 1;
            }
        }
    }
    out.push(Piece::Text(text.get(start..)?));
    (depth == 0).then_some(out)
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
