//! The file of a recording: a thread writes it, so that no slow disk holds up the ring buffers. Not here: what is in it
//! (`recording`).

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use recording::{Line, Recorder, Settings, Start};

/// Lines that may wait to be written.
const MAX_WAITING: usize = 1 << 14;

/// A recording that is being made.
pub(super) struct RecordingFile {
    path: PathBuf,
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
    writer: JoinHandle<std::io::Result<u64>>,
}

impl RecordingFile {
    /// Makes the file, which only its owner may read. One that is there stays as it is: it may be another recording, or
    /// a file that others can read.
    ///
    /// # Errors
    /// It can't be made, or is there.
    pub(super) fn create(path: &Path, settings: Settings) -> Result<Self> {
        let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = open.with_context(|| format!("make the recording {}", path.display()))?;
        let (lines, receiver) = sync_channel(MAX_WAITING);
        let start = Line::Start(Start::new(env!("CARGO_PKG_VERSION"), settings));
        let lost = Arc::<AtomicU64>::default();
        let missing = lost.clone();
        let write = move || write(file, &start, &receiver, &missing);
        let writer = std::thread::Builder::new().name("gotap-recording".into()).spawn(write)?;
        Ok(Self { path: path.to_owned(), lines, lost, writer })
    }

    /// What is given to the reader.
    pub(super) fn recorder(&self) -> Recorder {
        let (lines, lost) = (self.lines.clone(), self.lost.clone());
        Recorder::new(Arc::new(move |line| {
            if lines.try_send(line).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        }))
    }

    /// Writes what waits, once the reader has ended, and says what became of it.
    pub(super) fn finish(self) -> String {
        let Self { path, lines, lost, writer } = self;
        drop(lines);
        let path = path.display();
        let lost = || lost.load(Ordering::Relaxed);
        match writer.join() {
            Ok(Ok(written)) if lost() == 0 => format!("recorded {written} lines to {path}"),
            Ok(Ok(written)) => format!(
                "recorded {written} lines to {path}, {} lost as they could not be written as fast",
                lost()
            ),
            Ok(Err(error)) => format!("the recording {path} is cut short: {error}"),
            Err(_) => format!("the recording {path} is cut short: its thread ended; see above"),
        }
    }
}

/// Writes lines until nobody sends any more; gives how many there are.
fn write(
    file: File,
    start: &Line,
    lines: &Receiver<Line>,
    lost: &AtomicU64,
) -> std::io::Result<u64> {
    let mut out = BufWriter::new(file);
    put(&mut out, start)?;
    let mut written = 1;
    for line in lines {
        put(&mut out, &line)?;
        written += 1;
    }
    let lost = lost.load(Ordering::Relaxed);
    if lost > 0 {
        put(&mut out, &Line::Lost { lines: lost })?;
        written += 1;
    }
    out.flush()?;
    Ok(written)
}

fn put(out: &mut impl Write, line: &Line) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
