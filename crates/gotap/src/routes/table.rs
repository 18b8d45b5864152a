//! Routes of a router, and which of them a request takes. Not here: how one path is matched
//! (`pattern`), and where routes come from (`routers`).

use std::cmp::Ordering;
use std::sync::Arc;

use trace::Routed;

use super::gin::Trees;
use super::pattern::{Match, Pattern};
use super::servemux::{self, Parsed};

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    /// Methods that it takes; all if there is none.
    pub(super) methods: Vec<String>,
    /// The host that it is for, with or without a port; all if `None`.
    pub(super) host: Option<String>,
    /// The router's own text for it; empty for a route without any.
    pub(super) text: String,
    pub(super) pattern: Pattern,
    /// Whether nothing else decides.
    pub(super) certain: bool,
    /// The router that gets what matches.
    pub(super) mounted: Option<Arc<Table>>,
}

impl Route {
    /// One for a method, or for all if that is empty.
    pub(super) fn new(method: &str, text: String, pattern: Pattern) -> Self {
        let methods = if method.is_empty() { Vec::new() } else { vec![method.to_owned()] };
        Self { methods, host: None, text, pattern, certain: true, mounted: None }
    }

    fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|m| m == method)
    }

    fn is_for(&self, request: &Routed<'_>) -> bool {
        self.host.as_ref().is_none_or(|host| {
            host.eq_ignore_ascii_case(request.host) || host.eq_ignore_ascii_case(request.authority)
        })
    }
}

/// How a router chooses among the routes that match.
#[derive(Debug)]
pub(super) enum Choice {
    /// The most special one, from left to right.
    Special,
    /// The same among those of the request's host, if there are any.
    SpecialOfHost,
    /// The first.
    First,
    /// As gin does, which has trees in the place of routes.
    Gin(Trees),
    /// As `http.ServeMux` did until Go 1.21.
    ServeMux,
    /// As `http.ServeMux` does from then on, where the request does not say it itself.
    NamedByRequest(Vec<Parsed>),
}

/// What of a request's URL a router looks up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Lookup {
    /// `Path`.
    #[default]
    Decoded,
    /// `RawPath` if there is one.
    Raw,
    /// What `EscapedPath` gives.
    Escaped,
}

/// What is done to a path before it is looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// It is made clean, or redirected where it is not.
    pub(super) cleaned: bool,
    /// One last slash is taken off.
    pub(super) stripped: bool,
    /// What follows a dot in the last segment is taken off.
    pub(super) extension: bool,
    /// HEAD is GET where nothing takes it.
    pub(super) head_as_get: bool,
    /// More than can be told.
    pub(super) unknown: bool,
}

/// The routes of a router.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) choice: Choice,
    pub(super) lookup: Lookup,
    pub(super) changes: Changes,
    pub(super) routes: Vec<Route>,
}

impl Table {
    /// The route that a request takes.
    pub(super) fn find(&self, request: &Routed<'_>) -> Option<String> {
        if matches!(self.choice, Choice::ServeMux | Choice::NamedByRequest(_)) {
            return self.pattern(request);
        }
        if !request.pattern.is_empty() {
            // A ServeMux that this router leads to had it last.
            return None;
        }
        let path = self.path(request)?;
        let found = self.find_path(request, path);
        if found.is_none() && self.changes.head_as_get && request.method == "HEAD" {
            return self.find_path(&Routed { method: "GET", ..*request }, path);
        }
        found
    }

    /// What the router looks up.
    fn path<'a>(&self, request: &Routed<'a>) -> Option<&'a str> {
        let path = match self.lookup {
            Lookup::Raw if !request.raw_path.is_empty() => request.raw_path,
            Lookup::Decoded | Lookup::Raw => request.path,
            Lookup::Escaped => request.escaped,
        };
        let Changes { cleaned, stripped, extension, head_as_get, unknown } = self.changes;
        if unknown || (cleaned && !is_clean(path)) {
            return None;
        }
        if extension && path.rsplit('/').next().is_some_and(|last| last.contains('.')) {
            return None;
        }
        match path.strip_suffix('/').filter(|rest| stripped && !rest.is_empty()) {
            // It is taken off the other one; or for HEAD in front of what looks it up, or behind.
            Some(_) if path != request.path => None,
            Some(_) if head_as_get && request.method == "HEAD" => None,
            Some(rest) => Some(rest),
            None => Some(path),
        }
    }

    /// The pattern of a ServeMux, or what a router behind it knows better.
    fn pattern(&self, request: &Routed<'_>) -> Option<String> {
        let patterns = self.routes.iter().map(|route| route.text.as_str());
        let pattern = match &self.choice {
            _ if !request.pattern.is_empty() => request.pattern,
            Choice::NamedByRequest(parsed) => {
                let index =
                    servemux::choose(parsed, request.method, request.host, request.escaped)?;
                self.routes.get(index)?.text.as_str()
            }
            _ => servemux::matching(patterns, request.host, request.path)?,
        };
        let route = self.routes.iter().find(|route| route.text == pattern);
        let mounted = route.and_then(|route| route.mounted.as_ref());
        let unnamed = Routed { pattern: "", ..*request };
        let better = mounted.and_then(|router| router.find(&unnamed));
        better.or_else(|| Some(pattern.get(pattern.find('/')?..)?.to_owned()))
    }

    fn find_path(&self, request: &Routed<'_>, path: &str) -> Option<String> {
        match &self.choice {
            Choice::First => return self.first(request, path),
            Choice::Gin(trees) => return trees.find(request.method, path).map(str::to_owned),
            // Parameters of some routers may be empty, but not everywhere.
            _ if path.contains("//") => return None,
            _ => {}
        }
        let of_host = matches!(self.choice, Choice::SpecialOfHost)
            && self.routes.iter().any(|r| r.host.is_some() && r.is_for(request));
        let mut best: Option<(&Route, Match)> = None;
        let mut tied = false;
        for route in &self.routes {
            if !route.takes(request.method)
                || !route.is_for(request)
                || (of_host && route.host.is_none())
            {
                continue;
            }
            let Some(found) = route.pattern.matches(path) else { continue };
            let order =
                best.as_ref().map(|(chosen, known)| order((route, &found), (chosen, known)));
            match order {
                None | Some(Ordering::Less) => (best, tied) = (Some((route, found)), false),
                Some(Ordering::Equal) => tied = true,
                Some(Ordering::Greater) => {}
            }
        }
        // Of two that are equal the one that was added first may be taken, or not.
        let (route, found) = best.filter(|(route, _)| !tied && route.pattern.is_exact())?;
        if self.stops_before(request, path, of_host, &found) {
            return None;
        }
        let Some(mounted) = &route.mounted else { return Some(route.text.clone()) };
        if mounted.changes != Changes::default() {
            return None;
        }
        let rest = found.rest.and_then(|at| path.get(at..)).unwrap_or_default();
        Some(join(&route.text, &mounted.find_path(request, &format!("/{rest}"))?))
    }

    /// Whether echo ends its search at a route that takes the rest of the path, before it comes to the one
    /// that was found: also where that is for other methods.
    fn stops_before(&self, request: &Routed<'_>, path: &str, of_host: bool, found: &Match) -> bool {
        let Choice::SpecialOfHost = self.choice else { return false };
        let others = self.routes.iter().filter(|route| {
            !route.takes(request.method)
                && route.is_for(request)
                && !(of_host && route.host.is_none())
        });
        others
            .filter_map(|route| route.pattern.matches(path))
            .any(|other| other.rest.is_some() && other.is_more_special(found))
    }

    /// The first route that matches; none where others may come before it that can't be judged.
    fn first(&self, request: &Routed<'_>, path: &str) -> Option<String> {
        let mut perhaps: Option<&str> = None;
        for route in &self.routes {
            if !route.takes(request.method)
                || !route.is_for(request)
                || route.pattern.matches(path).is_none()
            {
                continue;
            }
            if perhaps.is_some_and(|text| text != route.text) {
                return None;
            }
            perhaps = Some(&route.text);
            if route.certain {
                return perhaps.filter(|text| !text.is_empty()).map(str::to_owned);
            }
        }
        None
    }
}

/// Which of two routes that match a router comes to before the other.
fn order((route, found): (&Route, &Match), (chosen, known): (&Route, &Match)) -> Ordering {
    if found.is_more_special(known) {
        return Ordering::Less;
    }
    if known.is_more_special(found) {
        return Ordering::Greater;
    }
    // With the same pattern, one that names the method.
    match (chosen.methods.is_empty(), route.methods.is_empty()) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        _ if chosen.text == route.text => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// Whether a path is what Go's `path.Clean` makes of it, but for a last slash.
pub(super) fn is_clean(path: &str) -> bool {
    !path.contains("//") && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// A mounted router's route below where it is mounted: `/api/*` and `/users/{id}`.
fn join(outer: &str, inner: &str) -> String {
    let outer = outer.trim_end_matches('*').trim_end_matches('/');
    let joined = format!("{outer}{inner}");
    let trimmed = joined.trim_end_matches('/');
    if trimmed.is_empty() { "/".into() } else { trimmed.to_owned() }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
