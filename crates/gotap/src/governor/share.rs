//! How many runs of gotap share the budget of one process: each holds a name among Unix sockets, which the
//! kernel gives back when it ends, however it ends.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// So many are counted.
const MOST: u32 = 8;
/// Between counts.
const COUNT: Duration = Duration::from_secs(1);

/// A part of a process's budget.
pub(crate) struct Share {
    pid: u32,
    held: Option<(u32, UnixDatagram)>,
    counted: Option<Duration>,
    count: u32,
}

impl Share {
    /// Takes one of a process.
    pub(crate) fn of(pid: u32) -> Self {
        let held = (0..MOST).find_map(|i| Some((i, hold(pid, i)?)));
        Self { pid, held, counted: None, count: 1 }
    }

    /// How many there are, this one included, as of late.
    pub(crate) fn count(&mut self, now: Duration) -> u32 {
        if self.counted.is_none_or(|at| now >= at + COUNT) {
            self.counted = Some(now);
            let own = self.held.as_ref().map(|(i, _)| *i);
            let others = (0..MOST).filter(|i| Some(*i) != own && hold(self.pid, *i).is_none());
            self.count = u32::try_from(others.count()).unwrap_or(0) + 1;
        }
        self.count
    }
}

fn hold(pid: u32, i: u32) -> Option<UnixDatagram> {
    let name = format!("gotap/budget/{pid}/{i}");
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_process_are_counted() {
        // No process has this id.
        let pid = u32::MAX - std::process::id();
        let mut first = Share::of(pid);
        assert_eq!(first.count(Duration::ZERO), 1);
        let second = Share::of(pid);
        assert_eq!(first.count(Duration::from_millis(10)), 1, "it counts now and then");
        assert_eq!(first.count(Duration::from_secs(2)), 2);
        drop(second);
        assert_eq!(first.count(Duration::from_secs(4)), 1);
    }
}
