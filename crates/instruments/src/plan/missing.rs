//! What can't be seen in a binary, and why: as the program has no such thing, or as something was not found that is
//! needed to see it. Sentences are for people; nothing is decided by how they read.

use std::fmt;

use super::{Ability, Plan};

/// Something that can't be seen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub ability: Ability,
    /// Why, as a clause.
    pub why: String,
    absent: bool,
    /// The function that is not linked in, if it is for that.
    function: Option<String>,
}

impl Missing {
    /// Whether the program has no such thing, so that nothing is lost.
    pub fn is_absent(&self) -> bool {
        self.absent
    }

    pub(super) fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// The function that is not linked in has become a part of another one.
    pub(super) fn is_inlined(&mut self, into: &str) {
        let Some(function) = &self.function else { return };
        let inlined =
            format!("{function} is inlined into {into}, as the build's profile asks (-pgo)");
        self.why = self.why.replace(&NoSite::NotLinked(function.clone()).to_string(), &inlined);
        self.absent = false;
    }
}

/// Why there is no site at the entry of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoSite {
    NotLinked(String),
    Unreadable(String),
}

impl fmt::Display for NoSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLinked(function) => write!(f, "function {function} is not linked in"),
            Self::Unreadable(function) => write!(f, "code of {function} is unreadable"),
        }
    }
}

/// Why something can't be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    text: String,
    function: Option<String>,
}

impl Reason {
    /// That a part is not seen, `what`, as a site is missing.
    pub(crate) fn of_part(what: &str, why: NoSite) -> Self {
        let why = Self::from(why);
        Self { text: format!("{what}: {}", why.text), ..why }
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, function: None }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<NoSite> for Reason {
    fn from(why: NoSite) -> Self {
        let text = why.to_string();
        let function = match why {
            NoSite::NotLinked(function) => Some(function),
            NoSite::Unreadable(_) => None,
        };
        Self { text, function }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Plan {
    /// Notes that something can't be seen that the program may do.
    pub(crate) fn miss(&mut self, ability: Ability, why: impl Into<Reason>) {
        self.note(ability, why.into(), false);
    }

    /// Notes that the program has no such thing.
    pub(crate) fn lacks(&mut self, ability: Ability, why: impl Into<Reason>) {
        self.note(ability, why.into(), true);
    }

    /// Notes that there is no site where all of it begins: without the function, the program has no such thing.
    pub(crate) fn miss_start(&mut self, ability: Ability, why: NoSite) {
        let absent = matches!(why, NoSite::NotLinked(_));
        self.note(ability, why.into(), absent);
    }

    fn note(&mut self, ability: Ability, why: Reason, absent: bool) {
        let Reason { text, function } = why;
        self.missing.push(Missing { ability, why: text, absent, function });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(why: Reason, absent: bool) -> Missing {
        let Reason { text, function } = why;
        Missing { ability: Ability::HttpServer, why: text, absent, function }
    }

    #[test]
    fn a_part_that_is_not_linked_in_is_no_absence_and_names_its_function() {
        let close = || NoSite::NotLinked("net/http.(*conn).close".into());
        let mut part = missing(Reason::of_part("handlers that panic", close()), false);
        assert_eq!(part.function(), Some("net/http.(*conn).close"));
        assert_eq!(
            part.why,
            "handlers that panic: function net/http.(*conn).close is not linked in"
        );
        part.is_inlined("net/http.(*conn).serve");
        assert!(
            part.why.starts_with("handlers that panic: net/http.(*conn).close is inlined into net")
        );
    }

    #[test]
    fn what_is_inlined_is_not_absent() {
        let mut start = missing(NoSite::NotLinked("a.F".into()).into(), true);
        start.is_inlined("a.G");
        assert!(!start.is_absent() && start.why.starts_with("a.F is inlined into a.G"));
        // Only what is not linked in can be inlined.
        let mut unreadable = missing(NoSite::Unreadable("a.F".into()).into(), false);
        unreadable.is_inlined("a.G");
        assert_eq!(unreadable.why, "code of a.F is unreadable");
    }
}
