//! Where a probe can stand in a function, and what it finds there: which instruction, and in which registers or
//! stack slots the values then are. Not here: how code is read for it (`code`), and which sites are wanted.

use crate::code::{Place, Site, SiteKind};
use crate::code::{amd64, arm64, calls, errors, returns, rows, unoptimised};
use crate::{Arch, Binary, Function};

impl<'d> Binary<'d> {
    /// The site near the entry of `function` at which the arguments are in their registers:
    /// an emulated instruction where there is one, else the entry itself.
    pub fn entry_site(&self, function: &Function<'_>) -> Option<Site> {
        let code = self.code(function)?;
        let found = match self.image.arch() {
            Arch::Amd64 => amd64::entry_site(code, function.entry),
            Arch::Arm64 => arm64::entry_site(code, function.entry),
        };
        self.site(function, found)
    }

    /// In `function`, the branch that tests the results of its first call of `callee`, while those
    /// are still in their registers.
    pub fn result_site(&self, function: &Function<'_>, callee: &Function<'_>) -> Option<Site> {
        let code = self.code(function)?;
        let call = self.first_call(function, callee)?;
        let found = match self.image.arch() {
            Arch::Amd64 => amd64::test_after_call(code, function.entry, call),
            Arch::Arm64 => arm64::test_after_call(code, function.entry, call),
        };
        self.site(function, found.or_else(|| self.plainly_after(function, call))?)
    }

    /// In `function`, a site that is reached only when its first call of `callee` returned a
    /// non-zero result number `result` (counted in registers), and where that result and the next
    /// one (an interface has two words) are then, if they are still kept. x86-64 only.
    pub fn nonzero_site(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
        result: usize,
    ) -> Option<(Site, [Option<Place>; 2])> {
        if self.image.arch() != Arch::Amd64 {
            return None;
        }
        let code = self.code(function)?;
        let call = self.first_call(function, callee)?;
        let plainly = || {
            let found = unoptimised::nonzero_block(code, function.entry, call, result);
            found.filter(|_| self.is_unoptimised())
        };
        let (found, places) =
            amd64::nonzero_block(code, function.entry, call, result).or_else(plainly)?;
        Some((self.site(function, found)?, places))
    }

    /// In `function`, the first indirect call after its first call of `callee` returns an error
    /// that is compared with one that a global holds: a site there, with the error still in its
    /// registers, the global's address, and where the call's first result is. `sentinel` is the global's
    /// symbol. x86-64 only.
    pub fn sentinel_site(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
        sentinel: &str,
    ) -> Option<(Site, u64, Place)> {
        if self.image.arch() != Arch::Amd64 {
            return None;
        }
        let code = self.code(function)?;
        let call = self.first_call(function, callee)?;
        if self.is_unoptimised() {
            let found = unoptimised::after_indirect(code, function.entry, call)?;
            let global = self.symbol(sentinel)?;
            return Some((self.site(function, found)?, global, Place::Register));
        }
        let (found, global, result) = amd64::sentinel_test(code, function.entry, call)?;
        Some((self.site(function, found)?, global, result))
    }

    /// In `function`, the first branch after its first call of `callee`, or after its first indirect
    /// call, where the first `keep` words of the results are still in their registers. x86-64 only.
    pub fn branch_site(
        &self,
        function: &Function<'_>,
        callee: Option<&Function<'_>>,
        keep: usize,
    ) -> Option<Site> {
        let code = self.amd64_code(function)?;
        let call = match callee {
            Some(callee) => Some(self.first_call(function, callee)?),
            None => None,
        };
        let found = errors::branch_after(code, function.entry, call, keep);
        let plainly = || match call {
            Some(call) => self.plainly_after(function, call),
            None => unoptimised::after_indirect(code, function.entry, function.entry)
                .filter(|_| self.is_unoptimised()),
        };
        self.site(function, found.or_else(plainly)?)
    }

    /// The same after each call of `callee`; empty if one of them has no such branch. x86-64 only.
    pub fn branch_sites(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
        keep: usize,
    ) -> Vec<Site> {
        let Some(code) = self.amd64_code(function) else { return Vec::new() };
        let calls = amd64::calls_to(code, function.entry, callee.entry).into_iter();
        let found = calls.map(|call| {
            let found = errors::branch_after(code, function.entry, Some(call), keep);
            self.site(function, found.or_else(|| self.plainly_after(function, call))?)
        });
        found.collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// In `function`, call number `nth` of `callee` leaves an error in a stack slot: a site where it
    /// is known not to be the one that it is compared with or, without such, not nil; and the slot's
    /// distance from the stack pointer. x86-64 only.
    pub fn slot_site(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
        nth: usize,
    ) -> Option<(Site, u32)> {
        let code = self.amd64_code(function)?;
        let call = *amd64::calls_to(code, function.entry, callee.entry).get(nth)?;
        let plainly = || unoptimised::slot_after(code, function.entry, call);
        let found = if self.is_unoptimised() {
            plainly()
        } else {
            errors::slot_after(code, function.entry, call)
        };
        let (found, slot) = found?;
        Some((self.site(function, found)?, slot))
    }

    /// In `function`, the first call of `second` after the first of `first`. x86-64 only.
    pub fn next_call_site(
        &self,
        function: &Function<'_>,
        first: &Function<'_>,
        second: &Function<'_>,
    ) -> Option<Site> {
        let code = self.amd64_code(function)?;
        let after = self.first_call(function, first)?;
        let calls = amd64::calls_to(code, function.entry, second.entry);
        let call = calls.into_iter().find(|call| *call > after)?;
        self.site(function, (call, SiteKind::Call))
    }

    /// In `function`, the first branch after what it does only where the word at `field` of its
    /// receiver is not nil; and the distance from the stack pointer of where the receiver is kept.
    /// x86-64 only.
    pub fn site_past_field(&self, function: &Function<'_>, field: u64) -> Option<(Site, u32)> {
        let code = self.amd64_code(function)?;
        let (found, slot) = rows::branch_past_field(code, function.entry, field)?;
        Some((self.site(function, found)?, slot))
    }

    /// In `function`, what runs first when its first call of `callee` returned something that is not
    /// nil, with that still in its registers. x86-64 only.
    pub fn failed_site(&self, function: &Function<'_>, callee: &Function<'_>) -> Option<Site> {
        let code = self.amd64_code(function)?;
        let call = self.first_call(function, callee)?;
        self.site(function, rows::failed_after(code, function.entry, call)?)
    }

    /// Where the method `function` keeps its receiver when it calls others, as a distance from the
    /// stack pointer. x86-64 only.
    pub fn receiver_slot(&self, function: &Function<'_>) -> Option<u32> {
        rows::receiver_slot(self.amd64_code(function)?, function.entry)
    }

    /// In `function`, the first emulated instruction after its first call of `callee` where so many
    /// words of the results, from one on, are still in their registers: `(first, keep)`. x86-64 only.
    pub fn kept_site(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
        words: (usize, usize),
    ) -> Option<Site> {
        let code = self.amd64_code(function)?;
        let call = self.first_call(function, callee)?;
        let found = rows::emulated_after(code, function.entry, call, words);
        self.site(function, found.or_else(|| self.plainly_after(function, call))?)
    }

    /// In `function`, all calls of `callee`, where it returns after each at once with the second word of
    /// its result from a stack slot: the calls, and the slots' distances from the stack pointer; empty
    /// if that is not so. x86-64 only.
    pub fn returning_sites(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
    ) -> Vec<(Site, u32)> {
        let found = self
            .amd64_code(function)
            .and_then(|code| returns::calls_before_return(code, function.entry, callee.entry));
        let site = |(call, slot)| Some((self.site(function, (call, SiteKind::Call))?, slot));
        found.and_then(|calls| calls.into_iter().map(site).collect()).unwrap_or_default()
    }

    /// In `function`, where it returns, as the second word of its result, what one of `slots` holds or what
    /// is in the first result register, and has called nothing just before; and which of these. Off hot
    /// paths only: such a site may be single-stepped. x86-64 only.
    pub fn plain_return_sites(&self, function: &Function<'_>, slots: &[u32]) -> Vec<(Site, Place)> {
        let Some(code) = self.amd64_code(function) else { return Vec::new() };
        let found = returns::plain_returns(code, function.entry, slots).into_iter();
        found.filter_map(|(at, place)| Some((self.site(function, at)?, place))).collect()
    }

    /// In `function`, the branch that tests what `callee` returned when its argument word number
    /// `word` was what stands at `field` of some structure. x86-64 only.
    pub fn branch_after_field(
        &self,
        function: &Function<'_>,
        callee: &Function<'_>,
        word: usize,
        field: u64,
    ) -> Option<Site> {
        let code = self.amd64_code(function)?;
        let call = returns::call_with_field(code, function.entry, callee.entry, word, field)?;
        self.site(function, errors::branch_after(code, function.entry, Some(call), 1)?)
    }

    /// In `function`, all instructions that call `callee`. x86-64 only.
    pub fn call_sites(&self, function: &Function<'_>, callee: &Function<'_>) -> Vec<Site> {
        let Some(code) = self.amd64_code(function) else { return Vec::new() };
        let calls = amd64::calls_to(code, function.entry, callee.entry).into_iter();
        calls.filter_map(|call| self.site(function, (call, SiteKind::Call))).collect()
    }

    /// Offsets in a closure of its two variables. The first points to a structure, and the closure reads the
    /// structure's field at `field`; the second is the other variable. x86-64 only.
    pub fn closure_variables(&self, closure: &Function<'_>, field: u64) -> Option<(u64, u64)> {
        errors::closure_variables(self.amd64_code(closure)?, closure.entry, field)
    }

    /// In `function`, the only call of the closure in the field at `field` of a structure: the last
    /// emulated instruction before it, and how far from the stack pointer its one argument then is.
    /// x86-64 only.
    pub fn closure_call_site(&self, function: &Function<'_>, field: u64) -> Option<(Site, u32)> {
        let code = self.amd64_code(function)?;
        let (found, slot) = calls::closure_call(code, function.entry, field)?;
        Some((self.site(function, found)?, slot))
    }

    /// As [`Self::entry_site`], but of a function that checks no stack it may be one at which arguments
    /// are lost.
    pub fn early_site(&self, function: &Function<'_>) -> Option<Site> {
        let site = self.entry_site(function).filter(|site| !site.kind.is_single_stepped());
        let found = || calls::early_site(self.amd64_code(function)?, function.entry);
        site.or_else(|| self.site(function, found()?)).or_else(|| self.entry_site(function))
    }

    /// In `function`, the instruction that calls `callee` first.
    pub fn call_site(&self, function: &Function<'_>, callee: &Function<'_>) -> Option<Site> {
        self.site(function, (self.first_call(function, callee)?, SiteKind::Call))
    }

    /// In `function`, an emulated site after the first store to `displacement` of a structure, and
    /// the register (x86 number) that holds the structure's address there. x86-64 only.
    pub fn store_site(&self, function: &Function<'_>, displacement: u64) -> Option<(Site, u8)> {
        if self.image.arch() != Arch::Amd64 {
            return None;
        }
        let code = self.code(function)?;
        let (found, base) = amd64::site_after_store(code, function.entry, displacement)?;
        Some((self.site(function, found)?, base))
    }

    /// All return instructions of `function`. A last resort: they are single-stepped on x86-64
    /// and never run when the function panics.
    pub fn return_sites(&self, function: &Function<'_>) -> Vec<Site> {
        let Some(code) = self.code(function) else { return Vec::new() };
        let (found, kind) = match self.image.arch() {
            Arch::Amd64 => (amd64::returns(code, function.entry), SiteKind::SingleStep),
            Arch::Arm64 => (arm64::returns(code, function.entry), SiteKind::Return),
        };
        found.into_iter().filter_map(|va| self.site(function, (va, kind))).collect()
    }
}
