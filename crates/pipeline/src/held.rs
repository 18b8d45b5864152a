//! Spans of processes whose pod is not known yet: they wait for some seconds, as kubelets tell of a container only
//! when it runs, and go on without their pod's attributes then. Bounded. Not here: finding pods.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trace::{Resource, Span};

/// Spans that may wait, of all processes.
const MAX_HELD: usize = 1 << 13;

/// Resources of a process that its spans may still have.
const MAX_BEFORE: usize = 8;

/// What is known of the pod of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// All there is to know: it is in no pod, or pods are not watched.
    Known,
    /// It is in a pod that is likely to be known soon.
    Soon(Duration),
    /// It is in a pod, and may not be known for long.
    Unknown,
}

/// The processes that are in pods, and their spans that wait.
#[derive(Default)]
pub(crate) struct Held {
    processes: HashMap<u32, Waiting>,
    /// Which process a resource is of, by its address: the present one and those before.
    by_resource: HashMap<usize, u32>,
    total: usize,
    /// Spans that were sent without their pods' attributes.
    pub(crate) without: u64,
}

struct Waiting {
    resource: Arc<Resource>,
    /// Spans that were begun before may have these. They are kept so that their addresses are no others'.
    before: Vec<Arc<Resource>>,
    known: bool,
    until: Option<Instant>,
    spans: Vec<Span>,
}

/// A process whose pod is known by now, or is not waited for any longer, and its spans.
pub(crate) struct Released {
    pub(crate) instance: u32,
    pub(crate) resource: Arc<Resource>,
    pub(crate) spans: Vec<Span>,
}

impl Held {
    /// A process that comes. Gives whether its spans wait.
    pub(crate) fn add(&mut self, instance: u32, resource: &Arc<Resource>, place: Place) -> bool {
        let until = match place {
            Place::Known => return false,
            Place::Soon(patience) => Some(Instant::now() + patience),
            Place::Unknown => None,
        };
        self.track(instance, resource, until);
        until.is_some()
    }

    fn track(&mut self, instance: u32, resource: &Arc<Resource>, until: Option<Instant>) {
        self.by_resource.insert(address(resource), instance);
        let (resource, before, spans) = (resource.clone(), Vec::new(), Vec::new());
        let waiting = Waiting { resource, before, known: false, until, spans };
        self.processes.insert(instance, waiting);
    }

    /// Whether the spans of a process wait.
    pub(crate) fn waits(&self, instance: u32) -> bool {
        self.processes.get(&instance).is_some_and(|process| process.until.is_some())
    }

    /// Gives a span the resource that its process has by now.
    pub(crate) fn renew(&self, span: &mut Span) {
        let instance = self.by_resource.get(&address(&span.resource));
        if let Some(process) = instance.and_then(|instance| self.processes.get(instance))
            && !Arc::ptr_eq(&span.resource, &process.resource)
        {
            span.resource = process.resource.clone();
        }
    }

    /// Gives a span back as it is to be sent, unless it waits.
    pub(crate) fn take(&mut self, mut span: Span) -> Option<Span> {
        self.renew(&mut span);
        let Some(instance) = self.by_resource.get(&address(&span.resource)) else {
            return Some(span);
        };
        let Some(process) = self.processes.get_mut(instance) else { return Some(span) };
        if process.until.is_some() && self.total < MAX_HELD {
            self.total += 1;
            process.spans.push(span);
            return None;
        }
        self.without += u64::from(!process.known);
        Some(span)
    }

    /// The resource of a process is another one from now on. `before` is the one that it had; `whole` is whether all
    /// is known. Gives what waited.
    pub(crate) fn rename(
        &mut self,
        instance: u32,
        before: &Arc<Resource>,
        resource: &Arc<Resource>,
        whole: bool,
    ) -> Option<Released> {
        if !self.processes.contains_key(&instance) {
            self.track(instance, before, None);
        }
        let process = self.processes.get_mut(&instance)?;
        if !Arc::ptr_eq(&process.resource, resource) {
            let before = std::mem::replace(&mut process.resource, resource.clone());
            process.before.push(before);
            if process.before.len() > MAX_BEFORE {
                self.by_resource.remove(&address(&process.before.remove(0)));
            }
            self.by_resource.insert(address(resource), instance);
            process.spans.iter_mut().for_each(|span| span.resource = resource.clone());
        }
        process.known = whole;
        whole.then(|| self.release(instance)).flatten()
    }

    /// Those that have waited for long enough; all of them at the end.
    pub(crate) fn due(&mut self, end: bool) -> Vec<Released> {
        let now = Instant::now();
        let is_due = |process: &Waiting| process.until.is_some_and(|until| end || until <= now);
        let due = self.processes.iter().filter(|(_, process)| is_due(process));
        let due: Vec<_> = due.map(|(instance, _)| *instance).collect();
        due.into_iter().filter_map(|instance| self.release(instance)).collect()
    }

    /// Forgets a process. Gives what waited.
    pub(crate) fn remove(&mut self, instance: u32) -> Option<Released> {
        let released = self.release(instance);
        if let Some(process) = self.processes.remove(&instance) {
            for resource in process.before.iter().chain([&process.resource]) {
                // The same process may have another number by now.
                if self.by_resource.get(&address(resource)) == Some(&instance) {
                    self.by_resource.remove(&address(resource));
                }
            }
        }
        released
    }

    /// Lets a process wait no longer; nothing if it did not.
    fn release(&mut self, instance: u32) -> Option<Released> {
        let process = self.processes.get_mut(&instance)?;
        process.until.take()?;
        let spans = std::mem::take(&mut process.spans);
        self.total -= spans.len();
        if !process.known {
            self.without += spans.len() as u64;
        }
        Some(Released { instance, resource: process.resource.clone(), spans })
    }
}

fn address(resource: &Arc<Resource>) -> usize {
    Arc::as_ptr(resource) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Place = Place::Soon(Duration::from_secs(60));

    fn resource(name: &str) -> Arc<Resource> {
        let name = trace::Value::Text(name.into());
        Arc::new(Resource::new(vec![("service.name".into(), name)]))
    }

    fn span(resource: &Arc<Resource>) -> Span {
        Span { resource: resource.clone(), ..trace::synthetic::span(1, 1, None) }
    }

    #[test]
    fn spans_wait_until_the_pod_is_known() {
        let (mut held, first, later) = (Held::default(), resource("a"), resource("pod"));
        assert!(held.add(1, &first, SOON));
        assert!(held.take(span(&first)).is_none());
        assert!(held.due(false).is_empty());
        let released = held.rename(1, &first, &later, true).unwrap();
        assert_eq!((released.instance, released.spans.len()), (1, 1));
        assert_eq!(released.spans[0].resource.service_name(), "pod");
        // One that was begun before.
        assert_eq!(held.take(span(&first)).unwrap().resource.service_name(), "pod");
        assert_eq!(held.without, 0);
        assert!(held.remove(1).is_none() && held.by_resource.is_empty());
    }

    #[test]
    fn what_waits_too_long_goes_without_and_is_counted() {
        let (mut held, one) = (Held::default(), resource("a"));
        held.add(1, &one, Place::Soon(Duration::ZERO));
        assert!(held.take(span(&one)).is_none());
        assert_eq!(held.due(false)[0].spans.len(), 1);
        assert!(held.take(span(&one)).is_some());
        assert_eq!(held.without, 2);
        let pod = resource("pod");
        assert!(held.rename(1, &one, &pod, true).is_none(), "nothing waits any more");
        assert!(held.take(span(&pod)).is_some());
        assert_eq!(held.without, 2);
    }

    #[test]
    fn a_pod_without_its_container_is_waited_for() {
        let (mut held, one, pod) = (Held::default(), resource("a"), resource("pod"));
        held.add(1, &one, SOON);
        assert!(held.take(span(&one)).is_none());
        assert!(held.rename(1, &one, &pod, false).is_none());
        let released = held.remove(1).unwrap();
        assert_eq!(released.spans[0].resource.service_name(), "pod");
        assert_eq!(held.without, 1);
    }

    #[test]
    fn processes_in_no_pod_do_not_wait_and_those_of_unknown_ones_are_counted() {
        let (mut held, one, two) = (Held::default(), resource("a"), resource("b"));
        assert!(!held.add(1, &one, Place::Known) && !held.add(2, &two, Place::Unknown));
        assert!(held.take(span(&one)).is_some() && held.take(span(&two)).is_some());
        assert_eq!(held.without, 1);
    }

    #[test]
    fn those_that_wait_are_bounded() {
        let (mut held, one) = (Held::default(), resource("a"));
        held.add(1, &one, SOON);
        let sent = (0..MAX_HELD + 3).filter_map(|_| held.take(span(&one))).count();
        assert_eq!((sent, held.total, held.without), (3, MAX_HELD, 3));
        assert_eq!(held.due(true)[0].spans.len(), MAX_HELD);
        assert_eq!(held.total, 0);
    }
}
