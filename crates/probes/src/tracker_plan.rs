//! Where goroutines are created and end in one binary: the plan of the goroutine tracker.
//!
//! A pure function of the binary. Not here: attaching (`tracker`).

use gobin::{Binary, Function, Site, SiteKind, Types};
use wire::Tracked;
use wire::raw::NONE;

/// The sites of the goroutine tracker in one binary.
#[derive(Debug, Clone)]
pub struct TrackerPlan {
    /// Where a goroutine has been created: it has its number and its creator, and has not run yet.
    pub created: Site,
    /// Where a goroutine ends.
    pub exited: Site,
    /// The function that `exited` stands in.
    pub exit_function: &'static str,
    constants: Tracked,
}

/// The function in which all goroutines are made, but for those of threads that C made.
const CREATE: &str = "runtime.newproc1";
/// Where a goroutine that returned or called `runtime.Goexit` ends.
const EXIT: &str = "runtime.goexit0";
/// Since Go 1.22 a part of it, where coroutines end, too.
const DESTROY: &str = "runtime.gdestroy";

impl TrackerPlan {
    /// Makes the plan.
    ///
    /// # Errors
    /// Why goroutines can't be tracked, as a clause.
    pub fn new(binary: &Binary<'_>) -> Result<Self, String> {
        let types = binary.types();
        let offset = |name: &str, field: &str| {
            let found = types.offset(name, &[field]).and_then(|at| u16::try_from(at).ok());
            found.ok_or_else(|| format!("field {name}.{field} was not found"))
        };
        let (created, register) = created(binary, &types)?;
        let (exited, exit_function) = exited(binary)?;
        let constants = Tracked {
            tgid: 0,
            g_goid: offset("runtime.g", "goid")?,
            g_parent_goid: offset("runtime.g", "parentGoid").unwrap_or(NONE),
            g_gopc: offset("runtime.g", "gopc")?,
            g_startpc: offset("runtime.g", "startpc")?,
            g_m: offset("runtime.g", "m")?,
            m_curg: offset("runtime.m", "curg")?,
            new_g_register: register.into(),
            exit_guarded: (exited.kind == SiteKind::StackCheck).into(),
            pad: 0,
        };
        Ok(Self { created, exited, exit_function, constants })
    }

    /// The constants for a process.
    pub(crate) fn constants(&self, tgid: u32) -> Tracked {
        Tracked { tgid, ..self.constants }
    }
}

fn function<'d>(binary: &Binary<'d>, name: &str) -> Result<Function<'d>, String> {
    binary.function(name).ok_or_else(|| format!("function {name} was not found"))
}

/// The first emulated instruction after the new goroutine got its number.
fn created(binary: &Binary<'_>, types: &Types<'_, '_>) -> Result<(Site, u8), String> {
    let create = function(binary, CREATE)?;
    let goid = types.offset("runtime.g", &["goid"]);
    let site = goid.and_then(|goid| binary.store_site(&create, goid));
    site.ok_or_else(|| {
        format!("no cheap instruction was found in {CREATE} after the goroutine has its number")
    })
}

/// The entry of the function through which every goroutine ends.
fn exited(binary: &Binary<'_>) -> Result<(Site, &'static str), String> {
    let exit = function(binary, EXIT)?;
    let calls = binary.direct_calls(&exit);
    let destroy = binary.function(DESTROY).filter(|destroy| calls.contains(&destroy.entry));
    let (found, name) = destroy.map_or((exit, EXIT), |destroy| (destroy, DESTROY));
    let site = binary.entry_site(&found).filter(|site| !site.kind.is_single_stepped());
    Ok((site.ok_or_else(|| format!("no cheap instruction was found in {name}"))?, name))
}
