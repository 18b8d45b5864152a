//! Whatever is sampled, slices are in order, do not overlap, and claim no time without samples.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const INTERVAL: u64 = 1_000;

fn goroutine(goid: u64) -> Running {
    Running { goid, start: 0x1000, in_syscall: false }
}

fn sample(switches: u32, goid: Option<u64>) -> Sample {
    let status = u32::from(goid.is_some());
    let processor =
        ProcessorAt { id: 0, status, switches, syscalls: 2 * switches, queued: switches };
    let thread = ThreadAt {
        id: 77,
        processor: goid.map(|_| 0),
        goroutine: goid.map(goroutine),
        changed: false,
    };
    Sample { processors: vec![processor], threads: vec![thread], more_threads: false }
}

fn on(timeline: &Timeline, track: Track) -> Vec<(u64, u64, u32)> {
    let slices = timeline.slices.iter().filter(|slice| slice.track == track);
    slices.map(|slice| (slice.start, slice.end, slice.samples)).collect()
}

#[test]
fn what_is_seen_again_is_one_slice() {
    let mut timeline = Timeline::new(INTERVAL);
    timeline.add(1_000, &sample(5, Some(7)));
    timeline.add(2_000, &sample(5, Some(7)));
    // Another goroutine, and the first one again: the count of switches tells.
    timeline.add(3_000, &sample(7, Some(7)));
    timeline.add(4_000, &sample(7, None));
    timeline.finish(5_000);
    let processor = on(&timeline, Track::Processor(0));
    assert_eq!(processor, [(1_000, 3_000, 2), (3_000, 4_000, 1)]);
    assert_eq!(on(&timeline, Track::Goroutine(7)), [(1_000, 4_000, 3)]);
    assert_eq!(on(&timeline, Track::Thread(77)), [(1_000, 4_000, 3)]);
    assert_eq!(timeline.counts[&0], Counts { switches: 2, syscalls: 4 });
    assert_eq!(timeline.queued, [(1_000, 5), (3_000, 7)]);
    assert_eq!((timeline.samples, timeline.longest_gap), (4, 1_000));
}

#[test]
fn nothing_is_claimed_while_nobody_looked() {
    let mut timeline = Timeline::new(INTERVAL);
    timeline.add(1_000, &sample(1, Some(7)));
    timeline.add(50_000, &sample(1, Some(7)));
    timeline.finish(90_000);
    let all = on(&timeline, Track::Processor(0));
    assert_eq!(all, [(1_000, 3_000, 1), (50_000, 52_000, 1)]);
    assert_eq!(timeline.longest_gap, 49_000);
}

#[test]
fn a_processor_that_two_threads_claim_has_no_goroutine() {
    let mut twice = sample(1, Some(7));
    let more = ThreadAt { id: 78, goroutine: Some(goroutine(8)), ..twice.threads[0] };
    twice.threads.push(more);
    let mut timeline = Timeline::new(INTERVAL);
    timeline.add(1, &twice);
    timeline.finish(2);
    let found = timeline.slices.iter().find(|s| s.track == Track::Processor(0)).unwrap();
    assert_eq!(found.doing, Doing::Working);
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let processors = prop::collection::vec((0u32..5, 0u32..3), 0..3);
    let threads = prop::collection::vec((0u64..3, -1i32..3, 0u64..4, any::<bool>()), 0..4);
    (processors, threads).prop_map(|(processors, threads)| Sample {
        processors: processors
            .into_iter()
            .enumerate()
            .map(|(id, (status, switches))| ProcessorAt {
                id: id as i32,
                status,
                switches,
                syscalls: 0,
                queued: 0,
            })
            .collect(),
        threads: threads
            .into_iter()
            .map(|(id, processor, goid, changed)| ThreadAt {
                id: 70 + id,
                processor: (processor >= 0).then_some(processor),
                goroutine: (goid > 0).then(|| goroutine(goid)),
                changed,
            })
            .collect(),
        more_threads: false,
    })
}

proptest! {
    #[test]
    fn slices_never_overlap(
        steps in prop::collection::vec((0u64..5_000, any_sample()), 0..60),
    ) {
        let (mut now, mut timeline) = (0, Timeline::new(INTERVAL));
        let mut times = Vec::new();
        for (step, sample) in steps {
            now += step;
            timeline.add(now, &sample);
            times.push(now);
        }
        timeline.finish(now + 10_000);
        let mut ends: HashMap<Track, u64> = HashMap::new();
        for slice in &timeline.slices {
            prop_assert!(slice.start < slice.end && slice.samples > 0, "{slice:?}");
            let before = ends.insert(slice.track, slice.end).unwrap_or(0);
            prop_assert!(before <= slice.start, "{slice:?} before {before}");
            let last = times.iter().rfind(|t| **t < slice.end).unwrap();
            prop_assert!(slice.end - last <= 2 * INTERVAL, "{slice:?}");
        }
    }
}
