//! The tables of files in the kernel: maps within a map, each of the size that its file needs. Not here: what is in
//! them (`plan`).

use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::libbpf_sys::{BPF_F_INNER_MAP, bpf_map_create_opts};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use zerocopy::{Immutable, IntoBytes};

use super::{Sampler, SamplerPlan, map};
use crate::Error;

/// Entries that are written into a map at once.
const ENTRIES: usize = 1 << 16;
const OUTER: [&str; 2] = ["stack_rows", "stack_index"];

/// Numbers that no file has.
pub(super) struct Free(Vec<u32>);

impl Default for Free {
    fn default() -> Self {
        Self((0..wire::SAMPLED_FILES).rev().collect())
    }
}

impl Sampler {
    /// Gives the tables of a file to the kernel; their number.
    ///
    /// # Errors
    /// [`Error::ManyFiles`], or what libbpf says.
    pub fn add_tables(&mut self, plan: &SamplerPlan) -> Result<u32, Error> {
        let table = self.tables.0.pop().ok_or(Error::ManyFiles)?;
        let added = self.add(OUTER[0], table, &plan.rows);
        let added = added.and_then(|()| self.add(OUTER[1], table, &plan.index));
        if added.is_err() {
            self.remove_tables(table);
        }
        added.map(|()| table)
    }

    /// Removes them. No process of the file may be sampled any more.
    pub fn remove_tables(&mut self, table: u32) {
        for outer in OUTER {
            // It is not there if adding failed.
            let removed = map(&self.object, outer).map(|map| map.delete(&table.to_ne_bytes()));
            drop(removed);
        }
        self.tables.0.push(table);
    }

    fn add<T: IntoBytes + Immutable>(
        &self,
        outer: &str,
        table: u32,
        values: &[T],
    ) -> Result<(), Error> {
        let of = |what: &str| format!("{what} {outer}");
        let options = bpf_map_create_opts {
            sz: size_of::<bpf_map_create_opts>() as _,
            map_flags: BPF_F_INNER_MAP,
            ..Default::default()
        };
        let entries = u32::try_from(values.len()).unwrap_or(u32::MAX).max(1);
        let size = u32::try_from(size_of::<T>()).unwrap_or(0);
        let inner = MapHandle::create(MapType::Array, Some(outer), 4, size, entries, &options)
            .map_err(Error::bpf(of("make map")))?;
        for (number, chunk) in values.chunks(ENTRIES).enumerate() {
            let first = u32::try_from(number * ENTRIES).unwrap_or(u32::MAX);
            let count = u32::try_from(chunk.len()).unwrap_or(0);
            let keys: Vec<u8> = (first..first + count).flat_map(u32::to_ne_bytes).collect();
            inner
                .update_batch(&keys, chunk.as_bytes(), count, MapFlags::ANY, MapFlags::ANY)
                .map_err(Error::bpf(of("write map")))?;
        }
        // The outer map holds on to it.
        map(&self.object, outer)?
            .update(&table.to_ne_bytes(), &inner.as_fd().as_raw_fd().to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf(of("write map")))
    }
}
