//! gotap on other kernels than the running one. `make test-kernels` boots each in QEMU, without
//! KVM, and traces real Go programs there.
//!
//! Two programs: `kernel-tests` (`host/`) fetches kernels, builds one disk for all, starts a machine
//! for each and judges; `kernel-tests-guest` (`guest/`) is a machine's `/init` and runs the
//! scenarios. This library is what both must agree on.
//!
//! To test more, add a scenario to `guest/scenarios.rs`, and its program to [`PROGRAMS`]. Not here:
//! what a machine of this speed can't tell, such as timing and load; that is in `tests/e2e`.

pub mod report;

use std::path::{Path, PathBuf};

use gotap_testkit::go::{Mode, Version};

/// Go programs on the disk: folder below `apps/`, version and mode. They must be static.
pub const PROGRAMS: [(&str, Version, Mode); 11] = [
    ("httpapp", Version::NEWEST, Mode::Plain),
    ("httpapp", Version::OLDEST, Mode::Plain),
    ("grpcapp", Version::NEWEST, Mode::Plain),
    ("sqlapp", Version::NEWEST, Mode::Plain),
    ("pgxapp", Version::NEWEST, Mode::Plain),
    ("redisapp", Version::NEWEST, Mode::Plain),
    ("poolapp", Version::NEWEST, Mode::Plain),
    ("profileapp", Version::NEWEST, Mode::Plain),
    ("runtimeapp", Version::NEWEST, Mode::Plain),
    ("xrayapp", Version::NEWEST, Mode::Plain),
    ("logapp", Version::NEWEST, Mode::Plain),
];

/// Where the disk has servers: Redis, and PostgreSQL with a database. PostgreSQL itself lies where it
/// lay, as it looks for its files from there.
pub const REDIS: &str = "/bin/redis-server";
/// A link to it.
pub const POSTGRES: &str = "/bin/postgres";
/// The database.
pub const DATABASE: &str = "/database";

/// Where the disk has gotap.
pub const GOTAP: &str = "/bin/gotap";

/// The serial port that the guest reports to. Its first one is the console.
pub const REPORT_PORT: &str = "/dev/ttyS1";

/// Where the disk has a program of [`PROGRAMS`].
pub fn program(app: &str, version: Version) -> PathBuf {
    Path::new("/apps").join(format!("{}-{version}", app.replace('/', "-")))
}
