//! What the walker of stacks knows of a binary: where the return address is at each address of the code,
//! and offsets in Go's structures. A pure function of the binary.

use gobin::{Arch, Binary, Row, Step, Types};
use wire::raw::NONE;
use wire::{INDEX_SHIFT, Sampled, StackRow, StepKind};

/// Where net/http starts what works for all users of a client's connection.
pub(crate) const DIAL: &str = "net/http.(*Transport).dialConn";
/// Rows that are taken: each is 8 bytes of the kernel's memory.
const MAX_ROWS: usize = 4 << 20;

/// The walker's tables and constants.
#[derive(Debug, Clone)]
pub struct SamplerPlan {
    pub(super) rows: Vec<StackRow>,
    pub(super) index: Vec<u32>,
    constants: Sampled,
    bias: u64,
}

impl SamplerPlan {
    /// Of a binary that is loaded `bias` bytes above its own addresses. With goroutines, samples of
    /// different ones are kept apart.
    ///
    /// # Errors
    /// Why its stacks can't be walked, as a clause.
    pub fn new(
        binary: &Binary<'_>,
        types: &Types<'_, '_>,
        bias: u64,
        with_goroutines: bool,
    ) -> Result<Self, String> {
        if binary.image().arch() != Arch::Amd64 {
            return Err("samples are taken on x86-64 only".to_owned());
        }
        let module = binary.module();
        let found = binary.stack_rows(MAX_ROWS).filter(|rows| !rows.is_empty());
        let found = found.ok_or("its function table is empty, or too large")?;
        let rows = rows(&found, module.text);
        let size = module.etext.saturating_sub(module.text);
        let index = index(&rows, u32::try_from(size).map_err(|_| "its code is too large")?);
        let offset = |name: &str, path: &[&str]| {
            let at = types.offset(name, path).and_then(|at| u16::try_from(at).ok());
            at.filter(|at| *at != NONE).unwrap_or(NONE)
        };
        let g = |path: &[&str]| offset("runtime.g", path);
        let dial = binary.function(DIAL);
        let dial = dial.map_or(0..0, |f| f.entry.wrapping_add(bias)..f.end.wrapping_add(bias));
        let constants = Sampled {
            target: 0,
            with_goids: with_goroutines.into(),
            with_spans: 0,
            instance: 0,
            text: module.text.wrapping_add(bias),
            etext: module.etext.wrapping_add(bias),
            tls_g: binary.tls_g_offset().unwrap_or(0),
            dial_conn: dial.start,
            dial_conn_size: dial.end.saturating_sub(dial.start),
            g_m: g(&["m"]),
            g_goid: g(&["goid"]),
            g_stack_lo: g(&["stack", "lo"]),
            g_stack_hi: g(&["stack", "hi"]),
            g_sched_sp: g(&["sched", "sp"]),
            g_sched_pc: g(&["sched", "pc"]),
            g_syscallsp: g(&["syscallsp"]),
            g_syscallpc: g(&["syscallpc"]),
            m_curg: offset("runtime.m", &["curg"]),
            m_vdso_sp: offset("runtime.m", &["vdsoSP"]),
            m_vdso_pc: offset("runtime.m", &["vdsoPC"]),
            g_parent_goid: g(&["parentGoid"]),
            g_gopc: g(&["gopc"]),
            m_g0: offset("runtime.m", &["g0"]),
            table: 0,
            mm: 0,
        };
        Ok(Self { rows, index, constants, bias })
    }

    /// Why stacks end where Go changes to another one; `None` if they do not.
    pub fn missing(&self) -> Option<&'static str> {
        let c = &self.constants;
        let offsets = [c.g_m, c.g_stack_lo, c.g_stack_hi, c.g_sched_sp, c.g_sched_pc, c.m_curg];
        if c.tls_g == 0 {
            Some("where a thread keeps its goroutine was not found")
        } else if offsets.contains(&NONE) {
            Some("fields of Go's runtime were not found")
        } else {
            None
        }
    }

    /// The same for a process that has the binary elsewhere, without the tables, which are per file.
    pub fn loaded_at(&self, bias: u64) -> Self {
        let moved = |address: u64| address.wrapping_sub(self.bias).wrapping_add(bias);
        let c = &self.constants;
        let dial_conn = if c.dial_conn_size > 0 { moved(c.dial_conn) } else { 0 };
        let constants = Sampled { text: moved(c.text), etext: moved(c.etext), dial_conn, ..*c };
        Self { rows: Vec::new(), index: Vec::new(), constants, bias }
    }

    /// Kilobytes of the kernel's memory that the tables take.
    pub fn table_kilobytes(&self) -> usize {
        (self.rows.len() * size_of::<StackRow>() + self.index.len() * size_of::<u32>()) >> 10
    }

    /// For one process. With an instance, each sample is kept, with the request that it belongs to.
    pub(super) fn constants(&self, target: u32, table: u32, instance: Option<u32>) -> Sampled {
        let with_spans = instance.is_some().into();
        let instance = instance.unwrap_or(0);
        Sampled { target, table, with_spans, instance, ..self.constants }
    }
}

/// The rows as the walker reads them: those below the code's start are left out.
fn rows(found: &[Row], text: u64) -> Vec<StackRow> {
    let row = |row: &Row| {
        let start = u32::try_from(row.start.checked_sub(text)?).ok()?;
        Some(match row.step {
            Step::Delta(bytes) => StackRow::new(start, StepKind::Delta, bytes),
            Step::SystemStack(bytes) => StackRow::new(start, StepKind::SystemStack, bytes),
            Step::Outermost => StackRow::new(start, StepKind::Outermost, 0),
            Step::Stops => StackRow::new(start, StepKind::Stops, 0),
            Step::MoreStack => StackRow::new(start, StepKind::MoreStack, 0),
            Step::Unknown => StackRow::new(start, StepKind::Unknown, 0),
        })
    };
    let mut out: Vec<StackRow> = found.iter().filter_map(row).collect();
    if out.first().is_none_or(|first| first.start > 0) {
        out.insert(0, StackRow::new(0, StepKind::Unknown, 0));
    }
    out
}

/// For each part of the code the number of the row that holds at its start, and one for its end.
fn index(rows: &[StackRow], size: u32) -> Vec<u32> {
    let buckets = (size >> INDEX_SHIFT) + 2;
    let mut out = Vec::with_capacity(buckets as usize);
    let mut at = 0;
    for bucket in 0..buckets {
        let start = u64::from(bucket) << INDEX_SHIFT;
        while rows.get(at + 1).is_some_and(|next| u64::from(next.start) <= start) {
            at += 1;
        }
        out.push(u32::try_from(at).unwrap_or(u32::MAX));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_leads_to_the_row_of_each_address() {
        let delta = |start, bytes| Row { start, step: Step::Delta(bytes) };
        let starts = [0x1000u64, 0x1004, 0x10ff, 0x1100, 0x1101, 0x1700];
        let found: Vec<Row> = starts.iter().map(|start| delta(*start, 8)).collect();
        let rows = rows(&found, 0x1000);
        let index = index(&rows, 0x800);
        assert_eq!(index, [0, 3, 4, 4, 4, 4, 4, 5, 5, 5]);
        for offset in 0..0x800u32 {
            let bucket = (offset >> INDEX_SHIFT) as usize;
            let (low, high) = (index[bucket] as usize, index[bucket + 1] as usize);
            let found = rows[low..=high].iter().rposition(|row| row.start <= offset).unwrap();
            let wanted = rows.iter().rposition(|row| row.start <= offset).unwrap();
            assert_eq!(low + found, wanted, "{offset:#x}");
        }
    }

    #[test]
    fn what_is_before_the_first_row_is_unknown() {
        let rows = rows(&[Row { start: 0x1010, step: Step::Outermost }], 0x1000);
        assert_eq!(rows[0], StackRow::new(0, StepKind::Unknown, 0));
        assert_eq!(rows[1], StackRow::new(0x10, StepKind::Outermost, 0));
    }
}
