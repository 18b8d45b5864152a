//! Gives up the rights that observing does not need, before the first thread starts. Not here: which rights it
//! needs (`probes::needed_capabilities`), and what is lost without them (docs/privileges.md).

use std::net::SocketAddr;

use anyhow::{Context, Result};
use probes::Features;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

/// Ports below this one are for those who may.
const FIRST_FREE_PORT: u16 = 1024;
/// More than there are capabilities.
const MOST: u32 = 63;

/// Keeps only what attaching to programs needs, also to those that start later, and what listening at this address
/// needs; with `profiles` also what taking those needs here. Threads that start from now on have no more either, and no program that is run gets more.
///
/// # Errors
/// When other threads run already, or the kernel refuses.
pub(crate) fn keep_needed(
    features: &Features,
    listen: Option<SocketAddr>,
    profiles: bool,
) -> Result<()> {
    let held = capabilities(None).context("read this process's capabilities")?;
    let mut wanted = needed(held.effective, features, listen);
    if profiles && clocks_need_root() {
        wanted |= CapabilitySet::SYS_ADMIN;
    }
    let kept = held.permitted & wanted;
    // Harmless without the right to do so: no program that is run can gain anything.
    set_no_new_privs(true).context("forbid new privileges")?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        shrink_bounding(kept).context("shrink the bounding set")?;
    }
    clear_ambient_capability_set().context("clear the ambient set")?;
    let sets = CapabilitySets {
        effective: held.effective & kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).context("give up capabilities")
}

/// Whether this process may listen on ports below the first free one. False where that can't be read.
pub(crate) fn may_bind_low_ports() -> bool {
    capabilities(None).is_ok_and(|held| held.effective.contains(CapabilitySet::NET_BIND_SERVICE))
}

/// Whether the kernel lets only `CAP_SYS_ADMIN` open the clocks of a profile, as Debian's does at this level.
fn clocks_need_root() -> bool {
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    level.is_ok_and(|level| level.trim().parse().is_ok_and(|level: i32| level > 2))
}

/// What is kept of what the process may do.
fn needed(held: CapabilitySet, features: &Features, listen: Option<SocketAddr>) -> CapabilitySet {
    let needed = probes::needed_capabilities(held.bits(), features);
    let mut needed = CapabilitySet::from_bits_retain(needed);
    if listen.is_some_and(|address| address.port() != 0 && address.port() < FIRST_FREE_PORT) {
        needed |= CapabilitySet::NET_BIND_SERVICE;
    }
    needed
}

fn shrink_bounding(kept: CapabilitySet) -> rustix::io::Result<()> {
    for bit in 0..=MOST {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        // The kernel knows no more than these.
        let Ok(is_in) = capability_is_in_bounding_set(one) else { break };
        if is_in && !kept.contains(one) {
            remove_capability_from_bounding_set(one)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_port_needs_a_right_of_its_own() {
        let all = CapabilitySet::all();
        let multi = Features { uprobe_multi: true, ..Features::probe() };
        let with = |address: &str| needed(all, &multi, Some(address.parse().unwrap()));
        assert!(with("127.0.0.1:80").contains(CapabilitySet::NET_BIND_SERVICE));
        assert!(!with("127.0.0.1:9464").contains(CapabilitySet::NET_BIND_SERVICE));
        assert!(!with("127.0.0.1:0").contains(CapabilitySet::NET_BIND_SERVICE));
        assert!(!needed(all, &multi, None).contains(CapabilitySet::SYS_ADMIN));
        let single = multi.without_uprobe_multi();
        assert!(needed(all, &single, None).contains(CapabilitySet::SYS_ADMIN));
    }
}
