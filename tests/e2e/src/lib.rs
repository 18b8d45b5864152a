//! What the end-to-end tests in `tests/suite` share.
//!
//! - [`binary()`] finds the gotap command, which is built first.
//! - [`Gotap`] runs it and reads the spans that it prints and the counts that it ends with.
//! - [`App`] runs one of the Go programs below `apps/`.
//! - [`altered`] copies executables and changes the copies.
//! - [`goroutines`] compares what gotap says of goroutines with what their program says.
//! - [`Live`] runs what prints events of the whole host.
//! - [`Tracked`] is a program whose goroutines come and go, and gotap that tracks them.
//! - [`Cgroup`] is named as those of containers are.
//! - [`Chain`] puts one between two others, and has them speak HTTP/2.
//! - [`Unprivileged`] is gotap as somebody without rights runs it.
//! - [`Load`] sends requests over many connections and counts exactly.
//! - [`profiles`] has a program that profiles itself beside gotap, and Go's reader of profiles.
//! - [`Proxy`] stands before a collector that comes and goes.
//! - [`Resetter`] stands before a server and resets connections.
//! - [`Numbered`] is a process with an id that another one had.
//! - [`Namespace`] is a network namespace with a link to this one.
//! - [`Held`] is a file that nobody can open for a while, [`Paused`] a thread that stands still.
//! - [`Observed`] is a program that one gotap observes while a test asks for one thing after the other.
//! - [`Shop`] is the shop of the demonstration.
//! - [`replay()`] makes spans of a recording again; [`UNRECORDED`] says which tests are not recorded, and why.
//! - [`sites_in()`] counts the traps in the code of a process.
//! - [`can_trace()`] tells whether this machine can trace at all; tests that need it skip with a
//!   line on standard error if not, or fail if `GOTAP_E2E_REQUIRED` is set.

pub mod altered;
mod app;
mod binary;
mod chain;
mod contained;
pub mod goroutines;
mod gotap;
mod held;
pub mod live;
mod load;
mod machine;
mod namespace;
mod numbered;
mod observed;
mod paused;
pub mod profiles;
mod proxy;
mod recorded;
mod resetter;
mod shop;
mod sites;
mod span;
mod summary;
mod tracked;
mod unprivileged;
mod unrecorded;
mod usage;

pub use app::App;
pub use binary::binary;
pub use chain::Chain;
pub use contained::Cgroup;
pub use gotap::{Ended, Gotap, LOADING};
pub use held::Held;
pub use live::Live;
pub use load::{Load, Outcome};
pub use machine::{can_trace, skip};
pub use namespace::Namespace;
pub use numbered::Numbered;
pub use observed::Observed;
pub use paused::Paused;
pub use proxy::Proxy;
pub use recorded::{replay, unrecorded};
pub use resetter::{Resetter, reset_when_closed};
pub use shop::Shop;
pub use sites::sites_in;
pub use span::Span;
pub use summary::Summary;
pub use tracked::Tracked;
pub use unprivileged::{NOBODY, Unprivileged};
pub use unrecorded::UNRECORDED;
pub use usage::{memory, usage};

use std::time::Duration;

/// Long enough for anything that should happen at once, also on a busy or an emulated machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Asks `done` until it says yes; whether it did before the timeout.
pub fn eventually(timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + timeout;
    loop {
        if done() {
            return true;
        }
        if std::time::Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
