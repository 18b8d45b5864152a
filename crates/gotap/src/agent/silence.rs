//! Processes whose clients send data while no probe is hit: what is silent must not look idle. They
//! are named once. Not here: what was received (`goproc`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use goproc::{Process, Received};
use instruments::Ability;

use super::{Agent, say};

/// How often such processes are looked at, until a probe is hit.
pub(super) const PAUSE: Duration = Duration::from_secs(10);
/// How long data must come in before it is said.
const PATIENCE: Duration = Duration::from_secs(30);
/// Processes that are looked at in one go. Where there are more, they take turns.
const MAX_LOOKED_AT: usize = 256;

/// Abilities whose probes are hit when clients send something.
const SERVERS: [Ability; 4] =
    [Ability::HttpServer, Ability::Http2Server, Ability::FastHttp, Ability::GrpcServer];

/// An observed process in which nothing was seen yet.
#[derive(Debug, Default)]
pub(super) struct Silent {
    ports: Vec<u16>,
    /// What had been received when it was looked at last.
    received: Option<HashMap<u64, Received>>,
    /// When data came in first, and on which port.
    since: Option<(Instant, u16)>,
}

impl Silent {
    /// For a process that may serve something; others are silent for good reason.
    pub(super) fn of(abilities: &[Ability]) -> Option<Self> {
        let serves = abilities.iter().any(|ability| SERVERS.contains(ability));
        serves.then(Self::default)
    }

    /// Takes note of what has been received by now. Gives the port once data has come in on one for
    /// long enough.
    fn look(&mut self, received: HashMap<u64, Received>, now: Instant) -> Option<u16> {
        let before = self.received.replace(received)?;
        let received = self.received.iter().flatten();
        let fresh =
            received.filter(|(_, got)| self.ports.contains(&got.port)).find(|(socket, got)| {
                let before = before.get(socket).map_or(0, |got| got.bytes);
                got.bytes > before
            });
        let port = fresh.map(|(_, got)| got.port)?;
        let (since, first_port) = *self.since.get_or_insert((now, port));
        (now.saturating_duration_since(since) >= PATIENCE).then_some(first_port)
    }
}

/// Those whose turn it is: by their ids, the first one after the one that was looked at last.
fn turn(mut silent: Vec<u32>, last: u32) -> Vec<u32> {
    silent.sort_unstable();
    let next = silent.partition_point(|pid| *pid <= last);
    silent.rotate_left(next);
    silent.truncate(MAX_LOOKED_AT);
    silent
}

impl Agent {
    /// Looks at the processes in which nothing was seen yet.
    pub(super) fn look_for_silence(&mut self) {
        let now = Instant::now();
        let silent = self.observed.iter().filter(|(_, observed)| observed.silent.is_some());
        let silent = turn(silent.map(|(pid, _)| *pid).collect(), self.last_silent);
        self.last_silent = silent.last().copied().unwrap_or(0);
        for pid in silent {
            let Some(observed) = self.observed.get_mut(&pid) else { continue };
            // What can't be read says nothing of the process.
            let hit = self.session.was_hit(pid).unwrap_or(None);
            if hit != Some(false) {
                observed.silent = None;
                continue;
            }
            let process = Process { pid };
            let (Some(silent), Ok(received)) = (&mut observed.silent, goproc::received(process))
            else {
                continue;
            };
            silent.ports = goproc::listening_ports(process);
            if let Some(port) = silent.look(received, now) {
                let name = &observed.name;
                let seconds = PATIENCE.as_secs();
                say(&format!(
                    "{name}[{pid}]: clients send data to port {port}, but in {seconds} s no probe was \
                     hit: what they speak is nothing that gotap traces, or began before gotap attached"
                ));
                observed.silent = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(socket: u64, port: u16, bytes: u64) -> HashMap<u64, Received> {
        HashMap::from([(socket, Received { port, bytes })])
    }

    fn silent() -> Silent {
        let mut silent = Silent::of(&[Ability::HttpServer]).unwrap();
        silent.ports = vec![80];
        silent
    }

    #[test]
    fn data_that_goes_on_coming_is_told_after_a_while() {
        let start = Instant::now();
        let mut silent = silent();
        // What was there before the probes is no sign.
        assert_eq!(silent.look(got(1, 80, 500), start), None);
        assert_eq!(silent.look(got(1, 80, 500), start + PAUSE * 6), None);
        let first = start + PAUSE * 7;
        assert_eq!(silent.look(got(1, 80, 501), first), None);
        assert_eq!(silent.look(got(2, 80, 9), first + PAUSE), None);
        assert_eq!(silent.look(got(2, 80, 10), first + PATIENCE), Some(80));
    }

    #[test]
    fn all_are_looked_at_in_turns() {
        assert_eq!(turn(vec![7, 3, 5], 0), [3, 5, 7]);
        assert_eq!(turn(vec![7, 3, 5], 5), [7, 3, 5]);
        assert_eq!(turn(vec![7, 3, 5], 6), [7, 3, 5]);
        assert_eq!(turn(vec![7, 3, 5], 7), [3, 5, 7]);
        assert!(turn(Vec::new(), 7).is_empty());
        let all: Vec<u32> = (1..=1000).rev().collect();
        let (mut seen, mut last) = (Vec::new(), 0);
        for _ in 0..4 {
            let some = turn(all.clone(), last);
            assert_eq!(some.len(), MAX_LOOKED_AT);
            last = *some.last().unwrap();
            seen.extend(some);
        }
        // After the last one it begins with the first one again.
        assert_eq!(seen, (1..=1000).chain(1..=24).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_client_receives_is_no_sign() {
        let start = Instant::now();
        let mut silent = silent();
        for i in 0..10 {
            let received = got(1, 54_321, 1000 * u64::from(i));
            assert_eq!(silent.look(received, start + PAUSE * i), None);
        }
        assert!(Silent::of(&[Ability::Client("sql"), Ability::HttpClient]).is_none());
    }
}
