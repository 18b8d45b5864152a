//! `gotap goroutines PID --leaks --prove`: lets Go's own search for leaked goroutines decide.
//!
//! Since Go 1.26 a collection looks for goroutines that can never go on when one byte of the runtime is set, which
//! `runtime/pprof` does for its profile of leaks. gotap sets it, where the user allows that, and the runtime
//! clears it when the next collection begins. Where none begins, gotap clears it itself. Not here: what is shown.

use std::time::Duration;

use anyhow::{Result, bail};
use goruntime::LeakSearch;

use crate::cli::{GoroutinesArgs, TargetWrite};
use crate::live::{PAUSE, Until};
use crate::opened::{Target, plain};
use crate::writes::Written;

/// Since this minor version the runtime can search.
const SINCE: u16 = 26;
/// The runtime collects at least each two minutes, unless its settings forbid it.
const LONGEST: Duration = Duration::from_secs(150);

/// Has the next collection search, and waits until it has.
pub(super) fn run(args: &GoroutinesArgs, target: &Target<'_, '_>) -> Result<()> {
    let pid = args.pid;
    if args.allow_target_writes != Some(TargetWrite::GoroutineLeakSearch) {
        bail!(
            "--prove sets a byte in the memory of process {pid}, so that its runtime searches for leaks: allow it \
             with --allow-target-writes goroutine-leak-search"
        );
    }
    let version = target.binary.build_info().go_version;
    if target.binary.minor().0 < SINCE {
        bail!(
            "process {pid} runs {version}: Go's runtime searches for leaked goroutines since Go 1.26"
        );
    }
    if target.binary.is_unknown_version() {
        bail!("process {pid} runs {version}, which gotap does not know: it writes nothing there");
    }
    let (memory, layout, bias) = (&target.memory, &target.layout, target.bias);
    let search = LeakSearch::find(layout, bias);
    let Some(search) = search else {
        bail!("where process {pid} keeps whether it searches for leaks was not found");
    };
    if !search.is_idle(memory).map_err(plain)? {
        bail!(
            "process {pid} searches for leaks itself, or does not look as it should: nothing was written"
        );
    }
    let until = Until::new(Some(LONGEST))?;
    target.check()?;
    // The collection that may be running began without it.
    let mut written = Written::set(target.process, search.address(), 0, 1)?;
    crate::output::note(format!(
        "set a byte in process {pid}; waiting for its next collection to search for leaks"
    ));
    while !search.is_idle(memory).map_err(plain)? {
        if until.is_over() {
            written.restore()?;
            let seconds = until.elapsed().as_secs_f64();
            bail!(
                "process {pid} began no collection within {seconds:.0} s: its memory is as it was"
            );
        }
        std::thread::sleep(PAUSE);
    }
    written.restore()?;
    Ok(())
}
