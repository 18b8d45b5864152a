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
mod defers;
mod elf;
mod error;
mod lines;
mod moduledata;
mod pclntab;
mod procedures;
mod rtype;
mod sites;
mod symbols;
mod unwind;
mod whole;

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

pub use anchors::Global;
pub use buildinfo::{BuildInfo, GoMinor, Module};
pub use code::{Place, Site, SiteKind};
pub use defers::OpenDefers;
pub use elf::{Arch, Image, Section, Segment};
pub use error::Error;
pub use lines::{Frame, Lines};
pub use moduledata::Moduledata;
pub use pclntab::{Function, Pclntab};
pub use rtype::{Field, Kind, MapShape, MapType, Shape, ShapeField, Shapes, SwissMap, Type, Types};
pub use unwind::{Row, StackFrame, Step};

use code::{Found, amd64, arm64};

/// A function larger than this is not disassembled.
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

    /// The same of a variable that is an interface; code may load its second word first.
    pub fn first_interface(&self, function: &str) -> Option<u64> {
        let all = self.references(&self.function(function)?)?;
        let first = *all.first()?;
        let before = first.checked_sub(8)?;
        Some(if all.contains(&before) { before } else { first })
    }

    fn amd64_code(&self, function: &Function<'_>) -> Option<&'d [u8]> {
        if self.image.arch() == Arch::Amd64 { self.code(function) } else { None }
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
