//! Queues that are made up: one that is as it should be, and one that many channels claim.

use gomem::Snippets;

use super::*;

const G: u64 = 0x10_0000;
const ENTRIES: u64 = 0x20_0000;
const CHANNELS: u64 = 0x30_0000;

/// Words: goroutine, next, prev, link, element, channel; and length, capacity, closed, element type, receivers, senders.
const AT: Queues = Queues {
    sudog_len: 48,
    g: 0,
    next: 8,
    prev: 16,
    wait_link: 24,
    element: (32, false),
    channel: (40, false),
    hchan_len: 48,
    count: 0,
    capacity: 8,
    closed: 16,
    element_type: 24,
    receivers: 32,
    senders: 40,
};

fn bytes(words: [u64; 6]) -> Vec<u8> {
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// `count` goroutines in one queue, each with the channel that `channel` says.
fn queue(memory: &mut Snippets, count: u64, channel: impl Fn(u64) -> u64) -> Vec<Waiting> {
    let entry = |i: u64| ENTRIES + 48 * i;
    for i in 0..count {
        let next = if i + 1 < count { entry(i + 1) } else { 0 };
        let previous = if i > 0 { entry(i - 1) } else { 0 };
        memory.map(entry(i), bytes([G + i, next, previous, 0, 0, channel(i)]));
    }
    (0..count).map(|i| (i + 1, G + i, entry(i))).collect()
}

fn channels(memory: &Snippets, waiting: &[Waiting]) -> Vec<Channel> {
    let mut found = Channels::default();
    found.add(memory, &AT, waiting).unwrap();
    found.finish(memory, &AT, 0).unwrap()
}

#[test]
fn a_queue_has_its_goroutines_in_order() {
    let mut memory = Snippets::default();
    let waiting = queue(&mut memory, 5, |_| CHANNELS);
    memory.map(CHANNELS, bytes([0, 4, 0, 0, ENTRIES, 0]));
    let found = channels(&memory, &waiting);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].receivers, [1, 2, 3, 4, 5]);
    assert!(found[0].senders.is_empty());
}

#[test]
fn channels_that_claim_one_queue_do_not_each_have_all_of_it() {
    const COUNT: u64 = 500;
    let mut memory = Snippets::default();
    let channel = |i: u64| CHANNELS + 48 * i;
    let waiting = queue(&mut memory, COUNT, channel);
    for i in 0..COUNT {
        memory.map(channel(i), bytes([0, 4, 0, 0, ENTRIES, ENTRIES]));
    }
    let found = channels(&memory, &waiting);
    assert_eq!(found.len() as u64, COUNT);
    let listed: usize = found.iter().map(|one| one.senders.len() + one.receivers.len()).sum();
    assert!(listed as u64 <= 2 * COUNT, "{listed}");
}
