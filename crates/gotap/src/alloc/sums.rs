//! Buckets added up by the function and line that allocates.

use std::collections::{BTreeMap, HashMap};

use goruntime::{AllocationProfile, Position, Symbols, scaled};

/// What one place in the source allocates.
#[derive(Debug, Clone)]
pub(super) struct Function<'d> {
    /// The stack of most of it, innermost first: from the first function that is not the runtime's.
    pub(super) stack: Vec<Position<'d>>,
    pub(super) samples: u64,
    pub(super) objects: f64,
    pub(super) bytes: f64,
    /// Objects and bytes by the size of an object.
    pub(super) sizes: BTreeMap<u64, (f64, f64)>,
    /// Bytes of the bucket that the stack is of.
    most: f64,
}

impl<'d> Function<'d> {
    /// The function's name; `None` where nothing is known of the stack.
    pub(super) fn name(&self) -> Option<String> {
        self.stack.first().map(|frame| frame.name().into_owned())
    }

    pub(super) fn file(&self) -> Option<&'d str> {
        self.stack.first().map(|frame| frame.file)
    }

    pub(super) fn line(&self) -> Option<u32> {
        self.stack.first().map(|frame| frame.line)
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Sums<'d> {
    pub(super) rate: u64,
    pub(super) cycle: u32,
    pub(super) samples: u64,
    pub(super) objects: f64,
    pub(super) bytes: f64,
    /// Those with most bytes first.
    pub(super) functions: Vec<Function<'d>>,
    places: HashMap<(&'d str, &'d str, u32), Function<'d>>,
}

impl<'d> Sums<'d> {
    /// What was allocated until a profile was read, or since an earlier one.
    pub(super) fn of(
        profile: &AllocationProfile,
        earlier: Option<&AllocationProfile>,
        symbols: &Symbols<'_, 'd>,
    ) -> Self {
        let earlier: HashMap<u64, u64> = earlier
            .iter()
            .flat_map(|earlier| &earlier.buckets)
            .map(|bucket| (bucket.site.bucket, bucket.allocated))
            .collect();
        let rate = profile.rate;
        let mut out = Self::new(rate, profile.cycle);
        for bucket in &profile.buckets {
            let before = earlier.get(&bucket.site.bucket).copied().unwrap_or(0);
            let samples = bucket.allocated.saturating_sub(before);
            if samples == 0 {
                continue;
            }
            let (objects, bytes) = scaled(samples, bucket.site.size, rate);
            let stack = symbols.sampled(&bucket.site.stack);
            out.add(samples, objects, bytes, bucket.site.size, stack);
        }
        out.sort();
        out
    }

    /// Nothing yet.
    pub(super) fn new(rate: u64, cycle: u32) -> Self {
        let (functions, places) = (Vec::new(), HashMap::new());
        Self { rate, cycle, samples: 0, objects: 0.0, bytes: 0.0, functions, places }
    }

    /// Adds what was allocated by one stack, in objects of one size.
    pub(super) fn add(
        &mut self,
        samples: u64,
        objects: f64,
        bytes: f64,
        size: u64,
        stack: Vec<Position<'d>>,
    ) {
        let stack = without_runtime(stack);
        let key = stack.first().map_or(("", "", 0), |f| (f.function, f.file, f.line));
        let place = self.places.entry(key).or_insert_with(|| Function {
            stack: Vec::new(),
            samples: 0,
            objects: 0.0,
            bytes: 0.0,
            sizes: BTreeMap::new(),
            most: -1.0,
        });
        if bytes > place.most {
            (place.stack, place.most) = (stack, bytes);
        }
        place.samples += samples;
        place.objects += objects;
        place.bytes += bytes;
        let of_size = place.sizes.entry(size).or_default();
        *of_size = (of_size.0 + objects, of_size.1 + bytes);
        self.samples += samples;
        self.objects += objects;
        self.bytes += bytes;
    }

    /// Puts those with most bytes first.
    pub(super) fn sort(&mut self) {
        self.functions = std::mem::take(&mut self.places).into_values().collect();
        self.functions.sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then(a.name().cmp(&b.name())));
    }
}

/// A stack from its first function that is not the runtime's, or all of it where there is none.
fn without_runtime(mut stack: Vec<Position<'_>>) -> Vec<Position<'_>> {
    let is_own = |frame: &Position<'_>| {
        !frame.function.starts_with("runtime.") && !frame.function.starts_with("internal/runtime/")
    };
    if let Some(first) = stack.iter().position(is_own) {
        stack.drain(..first);
    }
    stack
}
