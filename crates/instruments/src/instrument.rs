//! What an instrument of its own consists of, and the list of them. Not here: what they do.

use gobin::Type;
use trace::Maker;
use wire::{Probe, raw};

use crate::plan::{Ability, Context, Plan};
use crate::registry::Traced;

/// What traces one client library, or several of the same sort.
pub(crate) struct Instrument {
    /// What a probe lets see, if it is one of its own.
    pub(crate) ability: fn(Probe) -> Option<Ability>,
    /// Adds its sites and constants to a plan, where the library is linked in.
    pub(crate) plan: fn(&Context<'_, '_>, &mut Plan),
    /// What the programs must know of a type of error; the second is the structure behind the pointer, if it is one.
    pub(crate) error: fn(&Context<'_, '_>, &Type<'_>, &Type<'_>) -> Option<raw::Type>,
    /// How its records become spans.
    pub(crate) makers: &'static [Maker],
    /// What the registry says of it; nothing where it belongs to another instrument.
    pub(crate) traced: Option<Traced>,
}

include!(concat!(env!("OUT_DIR"), "/instruments.rs"));

/// How the records of all instruments become spans.
pub fn makers() -> impl Iterator<Item = Maker> {
    INSTRUMENTS.iter().flat_map(|instrument| instrument.makers).copied()
}
