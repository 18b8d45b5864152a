//! Processes that forge what Go programs say of themselves: an executable with damaged metadata that runs, and memory
//! that holds absurd lengths, cycles and nonsense, and changes while it is read. gotap must end in time, with a
//! sentence or a result, and must not take memory without bound.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::{binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use tempfile::TempDir;

/// Processes that are made; `GOTAP_TEST_SEED` names one that failed.
const PROCESSES: u64 = 8;
/// Address space that gotap may take, in KiB.
const MEMORY: u64 = 4 << 20;
/// How long one command may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// What the program runs instead of its own code: pause(2) for ever.
const PAUSE: [u8; 9] = [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// A word as somebody would forge it: a place in `range`, a small or an absurd number.
    fn word(&mut self, range: (u64, u64)) -> u64 {
        match self.below(6) {
            0 | 1 => range.0 + self.below(range.1 - range.0) / 8 * 8,
            2 => self.below(64),
            3 => u64::MAX - self.below(16),
            4 => 1 << self.below(64),
            _ => self.next(),
        }
    }
}

/// Where a segment is: in the file, in memory, and how much of it there.
#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: u64,
    address: u64,
    in_file: u64,
    in_memory: u64,
    writable: bool,
}

fn number(data: &[u8], at: usize, bytes: usize) -> u64 {
    data[at..at + bytes].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// The entry's address, and what is loaded.
fn segments(data: &[u8]) -> (u64, Vec<Segment>) {
    let (headers, count) = (number(data, 32, 8) as usize, number(data, 56, 2) as usize);
    let one = |n: usize| {
        let at = headers + 56 * n;
        let word = |field: usize| number(data, at + field, 8);
        (number(data, at, 4) == 1).then(|| Segment {
            offset: word(8),
            address: word(16),
            in_file: word(32),
            in_memory: word(40),
            writable: number(data, at + 4, 4) & 2 != 0,
        })
    };
    (number(data, 24, 8), (0..count).filter_map(one).collect())
}

/// A copy that pauses, with so many damaged words.
fn forge(original: &[u8], damages: u64, random: &mut Random) -> Vec<u8> {
    let mut data = original.to_vec();
    let (entry, all) = segments(original);
    let code = all.iter().find(|s| (s.address..s.address + s.in_file).contains(&entry));
    let code = code.expect("the entry is in a segment");
    let at = (entry - code.address + code.offset) as usize;
    let range = (all[0].address, all.last().map_or(1, |s| s.address + s.in_memory));
    for _ in 0..damages {
        let segment = all[random.below(all.len() as u64) as usize];
        let place = (segment.offset + random.below(segment.in_file.saturating_sub(8))) as usize;
        // What makes it an ELF file of Go stays, or nothing else would be looked at.
        let is_needed =
            place < 4096 || data[place.saturating_sub(64)..].starts_with(b"\xff Go buildinf");
        if !is_needed {
            let bytes = [1, 2, 4, 8][random.below(4) as usize];
            let word = random.word(range).to_le_bytes();
            data[place..place + bytes].copy_from_slice(&word[..bytes]);
        }
    }
    data[at..at + PAUSE.len()].copy_from_slice(&PAUSE);
    data
}

/// Writes nonsense into what the process can write, until that is enough.
fn scribble(pid: u32, all: &[Segment], random: &mut Random, enough: &AtomicBool) -> Result<()> {
    let memory = OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"))?;
    let range = (all[0].address, all.last().map_or(1, |s| s.address + s.in_memory));
    let writable: Vec<_> = all.iter().filter(|segment| segment.writable).collect();
    // At first all of it, so that nothing is zero.
    for segment in &writable {
        let words: Vec<u8> =
            (0..segment.in_memory / 8).flat_map(|_| random.word(range).to_le_bytes()).collect();
        memory.write_all_at(&words, segment.address).context("forge memory")?;
    }
    while !enough.load(Ordering::Relaxed) {
        for _ in 0..64 {
            let segment = writable[random.below(writable.len() as u64) as usize];
            let at = segment.address + random.below(segment.in_memory / 8) * 8;
            memory.write_all_at(&random.word(range).to_le_bytes(), at)?;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Runs gotap, in so much memory; it must end by itself or when it is asked to, and not by a panic. Gives whether it
/// had a result.
fn check(arguments: &[&str]) -> Result<bool> {
    let limited = format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &limited])
        .arg(binary())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let started = Instant::now();
    let asked = Duration::from_secs(3);
    loop {
        if child.try_wait()?.is_some() {
            break;
        }
        if started.elapsed() > asked {
            // SAFETY: the child was not waited for, so the number is its own.
            unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
        }
        if started.elapsed() > PATIENCE {
            child.kill()?;
            anyhow::bail!("{arguments:?} still runs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    ensure!(
        !said.contains("panicked") && code.is_some() && code != Some(101),
        "{arguments:?}: {code:?} {said}"
    );
    Ok(output.status.success())
}

/// Gives how many commands had a result.
fn attack(folder: &Path, original: &[u8], seed: u64) -> Result<usize> {
    let mut random = Random(seed);
    // A few are whole, so that all of what is read of memory is reached.
    let damages = [0, 20, 200, 2000][(seed % 4) as usize];
    let program = folder.join(format!("forged{seed}"));
    fs::write(&program, forge(original, damages, &mut random))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let process = Running::start(&program, &[] as &[&str], &[])?;
    let pid = process.pid();
    let (name, (_, all)) = (pid.to_string(), segments(original));
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scribbler = scope.spawn(|| scribble(pid, &all, &mut random, &enough));
        let mut commands = vec![
            vec!["ps", "-v", "--pid", &name],
            vec!["goroutines", &name, "--all"],
            vec!["goroutines", &name, "--leaks"],
            vec!["chan", &name],
            vec!["alloc", &name],
            vec!["gc", &name],
            vec!["sched", &name, "-d", "100ms"],
            vec!["profile", "wall", &name, "-d", "200ms"],
            vec!["flight", &name, "-o", "/dev/null"],
        ];
        // These load programs into the kernel, which takes its time.
        match seed % 4 {
            0 => commands.push(vec!["trace", "all", "--pid", &name]),
            1 => commands.push(vec!["profile", "cpu", &name, "-d", "200ms"]),
            2 => commands.push(vec!["xray", &name, "-d", "200ms"]),
            _ => commands.push(vec!["alloc", &name, "-d", "200ms", "--exact"]),
        }
        let results = commands.iter().map(|arguments| check(arguments)).collect::<Result<Vec<_>>>();
        enough.store(true, Ordering::Relaxed);
        scribbler.join().expect("the scribbler")?;
        Ok(results?.into_iter().filter(|had_one| *had_one).count())
    })
}

#[test]
fn forged_processes_do_no_harm() -> Result<()> {
    if !can_trace("forged_processes_do_no_harm") || cfg!(not(target_arch = "x86_64")) {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let program = go::build("httpapp", Version::NEWEST, Mode::Stripped)?;
    let original = fs::read(program)?;
    let seeds = match std::env::var("GOTAP_TEST_SEED") {
        Ok(seed) => vec![seed.parse().context("GOTAP_TEST_SEED is a number")?],
        Err(_) => (1..=PROCESSES).collect(),
    };
    for seed in seeds {
        attack(folder.path(), &original, seed)
            .with_context(|| format!("GOTAP_TEST_SEED={seed}"))?;
    }
    Ok(())
}
