//! Lists of processors and threads from memory that is made up.

use gomem::Snippets;

use super::*;

const AT: Workers = Workers {
    p_len: 80,
    p_id: 0,
    p_status: 4,
    p_tick: 8,
    p_syscall_tick: 12,
    p_m: 16,
    queue_head: 24,
    queue_tail: 28,
    queue_next: 32,
    ids: 40,
    ids_end: 48,
    m_len: 48,
    m_id: 0,
    m_thread: 8,
    m_current: 16,
    m_p: 24,
    m_next: 32,
    m_spinning: 40,
    m_preempted: Some(44),
};

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A processor with this status, and so many numbers left.
fn p(id: u64, status: u64, left: u64) -> Vec<u8> {
    words(&[status << 32 | id, 0, 0, 3 << 32 | 1, 0, 100, 100 + left, 0, 0, 0])
}

fn m(id: u64, next: u64) -> Vec<u8> {
    words(&[id, 1000 + id, 0, 0, next, 5 << 32])
}

/// Two processors and two threads.
fn memory() -> Snippets {
    let mut out = Snippets::default();
    out.map(0x1000, words(&[0x2000, 2, 2]));
    out.map(0x2000, words(&[0x3000, 0x3100]));
    out.map(0x3000, p(0, 1, 7));
    out.map(0x3100, p(1, 0, 4));
    out.map(0x4000, words(&[0x5000]));
    out.map(0x5000, m(1, 0x5100));
    out.map(0x5100, m(0, 0));
    out
}

#[test]
fn lists_are_known_whole_or_not_at_all() {
    let read = |memory: &Snippets| {
        let processors = Scheduler::processors(memory, &AT, 0x1000).unwrap();
        let machines = Scheduler::machines(memory, &AT, 0x4000).unwrap();
        (processors.map(|all| all.len()), machines.map(|all| all.len()))
    };
    assert_eq!(read(&memory()), (Ok(2), Ok(2)));
    let with = |address, bytes| {
        let mut memory = memory();
        memory.map(address, bytes);
        memory
    };
    // One processor, or one thread, that is not mapped, or not what stands there.
    for (address, bytes) in [(0x3100, vec![]), (0x3100, p(5, 0, 0)), (0x3000, p(0, 9, 0))] {
        let (processors, machines) = read(&with(address, bytes));
        assert!(processors.is_err() && machines == Ok(2), "{address:#x}");
    }
    for (address, bytes) in [(0x5100, vec![]), (0x5100, m(0, 0x5000)), (0x4000, vec![])] {
        let (processors, machines) = read(&with(address, bytes));
        assert!(processors == Ok(2) && machines.is_err(), "{address:#x}");
    }
}

#[test]
fn what_a_processor_has_is_read() {
    let all = Scheduler::processors(&memory(), &AT, 0x1000).unwrap().unwrap();
    assert_eq!((all[0].queued, unused_ids(&all)), (2, Some(11)));
    let wrong = RawP { unused_ids: None, ..all[0] };
    assert_eq!(unused_ids(&[all[1], wrong]), None);
    assert_eq!((processor(&all[0]).status, processor(&all[1]).status), ("running", IDLE));
}

#[test]
fn signals_are_counted_where_all_threads_are_known() {
    let read = || Scheduler::machines(&memory(), &AT, 0x4000).unwrap().ok();
    let before = Scheduler { machines: read(), ..Scheduler::default() };
    let mut after = before.clone();
    after.machines.iter_mut().flatten().for_each(|m| m.preemptions = Some(8));
    assert_eq!(after.preemptions_since(&before), Some(6));
    assert_eq!(after.preemptions_since(&Scheduler::default()), None);
}
