//! Building the Go programs below `apps/`, with any Go version and in several ways.
//!
//! [`build()`] is cheap to call again: a program is built once per version, mode and state of its
//! sources, also when several test processes want it at the same time.

mod build;

pub use build::{build, build_guided, build_with};

use std::fmt;

/// A Go release, such as 1.22.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 22 of 1.22.12.
    pub minor: u32,
    /// 12 of 1.22.12.
    pub patch: u32,
}

impl Version {
    /// The oldest version that gotap supports.
    pub const OLDEST: Self = VERSIONS[0];
    /// The newest version that gotap is tested with.
    pub const NEWEST: Self = VERSIONS[VERSIONS.len() - 1];

    /// The version of the list with this minor number: `Version::of(22)` is 1.22.12.
    ///
    /// # Panics
    /// If [`VERSIONS`] has none.
    pub fn of(minor: u32) -> Self {
        let found = VERSIONS.iter().find(|version| version.minor == minor);
        *found.expect("the minor number is one of VERSIONS")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

/// The last patch release known of each supported Go version, the oldest first.
pub const VERSIONS: [Version; 10] = [
    Version { minor: 18, patch: 10 },
    Version { minor: 19, patch: 13 },
    Version { minor: 20, patch: 14 },
    Version { minor: 21, patch: 13 },
    Version { minor: 22, patch: 12 },
    Version { minor: 23, patch: 12 },
    Version { minor: 24, patch: 11 },
    Version { minor: 25, patch: 5 },
    Version { minor: 26, patch: 8 },
    Version { minor: 27, patch: 3 },
];

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// `go build` without cgo: static, with symbols and DWARF.
    Plain,
    /// Without symbols and DWARF, as most images are: `-ldflags="-s -w"`.
    Stripped,
    /// Position independent, and without the paths of the machine that built it: `-buildmode=pie -trimpath`. Go compiles
    /// its standard library anew for either flag, so that together they cost no more.
    Pie,
    /// With cgo, linked with libc and resolving names through it.
    Cgo,
    /// Plain, for arm64.
    Arm64,
    /// With cgo and the race detector, which adds code of its own to every function: `-race`.
    Race,
    /// Plain, for a debugger: `-gcflags="all=-N -l"`.
    Unoptimised,
}

impl Mode {
    /// All modes in which programs are shipped.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Stripped, Self::Pie, Self::Cgo, Self::Arm64];

    /// Whether this machine can execute the result; if not it can only be read.
    pub fn runs_here(self) -> bool {
        match self {
            Self::Arm64 => cfg!(target_arch = "aarch64"),
            Self::Race => cfg!(target_arch = "x86_64"),
            _ => true,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Stripped => "stripped",
            Self::Pie => "pie",
            Self::Cgo => "cgo",
            Self::Arm64 => "arm64",
            Self::Race => "race",
            Self::Unoptimised => "unoptimised",
        })
    }
}

/// Every version in every mode.
pub fn matrix() -> Vec<(Version, Mode)> {
    VERSIONS.iter().flat_map(|&version| Mode::ALL.map(|mode| (version, mode))).collect()
}

/// A fixed part of the matrix that has every version, and every mode at least twice.
pub fn cross_section() -> Vec<(Version, Mode)> {
    use Mode::{Arm64, Cgo, Pie, Plain, Stripped};
    [
        (18, Plain),
        (19, Stripped),
        (20, Pie),
        (21, Cgo),
        (22, Plain),
        (23, Stripped),
        (24, Pie),
        (25, Cgo),
        (26, Plain),
        (27, Stripped),
        (27, Pie),
        (27, Cgo),
        (19, Arm64),
        (26, Arm64),
    ]
    .map(|(minor, mode)| (Version::of(minor), mode))
    .to_vec()
}

/// Other pairs that tests build with. Go compiles its standard library anew for each pair, which takes half a minute of
/// a processor: so tests choose pairs that stand here or in [`cross_section()`], and new ones need a reason.
const OTHERS: [(u32, Mode); 8] = [
    // Benchmarks, which are not to change with each version.
    (26, Mode::Stripped),
    // Versions between which libraries changed how they are built.
    (19, Mode::Plain),
    (21, Mode::Plain),
    (24, Mode::Plain),
    (21, Mode::Unoptimised),
    // With the newest Go, whatever mode a test is about.
    (27, Mode::Plain),
    (27, Mode::Race),
    (27, Mode::Unoptimised),
];

/// Whether tests that do not go through the whole matrix may build with this pair.
pub fn is_common(version: Version, mode: Mode) -> bool {
    is_full()
        || cross_section().contains(&(version, mode))
        || OTHERS.contains(&(version.minor, mode))
}

/// Whether tests go through the whole matrix.
pub fn is_full() -> bool {
    std::env::var("GOTAP_TEST_MATRIX").as_deref() == Ok("full")
}

/// These builds; in the whole matrix all of [`selected()`] that run here.
pub fn selected_or(some: &[(u32, Mode)]) -> Vec<(Version, Mode)> {
    if is_full() {
        return matrix().into_iter().filter(|(_, mode)| mode.runs_here()).collect();
    }
    some.iter().map(|(minor, mode)| (Version::of(*minor), *mode)).collect()
}

/// Those of [`selected()`] with this minor version that run here.
pub fn selected_of(minor: u32) -> Vec<(Version, Mode)> {
    let of_this = |(version, mode): &(Version, Mode)| version.minor == minor && mode.runs_here();
    selected().into_iter().filter(of_this).collect()
}

/// What a test should go through: the whole matrix if `GOTAP_TEST_MATRIX=full`, else the
/// cross-section.
pub fn selected() -> Vec<(Version, Mode)> {
    if is_full() { matrix() } else { cross_section() }
}

/// [`selected()`], and builds with the race detector, as people run them in staging, and for a debugger.
pub fn observed() -> Vec<(Version, Mode)> {
    let versions = if is_full() { &VERSIONS[..] } else { &[Version::NEWEST] };
    let more = versions.iter().flat_map(|v| [(*v, Mode::Race), (*v, Mode::Unoptimised)]);
    selected().into_iter().chain(more).collect()
}
