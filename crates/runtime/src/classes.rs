//! What was allocated by size class, from the counters that the runtime keeps in any case.
//!
//! They count an object when the span that it is in is full or given back, so that they lag by a span for
//! each processor and class. Source: `heapStatsDelta` in `runtime/mstats.go`.

use gobin::Global;
use gomem::{Memory, u64_at};

use crate::Error;
use crate::layout::Layout;

/// Sizes of small objects, the same from Go 1.18 to 1.27: `class_to_size` in `runtime/sizeclasses.go`.
const SIZES: [u64; 68] = [
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320,
    352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792,
    2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728,
    10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672,
    32768,
];
/// The counters are a ring of so many parts, which are added up.
const PARTS: usize = 3;
/// How often they are read again where they change meanwhile.
const ROUNDS: usize = 8;
/// No sum is larger.
const MAX_BYTES: u64 = 1 << 56;

/// Objects that were allocated since the program started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeClasses {
    /// Size of a class, and objects of it. An object is in the smallest class that it fits into.
    pub small: Vec<(u64, u64)>,
    /// Objects that have no class as they are too large.
    pub large_objects: u64,
    /// Bytes of them, in whole pages.
    pub large_bytes: u64,
    /// Objects of less than 16 bytes that were put beside others into one of class 16.
    pub tiny: u64,
}

impl SizeClasses {
    /// Reads them; `None` where they can't be, or contradict what else is counted.
    ///
    /// # Errors
    /// When the process is gone, or may not be read.
    pub fn read(memory: &impl Memory, layout: &Layout, bias: u64) -> Result<Option<Self>, Error> {
        let place = |global, field| {
            let offset = layout.offsets.get(field)?;
            Some(layout.global(global)?.wrapping_add(bias).wrapping_add(offset))
        };
        let at = |field: &str| usize::try_from(layout.offsets.get(field)?).ok();
        let Some(address) = place(Global::Memstats, "mstats.heapStats") else { return Ok(None) };
        let Some(part) = at("heapStatsDelta.size").filter(|size| *size < 1 << 16) else {
            return Ok(None);
        };
        // All that was allocated; Go 1.18 has only what is live of it.
        let total = place(Global::GcController, "gcControllerState.totalAlloc");
        let other = total.or_else(|| place(Global::GcController, "gcControllerState.heapLive"));
        let Some(other) = other else { return Ok(None) };
        for _ in 0..ROUNDS {
            let before = memory.word(other)?;
            let (first, second) =
                (memory.bytes(address, PARTS * part)?, memory.bytes(address, PARTS * part)?);
            let after = memory.word(other)?;
            let (Some(bytes), Some(before), Some(after)) = (first, before, after) else {
                return Ok(None);
            };
            let Some(found) = Self::of(&bytes, part, at) else { continue };
            // A class is counted before the total is. What is live has the ends of spans in it, too, in
            // which there is no room for an object: an eighth at most.
            let (least, most) = match total {
                Some(_) => (before, after.saturating_add(after / 64).saturating_add(8 << 20)),
                None => (before - before / 8, u64::MAX),
            };
            let fits = (least..=most).contains(&found.bytes());
            // While parts of the ring are joined, a class is counted twice for a moment, or not at all.
            let next = second.and_then(|bytes| Self::of(&bytes, part, at));
            if fits && next.is_some_and(|next| next.is_later_than(&found)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The sizes of all classes, in order.
    pub fn sizes() -> &'static [u64] {
        &SIZES[1..]
    }

    /// Adds up the parts of the ring.
    fn of(ring: &[u8], part: usize, at: impl Fn(&str) -> Option<usize>) -> Option<Self> {
        let sum_at = |at: usize| {
            let parts = (0..PARTS).map(|i| u64_at(ring, i * part + at));
            // In one part a counter may have wrapped around.
            parts.into_iter().try_fold(0u64, |sum, part| Some(sum.wrapping_add(part?)))
        };
        let sum = |field: &str| sum_at(at(field)?);
        let first = at("heapStatsDelta.smallAllocCount")?;
        let mut small = Vec::with_capacity(SIZES.len());
        for (i, size) in SIZES.iter().enumerate().skip(1) {
            small.push((*size, sum_at(first + 8 * i)?));
        }
        let out = Self {
            small,
            large_objects: sum("heapStatsDelta.largeAllocCount")?,
            large_bytes: sum("heapStatsDelta.largeAlloc")?,
            tiny: sum("heapStatsDelta.tinyAllocCount")?,
        };
        let counts = out.small.iter().map(|(_, count)| *count);
        let mut all = counts.chain([out.large_objects, out.large_bytes, out.tiny]);
        all.all(|count| count < MAX_BYTES).then_some(out)
    }

    /// Whether no count is lower than in an earlier reading.
    fn is_later_than(&self, earlier: &Self) -> bool {
        let pairs = self.small.iter().zip(&earlier.small);
        let others = [
            (self.large_objects, earlier.large_objects),
            (self.large_bytes, earlier.large_bytes),
            (self.tiny, earlier.tiny),
        ];
        let small = pairs.map(|(now, then)| (now.1, then.1));
        small.chain(others).all(|(now, then)| now >= then)
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        let small = self.small.iter().map(|(size, count)| size.saturating_mul(*count));
        small.fold(self.large_bytes, u64::saturating_add)
    }

    /// All of them, as `runtime.MemStats.Mallocs` counts.
    pub fn objects(&self) -> u64 {
        let small = self.small.iter().map(|(_, count)| *count);
        small.fold(self.large_objects.saturating_add(self.tiny), u64::saturating_add)
    }

    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.small.iter().zip(&earlier.small);
        Self {
            small: pairs.map(|(now, then)| (now.0, now.1.saturating_sub(then.1))).collect(),
            large_objects: self.large_objects.saturating_sub(earlier.large_objects),
            large_bytes: self.large_bytes.saturating_sub(earlier.large_bytes),
            tiny: self.tiny.saturating_sub(earlier.tiny),
        }
    }
}
