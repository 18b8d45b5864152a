//! Which process is which: what events of starts and ends add up to, so that an end can be shown with
//! the program that ended.
//!
//! Not here: reading `/proc` for processes that were there before.

use std::collections::HashMap;
use std::sync::Arc;

use crate::exec::{Event, Program, What};

/// Processes that are remembered. Linux has room for four million, most hosts run some hundreds.
const MAX: usize = 1 << 17;

/// What is known of a process.
#[derive(Debug, Clone)]
pub struct Known {
    /// When it was forked; `None` for those that were found in `/proc`.
    pub start_ns: Option<u64>,
    /// The program that it runs.
    pub program: Arc<Program>,
    /// Whether it, or an ancestor, was chosen by its id.
    pub chosen: bool,
}

/// All that are known.
#[derive(Debug)]
pub struct Processes {
    all: HashMap<u32, Known>,
    max: usize,
    /// When `/proc` had been read: what happened before is in it already.
    read_ns: u64,
    /// Processes that did not fit.
    pub not_remembered: u64,
}

impl Default for Processes {
    fn default() -> Self {
        Self { all: HashMap::new(), max: MAX, read_ns: 0, not_remembered: 0 }
    }
}

impl Processes {
    /// Adds a process that was there before.
    pub fn found(&mut self, pid: u32, program: Program, chosen: bool) {
        self.insert(pid, Known { start_ns: None, program: Arc::new(program), chosen });
    }

    /// Says that `/proc` has been read at this time.
    pub fn read_at(&mut self, time_ns: u64) {
        self.read_ns = time_ns;
    }

    /// Adds what an event says; gives what is known of its process now or, of an end, was.
    pub fn add(&mut self, event: &Event) -> Option<Known> {
        match &event.what {
            What::Forked => {
                let parent = self.get(event.ppid, None)?.clone();
                // What was found in /proc may be what the parent ran later, and the child is there, too.
                let before = event.time_ns < self.read_ns;
                if before && (parent.start_ns.is_none() || self.all.contains_key(&event.pid)) {
                    return None;
                }
                let known = Known { start_ns: Some(event.start_ns), ..parent };
                self.insert(event.pid, known.clone());
                Some(known)
            }
            What::Exec(program) => {
                let before = self.get(event.pid, Some(event.start_ns));
                let chosen = before.is_some_and(|known| known.chosen);
                let program = Arc::new(program.clone());
                let known = Known { start_ns: Some(event.start_ns), program, chosen };
                self.insert(event.pid, known.clone());
                Some(known)
            }
            What::Ended(_) => {
                self.get(event.pid, Some(event.start_ns))?;
                self.all.remove(&event.pid)
            }
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn get(&self, pid: u32, start_ns: Option<u64>) -> Option<&Known> {
        let known = self.all.get(&pid)?;
        // A process that had the same id, and whose end was lost.
        let same = start_ns.is_none_or(|start| known.start_ns.is_none_or(|known| known == start));
        same.then_some(known)
    }

    fn insert(&mut self, pid: u32, known: Known) {
        if self.all.len() < self.max || self.all.contains_key(&pid) {
            self.all.insert(pid, known);
        } else {
            self.not_remembered += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Status;

    fn event(time_ns: u64, start_ns: u64, pid: u32, ppid: u32, what: What) -> Event {
        Event { time_ns, start_ns, pid, ppid, uid: 0, comm: "x".into(), what }
    }

    fn program(name: &str) -> Program {
        Program { executable: Some(name.into()), ..Program::default() }
    }

    fn name(known: Option<Known>) -> Option<String> {
        known?.program.executable.clone()
    }

    const ENDED: What = What::Ended(Some(Status::Code(0)));

    #[test]
    fn a_child_runs_its_parents_program_until_it_runs_another() {
        let mut all = Processes::default();
        all.found(1, program("/sh"), true);
        let child = all.add(&event(10, 9, 2, 1, What::Forked)).unwrap();
        assert!(child.chosen && child.start_ns == Some(9));
        assert_eq!(name(Some(child)).as_deref(), Some("/sh"));
        let run = all.add(&event(11, 9, 2, 1, What::Exec(program("/ls")))).unwrap();
        assert!(run.chosen);
        assert_eq!(name(all.add(&event(12, 9, 2, 1, ENDED))).as_deref(), Some("/ls"));
        assert_eq!(name(all.add(&event(13, 9, 2, 1, ENDED))), None);
    }

    #[test]
    fn an_id_that_is_used_again_brings_nothing_along() {
        let mut all = Processes::default();
        all.add(&event(10, 9, 2, 1, What::Exec(program("/a"))));
        assert_eq!(name(all.add(&event(30, 29, 2, 1, ENDED))), None);
        all.found(3, program("/b"), true);
        all.add(&event(40, 39, 3, 1, What::Exec(program("/c"))));
        assert_eq!(name(all.add(&event(50, 49, 3, 1, ENDED))), None);
    }

    #[test]
    fn forks_from_before_proc_was_read_are_not_trusted() {
        let mut all = Processes::default();
        all.found(1, program("/later"), false);
        all.read_at(100);
        // Its parent may have run another program then.
        assert_eq!(name(all.add(&event(50, 49, 2, 1, What::Forked))), None);
        // It was there when /proc was read.
        all.found(3, program("/three"), false);
        assert_eq!(name(all.add(&event(50, 49, 3, 1, What::Forked))), None);
        assert_eq!(name(all.add(&event(150, 49, 3, 1, ENDED))).as_deref(), Some("/three"));
        assert_eq!(name(all.add(&event(150, 149, 4, 1, What::Forked))).as_deref(), Some("/later"));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut all = Processes { max: 1, ..Processes::default() };
        all.found(1, program("/a"), false);
        all.found(2, program("/b"), false);
        assert_eq!((all.len(), all.not_remembered, all.is_empty()), (1, 1, false));
    }
}
