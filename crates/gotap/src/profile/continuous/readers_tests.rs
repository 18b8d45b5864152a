//! Begin and end of the threads that read processes.

use super::*;

fn readers(start: Start) -> Readers {
    let settings =
        Settings { kinds: vec![Kind::Wall], interval: Duration::from_secs(10), frequency: 99 };
    let outlets = Arc::new(Outlets::new(Vec::new()));
    let mut out = Readers::new(settings, outlets, Arc::default(), |_| {});
    out.start = start;
    out
}

fn processes(pids: std::ops::Range<u32>) -> Vec<Chosen> {
    let one = |pid| Chosen { pid, since: Since::Traced(pid), resource: Arc::default() };
    pids.map(one).collect()
}

/// A thread that lives as long as its process is chosen.
fn patient(_: &Arc<Shared>, _: u32, _: Arc<Mutex<Arc<Resource>>>) -> io::Result<Thread> {
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::spawn(move || {
        assert!(stopped.recv().is_err());
        Last::Done
    });
    Ok((stop, thread))
}

fn skipped(readers: &Readers, reason: &str) -> u64 {
    let all = readers.shared.counts.skipped();
    all.iter().find(|(name, _)| *name == reason).map(|(_, count)| *count).unwrap()
}

fn reading(readers: &Readers) -> usize {
    readers.by_pid.values().filter(|reader| reader.is_reading()).count()
}

#[test]
fn a_process_that_found_no_room_is_read_when_another_one_has_ended() {
    let mut readers = readers(patient);
    for _ in 0..3 {
        readers.update(&processes(0..66));
    }
    assert_eq!((reading(&readers), skipped(&readers, "many_processes")), (MAX_PROCESSES, 2));
    // Which ones found room is not said: of those that go, two at least had.
    let until = Instant::now() + Duration::from_secs(10);
    while reading(&readers) < 60 || !readers.ending.is_empty() {
        readers.update(&processes(6..66));
        assert!(Instant::now() < until, "{} are read", reading(&readers));
        std::thread::sleep(JOIN);
    }
    assert_eq!(skipped(&readers, "many_processes"), 2);
}

#[test]
fn a_thread_that_can_t_be_started_has_a_reason_of_its_own() {
    let mut readers = readers(|_, _, _| Err(io::ErrorKind::WouldBlock.into()));
    readers.update(&processes(0..3));
    readers.update(&processes(0..3));
    assert_eq!(skipped(&readers, "no_thread"), 3);
    assert_eq!(skipped(&readers, "many_processes"), 0);
    readers.start = patient;
    readers.update(&processes(0..3));
    assert_eq!((reading(&readers), skipped(&readers, "no_thread")), (3, 3));
}

#[test]
fn the_end_does_not_wait_longer_than_it_may() {
    // These read on for a while, whatever they are to do.
    let slow: Start = |_, _, _| {
        let (stop, _) = channel();
        let thread = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(5));
            Last::Done
        });
        Ok((stop, thread))
    };
    let mut readers = readers(slow);
    readers.update(&processes(0..4));
    let counts = readers.shared.counts.clone();
    let began = Instant::now();
    readers.finish(began + Duration::from_millis(100));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(counts.skipped().contains(&("late", 4)), "{:?}", counts.skipped());
}

/// Whoever has ended by then says itself whether it was in time, however late that is looked at.
#[test]
fn who_has_ended_is_late_only_where_profiles_are_missing() {
    let done: Start = |_, _, _| Ok((channel().0, std::thread::spawn(|| Last::Done)));
    let late: Start = |_, _, _| Ok((channel().0, std::thread::spawn(|| Last::Late)));
    let broken: Start = |_, _, _| Ok((channel().0, std::thread::spawn(|| panic!("on purpose"))));
    for (start, reason) in [(done, None), (late, Some("late")), (broken, Some("unreadable"))] {
        let mut readers = readers(start);
        readers.update(&processes(0..4));
        while reading(&readers) > 0 {
            std::thread::sleep(JOIN);
        }
        let counts = readers.shared.counts.clone();
        readers.finish(Instant::now());
        for (name, count) in counts.skipped() {
            assert_eq!(count, if Some(name) == reason { 4 } else { 0 }, "{name}, {reason:?}");
        }
    }
}

#[test]
fn the_end_waits_for_who_is_in_time() {
    let mut readers = readers(patient);
    readers.update(&processes(0..4));
    let counts = readers.shared.counts.clone();
    readers.finish(Instant::now() + Duration::from_secs(20));
    assert!(counts.skipped().contains(&("late", 0)), "{:?}", counts.skipped());
}
