//! What is asked of a binary as a whole: how it was built, its symbols, who calls or inlines what.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::{Found, calls, stores, unoptimised};
use crate::{Arch, Binary, Function, Site, symbols};

impl<'d> Binary<'d> {
    /// Whether it was built without inlining or other optimisation, as for a debugger (`-gcflags`).
    pub fn is_unoptimised(&self) -> bool {
        let flags = self.info.setting("-gcflags").unwrap_or_default();
        flags.split([' ', '=', '\'', '"']).any(|flag| matches!(flag, "-N" | "-l"))
    }

    /// The address of a symbol, in a binary that still has symbols.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        let index = self.symbols.get_or_init(|| symbols::index(&self.image));
        index.get(name).copied()
    }

    /// All addresses that a function refers to relative to its own, in the order of its code; empty where
    /// there is no such function.
    pub fn references_of(&self, function: &str) -> Vec<u64> {
        self.function(function).and_then(|found| self.references(&found)).unwrap_or_default()
    }

    /// The address of a variable by its symbol, in a binary without optimisation; in others the first that
    /// `function` refers to.
    pub fn variable(&self, symbol: &str, function: &str) -> Option<u64> {
        if self.is_unoptimised() { self.symbol(symbol) } else { self.first_reference(function) }
    }

    /// Which of `names` are inlined somewhere, each with a function that it is inlined into. Wrappers that
    /// the compiler made do not count. Goes through all functions.
    pub fn inlined(&self, names: &BTreeSet<&str>) -> BTreeMap<&'d str, &'d str> {
        self.lines().inlined(names)
    }

    /// What runs after the call at `call`, in code without optimisation, where nothing tests results while
    /// they are in their registers.
    pub(crate) fn plainly_after(&self, function: &Function<'_>, call: u64) -> Option<Found> {
        let code = self.amd64_code(function).filter(|_| self.is_unoptimised())?;
        unoptimised::after(code, function.entry, call)
    }

    /// In `function`, built without optimisation, where the result is of the call through an interface that
    /// stands before its first call of `callee`, as the other way of an `if`: with optimisation both ways
    /// have one test of what they returned.
    pub fn other_result_site(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
    ) -> Option<Site> {
        let code = self.amd64_code(function).filter(|_| self.is_unoptimised())?;
        let call = self.first_call(function, callee)?;
        self.site(function, unoptimised::after_indirect_before(code, function.entry, call)?)
    }

    /// Who calls one of `callees`, as the names of both. `None` where that is not all who may: an
    /// address of theirs is kept somewhere, so that who has that can call it, too; and on other than
    /// x86-64. Looks through all code.
    pub fn callers(&self, callees: &[Function<'_>]) -> Option<BTreeSet<(&'d str, &'d str)>> {
        let (text, end) = (self.module.text, self.module.etext);
        let entries: Vec<u64> = callees.iter().map(|callee| callee.entry).collect();
        let is_kept = |entry: &u64| self.image.holds_pointer(*entry);
        if self.image.arch() != Arch::Amd64 || entries.iter().any(is_kept) {
            return None;
        }
        let code = self.image.bytes(text, usize::try_from(end.checked_sub(text)?).ok()?)?;
        let name = |at| Some(self.table.lookup(at)?.name);
        let found = calls::callers(code, text, &entries).into_iter();
        found.map(|(caller, callee)| Some((name(caller)?, name(callee)?))).collect()
    }

    /// Functions that store to a field at one of the distances `fields` in a structure, themselves or by what
    /// they call: those of them that get such a structure from one of `sources`, or take the address of one of
    /// the types `types` to do so. Another structure's field at the same distance counts, too. Looks through
    /// all code; empty on other than x86-64.
    pub fn assigners(
        &self,
        types: &[u64],
        sources: &[Function<'_>],
        fields: &[u64],
        counts: impl Fn(&str) -> bool,
    ) -> BTreeSet<&'d str> {
        let (text, end) = (self.module.text, self.module.etext);
        let size = end.checked_sub(text).and_then(|size| usize::try_from(size).ok());
        let code = size.and_then(|size| self.image.bytes(text, size));
        let Some(code) = code.filter(|_| self.image.arch() == Arch::Amd64) else {
            return BTreeSet::new();
        };
        let entries: Vec<u64> = sources.iter().map(|source| source.entry).collect();
        let calls = calls::callers(code, text, &entries).into_iter().map(|(from, _)| from);
        let takes = types.iter().flat_map(|typ| stores::takers(code, text, *typ));
        let stores = |function: &Function<'_>| {
            let code = self.amd64_code(function);
            code.is_some_and(|code| stores::stores(code, function.entry, fields))
        };
        let mut found = BTreeSet::new();
        for at in calls.chain(takes) {
            let Some(function) = self.table.lookup(at).filter(|f| counts(f.name)) else { continue };
            let code = self.amd64_code(&function).unwrap_or_default();
            let called = stores::callees(code, function.entry);
            let called = called.into_iter().filter_map(|entry| self.table.lookup(entry));
            if stores(&function) || called.filter(|f| counts(f.name)).any(|f| stores(&f)) {
                found.insert(function.name);
            }
        }
        found
    }
}
