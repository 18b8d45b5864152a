//! Routes of a router, and which of them a request takes. Not here: how one path is matched
//! (`pattern`), and where routes come from (`routers`).

use std::sync::Arc;

use trace::Routed;

use super::pattern::{Match, Pattern};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The most special one, from left to right.
    Special,
    /// The same among those of the request's host, if there are any.
    SpecialOfHost,
    /// The first.
    First,
    /// As `http.ServeMux` did until Go 1.21.
    ServeMux,
    /// The request says, as with `http.ServeMux` from then on.
    NamedByRequest,
}

/// The routes of a router.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) choice: Choice,
    /// Whether it looks at a path as it was sent, where that says more.
    pub(super) raw: bool,
    pub(super) routes: Vec<Route>,
}

impl Table {
    /// The route that a request takes.
    pub(super) fn find(&self, request: &Routed<'_>) -> Option<String> {
        if matches!(self.choice, Choice::ServeMux | Choice::NamedByRequest) {
            return self.pattern(request);
        }
        if !request.pattern.is_empty() {
            // A ServeMux that this router leads to had it last.
            return None;
        }
        // Only then is an escaped slash no separator.
        let is_raw =
            self.raw && ["%2F", "%2f"].iter().any(|slash| request.raw_path.contains(slash));
        self.find_path(request, if is_raw { request.raw_path } else { request.path })
    }

    /// The pattern of a ServeMux, or what a router behind it knows better.
    fn pattern(&self, request: &Routed<'_>) -> Option<String> {
        let patterns = self.routes.iter().map(|route| route.text.as_str());
        let pattern = if self.choice == Choice::ServeMux {
            super::servemux::matching(patterns, request.host, request.path)?
        } else {
            Some(request.pattern).filter(|pattern| !pattern.is_empty())?
        };
        let route = self.routes.iter().find(|route| route.text == pattern);
        let mounted = route.and_then(|route| route.mounted.as_ref());
        let unnamed = Routed { pattern: "", ..*request };
        let better = mounted.and_then(|router| router.find(&unnamed));
        better.or_else(|| Some(pattern.get(pattern.find('/')?..)?.to_owned()))
    }

    fn find_path(&self, request: &Routed<'_>, path: &str) -> Option<String> {
        if self.choice == Choice::First {
            return self.first(request, path);
        }
        let of_host = self.choice == Choice::SpecialOfHost
            && self.routes.iter().any(|r| r.host.is_some() && r.is_for(request));
        let mut best: Option<(&Route, Match)> = None;
        for route in &self.routes {
            if !route.takes(request.method)
                || !route.is_for(request)
                || (of_host && route.host.is_none())
            {
                continue;
            }
            let Some(found) = route.pattern.matches(path) else { continue };
            let better = best.as_ref().is_none_or(|(chosen, known)| {
                // With the same pattern, one that names the method.
                found.is_more_special(known)
                    || (found == *known && chosen.methods.is_empty() && !route.methods.is_empty())
            });
            if better {
                best = Some((route, found));
            }
        }
        let (route, found) = best?;
        let Some(mounted) = &route.mounted else { return Some(route.text.clone()) };
        let rest = found.rest.and_then(|at| path.get(at..)).unwrap_or_default();
        Some(join(&route.text, &mounted.find_path(request, &format!("/{rest}"))?))
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
