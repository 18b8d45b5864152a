//! The pods that are known, by container and by their own id. Bounded. Not here: where they come from.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pod::{Container, Pod};
use crate::status::{Failure, State, Status};

/// Pods that are kept; a kubelet runs 110 by default.
const MAX_PODS: usize = 2048;

/// The pod that a process is in.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The pod.
    pub pod: Arc<Pod>,
    container: Option<usize>,
}

impl Placed {
    /// The container, where it is known which one of the pod's it is.
    pub fn container(&self) -> Option<&Container> {
        self.pod.containers.get(self.container?)
    }

    /// Whether nothing has changed since.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pod, &other.pod) && self.container == other.container
    }
}

/// Pods of this node, for any thread.
#[derive(Debug, Default)]
pub struct Pods {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    /// By the id at the API server.
    pods: HashMap<String, Arc<Pod>>,
    /// Pod and place in it, by the runtime's id.
    containers: HashMap<String, (Arc<Pod>, usize)>,
    status: Status,
}

impl Pods {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod of a container, or else the one with this id, which the kubelet writes into names of cgroups: a pod is
    /// known before the runtime's ids of its containers are.
    pub fn find(&self, container: Option<&str>, pod: Option<&str>) -> Option<Placed> {
        let known = self.known();
        if let Some((pod, at)) = container.and_then(|id| known.containers.get(id)) {
            return Some(Placed { pod: pod.clone(), container: Some(*at) });
        }
        let uid = pod?;
        let of_static = || known.pods.values().find(|pod| pod.mirrored.as_deref() == Some(uid));
        let pod = known.pods.get(uid).or_else(of_static)?.clone();
        // With one container there is no doubt.
        let container = (pod.containers.len() == 1).then_some(0);
        Some(Placed { pod, container })
    }

    /// How it is with the watch.
    pub fn status(&self) -> Status {
        let known = self.known();
        Status { pods: known.pods.len(), ..known.status }
    }

    /// Waits until all pods are known, or the API server does not answer, but not for longer than `patience`.
    pub fn wait(&self, patience: Duration) -> Status {
        let until = Instant::now() + patience;
        let mut known = self.known();
        while known.status.state == State::Starting {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(known, left);
            known = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Status { pods: known.pods.len(), ..known.status }
    }

    /// These are all pods. Gives whether that is news.
    pub(crate) fn replace(&self, pods: Vec<Pod>) -> bool {
        let mut known = self.known();
        let mut before = std::mem::take(&mut known.pods);
        known.containers.clear();
        let mut news = false;
        for pod in pods {
            let same = before.remove(&pod.uid).filter(|before| **before == pod);
            news |= same.is_none();
            known.put(same.unwrap_or_else(|| Arc::new(pod)));
        }
        known.status.state = State::Current;
        self.changed.notify_all();
        news || !before.is_empty()
    }

    /// One that is new or has changed. Gives whether anything that is kept of it has.
    pub(crate) fn apply(&self, pod: Pod) -> bool {
        let mut known = self.known();
        if known.pods.get(&pod.uid).is_some_and(|before| **before == pod) {
            return false;
        }
        known.forget(&pod.uid);
        known.put(Arc::new(pod));
        true
    }

    /// One that is no more.
    pub(crate) fn remove(&self, uid: &str) -> bool {
        self.known().forget(uid)
    }

    /// The watch failed.
    pub(crate) fn failed(&self, failure: Failure) {
        let mut known = self.known();
        known.status.failures[failure as usize] += 1;
        if failure.is_outage() {
            known.status.state = State::Away;
        }
        self.changed.notify_all();
    }
}

impl Known {
    fn put(&mut self, pod: Arc<Pod>) {
        if self.pods.len() >= MAX_PODS {
            self.status.left_out += 1;
            return;
        }
        for (at, container) in pod.containers.iter().enumerate() {
            if let Some(id) = &container.id {
                self.containers.insert(id.clone(), (pod.clone(), at));
            }
        }
        self.pods.insert(pod.uid.clone(), pod);
    }

    fn forget(&mut self, uid: &str) -> bool {
        let Some(pod) = self.pods.remove(uid) else { return false };
        for container in &pod.containers {
            if let Some(id) = &container.id {
                self.containers.remove(id);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods_tests::{ID, shop};

    #[test]
    fn a_pod_is_found_by_its_container_and_by_its_id() {
        let pods = Pods::default();
        assert!(pods.replace(vec![shop()]));
        let uid = shop().uid;
        let by_container = pods.find(Some(ID), None).unwrap();
        assert_eq!(by_container.container().unwrap().name, "app");
        // Which of the three containers it is, the id does not say.
        let by_id = pods.find(Some("other"), Some(&uid)).unwrap();
        assert_eq!((by_id.pod.name.as_str(), by_id.container()), (shop().name.as_str(), None));
        assert!(pods.find(Some("other"), Some("other")).is_none());
        assert!(pods.find(None, None).is_none());
    }

    #[test]
    fn the_only_container_needs_no_id() {
        let mut pod = shop();
        pod.containers.truncate(1);
        pod.containers[0].id = None;
        pod.mirrored = Some("hash".into());
        let pods = Pods::default();
        pods.apply(pod);
        for id in [shop().uid.as_str(), "hash"] {
            assert_eq!(pods.find(Some("x"), Some(id)).unwrap().container().unwrap().name, "app");
        }
    }

    #[test]
    fn what_did_not_change_is_no_news() {
        let pods = Pods::default();
        assert!(pods.apply(shop()));
        let before = pods.find(Some(ID), None).unwrap();
        assert!(!pods.apply(shop()) && !pods.replace(vec![shop()]));
        assert!(before.is_same(&pods.find(Some(ID), None).unwrap()));
        let mut later = shop();
        later.containers[0].id = Some("next".into());
        assert!(pods.apply(later));
        assert!(pods.find(Some(ID), None).is_none(), "the container was replaced");
        assert!(pods.find(Some("next"), None).is_some());
        assert!(pods.replace(Vec::new()));
        assert!(pods.find(Some("next"), Some(&shop().uid)).is_none());
        assert!(!pods.remove(&shop().uid));
    }

    #[test]
    fn pods_are_bounded_in_number_and_the_rest_is_counted() {
        let pods = Pods::default();
        let many = (0..MAX_PODS + 3).map(|n| Pod { uid: n.to_string(), ..Pod::default() });
        pods.replace(many.collect());
        let status = pods.status();
        assert_eq!((status.pods, status.left_out), (MAX_PODS, 3));
    }

    #[test]
    fn who_waits_is_woken_by_an_outage() {
        let pods = Arc::new(Pods::default());
        assert_eq!(pods.wait(Duration::from_millis(1)).state, State::Starting);
        let other = pods.clone();
        let thread = std::thread::spawn(move || other.wait(Duration::from_secs(60)).state);
        pods.failed(Failure::Unreachable);
        assert_eq!(thread.join().unwrap(), State::Away);
    }
}
