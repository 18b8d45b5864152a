//! The pods that are known, by container and by their own id. Bounded. Not here: where they come from, and which are
//! left out (`room`).

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pod::{Container, Pod};
use crate::room::{LeftOut, List, MAX_PODS};
use crate::status::{Failure, State, Status};

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
    left_out: LeftOut,
    /// Without what follows from the others.
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
        self.known().status()
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
        known.status()
    }

    /// Whether a pod with this id is kept.
    pub(crate) fn keeps(&self, uid: &str) -> bool {
        self.known().pods.contains_key(uid)
    }

    /// Whether pods are left out that there may be room for by now.
    pub(crate) fn has_room_again(&self) -> bool {
        let known = self.known();
        !known.is_full() && !known.left_out.is_empty()
    }

    /// These are all pods. Gives whether that is news of those that are kept.
    pub(crate) fn replace(&self, list: List) -> bool {
        let mut known = self.known();
        let pods = list.fit(&mut known.left_out);
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
        match known.pods.get(&pod.uid) {
            Some(before) if **before == pod => return false,
            Some(_) => {}
            None if known.is_full() => {
                known.left_out.add(&pod.uid);
                return false;
            }
            None => known.left_out.remove(&pod.uid),
        }
        known.forget(&pod.uid);
        known.put(Arc::new(pod));
        true
    }

    /// One that is no more. Gives whether it was kept.
    pub(crate) fn remove(&self, uid: &str) -> bool {
        let mut known = self.known();
        known.left_out.remove(uid);
        known.forget(uid)
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
    fn is_full(&self) -> bool {
        self.pods.len() >= MAX_PODS
    }

    fn status(&self) -> Status {
        let state = match self.status.state {
            State::Current if !self.left_out.is_empty() => State::Partial,
            state => state,
        };
        let (pods, left_out) = (self.pods.len(), self.left_out.total());
        Status { state, pods, left_out, ..self.status }
    }

    /// There is room for it.
    fn put(&mut self, pod: Arc<Pod>) {
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::pods_tests::{ID, shop};

    fn list(pods: impl IntoIterator<Item = Pod>) -> List {
        let mut list = List::default();
        pods.into_iter().for_each(|pod| list.add(pod, false));
        list
    }

    #[test]
    fn a_pod_is_found_by_its_container_and_by_its_id() {
        let pods = Pods::default();
        assert!(pods.replace(list([shop()])));
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
        assert!(!pods.apply(shop()) && !pods.replace(list([shop()])));
        assert!(before.is_same(&pods.find(Some(ID), None).unwrap()));
        let mut later = shop();
        later.containers[0].id = Some("next".into());
        assert!(pods.apply(later));
        assert!(pods.find(Some(ID), None).is_none(), "the container was replaced");
        assert!(pods.find(Some("next"), None).is_some());
        assert!(pods.replace(List::default()));
        assert!(pods.find(Some("next"), Some(&shop().uid)).is_none());
        assert!(!pods.remove(&shop().uid));
    }

    fn numbered(n: usize) -> Pod {
        Pod { uid: n.to_string(), ..Pod::default() }
    }

    /// What the status says of pods that are left out.
    fn left_out(pods: &Pods) -> (State, usize, u64) {
        let Status { state, pods, left_out, .. } = pods.status();
        (state, pods, left_out)
    }

    #[test]
    fn with_too_many_pods_not_all_are_known_and_each_counts_once() {
        let pods = Pods::default();
        assert!(pods.replace(list((0..MAX_PODS).map(numbered))));
        assert_eq!(left_out(&pods), (State::Current, MAX_PODS, 0));
        for phase in ["Pending", "Running", "Succeeded"] {
            let status = BTreeMap::from([("phase".to_owned(), phase.to_owned())]);
            let late = Pod { labels: status, ..numbered(MAX_PODS) };
            assert!(!pods.apply(late), "nothing that is kept has changed");
        }
        assert_eq!(left_out(&pods), (State::Partial, MAX_PODS, 1));
        // One that is kept changes in its place.
        assert!(pods.apply(Pod { name: "changed".into(), ..numbered(7) }));
        assert!(!pods.has_room_again());
        // What ends that was left out leaves all that is known.
        assert!(!pods.remove(&MAX_PODS.to_string()));
        assert_eq!(left_out(&pods), (State::Current, MAX_PODS, 1));
    }

    #[test]
    fn a_place_that_gets_free_is_used() {
        let pods = Pods::default();
        assert!(pods.replace(list((0..MAX_PODS + 3).map(numbered))));
        assert_eq!(left_out(&pods), (State::Partial, MAX_PODS, 3));
        let missing: Vec<_> =
            (0..MAX_PODS + 3).filter(|n| !pods.keeps(&n.to_string())).map(numbered).collect();
        let [first, ..] = missing.as_slice() else { panic!("none is missing") };
        let kept = (0..MAX_PODS).find(|n| pods.keeps(&n.to_string())).unwrap().to_string();
        assert!(pods.remove(&kept) && pods.has_room_again());
        assert!(pods.apply(first.clone()) && pods.keeps(&first.uid));
        assert_eq!(left_out(&pods), (State::Partial, MAX_PODS, 3));
        assert!(!pods.has_room_again());
        // The next list has room for all.
        let all = || (0..MAX_PODS + 3).map(numbered).skip(5);
        assert!(pods.replace(list(all())));
        assert_eq!(left_out(&pods), (State::Current, MAX_PODS - 2, 3));
        assert!(!pods.replace(list(all())) && !pods.has_room_again());
    }

    #[test]
    fn the_same_list_is_no_news_though_pods_are_left_out() {
        let pods = Pods::default();
        let all = || list((0..MAX_PODS + 3).map(numbered));
        assert!(pods.replace(all()) && !pods.replace(all()));
        assert_eq!(left_out(&pods), (State::Partial, MAX_PODS, 3));
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
