//! A process that is looked into by reading its memory, without probes: its binary, and what the
//! command needs to know of it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use gobin::{Binary, Types};
use gomem::Remote;
use goproc::{Executable, FileId, Process};
use goruntime::Layout;

use crate::inspect::NotATarget;
use crate::resource;

/// The file that a process runs.
pub(crate) struct Opened {
    process: Process,
    executable: Executable,
    started: Option<u64>,
}

/// Whether the file of a process that was opened had changed before it was closed.
static IN_DOUBT: AtomicBool = AtomicBool::new(false);

impl Drop for Opened {
    fn drop(&mut self) {
        if self.executable.has_changed() {
            IN_DOUBT.store(true, Ordering::Relaxed);
        }
    }
}

/// Fails if what was said of a process may be wrong: its file was written to after it had ended, while names were looked
/// up in it.
pub(crate) fn check_files() -> Result<()> {
    if IN_DOUBT.load(Ordering::Relaxed) {
        bail!(
            "the process has ended and its executable was written to since: names of functions and lines above may be \
             wrong; ask before the file is replaced, or replace it by renaming another one"
        );
    }
    Ok(())
}

/// Why a process that was asked for is no target. One in another language may have loaded a Go library.
pub(crate) fn explained(why: NotATarget) -> anyhow::Error {
    if let NotATarget::Binary { pid, .. } = &why
        && let Some(library) = go_library(Process { pid: *pid })
    {
        return anyhow::anyhow!(
            "{why}; it has loaded a Go library ({}), and gotap looks into executables alone",
            library.display()
        );
    }
    why.into()
}

impl Opened {
    /// Opens the executable of a process.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        let process = Process { pid };
        let started = process.start_time();
        let executable = Executable::open(process)?;
        Ok(Self { process, executable, started })
    }

    /// What its bytes say.
    pub(crate) fn binary(&self) -> Result<Binary<'_>> {
        Binary::parse(self.executable.data()).map_err(|why| {
            let (pid, name) = (self.process.pid, self.process.name().unwrap_or_default());
            explained(NotATarget::Binary { pid, name, why })
        })
    }

    /// Which file it is.
    pub(crate) fn file_id(&self) -> FileId {
        self.executable.id()
    }

    /// For how long the process has run.
    pub(crate) fn age(&self) -> Option<Duration> {
        age(self.started?)
    }

    /// What is needed to read the process's memory.
    pub(crate) fn target<'a, 'd>(
        &'d self,
        binary: &'a Binary<'d>,
        types: &'a Types<'a, 'd>,
    ) -> Result<Target<'a, 'd>> {
        let layout = Layout::new(binary, types).map_err(plain)?;
        let bias = bias(self.process, binary.image())?;
        let path = self.process.executable_path()?;
        let info = binary.build_info();
        let module = info.main.as_ref().map(|main| main.path).or(info.path).unwrap_or_default();
        Ok(Target {
            executable: &self.executable,
            process: self.process,
            memory: Remote::new(self.process),
            file: self.executable.id(),
            started: self.started,
            service: resource::service_of(self.process, module, &path),
            path,
            binary,
            layout,
            bias,
        })
    }
}

/// A process whose memory can be read.
pub(crate) struct Target<'a, 'd> {
    pub(crate) process: Process,
    pub(crate) memory: Remote,
    pub(crate) service: String,
    pub(crate) path: PathBuf,
    pub(crate) binary: &'a Binary<'d>,
    pub(crate) layout: Layout,
    pub(crate) bias: u64,
    executable: &'d Executable,
    file: FileId,
    started: Option<u64>,
}

impl Target<'_, '_> {
    /// For how long the process has run.
    pub(crate) fn age(&self) -> Option<Duration> {
        age(self.started?)
    }

    /// Fails where the program has loaded a plugin: code there calls the plugin's own copies of the runtime's functions,
    /// so that traps in the program's do not see all.
    pub(crate) fn refuse_plugins(&self) -> Result<()> {
        if self.layout.has_plugins(&self.memory, self.bias).map_err(plain)? {
            bail!(
                "process {} has loaded a Go plugin, which has copies of the runtime's functions: what traps in the \
                 program's own would count is not all",
                self.process.pid
            );
        }
        Ok(())
    }

    /// The same of a process that has not ended meanwhile, nor runs another program.
    pub(crate) fn refuse_plugins_unless_ended(&self) -> Result<()> {
        let still_runs = self.process.is_alive() && self.check().is_ok();
        if still_runs { self.refuse_plugins() } else { Ok(()) }
    }

    /// Whether what was read is of the program whose binary is known: another one may run by now.
    pub(crate) fn check(&self) -> Result<()> {
        self.file().map(drop)
    }

    /// Whether names may be wrong, as the file was written to after the process had ended.
    pub(crate) fn file_has_changed(&self) -> bool {
        self.executable.has_changed()
    }

    /// The file that it runs, if that is what was read. It may have another name by now, or other permissions.
    pub(crate) fn file(&self) -> Result<File> {
        let pid = self.process.pid;
        let executable = Executable::open(self.process)?;
        if !executable.id().is_same_file(&self.file) || self.process.start_time() != self.started {
            bail!("process {pid} runs another program by now");
        }
        Ok(executable.into_file())
    }
}

/// How far above the file's addresses a process has its executable.
pub(crate) fn bias(process: Process, image: &gobin::Image<'_>) -> Result<u64> {
    Ok(match process.executable_start() {
        Some(start) if image.is_pie() => start.wrapping_sub(image.lowest_vaddr() & !0xfff),
        Some(_) => 0,
        None => bail!("process {}: its executable is not mapped", process.pid),
    })
}

/// A library with Go's runtime in it that a process has loaded, as `-buildmode=c-shared` makes.
fn go_library(process: Process) -> Option<PathBuf> {
    /// More are not looked at.
    const MOST: usize = 256;
    const LARGEST: u64 = 256 << 20;
    process.libraries().into_iter().take(MOST).find_map(|path| {
        let is_small = std::fs::metadata(&path).is_ok_and(|file| file.len() < LARGEST);
        let data = is_small.then(|| std::fs::read(&path).ok()).flatten()?;
        let image = gobin::Image::parse(&data).ok()?;
        let is_go = image.section(".go.buildinfo").is_some();
        if is_go { path.file_name().map(PathBuf::from) } else { None }
    })
}

/// How long ago something was that `/proc` gives in ticks since boot.
fn age(started: u64) -> Option<Duration> {
    /// Ticks of `/proc/PID/stat` in a second, `USER_HZ`.
    const TICKS: u64 = 100;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::from_secs(u64::try_from(now.tv_sec).ok()?)
        .checked_add(Duration::from_nanos(u64::try_from(now.tv_nsec).ok()?))?;
    now.checked_sub(Duration::from_millis(started.checked_mul(1000 / TICKS)?))
}

/// An error of reading as what it is about: the rights, the process or its contents.
pub(crate) fn plain(error: goruntime::Error) -> anyhow::Error {
    match error {
        goruntime::Error::Memory(gomem::Error::Process(error)) => error.into(),
        other => other.into(),
    }
}

/// The monotonic clock, in nanoseconds: that of the events, and of Go's notes since when goroutines wait.
pub(crate) fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nanoseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
