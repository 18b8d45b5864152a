//! Damaged binaries: whatever a file says, reading it must neither panic nor run for long.
//!
//! A real binary is cut off, sprinkled with wrong bytes where it hurts most, and given counts and
//! pointers that lead astray. All is deterministic: a failure names the damage and happens again.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test, in helpers, too")]

mod exercise;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use exercise::{Depth, exercise};
use gobin::Binary;
use gotap_testkit::go::{self, Mode, Version};

/// No single file may take longer, in a debug build on a busy machine.
const SLOW: Duration = Duration::from_secs(20);

/// Xorshift: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// A part of the file that damage goes to.
#[derive(Clone, Debug)]
struct Region {
    name: &'static str,
    start: usize,
    end: usize,
}

/// An intact file, and where its tables are.
struct Intact {
    data: Vec<u8>,
    regions: Vec<Region>,
}

fn word(data: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(data[at..at + 8].try_into().unwrap())).unwrap()
}

impl Intact {
    fn new(mode: Mode) -> Self {
        let path = go::build("oracle", Version::NEWEST, mode).unwrap();
        let data = fs::read(path).unwrap();
        let binary = Binary::parse(&data).unwrap();
        let image = binary.image();
        let offset = |va| usize::try_from(image.file_offset(va).unwrap()).unwrap();
        let section = |name: &str| offset(image.section(name).unwrap().vaddr);
        let region = |name, start: usize, len: usize| Region { name, start, end: start + len };
        let module = *binary.module();
        let table = section(".gopclntab");
        let section_headers = word(&data, 40);
        let types = offset(module.types);
        let region_len = usize::try_from(module.etypes - module.types).unwrap();
        let regions = vec![
            region("ELF header", 0, 64),
            region("program headers", 64, 56 * 10),
            region("section headers", section_headers, data.len().min(64 * 24)),
            region("function table header", table, 72),
            region("compilation units and files", table + word(&data, table + 40), 4096),
            region("pc-value tables", table + word(&data, table + 56), 1 << 18),
            region("function records", table + word(&data, table + 64), 1 << 18),
            region("module data", offset(module.vaddr), 8 * 60),
            region("types", types, region_len),
            region("inline trees", offset(module.gofunc), 1 << 16),
            region("build information", section(".go.buildinfo"), 256),
        ];
        let regions =
            regions.into_iter().map(|r| Region { end: r.end.min(data.len()), ..r }).collect();
        Self { regions, data }
    }

    fn region(&self, name: &str) -> Region {
        self.regions.iter().find(|region| region.name == name).unwrap().clone()
    }
}

/// Reads a damaged file; `damage` describes it.
fn survive(data: &[u8], depth: Depth, damage: &str) -> usize {
    let start = Instant::now();
    let answers = catch_unwind(AssertUnwindSafe(|| exercise(data, depth)));
    let took = start.elapsed();
    assert!(took < SLOW, "{damage}: took {took:?}");
    answers.unwrap_or_else(|_| panic!("{damage}: panicked"))
}

#[test]
fn an_intact_file_answers_a_lot() {
    let intact = Intact::new(Mode::Plain);
    let answers = survive(&intact.data, Depth::All, "none");
    assert!(answers > 500, "only {answers} answers: the other tests would test little");
}

#[test]
fn files_that_are_cut_off() {
    let data = Intact::new(Mode::Plain).data;
    let mut random = Random(0x5eed_0001);
    let short = 0..200;
    let any = (0..200).map(|_| random.below(data.len())).collect::<Vec<_>>();
    for len in short.chain(any) {
        survive(&data[..len], Depth::Tables, &format!("cut off at {len}"));
    }
    for sixteenth in 0..16 {
        let len = data.len() * sixteenth / 16;
        survive(&data[..len], Depth::All, &format!("cut off at {len}"));
    }
}

#[test]
fn wrong_bytes_where_it_hurts() {
    for (mode, seed, rounds) in [(Mode::Plain, 0x5eed_0002, 96), (Mode::Pie, 0x5eed_0003, 24)] {
        let intact = Intact::new(mode);
        let mut data = intact.data.clone();
        let mut random = Random(seed);
        for region in &intact.regions {
            for round in 0..rounds {
                let undo = sprinkle(&mut data, region, &mut random);
                let depth = if round % 12 == 0 { Depth::All } else { Depth::Tables };
                survive(&data, depth, &format!("{mode} {seed:#x} {} {round}", region.name));
                for (at, old) in undo.into_iter().rev() {
                    data[at] = old;
                }
            }
        }
        assert!(data == intact.data, "the damage was not undone");
    }
}

/// Damages one to eight places; gives what stood there.
fn sprinkle(data: &mut [u8], region: &Region, random: &mut Random) -> Vec<(usize, u8)> {
    let mut undo = Vec::new();
    for _ in 0..=random.below(8) {
        let at = region.start + random.below(region.end - region.start);
        let old = data[at];
        undo.push((at, old));
        data[at] = match random.below(4) {
            0 => old ^ (1 << random.below(8)),
            1 => 0xff,
            2 => 0,
            _ => random.next().to_le_bytes()[3],
        };
    }
    undo
}

#[test]
fn words_that_are_huge_or_lead_back() {
    let intact = Intact::new(Mode::Plain);
    let module = *Binary::parse(&intact.data).unwrap().module();
    let values = [
        u64::MAX,
        1 << 63,
        u64::from(u32::MAX),
        0,
        module.vaddr,
        module.types,
        module.etypes - 8,
        module.text,
    ];
    let mut data = intact.data.clone();
    let headers = ["program headers", "section headers", "function table header", "module data"];
    for region in headers.map(|name| intact.region(name)) {
        for at in (region.start..region.end.min(region.start + 640) - 8).step_by(8) {
            for value in values {
                data[at..at + 8].copy_from_slice(&value.to_le_bytes());
                survive(&data, Depth::Tables, &format!("{} {at:#x} = {value:#x}", region.name));
            }
            data[at..at + 8].copy_from_slice(&intact.data[at..at + 8]);
        }
    }
    assert!(data == intact.data, "the damage was not undone");
}

/// Every word of the types becomes an address in the types, or every half a small number: names,
/// fields and methods then overlap, contain each other and repeat.
#[test]
fn types_that_refer_to_each_other() {
    let intact = Intact::new(Mode::Plain);
    let module = *Binary::parse(&intact.data).unwrap().module();
    let region = intact.region("types");
    let mut random = Random(0x5eed_0004);
    for share in [1, 2, 10, 100] {
        let mut data = intact.data.clone();
        for at in (region.start..region.end - 8).step_by(8) {
            if random.below(share) == 0 {
                let inside = (random.next() % (module.etypes - module.types)) & !7;
                data[at..at + 8].copy_from_slice(&(module.types + inside).to_le_bytes());
            }
        }
        survive(&data, Depth::All, &format!("1 of {share} words is an address"));
    }
    // One descriptor of a struct over and over, at every eighth byte.
    let mut data = intact.data.clone();
    for at in (region.start..region.end - 8).step_by(8) {
        data[at..at + 8].copy_from_slice(&[0x19, 1, 0, 0, 0x19, 8, 8, 0x19]);
    }
    survive(&data, Depth::All, "every word looks like a descriptor");
}

/// The pc-value tables and inline trees say the same forever.
#[test]
fn tables_without_an_end() {
    let intact = Intact::new(Mode::Plain);
    for (value, name) in [(0u8, "zero"), (1, "one"), (0x80, "endless numbers"), (2, "two")] {
        for region in ["pc-value tables", "inline trees", "function records"] {
            let region = intact.region(region);
            let mut data = intact.data.clone();
            data[region.start + 1..region.end].fill(value);
            survive(&data, Depth::Tables, &format!("{} all {name}", region.name));
        }
    }
}
