//! Which goroutines are shown.

use anyhow::Result;
use glob::Pattern;
use goruntime::leaks::Suspect;
use goruntime::{Goroutine, Snapshot, Symbols};

use crate::cli::GoroutinesArgs;
use crate::config::Invalid;

/// What the flags ask for; of several values of one flag one must fit, and each flag must.
pub(super) struct Filter {
    system: bool,
    states: Vec<String>,
    reasons: Vec<Pattern>,
    functions: Vec<Pattern>,
    /// Nanoseconds.
    min_age: Option<u64>,
}

impl Filter {
    pub(super) fn new(args: &GoroutinesArgs) -> Result<Self> {
        let compile = |globs: &[String]| -> Result<Vec<Pattern>> {
            let one = |text: &String| {
                Pattern::new(text).map_err(|e| Invalid(format!("pattern {text:?}: {e}")).into())
            };
            globs.iter().map(one).collect()
        };
        Ok(Self {
            system: args.system,
            states: args.filter.states.clone(),
            reasons: compile(&args.filter.reasons)?,
            functions: compile(&args.filter.functions)?,
            min_age: args
                .filter
                .min_age
                .map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
        })
    }

    pub(super) fn matches(
        &self,
        snapshot: &Snapshot,
        symbols: &Symbols<'_, '_>,
        goroutine: &Goroutine,
        now: u64,
    ) -> bool {
        let any = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        let age = goroutine.wait_since.and_then(|since| now.checked_sub(since));
        (self.system || !goroutine.system)
            && (self.states.is_empty()
                || self.states.iter().any(|state| state == goroutine.state.name()))
            && any(&self.reasons, snapshot.wait_reason(goroutine).unwrap_or_default())
            && self.min_age.is_none_or(|least| age.is_some_and(|age| age >= least))
            && (self.functions.is_empty() || {
                let stack = snapshot.stack(goroutine);
                let start = symbols.start(goroutine, stack);
                let stack = stack.map(|stack| symbols.stack(stack)).unwrap_or_default();
                let names = stack.iter().map(|frame| frame.function).chain(start);
                names.into_iter().any(|name| any(&self.functions, name))
            })
    }
}

/// Suspected groups in which at least one goroutine fits. Each keeps all its goroutines, as the reasons for suspicion
/// concern the whole group.
pub(super) struct Chosen {
    pub(super) suspects: Vec<Suspect>,
    /// How many more there are, of which none fits.
    pub(super) others: usize,
}

impl Chosen {
    /// `is_wanted` says it of a goroutine by its position in the snapshot.
    pub(super) fn of(mut suspects: Vec<Suspect>, is_wanted: impl Fn(usize) -> bool) -> Self {
        let all = suspects.len();
        suspects.retain(|suspect| suspect.group.members.iter().any(|i| is_wanted(*i)));
        Self { others: all - suspects.len(), suspects }
    }
}

#[cfg(test)]
mod tests {
    use goruntime::group::Group;

    use super::*;

    #[test]
    fn a_suspect_is_chosen_whole_if_one_of_its_goroutines_is() {
        let suspect = |members: &[usize]| Suspect {
            group: Group { members: members.to_vec(), waiting_on: None },
            growth_per_minute: Some(9.0),
            age: None,
            why: vec!["it grows".to_owned()],
        };
        let all = vec![suspect(&[0, 3, 4]), suspect(&[1]), suspect(&[2, 5])];
        let chosen = Chosen::of(all.clone(), |i| i == 4 || i == 5);
        assert_eq!(
            (chosen.suspects, chosen.others),
            (vec![suspect(&[0, 3, 4]), suspect(&[2, 5])], 1)
        );
        let none = Chosen::of(all.clone(), |_| false);
        assert_eq!((none.suspects.len(), none.others), (0, 3));
        assert_eq!(
            (Chosen::of(all, |_| true).others, Chosen::of(vec![], |_| false).others),
            (0, 0)
        );
    }
}
