//! The meter: how often one process reaches places in its code, from where, and with what argument,
//! `bpf/meter.bpf.c`. It can be taken away and put back, as the budget wants.
//!
//! Not here: which places these are, when the meter is taken away, and whose requests hits are of (`requests`).

mod requests;

use std::fs::File;

use gobin::{Binary, Function, Site, SiteKind};
use libbpf_rs::{Link, MapCore, MapFlags, OpenObject};
use wire::{
    METER_FRAMES, METER_SITES, MeterCounter, MeterFlag, MeterKey, MeterSite, MeterSpans, MeterValue,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::instrument::{self, Instrument};
use crate::reaper::close;
use crate::{Error, Features, serving};

pub use requests::{MeteredRequests, RequestCount};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/meter.bpf.o"));

/// What the names of programs begin with that tell requests apart.
const SERVED: &str = "metered_served";

/// Opens the object with all programs that suit this kernel, and with none of the tracing programs' maps.
pub(crate) fn open(features: Features) -> Result<OpenObject, Error> {
    let mut open = instrument::open("gotap_meter", OBJECT, features)?;
    serving::share_none(&mut open)?;
    Ok(open)
}

/// The same with the programs of one sort.
fn open_for(
    features: Features,
    requests: Option<&MeteredRequests<'_>>,
) -> Result<OpenObject, Error> {
    let mut open = instrument::open("gotap_meter", OBJECT, features)?;
    for mut program in open.progs_mut() {
        let served = program.name().to_string_lossy().starts_with(SERVED);
        program.set_autoload(program.autoload() && served == requests.is_some());
    }
    match requests {
        Some(requests) => requests.served.maps.share(&mut open)?,
        None => {
            serving::share_none(&mut open)?;
            for mut map in open.maps_mut().filter(|map| map.name() == "meter_requests") {
                map.set_max_entries(1).map_err(Error::bpf("size maps"))?;
            }
        }
    }
    Ok(open)
}

/// A place that is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// Where.
    pub site: Site,
    /// What is counted there.
    pub counts: MeterSite,
}

impl Metered {
    /// The entry of a function, which counts as `operation`, with these [`MeterFlag`]s.
    ///
    /// # Errors
    /// Why it can't be metered at little cost, as a clause.
    pub fn entry(
        binary: &Binary<'_>,
        function: &Function<'_>,
        operation: u32,
        flags: &[MeterFlag],
    ) -> Result<Self, String> {
        let site = binary.entry_site(function).filter(|site| !site.kind.is_single_stepped());
        let site =
            site.ok_or_else(|| format!("no cheap instruction was found in {}", function.name))?;
        let mut flags = flags.iter().fold(0, |all, flag| all | *flag as u32);
        if site.kind == SiteKind::StackCheck {
            flags |= MeterFlag::Guarded as u32;
        }
        Ok(Self { site, counts: MeterSite { operation, flags } })
    }
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The operation of the place.
    pub operation: u32,
    /// The argument that keeps keys apart.
    pub value: u64,
    /// The address behind the call, in the process.
    pub caller: u64,
    /// Addresses behind the calls, the innermost first, `caller` included; empty if it is not asked for or is
    /// not known.
    pub stack: Vec<u64>,
    /// How often.
    pub count: u64,
    /// The sum of what was asked for.
    pub amount: u64,
}

/// What a trap costs on this machine, in nanoseconds; `None` where that can't be measured.
///
/// # Errors
/// As [`Meter::load`].
pub fn trap_cost(features: Features) -> Result<Option<f64>, Error> {
    let own = std::process::id();
    let file = File::open("/proc/self/exe").map_err(Error::File)?;
    Meter::load(features, own, file, 0, &[], None)?.calibrate()
}

/// The programs, which may be attached to one process. The kernel detaches them when this is dropped.
pub struct Meter {
    links: Vec<Link>,
    pid: u32,
    file: File,
    offsets: Vec<u64>,
    instrument: Instrument,
    /// What the calibration counted.
    before: u64,
    /// The constants that the programs need to count by request; `None` where they do not.
    served: Option<wire::MeterServed>,
}

impl Meter {
    /// Loads the programs for places of process `pid`, and attaches nothing yet. `file` is what the places were
    /// found in. With `requests` each hit is counted for the request that its goroutine works for, too: see
    /// [`Meter::requests`].
    ///
    /// # Errors
    /// [`Error::OldKernel`], [`Error::NoBtf`], [`Error::Denied`] or what libbpf says.
    pub fn load(
        features: Features,
        pid: u32,
        file: File,
        bias: u64,
        places: &[Metered],
        requests: Option<&MeteredRequests<'_>>,
    ) -> Result<Self, Error> {
        let instrument = Instrument::load_opened(|| open_for(features, requests), features)?;
        for place in places.iter().take(METER_SITES) {
            let address = place.site.vaddr.wrapping_add(bias);
            instrument
                .map("meter_sites")?
                .update(&address.to_ne_bytes(), place.counts.as_bytes(), MapFlags::ANY)
                .map_err(Error::bpf("write the places that are metered"))?;
        }
        let offsets = places.iter().take(METER_SITES).map(|place| place.site.file_offset);
        let offsets = offsets.collect();
        let served = requests.map(|requests| requests.constants);
        let meter = Self { links: Vec::new(), pid, file, offsets, instrument, before: 0, served };
        meter.write_served()?;
        Ok(meter)
    }

    /// What a hit costs here, in nanoseconds: measured on a function of this process that does nothing else.
    ///
    /// # Errors
    /// What libbpf says, or that this process's own program can't be read.
    pub fn calibrate(&mut self) -> Result<Option<f64>, Error> {
        let Some(target) = crate::calibrate::Target::find() else { return Ok(None) };
        self.instrument.write_constants("metered", std::process::id().as_bytes())?;
        let flags = MeterFlag::Stack as u32 | MeterFlag::Size as u32;
        let site = MeterSite { operation: u32::MAX, flags };
        let sites = self.instrument.map("meter_sites")?;
        let key = target.address.to_ne_bytes();
        sites
            .update(&key, site.as_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("write the places that are metered"))?;
        let own = std::process::id();
        let links = self.instrument.attach(self.program(), own, &target.file, &[target.offset])?;
        let nanoseconds = target.measure();
        drop(links);
        let _ = self.instrument.map("meter_sites")?.delete(&key);
        self.before = self.seen()?;
        Ok(Some(nanoseconds))
    }

    fn program(&self) -> &'static str {
        if self.served.is_some() { "metered_served_hit" } else { "metered_hit" }
    }

    /// Lets places with [`MeterFlag::Span`] read spans.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn read_spans(&self, at: MeterSpans) -> Result<(), Error> {
        self.instrument.write_constants("metered_spans", at.as_bytes())
    }

    /// Attaches the programs.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn attach(&mut self) -> Result<(), Error> {
        self.instrument.write_constants("metered", self.pid.as_bytes())?;
        self.links = self.instrument.attach(self.program(), self.pid, &self.file, &self.offsets)?;
        Ok(())
    }

    /// Takes them away; what they counted stays.
    pub fn detach(&mut self) {
        close(std::mem::take(&mut self.links));
    }

    /// Hits of all places.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn hits(&self) -> Result<u64, Error> {
        Ok(self.seen()?.saturating_sub(self.before))
    }

    fn seen(&self) -> Result<u64, Error> {
        self.sum(MeterCounter::Seen)
    }

    /// Hits that are not counted, and those whose stack is not known.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn lost(&self) -> Result<(u64, u64), Error> {
        Ok((self.sum(MeterCounter::KeysFull)?, self.sum(MeterCounter::StacksLost)?))
    }

    /// Hits that are not counted, as it could not be read what a span has served.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn spans_unread(&self) -> Result<u64, Error> {
        self.sum(MeterCounter::SpansUnread)
    }

    fn sum(&self, counter: MeterCounter) -> Result<u64, Error> {
        self.instrument.sum("meter_counts", counter as u32)
    }

    /// All counts.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn counts(&self) -> Result<Vec<Counted>, Error> {
        let values = self.instrument.map("meter_values")?;
        let mut out = Vec::new();
        for bytes in values.keys() {
            let Ok(key) = MeterKey::read_from_bytes(&bytes) else { continue };
            if key.operation == u32::MAX {
                continue;
            }
            let value =
                values.lookup(&bytes, MapFlags::ANY).map_err(Error::bpf("read the counts"))?;
            let Some(value) = value.and_then(|v| MeterValue::read_from_bytes(&v).ok()) else {
                continue;
            };
            let stack = if key.stack < 0 { Vec::new() } else { self.stack(&key)? };
            let (count, amount) = (value.count, value.amount);
            let MeterKey { value, caller, operation, .. } = key;
            out.push(Counted { operation, value, caller, stack, count, amount });
        }
        Ok(out)
    }

    /// The calls of a key. The kernel begins with the place itself and goes by frame pointers, which at the
    /// entry of a function lead past its caller; since 6.11 it knows better.
    fn stack(&self, key: &MeterKey) -> Result<Vec<u64>, Error> {
        let bytes = self
            .instrument
            .map("meter_stacks")?
            .lookup(&key.stack.cast_unsigned().to_ne_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("read the stacks"))?;
        let words = bytes.unwrap_or_default();
        let words = words.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
        let rest = words.take(METER_FRAMES).take_while(|address| *address != 0).skip(1);
        let mut out = vec![key.caller];
        out.extend(rest.skip_while(|address| *address == key.caller));
        Ok(out)
    }
}
