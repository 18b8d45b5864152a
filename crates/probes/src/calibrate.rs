//! A function of this process to measure on what a trap costs on this machine: it begins with an instruction
//! that the kernel need not step over, as the functions of Go do that are observed.

use std::fs::File;
use std::hint::black_box;
use std::time::Instant;

/// Calls that are measured together, and how often: the quickest round counts, as others run beside it.
const CALLS: u32 = 400;
const ROUNDS: usize = 5;

#[cfg(target_arch = "x86_64")]
mod function {
    std::arch::global_asm!(
        ".globl gotap_calibration",
        ".type gotap_calibration, @function",
        "gotap_calibration:",
        "push rbp",
        "pop rbp",
        "ret",
        ".size gotap_calibration, . - gotap_calibration",
    );

    // SAFETY: the function is defined above, takes nothing and returns nothing.
    unsafe extern "C" {
        fn gotap_calibration();
    }

    /// Where it is.
    pub(super) fn address() -> Option<u64> {
        Some(gotap_calibration as *const () as u64)
    }

    pub(super) fn call() {
        // SAFETY: it pushes a register and takes it back, as its lines above say, and touches nothing else.
        unsafe { gotap_calibration() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod function {
    pub(super) fn address() -> Option<u64> {
        None
    }

    pub(super) fn call() {}
}

/// Where the function is.
pub(crate) struct Target {
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) file: File,
}

impl Target {
    /// Finds it in this process's own executable.
    pub(crate) fn find() -> Option<Self> {
        let address = function::address()?;
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        let offset = maps.lines().find_map(|line| file_offset(line, address))?;
        let file = File::open("/proc/self/exe").ok()?;
        Some(Self { address, offset, file })
    }

    /// Nanoseconds that a call takes now.
    pub(crate) fn measure(&self) -> f64 {
        let round = || {
            let started = Instant::now();
            for _ in 0..black_box(CALLS) {
                function::call();
            }
            started.elapsed().as_nanos() as f64 / f64::from(CALLS)
        };
        (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min)
    }
}

/// Where in its file an address is, by a line as `START-END PERMISSIONS OFFSET …`.
fn file_offset(line: &str, address: u64) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = (number(start)?, number(end)?);
    let offset = number(words.nth(1)?)?;
    (start..end).contains(&address).then(|| address - start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_its_file() {
        let line = "55d0c0001000-55d0c0005000 r-xp 00001000 fe:00 123  /usr/bin/gotap";
        assert_eq!(file_offset(line, 0x55d0_c000_1010), Some(0x1010));
        assert_eq!(file_offset(line, 0x55d0_c000_5000), None);
        assert_eq!(file_offset("nonsense", 0), None);
    }

    #[test]
    fn the_function_is_found_and_does_nothing() {
        if cfg!(target_arch = "x86_64") {
            let target = Target::find().unwrap();
            let bytes = std::fs::read("/proc/self/exe").unwrap();
            let at = usize::try_from(target.offset).unwrap();
            assert_eq!(&bytes[at..at + 3], [0x55, 0x5d, 0xc3]);
            assert!(target.measure() < 100_000.0);
        }
    }
}
