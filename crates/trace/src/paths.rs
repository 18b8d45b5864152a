//! Paths of requests without a route, as what routes could look like: what varies in them is
//! replaced by what it is. A guess, and so used only where it is asked for.
//!
//! Not here: true routes, which come from the program.

use std::collections::HashSet;

/// Clusters of a service that are told apart.
pub const MAX_CLUSTERS: usize = 200;
/// What further ones are called. No path starts like this.
pub const OTHER: &str = "{other}";

/// Segments of a path that are kept; what follows is `*`.
const MAX_SEGMENTS: usize = 8;
/// A longer segment is no name.
const MAX_NAME: usize = 40;

/// The clusters of one service. The first ones stay; what is too much shares one.
#[derive(Debug)]
pub struct Clusters {
    known: HashSet<String>,
    limit: usize,
}

impl Default for Clusters {
    fn default() -> Self {
        Self::with_limit(MAX_CLUSTERS)
    }
}

impl Clusters {
    /// At most `limit` clusters, and [`OTHER`].
    pub fn with_limit(limit: usize) -> Self {
        Self { known: HashSet::new(), limit }
    }

    /// The cluster of a path as it was sent. One that is `found` may be new; of requests for what is
    /// not there anybody can make as many as he likes, so that they have a cluster only if it is
    /// known.
    pub fn of(&mut self, path: &str, found: bool) -> Option<String> {
        let cluster = cluster(path);
        if self.known.contains(&cluster) {
            return Some(cluster);
        }
        if !found {
            return None;
        }
        if self.known.len() >= self.limit {
            return Some(OTHER.into());
        }
        self.known.insert(cluster.clone());
        Some(cluster)
    }
}

/// A path with what varies replaced.
pub fn cluster(path: &str) -> String {
    let mut out = String::with_capacity(path.len().min(256));
    for (i, segment) in path.trim_start_matches('/').split('/').enumerate() {
        out.push('/');
        if i == MAX_SEGMENTS {
            out.push('*');
            break;
        }
        out.push_str(kind(segment).unwrap_or(segment));
    }
    out
}

/// What a segment is, if it is no name.
fn kind(segment: &str) -> Option<&'static str> {
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    if bytes.is_empty() {
        None
    } else if is_uuid(bytes) {
        Some("{uuid}")
    } else if is_date(bytes) {
        Some("{date}")
    } else if is_number(bytes) {
        Some("{id}")
    } else if bytes.len() >= 16 && digits > 0 && bytes.iter().all(u8::is_ascii_hexdigit) {
        Some("{hash}")
    } else if is_email(segment) {
        Some("{email}")
    } else if is_token(bytes, digits) {
        Some("{token}")
    } else {
        None
    }
}

/// Digits, perhaps with a sign or with separators, as of telephone numbers and versions of IP.
fn is_number(bytes: &[u8]) -> bool {
    let inner = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'.' | b',' | b'_' | b'+' | b':');
    bytes.iter().any(u8::is_ascii_digit) && bytes.iter().all(inner)
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// A day, perhaps with a time: 2024-05-17, 2024-05-17T10:00:00Z.
fn is_date(bytes: &[u8]) -> bool {
    let Some((day, time)) = bytes.split_at_checked(10) else { return false };
    let number = |from: usize, to: usize| {
        let text = day.get(from..to).and_then(|b| std::str::from_utf8(b).ok())?;
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok())?
    };
    let month = number(5, 7).is_some_and(|m| (1..=12).contains(&m));
    let is_day = number(0, 4).is_some()
        && month
        && number(8, 10).is_some_and(|d| (1..=31).contains(&d))
        && day.get(4) == Some(&b'-')
        && day.get(7) == Some(&b'-');
    let in_time = |b: &u8| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'+' | b'-' | b'%');
    let letters = |b: &u8| matches!(b, b'T' | b't' | b'Z' | b'z' | b'A');
    is_day
        && (time.is_empty()
            || (matches!(time.first(), Some(b'T' | b't' | b'%'))
                && time.iter().all(|b| in_time(b) || letters(b))))
}

/// `name@host.domain`, also escaped.
fn is_email(segment: &str) -> bool {
    let parts = segment.split_once('@').or_else(|| segment.split_once("%40"));
    parts.is_some_and(|(name, host)| {
        !name.is_empty() && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
    })
}

/// Something that nobody would call a thing: long and mixed, escaped, or too long for a name.
fn is_token(bytes: &[u8], digits: usize) -> bool {
    if bytes.len() > MAX_NAME {
        return true;
    }
    // Words that are joined have few digits, or all at an end.
    let upper = bytes.iter().filter(|b| b.is_ascii_uppercase()).count();
    let lower = bytes.iter().filter(|b| b.is_ascii_lowercase()).count();
    let changes = bytes.windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit());
    let escapes = bytes.iter().filter(|b| **b == b'%').count();
    let mixed = digits >= 2 && changes.count() >= 4;
    let cased = digits >= 2 && upper >= 3 && lower >= 3;
    escapes >= 3 || (bytes.len() >= 16 && (mixed || cased))
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
