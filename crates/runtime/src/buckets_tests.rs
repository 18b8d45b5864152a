//! Lists of buckets that are made up: what counts of all cycles say, and what is no such list.

use std::cell::Cell;

use gobin::Binary;
use gomem::Snippets;
use gotap_testkit::go::{self, Mode, Version};

use super::*;

const LIST: u64 = 0x7f00_0000_0000;

/// A program's memory that is made up.
struct Image {
    layout: Layout,
    memory: Snippets,
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A bucket of allocations: its head, stack and counts, as Go 1.27 has it.
fn bucket(next: u64, size: u64, stack: &[u64], counts: [u64; 8]) -> Vec<u8> {
    let mut words = vec![0, next, 1, hash(stack, size), size, stack.len() as u64];
    words.extend(stack);
    words.extend(counts);
    bytes(&words)
}

fn image(rate: u64, first: u64, cycle: u32, collections: u32) -> Image {
    let path = go::build("runtimeapp", Version::NEWEST, Mode::Plain).unwrap();
    let data = std::fs::read(path).unwrap();
    let binary = Binary::parse(&data).unwrap();
    let layout = Layout::new(&binary, &binary.types()).unwrap();
    let mut memory = Snippets::default();
    let at = |global| layout.global(global).unwrap();
    memory.map(at(Global::MemProfileRate), bytes(&[rate]));
    memory.map(at(Global::Mbuckets), bytes(&[first]));
    memory.map(at(Global::MProfCycle), (cycle << 1).to_le_bytes().to_vec());
    let numgc = at(Global::Memstats) + layout.offsets.get("mstats.numgc").unwrap();
    memory.map(numgc, collections.to_le_bytes().to_vec());
    Image { layout, memory }
}

impl Image {
    /// Buckets in a page of their own each, so that they can be read by pages.
    fn bucket(mut self, number: u64, bytes: &[u8]) -> Self {
        let mut page = bytes.to_vec();
        page.resize(4096, 0);
        self.memory.map(LIST + 4096 * number, page);
        self
    }

    fn read(&self) -> Result<AllocationProfile, Error> {
        AllocationProfile::read(&self.memory, &self.layout, 0)
    }
}

#[test]
fn samples_stand_for_as_many_as_pprof_says() {
    // As scaleHeapSample of runtime/pprof computes it.
    assert_eq!(scaled(0, 16, 512), (0.0, 0.0));
    assert_eq!(scaled(3, 0, 512), (0.0, 0.0));
    assert_eq!(scaled(3, 16, 1), (3.0, 48.0));
    assert_eq!(scaled(3, 16, 0), (3.0, 48.0));
    let (objects, bytes) = scaled(10, 1024, 524_288);
    assert!((objects - 5125.0).abs() < 1.0 && (bytes - 1024.0 * objects).abs() < 1.0, "{objects}");
    // What is much larger than the rate is always sampled.
    assert!((scaled(7, 1 << 30, 524_288).0 - 7.0).abs() < 1e-9);
}

#[test]
fn counts_of_all_cycles_and_those_that_are_published() {
    // active, and cycles 0, 1 and 2 of the ring. Cycle 4 is in place 1, and published.
    let counts = [100, 50, 1, 2, 30, 20, 7, 3];
    let found = image(512, LIST, 4, 4)
        .bucket(0, &bucket(LIST + 4096, 64, &[0x1001, 0x2001], counts))
        .bucket(1, &bucket(0, 32, &[], [0; 8]))
        .read()
        .unwrap();
    assert_eq!((found.rate, found.cycle, found.changed, found.cut), (512, 4, 0, false));
    let [first, second] = &found.buckets[..] else { panic!("{found:?}") };
    assert_eq!((first.allocated, first.freed, first.published), (138, 75, (130, 70)));
    assert_eq!((first.site.size, &first.site.stack[..]), (64, &[0x1000, 0x2000][..]));
    assert_eq!((second.allocated, second.published), (0, (0, 0)));
}

#[test]
fn before_the_first_collection_all_is_published() {
    let counts = [0, 0, 0, 0, 0, 0, 9, 4];
    let found = image(512, LIST, 0, 0).bucket(0, &bucket(0, 64, &[1], counts)).read().unwrap();
    assert_eq!(found.buckets[0].published, (9, 4));
}

#[test]
fn what_is_no_list_of_buckets_is_refused() {
    let good = bucket(0, 64, &[0x1001], [0; 8]);
    let fails = |image: Image| matches!(image.read(), Err(Error::Profile(_)));
    assert!(!fails(image(512, LIST, 1, 1).bucket(0, &good)));
    // A circle.
    let circle = bucket(LIST, 64, &[0x1001], [0; 8]);
    assert!(fails(image(512, LIST, 1, 1).bucket(0, &circle)));
    // Nothing is there.
    assert!(fails(image(512, LIST + 4096, 1, 1).bucket(0, &good)));
    // Each word of the head, or of the stack, that is another one.
    for at in [2, 3, 4, 5, 6] {
        let mut bad = good.clone();
        bad[8 * at] ^= 0x40;
        assert!(fails(image(512, LIST, 1, 1).bucket(0, &bad)), "{at}");
    }
    // Counts, a rate, or a cycle that can't be.
    let absurd = bucket(0, 64, &[0x1001], [u64::MAX, 0, 0, 0, 0, 0, 0, 0]);
    assert!(fails(image(512, LIST, 1, 1).bucket(0, &absurd)));
    assert!(fails(image(u64::MAX, LIST, 1, 1).bucket(0, &good)));
    assert!(fails(image(512, LIST, 1, 40).bucket(0, &good)));
}

/// Memory in which counts change with every read, and the cycle, too, if it is asked to.
struct Moving {
    memory: Snippets,
    counts: u64,
    cycle: Option<u64>,
    reads: Cell<u64>,
    cycles: Cell<u64>,
}

impl Memory for Moving {
    fn read_parts(&self, parts: &[(u64, usize)], to: &mut [u8]) -> Result<usize, gomem::Error> {
        self.reads.set(self.reads.get() + 1);
        let done = self.memory.read_parts(parts, to)?;
        let mut at = 0;
        for (address, len) in parts {
            if self.counts >= *address && self.counts < address + *len as u64 && *len < 4096 {
                to[at + usize::try_from(self.counts - address).unwrap()] = self.reads.get() as u8;
            }
            if self.cycle == Some(*address) {
                self.cycles.set(self.cycles.get() + 1);
                to[at] = (self.cycles.get() % 2 * 2) as u8;
            }
            at += len;
        }
        Ok(done)
    }
}

#[test]
fn counts_and_cycles_that_change_are_noticed() {
    let Image { layout, memory } =
        image(512, LIST, 0, 0).bucket(0, &bucket(0, 64, &[0x1001], [5; 8]));
    let counts = LIST + 48 + 8;
    let (reads, cycles) = (Cell::new(0), Cell::new(0));
    let mut moving = Moving { memory, counts, cycle: None, reads, cycles };
    let found = AllocationProfile::read(&moving, &layout, 0).unwrap();
    assert_eq!(found.changed, 1);
    moving.counts = 0;
    assert_eq!(AllocationProfile::read(&moving, &layout, 0).unwrap().changed, 0);
    // The cycle is another one each time.
    moving.cycle = layout.global(Global::MProfCycle);
    let found = AllocationProfile::read(&moving, &layout, 0);
    assert!(matches!(&found, Err(Error::Profile(why)) if why.contains("collections")), "{found:?}");
}
