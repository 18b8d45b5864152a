//! Routes of programs built before Go 1.22: the patterns of a ServeMux are read from the process,
//! and matched as net/http does.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use goproc::Process;
use probes::MuxLayout;

/// Patterns are read anew after this time, when a request matches none.
const STALE: Duration = Duration::from_secs(5);
/// Muxes of a process that are kept; a program that makes more than this has routes for some.
const MAX_MUXES: usize = 64;

/// The muxes of one process.
#[derive(Debug)]
pub(crate) struct MuxRoutes {
    process: Process,
    layout: MuxLayout,
    bias: u64,
    muxes: Mutex<HashMap<u64, Patterns>>,
}

#[derive(Debug)]
struct Patterns {
    read_at: Instant,
    patterns: Vec<String>,
}

impl MuxRoutes {
    pub(crate) fn new(process: Process, layout: MuxLayout, bias: u64) -> Self {
        Self { process, layout, bias, muxes: Mutex::default() }
    }

    /// The patterns of a mux; none when they can't be read now.
    fn read(&self, mux: u64) -> Vec<String> {
        let default = mux == wire::DEFAULT_MUX;
        let variable = self.layout.default_mux.wrapping_add(self.bias);
        let mux = if default { self.process.word_at(variable).unwrap_or(0) } else { mux };
        if mux == 0 {
            return Vec::new();
        }
        let map = mux.wrapping_add(self.layout.map);
        goproc::read_patterns(self.process, map, self.layout.entry_size).unwrap_or_default()
    }
}

impl trace::Routes for MuxRoutes {
    fn pattern(&self, mux: u64, host: &str, path: &str) -> Option<String> {
        let mut muxes = self.muxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = muxes.get(&mux) {
            let found = matching(&known.patterns, host, path);
            if found.is_some() || known.read_at.elapsed() < STALE {
                return found.map(str::to_owned);
            }
        } else if muxes.len() >= MAX_MUXES {
            return None;
        }
        let patterns = Patterns { read_at: Instant::now(), patterns: self.read(mux) };
        let found = matching(&patterns.patterns, host, path).map(str::to_owned);
        muxes.insert(mux, patterns);
        found
    }
}

/// What `(*ServeMux).Handler` of Go 1.21 and older chooses: the host's patterns before others, the
/// exact one before the longest that ends in a slash.
fn matching<'p>(patterns: &'p [String], host: &str, path: &str) -> Option<&'p str> {
    let with_host = format!("{host}{path}");
    let exact = |wanted: &str| patterns.iter().find(|p| *p == wanted).map(String::as_str);
    // A path that lacks only the last slash is redirected by the pattern that has it.
    if exact(path).is_none() && exact(&with_host).is_none() && !path.ends_with('/') {
        let redirect = exact(&format!("{path}/")).or_else(|| exact(&format!("{with_host}/")));
        if redirect.is_some() {
            return redirect;
        }
    }
    let longest = |wanted: &str| {
        let prefixes = patterns.iter().filter(|p| p.ends_with('/') && wanted.starts_with(*p));
        exact(wanted).or_else(|| prefixes.max_by_key(|p| p.len()).map(String::as_str))
    };
    longest(&with_host).or_else(|| longest(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_chosen_as_net_http_chooses() {
        let patterns = ["/", "/a", "/a/", "/a/b/", "/tree/", "example.com/a/"].map(str::to_owned);
        let chosen = |host, path| matching(&patterns, host, path);
        assert_eq!(chosen("h", "/a"), Some("/a"));
        assert_eq!(chosen("h", "/a/x"), Some("/a/"));
        assert_eq!(chosen("h", "/a/b/c"), Some("/a/b/"));
        assert_eq!(chosen("h", "/ab"), Some("/"));
        assert_eq!(chosen("h", "/tree"), Some("/tree/"));
        assert_eq!(chosen("example.com", "/a/b/c"), Some("example.com/a/"));
        assert_eq!(matching(&patterns[1..2], "h", "/none"), None);
    }
}
