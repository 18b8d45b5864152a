//! The kinds of profiles that are taken all the time: what each is called, and which values it has.

use profile::Profile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::buckets;

/// A kind of profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Where threads run, by a clock of each processor
    Cpu,
    /// What goroutines do and wait for, by looks at the process's memory
    Wall,
    /// What was allocated since the profile before, as Go's own profiler samples it
    Alloc,
    /// What is in use of the heap, by the same
    Heap,
    /// Who held locks that others waited for, where the program samples it
    Mutex,
    /// Where goroutines waited for each other, where the program samples it
    Block,
}

impl Kind {
    /// As Parca and Pyroscope call profiles of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "process_cpu",
            Self::Wall => "wall",
            // Go has both in one profile; its values have names of their own.
            Self::Alloc | Self::Heap => "memory",
            Self::Mutex => "mutex",
            Self::Block => "block",
        }
    }

    /// As the setting calls it.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wall => "wall",
            Self::Alloc => "alloc",
            Self::Heap => "heap",
            Self::Mutex => "mutex",
            Self::Block => "block",
        }
    }

    /// What Go's own profiler keeps of it.
    pub(super) fn of_buckets(self) -> Option<buckets::Kind> {
        match self {
            Self::Cpu | Self::Wall => None,
            Self::Alloc => Some(buckets::Kind::Alloc),
            Self::Heap => Some(buckets::Kind::Heap),
            Self::Mutex => Some(buckets::Kind::Mutex),
            Self::Block => Some(buckets::Kind::Block),
        }
    }

    /// Of Go's profile of memory what was allocated, or what is in use: the one is of an interval, the other of a
    /// moment. The others stay as they are.
    pub(super) fn part(self, mut profile: Profile) -> Profile {
        let values = match self {
            Self::Alloc => 0..2,
            Self::Heap => 2..4,
            _ => return profile,
        };
        if profile.types.len() < values.end {
            return profile;
        }
        profile.types = profile.types[values.clone()].to_vec();
        profile.default_type = 1;
        for sample in &mut profile.samples {
            sample.values = sample.values.get(values.clone()).unwrap_or_default().to_vec();
        }
        profile.samples.retain(|sample| sample.values.iter().any(|value| *value != 0));
        profile
    }
}

#[cfg(test)]
mod tests {
    use profile::{Sample, ValueType};

    use super::*;

    #[test]
    fn memory_is_told_as_two_profiles() {
        let types = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"];
        let mut all = Profile::new(types.map(|kind| ValueType::new(kind, "count")).to_vec());
        for values in [vec![1, 10, 0, 0], vec![2, 20, 1, 10]] {
            all.samples.push(Sample { stack: Vec::new(), values, labels: Vec::new() });
        }
        let of = |kind: Kind| {
            let part = kind.part(all.clone());
            let types: Vec<_> = part.types.into_iter().map(|kind| kind.kind).collect();
            (types, part.samples.into_iter().map(|sample| sample.values).collect::<Vec<_>>())
        };
        let names = |from: usize| types[from..from + 2].iter().map(|t| (*t).to_owned()).collect();
        assert_eq!(of(Kind::Alloc), (names(0), vec![vec![1, 10], vec![2, 20]]));
        assert_eq!(of(Kind::Heap), (names(2), vec![vec![1, 10]]));
    }
}
