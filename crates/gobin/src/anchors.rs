//! Runtime globals without symbols: "the k-th address that function X refers to".
//!
//! Verified against the symbol table for Go 1.18 to 1.27 by the oracle tests. Functions are chosen
//! small and old; an unknown version uses the newest known ordinals and whoever uses the address
//! must be ready for a wrong one. On arm64 some functions also refer to the flag that
//! tells whether the CPU has atomic instructions, which moves the ordinals.

use crate::buildinfo::GoMinor;
use crate::elf::Arch;

/// A global of the Go runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the Go runtime's own, in package runtime")]
pub enum Global {
    Allglen,
    Allgptr,
    Allgs,
    Allp,
    Allm,
    M0,
    WaitReasonStrings,
    Mbuckets,
    Xbuckets,
    Bbuckets,
    /// Before Go 1.19 a structure that begins with the cycle, and since then the cycle and a flag.
    MProfCycle,
    MemProfileRate,
    Blockprofilerate,
    Mutexprofilerate,
    Work,
    /// Base of `runtime.sched`; `goidgen` is its first word.
    Sched,
    Gomaxprocs,
    Memstats,
    Mheap,
    GcController,
    Gcphase,
    Semtable,
}

/// One way to find a global.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub(crate) function: &'static str,
    pub(crate) ordinal: usize,
    /// Added to the address found.
    pub(crate) adjust: i64,
}

impl Global {
    /// Every global that there is an anchor for.
    pub const ALL: [Global; 22] = [
        Global::Allglen,
        Global::Allgptr,
        Global::Allgs,
        Global::Allp,
        Global::Allm,
        Global::M0,
        Global::WaitReasonStrings,
        Global::Mbuckets,
        Global::Xbuckets,
        Global::Bbuckets,
        Global::MProfCycle,
        Global::MemProfileRate,
        Global::Blockprofilerate,
        Global::Mutexprofilerate,
        Global::Work,
        Global::Sched,
        Global::Gomaxprocs,
        Global::Memstats,
        Global::Mheap,
        Global::GcController,
        Global::Gcphase,
        Global::Semtable,
    ];

    /// The symbol's name in a binary that still has symbols.
    pub fn symbol(self) -> &'static str {
        match self {
            Global::Allglen => "runtime.allglen",
            Global::Allgptr => "runtime.allgptr",
            Global::Allgs => "runtime.allgs",
            Global::Allp => "runtime.allp",
            Global::Allm => "runtime.allm",
            Global::M0 => "runtime.m0",
            Global::WaitReasonStrings => "runtime.waitReasonStrings",
            Global::Mbuckets => "runtime.mbuckets",
            Global::Xbuckets => "runtime.xbuckets",
            Global::Bbuckets => "runtime.bbuckets",
            Global::MProfCycle => "runtime.mProfCycle",
            Global::MemProfileRate => "runtime.MemProfileRate",
            Global::Blockprofilerate => "runtime.blockprofilerate",
            Global::Mutexprofilerate => "runtime.mutexprofilerate",
            Global::Work => "runtime.work",
            Global::Sched => "runtime.sched",
            Global::Gomaxprocs => "runtime.gomaxprocs",
            Global::Memstats => "runtime.memstats",
            Global::Mheap => "runtime.mheap_",
            Global::GcController => "runtime.gcController",
            Global::Gcphase => "runtime.gcphase",
            Global::Semtable => "runtime.semtable",
        }
    }

    pub(crate) fn anchor(self, minor: GoMinor, arch: Arch) -> Anchor {
        let arm = arch == Arch::Arm64;
        let at = |function, ordinal| Anchor { function, ordinal, adjust: 0 };
        match self {
            Global::Allglen => at("runtime.forEachGRace", 0),
            Global::Allgptr => at("runtime.forEachGRace", 1),
            Global::Allgs => at("runtime.forEachG", 1),
            Global::Allp => at("runtime.gcMarkTinyAllocs", 0),
            Global::Allm => at("runtime.mexit", 3),
            Global::M0 => at("runtime.mexit", 0),
            Global::WaitReasonStrings => at("runtime.waitReason.String", 1),
            Global::Mbuckets if minor < GoMinor(19) => at("runtime.mProf_FlushLocked", 1),
            Global::Mbuckets => at("runtime.mProf_FlushLocked", 0),
            Global::Xbuckets if minor < GoMinor(19) => at("runtime.stkbucket", 11),
            Global::Xbuckets => at("runtime.stkbucket", if minor < GoMinor(25) { 8 } else { 9 }),
            Global::Bbuckets if minor < GoMinor(19) => at("runtime.stkbucket", 13),
            Global::Bbuckets => at("runtime.stkbucket", if minor < GoMinor(25) { 9 } else { 10 }),
            Global::MProfCycle if minor < GoMinor(19) => at("runtime.mProf_Free", 1),
            Global::MProfCycle => at("runtime.mProf_Free", 0),
            Global::MemProfileRate => at("runtime.allocmcache", 2),
            Global::Blockprofilerate => at("runtime.blockevent", 0),
            Global::Mutexprofilerate if minor < GoMinor(21) => {
                at("runtime.semacquire1", if arm { 2 } else { 1 })
            }
            Global::Mutexprofilerate => at("runtime.semacquire1", 3),
            Global::Work => at("runtime.trygetfull", 0),
            Global::Sched => {
                // The reference is to sched.lock, which follows goidgen and its companions.
                let adjust = if minor < GoMinor(25) { -24 } else { -32 };
                Anchor { function: "runtime.GOMAXPROCS", ordinal: 0, adjust }
            }
            Global::Gomaxprocs => at("runtime.GOMAXPROCS", 1),
            // The reference is to memstats.heapStats.
            Global::Memstats if minor < GoMinor(19) => {
                Anchor { function: "runtime.(*mcache).refill", ordinal: 5, adjust: -5960 }
            }
            Global::Memstats => at("runtime.(*mcache).refill", 3),
            Global::Mheap => at("runtime.(*mcache).allocLarge", 0),
            Global::GcController => {
                let ordinal = match (minor < GoMinor(19), arm) {
                    (true, false) => 3,
                    (true, true) => 5,
                    (false, false) => 4,
                    (false, true) => 8,
                };
                at("runtime.(*mcache).allocLarge", ordinal)
            }
            Global::Gcphase => at("runtime.freeSomeWbufs", 1),
            Global::Semtable if arm && minor < GoMinor(21) => at("runtime.semrelease1", 1),
            Global::Semtable => at("runtime.semrelease1", 0),
        }
    }
}
