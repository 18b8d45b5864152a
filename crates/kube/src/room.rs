//! What finds no room among the pods that are kept: a list while it comes in, and the ids of those that are left out.
//! Bounded, too. Not here: the pods that are kept (`cache`).

use std::collections::{BTreeMap, HashSet};

use crate::pod::Pod;

/// Pods that are kept; a kubelet runs 110 by default.
pub(crate) const MAX_PODS: usize = 2048;
/// Pods that are left out and told apart.
const MAX_LEFT_OUT: usize = 4 * MAX_PODS;

/// Ids of pods that are left out.
#[derive(Debug, Default)]
struct Uids {
    some: HashSet<String>,
    /// Whether there are more.
    more: bool,
}

impl Uids {
    /// Gives whether it is a new one, and told apart.
    fn insert(&mut self, uid: &str) -> bool {
        let is_new = !self.some.contains(uid);
        if is_new && self.some.len() >= MAX_LEFT_OUT {
            self.more = true;
            return false;
        }
        is_new && self.some.insert(uid.to_owned())
    }
}

/// The pods that there is no room for.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    now: Uids,
    total: u64,
}

impl LeftOut {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.now.some.is_empty() && !self.now.more
    }

    /// How many there have been in all, of those that were told apart.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// There is no room for this one. It counts once, however often it changes.
    pub(crate) fn add(&mut self, uid: &str) {
        self.total += u64::from(self.now.insert(uid));
    }

    /// This one is no more, or has room.
    pub(crate) fn remove(&mut self, uid: &str) {
        self.now.some.remove(uid);
    }

    /// These are all of them.
    fn replace(&mut self, now: Uids) {
        self.total += now.some.difference(&self.now.some).count() as u64;
        self.now = now;
    }
}

/// All pods, while the server sends them.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// By id: the server may send a pod again that has changed meanwhile.
    known: BTreeMap<String, Pod>,
    new: BTreeMap<String, Pod>,
    left_out: Uids,
}

impl List {
    /// Takes one; `is_known` is whether it is kept already. Those stay: there are never too many of them.
    pub(crate) fn add(&mut self, pod: Pod, is_known: bool) {
        let pods = if is_known { &mut self.known } else { &mut self.new };
        if pods.len() < MAX_PODS || pods.contains_key(&pod.uid) {
            pods.insert(pod.uid.clone(), pod);
        } else {
            self.left_out.insert(&pod.uid);
        }
    }

    /// The pods that there is room for. The others are all that is left out from now on.
    pub(crate) fn fit(self, left_out: &mut LeftOut) -> Vec<Pod> {
        let Self { known, new, left_out: mut others } = self;
        let mut pods: Vec<_> = known.into_values().chain(new.into_values()).collect();
        let excess = pods.split_off(pods.len().min(MAX_PODS));
        for pod in excess {
            others.insert(&pod.uid);
        }
        left_out.replace(others);
        pods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(n: usize) -> Pod {
        Pod { uid: format!("{n:06}"), ..Pod::default() }
    }

    #[test]
    fn a_list_is_bounded_while_it_comes_in_and_keeps_what_is_known() {
        let mut list = List::default();
        for n in 0..3 * MAX_PODS {
            list.add(pod(n), false);
        }
        // These come last.
        for n in 3 * MAX_PODS..3 * MAX_PODS + 2 {
            list.add(pod(n), true);
            list.add(pod(n), true);
        }
        assert_eq!(list.known.len() + list.new.len(), MAX_PODS + 2);
        let mut left_out = LeftOut::default();
        let pods = list.fit(&mut left_out);
        assert_eq!((pods.len(), left_out.total()), (MAX_PODS, 2 * MAX_PODS as u64 + 2));
        let last = pods.iter().filter(|kept| kept.uid >= pod(3 * MAX_PODS).uid).count();
        assert_eq!(last, 2);
    }

    #[test]
    fn what_is_left_out_counts_once() {
        let mut left_out = LeftOut::default();
        left_out.add("a");
        left_out.add("a");
        left_out.add("b");
        assert_eq!(left_out.total(), 2);
        let mut list = List::default();
        for n in 0..MAX_PODS {
            list.add(pod(n), false);
        }
        list.add(Pod { uid: "b".into(), ..Pod::default() }, false);
        list.add(Pod { uid: "c".into(), ..Pod::default() }, false);
        list.fit(&mut left_out);
        // Of these only one was not left out before.
        assert_eq!((left_out.total(), left_out.is_empty()), (3, false));
        left_out.remove("b");
        left_out.remove("c");
        assert!(left_out.is_empty());
    }

    #[test]
    fn more_than_can_be_told_apart_are_some_until_the_next_list() {
        let mut left_out = LeftOut::default();
        let uids: Vec<_> = (0..=MAX_LEFT_OUT).map(|n| n.to_string()).collect();
        uids.iter().for_each(|uid| left_out.add(uid));
        assert_eq!(left_out.total(), MAX_LEFT_OUT as u64);
        uids.iter().for_each(|uid| left_out.remove(uid));
        assert!(!left_out.is_empty());
        List::default().fit(&mut left_out);
        assert!(left_out.is_empty());
    }
}
