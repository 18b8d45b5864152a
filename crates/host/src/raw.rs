//! The layouts that the BPF programs write: the twin of the headers in `bpf/host`, which
//! `contract_tests` compares. Not here: what they mean.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct gt_exec_event`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct ExecEvent {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) time_ns: u64,
    pub(crate) start_ns: u64,
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) uid: u32,
    pub(crate) exit_code: u32,
    pub(crate) path_len: u16,
    pub(crate) cgroup_len: u16,
    pub(crate) argv_len: u16,
    pub(crate) pad: u16,
    pub(crate) comm: [u8; 16],
}

const _: () = assert!(size_of::<ExecEvent>() == 64);

pub(crate) const EXEC_FORKED: u32 = 0;
pub(crate) const EXEC_REPLACED: u32 = 1;
pub(crate) const EXEC_ENDED: u32 = 2;

pub(crate) const EXEC_ARGV_CUT: u32 = 1;
pub(crate) const EXEC_ARGV_UNREAD: u32 = 2;
pub(crate) const EXEC_PATH_CUT: u32 = 4;
pub(crate) const EXEC_PATH_UNREAD: u32 = 8;
pub(crate) const EXEC_CGROUP_CUT: u32 = 16;
pub(crate) const EXEC_CGROUP_UNREAD: u32 = 32;
pub(crate) const EXEC_CODE_UNREAD: u32 = 64;
pub(crate) const EXEC_NO_MOUNT: u32 = 128;

/// Bytes of the path in an event of a program that was run.
pub(crate) const EXEC_PATH: u32 = 768;
/// Bytes of the cgroup behind it.
pub(crate) const EXEC_CGROUP: u32 = 512;

/// `struct gt_tcp_event`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct TcpEvent {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) time_ns: u64,
    pub(crate) duration_ns: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) pid: u32,
    pub(crate) rtt_us: u32,
    pub(crate) retransmits: u32,
    pub(crate) error: u32,
    pub(crate) netns: u32,
    pub(crate) role: u32,
    pub(crate) local_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) pad: u32,
    pub(crate) local: [u8; 16],
    pub(crate) peer: [u8; 16],
    pub(crate) comm: [u8; 16],
}

const _: () = assert!(size_of::<TcpEvent>() == 120);

pub(crate) const TCP_HAS_DURATION: u32 = 1;
pub(crate) const TCP_GAVE_UP: u32 = 2;
pub(crate) const TCP_RESET_RECEIVED: u32 = 4;
pub(crate) const TCP_RESET_SENT: u32 = 8;
pub(crate) const TCP_HAS_COUNTS: u32 = 16;
pub(crate) const TCP_HAS_ERROR: u32 = 32;

/// `struct gt_flow_key`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct FlowKey {
    pub(crate) ifindex: u32,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) direction: u8,
    pub(crate) version: u8,
    pub(crate) protocol: u8,
    pub(crate) pad: u8,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
}

/// `struct gt_flow_count`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct FlowCount {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) payload: u64,
}

/// `struct gt_flow_total_key`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct FlowTotalKey {
    pub(crate) ifindex: u32,
    pub(crate) direction: u32,
}

/// `struct gt_xdp_key`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct XdpKey {
    pub(crate) ifindex: u32,
    pub(crate) ethertype: u16,
    pub(crate) protocol: u8,
    pub(crate) size: u8,
}

const _: () = assert!(size_of::<FlowKey>() == 44 && size_of::<XdpKey>() == 8);
