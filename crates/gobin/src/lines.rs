//! From a program counter to source frames, inlined calls included, from the function table and the
//! inline trees alone.
//!
//! Source of the layout: `runtime/symtabinl.go` and, before Go 1.21, `runtime/symtab.go`.

use crate::bytes::i32_at;
use crate::elf::Image;
use crate::moduledata::Moduledata;
use crate::pclntab::{Function, Pclntab};

/// `FUNCDATA_InlTree` in `internal/abi/symtab.go`.
const FUNCDATA_INL_TREE: usize = 3;
/// `PCDATA_InlTreeIndex`.
const PCDATA_INL_TREE_INDEX: usize = 2;
/// A chain of inlined calls is never this deep; a damaged table could claim so.
const MAX_DEPTH: usize = 64;

/// One source-level frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'d> {
    /// Function name.
    pub function: &'d str,
    /// Source file as the compiler recorded it; empty when unknown.
    pub file: &'d str,
    /// Line, 0 when unknown.
    pub line: u32,
    /// Whether the call was inlined into the next frame's function.
    pub inlined: bool,
    /// Whether the compiler made the function to call another one.
    pub wrapper: bool,
}

/// Resolves program counters of one binary.
#[derive(Clone, Copy)]
pub struct Lines<'a, 'd> {
    image: &'a Image<'d>,
    table: &'a Pclntab<'d>,
    module: &'a Moduledata,
    wrapper_id: Option<u8>,
}

impl<'a, 'd> Lines<'a, 'd> {
    pub(crate) fn new(
        image: &'a Image<'d>,
        table: &'a Pclntab<'d>,
        module: &'a Moduledata,
        wrapper_id: Option<u8>,
    ) -> Self {
        Self { image, table, module, wrapper_id }
    }

    pub(crate) fn table(&self) -> &'a Pclntab<'d> {
        self.table
    }

    pub(crate) fn wrapper_id(&self) -> Option<u8> {
        self.wrapper_id
    }

    /// The frames at `pc`, innermost first. A return address (from a stack) stands after the call:
    /// pass `pc - 1` for it. Empty when `pc` is in no Go function.
    pub fn frames(&self, pc: u64) -> Vec<Frame<'d>> {
        let Some(function) = self.table.lookup(pc) else { return Vec::new() };
        let mut out = Vec::new();
        let mut at = pc;
        if let Some(tree) = self.inline_tree(&function) {
            while out.len() < MAX_DEPTH
                && let Some((name, parent, id)) = self.inlined_call(&function, tree, at)
            {
                let (file, line) = self.position(&function, at);
                let wrapper = self.is_wrapper_id(id);
                out.push(Frame { function: name, file, line, inlined: true, wrapper });
                at = function.entry.wrapping_add(parent);
            }
        }
        let (file, line) = self.position(&function, at);
        let wrapper = self.is_wrapper(&function);
        out.push(Frame { function: function.name, file, line, inlined: false, wrapper });
        out
    }

    /// Entry size and where in it the name offset and the function's id stand; the parent pc follows
    /// the name.
    fn entry_layout(&self) -> (usize, usize, usize) {
        if self.table.since_120 { (16, 4, 0) } else { (20, 12, 2) }
    }

    fn inline_tree(&self, function: &Function<'_>) -> Option<u64> {
        let size = self.table.record_size();
        let pcdata = self.table.record_word(function, 7)? as usize;
        let funcdata = self.table.record_byte(function, size - 1)?;
        if pcdata <= PCDATA_INL_TREE_INDEX || usize::from(funcdata) <= FUNCDATA_INL_TREE {
            return None;
        }
        let index = (size / 4).checked_add(pcdata)?.checked_add(FUNCDATA_INL_TREE)?;
        let offset = self.table.record_word(function, index)?;
        (offset != u32::MAX).then(|| self.module.gofunc.checked_add(u64::from(offset)))?
    }

    /// The innermost inlined call at `pc`: its function, where it was called, and its id.
    fn inlined_call(
        &self,
        function: &Function<'_>,
        tree: u64,
        pc: u64,
    ) -> Option<(&'d str, u64, u8)> {
        let index_table = self
            .table
            .record_word(function, self.table.record_size() / 4 + PCDATA_INL_TREE_INDEX)?;
        let index = self.table.pc_value(index_table, function.entry, pc)?;
        let (size, name_at, id_at) = self.entry_layout();
        let entry = usize::try_from(index).ok()?.checked_mul(size)?;
        let at = entry.checked_add(name_at)?;
        let data = self.image.tail(tree)?;
        let name = self.table.name_at(i32_at(data, at)?)?;
        let parent = u64::try_from(i32_at(data, at + 4)?).ok()?;
        Some((name, parent, *data.get(entry + id_at)?))
    }

    fn position(&self, function: &Function<'_>, pc: u64) -> (&'d str, u32) {
        let value = |word| {
            let table = self.table.record_word(function, word)?;
            self.table.pc_value(table, function.entry, pc)
        };
        let file = value(5).and_then(|f| self.table.file_name(function, f)).unwrap_or("");
        let line = value(6).and_then(|l| u32::try_from(l).ok()).unwrap_or(0);
        (file, line)
    }
}
