//! The series of one process: found by the attributes of an operation, bounded in number.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use metrics::{HistogramPoint, Metric};
use trace::{Resource, Span, ValueRef};

use crate::class::Class;
use crate::series::{Measured, Series};

/// What all processes share.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) hasher: RandomState,
    /// Series that a metric of a process may have, with the one of those that find no room.
    pub(crate) per_metric: usize,
    /// Series that all of them may have.
    pub(crate) total: usize,
    /// Series that there are.
    pub(crate) used: usize,
    /// Whether exponential buckets are wanted.
    pub(crate) exponential: bool,
    /// Operations that found no room, by class.
    pub(crate) overflowed: [u64; Class::ALL.len()],
}

/// A process, and when it ended.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) resource: Arc<Resource>,
    /// When it began to be observed, in nanoseconds since 1970.
    pub(crate) since: u64,
    /// When it ended, by a clock that is not set.
    pub(crate) ended: Option<u64>,
    /// Who has collected it since its end.
    pub(crate) seen_by: u8,
    series: HashTable<Series>,
    by_class: [usize; Class::ALL.len()],
    overflow: [Option<Box<Series>>; Class::ALL.len()],
}

impl Process {
    pub(crate) fn new(resource: Arc<Resource>, since: u64) -> Self {
        Self {
            resource,
            since,
            ended: None,
            seen_by: 0,
            series: HashTable::new(),
            by_class: [0; Class::ALL.len()],
            overflow: [const { None }; Class::ALL.len()],
        }
    }

    /// Series that are counted against the room of all.
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether any operation was counted.
    pub(crate) fn has_any(&self) -> bool {
        self.len() > 0 || self.overflow.iter().any(Option::is_some)
    }

    /// Counts an operation.
    pub(crate) fn record(
        &mut self,
        class: Class,
        span: &Span,
        measured: &Measured,
        room: &mut Room,
    ) {
        let hash = hash(&room.hasher, class, span);
        let at = class as usize;
        let fits = self.by_class[at] + 1 < room.per_metric && room.used < room.total;
        match self.series.entry(hash, |one| one.matches(class, span), |one| one.hash) {
            Entry::Occupied(mut known) => known.get_mut().record(measured),
            Entry::Vacant(vacant) if fits => {
                let mut series = Series::new(class, hash, span, room.exponential);
                series.record(measured);
                vacant.insert(series);
                self.by_class[at] += 1;
                room.used += 1;
            }
            Entry::Vacant(_) => {
                room.overflowed[at] += measured.times;
                let new = || Box::new(Series::overflow(class, room.exponential));
                self.overflow[at].get_or_insert_with(new).record(measured);
            }
        }
    }

    /// Its metrics.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut out = Vec::new();
        for class in Class::ALL {
            let overflow = self.overflow[class as usize].as_deref();
            let all = || self.series.iter().filter(|one| one.class == class).chain(overflow);
            let duration = class.duration();
            let points = all().map(|one| one.duration.point(one.attributes()));
            let mut add = |definition: crate::class::Definition, points: Vec<HistogramPoint>| {
                if points.is_empty() {
                    return;
                }
                let (name, unit) = (definition.name, definition.unit);
                let mut metric = Metric::histogram(name, unit, definition.description, points);
                metric.since = Some(self.since);
                out.push(metric);
            };
            add(duration, points.collect());
            for (i, size) in class.sizes().into_iter().flatten().enumerate() {
                let points =
                    all().filter_map(|one| Some(one.sizes[i].as_ref()?.point(one.attributes())));
                add(size, points.collect());
            }
        }
        out
    }
}

fn hash(hasher: &RandomState, class: Class, span: &Span) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u8(class as u8);
    for key in class.keys() {
        match key.of(span) {
            Some(ValueRef::Text(text)) => state.write(text.as_bytes()),
            Some(ValueRef::Int(n)) => state.write_i64(n),
            _ => state.write_u8(0xfe),
        }
    }
    state.finish()
}
