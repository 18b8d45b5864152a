//! What is said of back ends that do not take anything: one sentence where several signals go to the same one. Not
//! here: which request fails.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Config;
use crate::endpoint::{masked, origin};
use crate::signal::Signal;

const SIGNALS: usize = Signal::ALL.len();

/// Of one signal.
#[derive(Debug, Default)]
struct One {
    /// Where it goes, if it is sent: the scheme, the host and the port.
    origin: Option<String>,
    /// As it may be shown.
    endpoint: String,
    /// Whether a sentence says that it can't be delivered, and that still holds.
    said: bool,
    /// Which signals were delivered since: the sentence is not about these.
    delivered: [bool; SIGNALS],
}

/// What was said of each signal.
#[derive(Debug)]
pub(super) struct Outages {
    of: Mutex<[One; SIGNALS]>,
    /// What others send, and where.
    others: Mutex<Vec<(&'static str, String)>>,
}

impl Outages {
    pub(super) fn new(config: &Config) -> Self {
        let of = Signal::ALL.map(|signal| {
            let (endpoint, _) = signal.endpoint(config);
            One {
                origin: signal.is_sent(config).then(|| origin(endpoint)),
                endpoint: masked(endpoint),
                ..One::default()
            }
        });
        Self { of: Mutex::new(of), others: Mutex::default() }
    }

    /// Others send something to this URL: it is named with the signals that go to the same back end.
    pub(super) fn add(&self, items: &'static str, endpoint: &str) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.push((items, origin(endpoint)));
    }

    /// Whether a sentence says that the back end at this URL takes nothing.
    pub(super) fn name(&self, endpoint: &str) -> bool {
        let origin = Some(origin(endpoint));
        self.lock().iter().any(|one| one.said && one.origin == origin)
    }

    fn lock(&self) -> MutexGuard<'_, [One; SIGNALS]> {
        // Each field stands for itself, so a panic elsewhere does not spoil them.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A signal could not be delivered: what is to be said, unless a sentence says it already.
    pub(super) fn fails(&self, signal: Signal, why: &str) -> Option<String> {
        let mut all = self.lock();
        let origin = all[signal as usize].origin.clone();
        let is_known =
            |one: &One| one.said && one.origin == origin && !one.delivered[signal as usize];
        if all[signal as usize].said || all.iter().any(is_known) {
            return None;
        }
        let one = &mut all[signal as usize];
        (one.said, one.delivered) = (true, [false; SIGNALS]);
        let others = Signal::ALL.into_iter().filter(|other| {
            let other_one = &all[*other as usize];
            *other != signal && other_one.origin == origin && !other_one.said
        });
        let mut others: Vec<_> = others.map(Signal::items).collect();
        let more = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let more = more.iter().filter(|(_, to)| origin.as_ref() == Some(to));
        others.extend(more.map(|(items, _)| items));
        let others = match others.as_slice() {
            [] => String::new(),
            [one] => format!("; {one} go there, too"),
            [first @ .., last] => format!("; {} and {last} go there, too", first.join(", ")),
        };
        let then = match signal {
            Signal::Metrics => "newer ones follow",
            Signal::Traces | Signal::Logs => "keeping them and retrying",
        };
        let (items, endpoint) = (signal.items(), &all[signal as usize].endpoint);
        Some(format!("cannot deliver {items} to {endpoint}: {why}; {then}{others}"))
    }

    /// A signal was delivered: what is to be said, if it was said before that it can't be.
    pub(super) fn works(&self, signal: Signal) -> Option<String> {
        let mut all = self.lock();
        for one in all.iter_mut() {
            one.delivered[signal as usize] = true;
        }
        let one = &mut all[signal as usize];
        let endpoint = &one.endpoint;
        std::mem::take(&mut one.said)
            .then(|| format!("delivering {} to {endpoint} again", signal.items()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LogsEndpoint, MetricsEndpoint, Temporality};

    const HERE: &str = "http://user:secret@here:4318/v1/logs";

    fn outages(logs: &str) -> Outages {
        Outages::new(&Config {
            endpoint: "http://here:4318".into(),
            metrics: Some(MetricsEndpoint {
                endpoint: "http://here:4318/v1/metrics".into(),
                exact_url: true,
                temporality: Temporality::Cumulative,
                exponential: false,
            }),
            logs: Some(LogsEndpoint { endpoint: logs.into(), exact_url: true }),
            ..Config::default()
        })
    }

    #[test]
    fn a_dead_back_end_is_named_once_with_all_that_goes_there() {
        let outages = outages(HERE);
        assert_eq!(
            outages.fails(Signal::Traces, "refused").unwrap(),
            "cannot deliver spans to http://here:4318: refused; keeping them and retrying; \
             metrics and log records go there, too"
        );
        for signal in Signal::ALL {
            assert_eq!(outages.fails(signal, "refused"), None);
        }
        assert_eq!(outages.works(Signal::Logs), None);
        let again = "delivering spans to http://here:4318 again";
        assert_eq!(outages.works(Signal::Traces).unwrap(), again);
        assert_eq!(outages.works(Signal::Traces), None);
        // This one was not delivered since.
        let said = outages.fails(Signal::Metrics, "busy").unwrap();
        assert!(said.contains("metrics to http://here:4318/v1/metrics: busy; newer ones follow; spans and log records go"), "{said}");
    }

    #[test]
    fn what_others_send_to_it_is_named_with_it() {
        let outages = outages("http://there:4318");
        outages.add("profiles", "http://there:4318");
        outages.add("profiles", "http://pyroscope:4040");
        assert!(!outages.name("http://there:4318/v1development/profiles"));
        let said = outages.fails(Signal::Logs, "refused").unwrap();
        assert!(said.ends_with("retrying; profiles go there, too"), "{said}");
        assert!(outages.name("http://there:4318/v1development/profiles"));
        assert!(!outages.name("http://here:4318") && !outages.name("http://pyroscope:4040"));
        outages.works(Signal::Logs);
        assert!(!outages.name("http://there:4318"));
    }

    #[test]
    fn back_ends_and_signals_that_work_are_told_apart() {
        let other = outages("http://there:4318");
        let said = other.fails(Signal::Traces, "refused").unwrap();
        assert!(said.ends_with("retrying; metrics go there, too"), "{said}");
        let said = other.fails(Signal::Logs, "refused").unwrap();
        assert!(
            said.ends_with("log records to http://there:4318: refused; keeping them and retrying")
        );
        // Where spans were delivered since log records were not, they fail for themselves.
        let same = outages(HERE);
        let said = same.fails(Signal::Logs, "busy").unwrap();
        assert!(said.contains("http://***@here:4318/v1/logs: busy"), "{said}");
        same.works(Signal::Traces);
        assert!(same.fails(Signal::Traces, "refused").is_some());
        assert!(same.fails(Signal::Logs, "refused").is_none());
    }
}
