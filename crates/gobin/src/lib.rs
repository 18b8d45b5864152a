//! What a Go binary says of itself, stripped or not: version and modules, functions with lines and
//! inlined calls, types with field offsets, runtime globals, and the instructions that a probe can
//! stand on at little cost.
//!
//! No IO: everything is read from a slice that the caller maps, and nothing of it is copied but
//! indexes. Malformed input gives an [`Error`] or a `None`, never a panic, in time and memory that
//! are bounded by the file's size. Not here: running processes (`goproc`) and attaching (`probes`).
//!
//! ```no_run
//! let file = std::fs::read("/proc/self/exe")?;
//! let binary = gobin::Binary::parse(&file)?;
//! let serve = binary.function("net/http.serverHandler.ServeHTTP");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anchors;
mod buildinfo;
mod bytes;
mod code;
mod elf;
mod error;
mod lines;
mod moduledata;
mod pclntab;
mod procedures;
mod rtype;
mod symbols;
mod unwind;
mod whole;

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

pub use anchors::Global;
pub use buildinfo::{BuildInfo, GoMinor, Module};
pub use code::{Place, Site, SiteKind};
pub use elf::{Arch, Image, Section, Segment};
pub use error::Error;
pub use lines::{Frame, Lines};
pub use moduledata::Moduledata;
pub use pclntab::{Function, Pclntab};
pub use rtype::{Field, Kind, MapShape, MapType, Shape, ShapeField, Shapes, SwissMap, Type, Types};
pub use unwind::{Row, StackFrame, Step};

use code::{Found, amd64, arm64, calls, errors, returns, rows, unoptimised};

/// A function larger than this is not disassembled for anchors or sites.
const MAX_CODE: u64 = 1 << 20;

/// A parsed Go binary. Indexes by name are built when first asked for.
pub struct Binary<'d> {
    image: Image<'d>,
    info: BuildInfo<'d>,
    table: Pclntab<'d>,
    module: Moduledata,
    by_name: OnceCell<HashMap<&'d str, u32>>,
    symbols: OnceCell<HashMap<&'d str, u64>>,
}

impl<'d> Binary<'d> {
    /// Reads `data`, a whole file.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::NotGo`] is the usual one for a program in another language.
    pub fn parse(data: &'d [u8]) -> Result<Self, Error> {
        let image = Image::parse(data)?;
        let info = BuildInfo::parse(&image)?;
        let table = Pclntab::parse(&image)?;
        let module = Moduledata::find(&image, &table, info.minor())?;
        let table = table.with_text(module.text);
        Ok(Self { image, info, table, module, by_name: OnceCell::new(), symbols: OnceCell::new() })
    }

    /// The file as an address space.
    pub fn image(&self) -> &Image<'d> {
        &self.image
    }

    /// Go version, modules and build settings.
    pub fn build_info(&self) -> &BuildInfo<'d> {
        &self.info
    }

    /// The minor Go version; the newest known one for builds that name none.
    pub fn minor(&self) -> GoMinor {
        self.info.minor().unwrap_or(GoMinor::NEWEST_KNOWN)
    }

    /// Whether the Go version is newer than all that were verified, so that tables may be off.
    pub fn is_unknown_version(&self) -> bool {
        self.info.minor().is_none_or(|m| m > GoMinor::NEWEST_KNOWN)
    }

    /// Where text, types and function data start.
    pub fn module(&self) -> &Moduledata {
        &self.module
    }

    /// Whether the symbol table was removed.
    pub fn is_stripped(&self) -> bool {
        self.image.section(".symtab").is_none()
    }

    /// Whether C code is linked in.
    pub fn is_cgo(&self) -> bool {
        // Through it C calls Go. A PIE asks for a dynamic loader without any C in it, so that the
        // loader says nothing.
        self.function("crosscall2").is_some()
    }

    /// Whether these bytes are among the constants, such as the texts of its strings.
    pub fn has_constant(&self, text: &[u8]) -> bool {
        procedures::has_constant(&self.image, text)
    }

    /// The function table.
    pub fn functions(&self) -> &Pclntab<'d> {
        &self.table
    }

    /// A function by its full name.
    pub fn function(&self, name: &str) -> Option<Function<'d>> {
        let index = self.by_name.get_or_init(|| {
            // Names cannot be longer than the file, unless damaged records share them.
            let mut room = self.image.file().len();
            let mut out = HashMap::with_capacity(self.table.len());
            for i in 0..self.table.len() {
                let Some(function) = self.table.function(i) else { continue };
                let Some(left) = room.checked_sub(function.name.len()) else { break };
                room = left;
                out.insert(function.name, u32::try_from(i).unwrap_or(u32::MAX));
            }
            out
        });
        self.table.function(*index.get(name)? as usize)
    }

    /// Source frames of program counters.
    pub fn lines(&self) -> Lines<'_, 'd> {
        // The toolchain gives this one the id of wrappers, which differs between versions.
        let wrapper = self.function("runtime.deferreturn").and_then(|f| self.table.id(&f));
        let wrapper = wrapper.filter(|id| *id != 0);
        Lines::new(&self.image, &self.table, &self.module, wrapper)
    }

    /// Scans the type descriptors. Costs some tens of milliseconds in a large binary: keep it.
    pub fn types(&self) -> Types<'_, 'd> {
        Types::scan(&self.image, &self.module, self.info.minor())
    }

    /// Names of remote procedures among its constants, `/package.Service/Method`; the end of one may be
    /// that of what stands behind it.
    pub fn procedures(&self) -> BTreeSet<String> {
        procedures::find(&self.image)
    }

    /// The virtual address of a runtime global, by its anchor.
    pub fn global(&self, global: Global) -> Option<u64> {
        if self.is_unoptimised() {
            return self.symbol(global.symbol());
        }
        let anchor = global.anchor(self.minor(), self.image.arch());
        let function = self.function(anchor.function)?;
        self.references(&function)?.get(anchor.ordinal)?.checked_add_signed(anchor.adjust)
    }

    fn references(&self, function: &Function<'_>) -> Option<Vec<u64>> {
        let code = self.code(function)?;
        Some(match self.image.arch() {
            Arch::Amd64 => amd64::references(code, function.entry),
            Arch::Arm64 => arm64::references(code, function.entry),
        })
    }

    /// The first address that a function refers to relative to its own, as it does to globals.
    pub fn first_reference(&self, function: &str) -> Option<u64> {
        self.references(&self.function(function)?)?.first().copied()
    }

    /// The same of a variable that is an interface, of which code may load the second word first.
    pub fn first_interface(&self, function: &str) -> Option<u64> {
        let all = self.references(&self.function(function)?)?;
        let first = *all.first()?;
        let before = first.checked_sub(8)?;
        Some(if all.contains(&before) { before } else { first })
    }

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

    /// Offsets in a closure of its two variables: the one that points to a structure of which it
    /// reads the field at `field`, and the other one. x86-64 only.
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

    fn amd64_code(&self, function: &Function<'_>) -> Option<&'d [u8]> {
        if self.image.arch() == Arch::Amd64 { self.code(function) } else { None }
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

    /// Where, relative to the thread pointer, the current g is stored. x86-64 only; `None` also
    /// where the offset is known to the dynamic loader only.
    pub fn tls_g_offset(&self) -> Option<i64> {
        let function = self
            .function("runtime.morestack.abi0")
            .or_else(|| self.function("runtime.morestack"))?;
        match self.image.arch() {
            Arch::Amd64 => amd64::tls_offset(self.code(&function)?, function.entry),
            Arch::Arm64 => None,
        }
    }

    fn first_call(&self, function: &Function<'_>, callee: &Function<'_>) -> Option<u64> {
        let code = self.code(function)?;
        let calls = match self.image.arch() {
            Arch::Amd64 => amd64::calls_to(code, function.entry, callee.entry),
            Arch::Arm64 => arm64::calls_to(code, function.entry, callee.entry),
        };
        calls.first().copied()
    }

    fn code(&self, function: &Function<'_>) -> Option<&'d [u8]> {
        let len = function.end.checked_sub(function.entry)?;
        if len > MAX_CODE {
            return None;
        }
        self.image.bytes(function.entry, usize::try_from(len).ok()?)
    }

    fn site(&self, function: &Function<'_>, (vaddr, kind): Found) -> Option<Site> {
        let file_offset = self.image.file_offset(vaddr)?;
        Some(Site { vaddr, file_offset, delta: vaddr - function.entry, kind })
    }
}
