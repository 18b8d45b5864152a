//! What the kernel side knows of one process besides its constants: its types and single sites.

use libbpf_rs::{Map, MapCore, MapFlags};
use wire::raw;
use zerocopy::IntoBytes;

use instruments::Plan;

use crate::Attached;

/// The keys of what was written, to remove it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    types: Vec<raw::Key>,
    sites: Vec<raw::Key>,
}

/// The maps that hold it.
pub(crate) struct Maps<'o> {
    pub(crate) types: Map<'o>,
    pub(crate) sites: Map<'o>,
}

impl Known {
    pub(crate) fn write(maps: &Maps<'_>, plan: &Plan, to: &Attached) -> Self {
        // A full map costs this process its deeper contexts, and its databases, not its requests.
        let types = plan.types(to.bias).map(|(id, value)| (id, value.as_bytes().to_vec()));
        let sites = plan.described(to.bias).map(|(id, value)| (id, value.as_bytes().to_vec()));
        Self { types: write(&maps.types, to, types), sites: write(&maps.sites, to, sites) }
    }

    pub(crate) fn forget(&self, maps: &Maps<'_>) {
        for (map, keys) in [(&maps.types, &self.types), (&maps.sites, &self.sites)] {
            for key in keys {
                // What is gone already is no failure.
                let _ = map.delete(key.as_bytes());
            }
        }
    }
}

/// Writes until the map is full; gives the keys that were written.
fn write(
    map: &Map<'_>,
    to: &Attached,
    values: impl Iterator<Item = (u64, Vec<u8>)>,
) -> Vec<raw::Key> {
    let key = |id| raw::Key { id, instance: to.instance, pad: 0 };
    values
        .map(|(id, value)| (key(id), value))
        .take_while(|(key, value)| map.update(key.as_bytes(), value, MapFlags::ANY).is_ok())
        .map(|(key, _)| key)
        .collect()
}
