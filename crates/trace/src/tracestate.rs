//! W3C tracestate: the fields that a request has of it, joined to one list. What is no valid list is
//! dropped as a whole, as OpenTelemetry's SDK does it. Finding the fields is the kernel side's matter.

use wire::Text;

/// As many members may a list have.
const MAX_MEMBERS: usize = 32;
/// Bytes of a list that are kept: what is longer loses members at its end.
const MAX_BYTES: usize = 2048;

/// The fields of a request's tracestate, as they come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    list: String,
    seen: u16,
    expected: u16,
    cut: bool,
    /// One of them did not come.
    broken: bool,
}

impl Fields {
    /// Begins with the first of them that came, of `expected` ones.
    pub(crate) fn first(number: u16, expected: u16, text: &Text) -> Self {
        let mut fields = Self { expected, ..Self::default() };
        fields.add(number, text);
        fields
    }

    /// Adds the next one.
    pub(crate) fn add(&mut self, number: u16, text: &Text) {
        self.broken |= number != self.seen;
        self.seen = self.seen.saturating_add(1);
        if self.cut || text.value.is_empty() {
            return;
        }
        if !self.list.is_empty() {
            self.list.push(',');
        }
        self.list.push_str(&text.value);
        self.cut = text.truncated || self.list.len() > MAX_BYTES;
        if self.cut {
            // Where it was cut is the middle of a member; those before are whole.
            let end = self.list.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_BYTES);
            self.list.truncate(end.last().unwrap_or(0));
            self.list.truncate(self.list.rfind(',').unwrap_or(0));
        }
    }

    /// The list as a span has it; `None` where it is none.
    pub(crate) fn list(self) -> Option<String> {
        let whole = !self.broken && self.seen == self.expected;
        whole.then(|| normal(&self.list)).flatten()
    }
}

/// A valid list without white space around its members, and without empty ones.
fn normal(list: &str) -> Option<String> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in list.split(',') {
        if member.trim_matches(WHITE).is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let (key, value) = (key.trim_start_matches(WHITE), value.trim_end_matches(WHITE));
        let known = members.iter().any(|(other, _)| *other == key);
        if known || members.len() == MAX_MEMBERS || !is_key(key) || !is_value(value) {
            return None;
        }
        members.push((key, value));
    }
    let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(members.join(","))
}

const WHITE: [char; 2] = [' ', '\t'];

/// A simple key, or one of a tenant's system.
fn is_key(key: &str) -> bool {
    let rest = |text: &str| {
        text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
    };
    let starts = |text: &str, digits: bool| {
        let first = text.bytes().next();
        first.is_some_and(|b| b.is_ascii_lowercase() || digits && b.is_ascii_digit())
    };
    match key.split_once('@') {
        None => starts(key, false) && key.len() <= 256 && rest(key),
        Some((tenant, system)) => {
            let fits = tenant.len() <= 241 && system.len() <= 14;
            fits && starts(tenant, true) && starts(system, false) && rest(tenant) && rest(system)
        }
    }
}

fn is_value(value: &str) -> bool {
    let fits = (1..=256).contains(&value.len()) && !value.ends_with(' ');
    fits && value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=')
}

#[cfg(test)]
#[path = "tracestate_tests.rs"]
mod tests;
