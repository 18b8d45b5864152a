//! Flows through interfaces: `bpf/host/flows.bpf.c`, attached by links that go with their descriptors.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use host::flows::{Count, Direction, Flow, Frames, count, flow, frames, total, total_key};
use libbpf_rs::{MapCore, MapFlags, Object, OpenObject, libbpf_sys};

use super::{Interface, counter, load, map, resize};
use crate::session::program;
use crate::{Error, Features, KernelVersion, privileges};

pub(super) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/host_flows.bpf.o"));

/// From this kernel on there is tcx.
const TCX: KernelVersion = KernelVersion(6, 6, 0);
/// Numbers of `linux/bpf.h` and `linux/if_link.h`.
const BPF_XDP: u32 = 37;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
const XDP_FLAGS_SKB_MODE: u32 = 2;
const XDP_FLAGS_DRV_MODE: u32 = 4;

pub(super) fn open() -> Result<OpenObject, Error> {
    super::open("gotap_flows", OBJECT)
}

/// How packets are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// At tcx, where the kernel has it.
    Tcx,
    /// By the filter of a packet socket.
    Filter,
}

/// How XDP is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver if it can, else behind it.
    Auto,
    /// In the driver.
    Native,
    /// Behind it, where the kernel has made a packet of what came.
    Generic,
}

/// What is counted. Nothing of it stays when this is dropped, or its process is killed.
pub struct Flows {
    links: Vec<OwnedFd>,
    object: Object,
    /// How packets are looked at.
    pub way: Way,
}

/// All flows, and all packets by interface and direction.
#[derive(Debug, Default)]
pub struct FlowSums {
    /// The flows.
    pub flows: Vec<(Flow, Count)>,
    /// The sums, also of flows that had to go.
    pub totals: HashMap<(u32, Direction), Count>,
}

/// Frames that came in, by XDP.
#[derive(Debug, Default)]
pub struct Xdp {
    /// By sort.
    pub frames: Vec<(Frames, Count)>,
    /// Frames of sorts that had no room.
    pub lost: u64,
}

impl Flows {
    /// Loads the programs and attaches them to these interfaces; their links' headers must be known.
    /// `flows` is how many are kept.
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn attach(
        interfaces: &[Interface],
        flows: u32,
        xdp: Option<XdpMode>,
        no_tcx: bool,
    ) -> Result<Self, Error> {
        let tcx = Features::probe().kernel >= TCX && !no_tcx;
        let way = if tcx { Way::Tcx } else { Way::Filter };
        let admin = way == Way::Tcx || xdp.is_some();
        let capability = if admin { privileges::NET_ADMIN } else { privileges::NET_RAW };
        if privileges::lacks(capability) {
            let why = format!("this process lacks {}; run gotap as root or grant it", capability.1);
            return Err(Error::Denied { what: "look at packets".to_owned(), why });
        }
        let mut open = open()?;
        resize(&mut open, "flows", flows)?;
        let wanted: &[&str] = match way {
            Way::Tcx => &["flow_ingress", "flow_egress"],
            Way::Filter => &["flow_filter"],
        };
        for mut program in open.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            let load = wanted.contains(&name.as_str()) || (xdp.is_some() && name == "flow_xdp");
            program.set_autoload(load);
        }
        let mut own = Self { links: Vec::new(), object: load(open)?, way };
        for interface in interfaces {
            own.announce(interface)?;
            own.attach_to(interface, xdp)?;
        }
        Ok(own)
    }

    /// Writes what the programs need to know of an interface.
    fn announce(&self, interface: &Interface) -> Result<(), Error> {
        let header = interface.link_header.unwrap_or(0);
        map(&self.object, "interfaces")?
            .update(&interface.index.to_ne_bytes(), &header.to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("write interfaces"))
    }

    fn attach_to(&mut self, interface: &Interface, xdp: Option<XdpMode>) -> Result<(), Error> {
        let mut link = |name: &str, kind: u32, flags: u32| -> Result<(), Error> {
            let program = program(&mut self.object, name)?;
            let said = format!("attach to interface {}", interface.name);
            let linked = linked(program.as_fd(), interface.index, kind, flags);
            self.links.push(linked.map_err(Error::bpf(said))?);
            Ok(())
        };
        if let Some(mode) = xdp {
            let flags = match mode {
                XdpMode::Auto => 0,
                XdpMode::Native => XDP_FLAGS_DRV_MODE,
                XdpMode::Generic => XDP_FLAGS_SKB_MODE,
            };
            link("flow_xdp", BPF_XDP, flags)?;
        }
        match self.way {
            Way::Tcx => {
                link("flow_ingress", BPF_TCX_INGRESS, 0)?;
                link("flow_egress", BPF_TCX_EGRESS, 0)
            }
            Way::Filter => {
                let program = program(&mut self.object, "flow_filter")?;
                let said = format!("attach to interface {}", interface.name);
                let socket = filtered(program.as_fd(), interface.index);
                let socket = socket.map_err(|e| Error::bpf(said)(e.into()))?;
                self.links.push(socket);
                Ok(())
            }
        }
    }

    /// Detaches; what was counted can still be read.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    /// What was counted so far.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn sums(&self) -> Result<FlowSums, Error> {
        let flows = self.counts("flows", flow)?;
        let totals = self.counts("flow_totals", total)?.into_iter().collect();
        Ok(FlowSums { flows, totals })
    }

    /// The sum of an interface and direction.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn total(&self, ifindex: u32, direction: Direction) -> Result<Count, Error> {
        let values = map(&self.object, "flow_totals")?
            .lookup_percpu(&total_key(ifindex, direction), MapFlags::ANY)
            .map_err(Error::bpf("read flows"))?;
        Ok(summed(&values.unwrap_or_default()))
    }

    /// Where XDP runs at an interface: `native` or `generic`; `None` if it does not.
    pub fn xdp_mode(&self, ifindex: u32) -> Option<&'static str> {
        let mut options = libbpf_sys::bpf_xdp_query_opts::default();
        options.sz = size_of_val(&options) as libbpf_sys::size_t;
        let index = i32::try_from(ifindex).ok()?;
        // SAFETY: the options live longer than the call and say their size.
        let failed = unsafe { libbpf_sys::bpf_xdp_query(index, 0, &raw mut options) };
        // `XDP_ATTACHED_DRV` and `XDP_ATTACHED_SKB`.
        match options.attach_mode {
            1 if failed == 0 => Some("native"),
            2 if failed == 0 => Some("generic"),
            _ => None,
        }
    }

    /// What XDP has counted so far.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn xdp(&self) -> Result<Xdp, Error> {
        let lost = counter(&self.object, "xdp_lost", 0)?;
        Ok(Xdp { frames: self.counts("xdp_counts", frames)?, lost })
    }

    fn counts<K>(
        &self,
        name: &str,
        decode: fn(&[u8]) -> Option<K>,
    ) -> Result<Vec<(K, Count)>, Error> {
        let map = map(&self.object, name)?;
        let mut out = Vec::new();
        for key in map.keys() {
            let values =
                map.lookup_percpu(&key, MapFlags::ANY).map_err(Error::bpf("read flows"))?;
            // One that had to go meanwhile is in the sum.
            if let (Some(values), Some(decoded)) = (values, decode(&key)) {
                out.push((decoded, summed(&values)));
            }
        }
        Ok(out)
    }
}

fn summed(values: &[Vec<u8>]) -> Count {
    let mut sum = Count::default();
    values.iter().filter_map(|value| count(value)).for_each(|one| sum += one);
    sum
}

/// A link of a program to an interface, which goes with its descriptor.
fn linked(
    program: BorrowedFd<'_>,
    ifindex: u32,
    kind: u32,
    flags: u32,
) -> Result<OwnedFd, libbpf_rs::Error> {
    let mut options = libbpf_sys::bpf_link_create_opts::default();
    options.sz = size_of_val(&options) as libbpf_sys::size_t;
    options.flags = flags;
    let target = i32::try_from(ifindex).unwrap_or(-1);
    // SAFETY: the program is open, and the options live longer than the call and say their size.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), target, kind, &raw const options)
    };
    if fd < 0 {
        return Err(libbpf_rs::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A packet socket of an interface whose filter is the program. It gets no packet.
fn filtered(program: BorrowedFd<'_>, ifindex: u32) -> io::Result<OwnedFd> {
    // Without a protocol it gets nothing until it is bound.
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let filter = program.as_raw_fd();
    let len = |size: usize| libc::socklen_t::try_from(size).unwrap_or(0);
    // SAFETY: the option's value is a descriptor, and lives longer than the call.
    let failed = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_BPF,
            (&raw const filter).cast(),
            len(size_of_val(&filter)),
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros is a valid address, whose fields are numbers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = i32::try_from(ifindex).unwrap_or(-1);
    // SAFETY: the address is one of packet sockets, and lives longer than the call.
    let failed = unsafe { libc::bind(fd, (&raw const address).cast(), len(size_of_val(&address))) };
    if failed != 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}
