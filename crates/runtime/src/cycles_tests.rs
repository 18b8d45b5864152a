//! Collections from words that are made up.

use super::*;

/// What the runtime has after its third collection, which took from 1000 to 2000.
fn third() -> Words {
    let mut words = [None; WORDS];
    for (which, value) in [
        // What lies behind a half word is not part of it.
        (Word::Ended, 7 << 32 | 3),
        (Word::Begun, 9 << 32 | 3),
        (Word::Pauses, 150),
        (Word::SweepTermination, 1000),
        (Word::Mark, 1100),
        (Word::MarkTermination, 1950),
        (Word::End, 2000),
        (Word::StoppedProcessors, 2),
        (Word::Processors, 2),
        (Word::Forced, 0xff00),
        (Word::HeapBefore, 4 << 20),
        (Word::HeapAtEnd, 5 << 20),
        (Word::HeapMarked, 2 << 20),
        (Word::Goal, 6 << 20),
        (Word::Assist, 10),
        (Word::Dedicated, 400),
        (Word::Fractional, 90),
        (Word::Idle, 70),
        (Word::PreviousEnd, 2000),
    ] {
        words[which as usize] = Some(value);
    }
    words
}

fn with(mut words: Words, changes: &[(Word, u64)]) -> Words {
    changes.iter().for_each(|(which, value)| words[*which as usize] = Some(*value));
    words
}

/// The second one has ended, the third one not begun.
fn before() -> Words {
    with(third(), &[(Word::Ended, 2), (Word::Begun, 2), (Word::PreviousEnd, 500)])
}

#[test]
fn a_collection_is_what_the_runtime_noted() {
    let mut cycles = Cycles::new(&before()).unwrap();
    let began = with(before(), &[(Word::Begun, 3)]);
    assert_eq!(cycles.add(&began), Happened::Began);
    assert_eq!(cycles.add(&began), Happened::Other);
    let Happened::Ended(cycle, 0) = cycles.add(&third()) else { panic!("it ended") };
    assert_eq!((cycle.number, cycle.trigger), (3, Some(Trigger::Heap)));
    assert_eq!((cycle.start, cycle.nanoseconds(), cycle.end()), (1000, 1000, 2000));
    assert_eq!(cycle.phases, [100, 850, 50]);
    assert_eq!((cycle.paused(), cycle.pauses[1].nanoseconds), (150, 50));
    assert_eq!((cycle.assist, cycle.background, cycle.idle), (Some(10), Some(490), Some(70)));
    assert_eq!((cycle.heap_marked, cycle.goal), (Some(2 << 20), Some(6 << 20)));
    // 10 + 490 of marking, 2 processors for 150 of pauses, of 1500 on 2 processors.
    assert!((cycle.cpu_fraction().unwrap() - 800.0 / 3000.0).abs() < 1e-9);
    assert_eq!(cycles.add(&third()), Happened::Other);
}

#[test]
fn what_was_not_seen_is_counted_and_not_guessed() {
    let mut cycles = Cycles::new(&before()).unwrap();
    let fifth = with(third(), &[(Word::Ended, 5), (Word::Begun, 5)]);
    let Happened::Ended(cycle, 2) = cycles.add(&fifth) else { panic!("it ended") };
    assert_eq!((cycle.number, cycle.trigger, cycle.cpu_fraction()), (5, None, None));
    // Times that go backwards.
    let sixth = with(third(), &[(Word::Ended, 6), (Word::Begun, 6), (Word::Mark, 3000)]);
    assert_eq!(cycles.add(&sixth), Happened::Unclear(0));
    let mut unread = third();
    unread[Word::Ended as usize] = None;
    assert_eq!(cycles.add(&unread), Happened::Other);
}

#[test]
fn times_that_do_not_fit_are_unknown() {
    let of = |changes: &[(Word, u64)]| {
        let mut cycles = Cycles::new(&before()).unwrap();
        cycles.add(&with(before(), &[(Word::Begun, 3)]));
        match cycles.add(&with(third(), changes)) {
            Happened::Ended(cycle, _) => cycle,
            other => panic!("{other:?}"),
        }
    };
    const MOST: u64 = MAX_NANOSECONDS - 1;
    let workers = of(&[(Word::Dedicated, MOST), (Word::Fractional, MOST)]);
    assert_eq!((workers.background, workers.cpu_fraction()), (None, None));
    assert_eq!(workers.assist, Some(10));
    let times = [Word::Mark, Word::MarkTermination, Word::End].map(|word| (word, MOST));
    let long = of(&[&times[..], &[(Word::StoppedProcessors, 65_535)]].concat());
    assert_eq!((long.phases, long.end()), ([MOST - 1000, 0, 0], MOST));
    assert_eq!((long.stopped, long.cpu_fraction()), (None, None));
    let fits = of(&[(Word::Assist, MOST), (Word::Dedicated, MOST), (Word::Fractional, 0)]);
    assert_eq!((fits.background, fits.cpu_fraction()), (Some(MOST), Some(1.0)));
}

#[test]
fn triggers_are_told_apart() {
    let of = |changes: &[(Word, u64)]| {
        let mut cycles = Cycles::new(&before()).unwrap();
        cycles.add(&with(before(), &[(Word::Begun, 3)]));
        match cycles.add(&with(third(), changes)) {
            Happened::Ended(cycle, _) => cycle.trigger,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(&[(Word::Forced, 1)]), Some(Trigger::Forced));
    let late = 500 + PERIOD;
    let times = [(Word::SweepTermination, late), (Word::Mark, late), (Word::MarkTermination, late)];
    let times = [&times[..], &[(Word::End, late)]].concat();
    assert_eq!(of(&times), Some(Trigger::Timer));
}

#[test]
fn counts_that_contradict_each_other_are_refused() {
    assert!(Cycles::new(&with(before(), &[(Word::Begun, 4)])).is_err());
    assert!(Cycles::new(&[None; WORDS]).is_err());
    assert_eq!(stop_reason(0xdead_be00_0000_0007), Some("read mem stats"));
    assert_eq!(stop_reason(200), None);
}
