//! Which requests hits of the meter are of: the programs look it up where the tracing programs note it, and count
//! by request. Not here: what requests there were, which tracing tells.

use std::time::Duration;

use gobin::{Binary, Types};
use libbpf_rs::{MapCore, MapFlags};
use wire::raw::NONE;
use wire::{MeterCounter, MeterOwner, MeterRequest, MeterServed, MeterValue};
use zerocopy::{FromBytes, IntoBytes};

use super::Meter;
use crate::Error;
use crate::sampler::{DIAL, Served};

/// How long a program may need that has begun before the epoch changed.
const LINGER: Duration = Duration::from_millis(2);

/// What the programs need to tell requests of a process apart.
#[derive(Debug, Clone, Copy)]
pub struct MeteredRequests<'a> {
    pub(super) served: Served<'a>,
    pub(super) constants: MeterServed,
}

/// What was counted of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCount {
    /// For whom.
    pub owner: MeterOwner,
    /// The span of the request, if it is for one.
    pub span_id: [u8; 8],
    /// The operation of the place.
    pub operation: u32,
    /// The argument that keeps keys apart.
    pub value: u64,
    /// How often.
    pub count: u64,
    /// The sum of what was asked for.
    pub amount: u64,
}

impl<'a> MeteredRequests<'a> {
    /// Of a process that is traced, and has its binary `bias` bytes above the file's addresses. What the
    /// function `inner` calls is not counted: it is, where that begins.
    ///
    /// # Errors
    /// Why it is not known which request a goroutine serves, as a clause.
    pub fn new(
        binary: &Binary<'_>,
        types: &Types<'_, '_>,
        bias: u64,
        served: Served<'a>,
        inner: &str,
    ) -> Result<Self, String> {
        let offset = |name: &str, field: &str| {
            let at = types.offset(name, &[field]).and_then(|at| u16::try_from(at).ok());
            at.unwrap_or(NONE)
        };
        let range = |name: &str| {
            let function = binary.function(name);
            function.map_or((0, 0), |f| (f.entry.wrapping_add(bias), f.end.wrapping_sub(f.entry)))
        };
        let ((dial_conn, dial_conn_size), (inner, inner_size)) = (range(DIAL), range(inner));
        let constants = MeterServed {
            dial_conn,
            dial_conn_size,
            inner,
            inner_size,
            instance: served.instance,
            epoch: 0,
            g_m: offset("runtime.g", "m"),
            m_curg: offset("runtime.m", "curg"),
            g_goid: offset("runtime.g", "goid"),
            g_parent_goid: offset("runtime.g", "parentGoid"),
            g_gopc: offset("runtime.g", "gopc"),
            pad: 0,
            pad2: 0,
        };
        if [constants.g_m, constants.m_curg, constants.g_goid].contains(&NONE) {
            return Err("fields of Go's runtime were not found".to_owned());
        }
        Ok(Self { served, constants })
    }

    /// Whether it is known which goroutines a request starts.
    pub fn knows_started(&self) -> bool {
        self.constants.g_parent_goid != NONE
    }
}

impl Meter {
    pub(super) fn write_served(&self) -> Result<(), Error> {
        let Some(served) = self.served else { return Ok(()) };
        self.instrument.write_constants("metered_served", served.as_bytes())
    }

    /// What was counted by request since the last call, and takes it away: nothing if requests are not told
    /// apart.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn requests(&mut self) -> Result<Vec<RequestCount>, Error> {
        let Some(served) = &mut self.served else { return Ok(Vec::new()) };
        // Programs count in the next epoch from now on, so that nobody adds to what is read here.
        let past = (served.epoch & 1) as u16;
        served.epoch = served.epoch.wrapping_add(1);
        self.write_served()?;
        std::thread::sleep(LINGER);
        let map = self.instrument.map("meter_requests")?;
        let mut of_past = Vec::new();
        for bytes in map.keys() {
            let Ok(key) = MeterRequest::read_from_bytes(&bytes) else { continue };
            if key.epoch == past {
                of_past.push((bytes, key));
            }
        }
        let mut out = Vec::new();
        for (bytes, key) in of_past {
            let value = map.lookup(&bytes, MapFlags::ANY).map_err(Error::bpf("read the counts"))?;
            map.delete(&bytes).map_err(Error::bpf("take the counts away"))?;
            let value = value.and_then(|value| MeterValue::read_from_bytes(&value).ok());
            let (Some(MeterValue { count, amount }), Some(owner)) = (value, owner(key.owner))
            else {
                continue;
            };
            // What the calibration counted.
            if key.operation == u32::MAX {
                continue;
            }
            let (span_id, operation, value) = (key.span_id.to_ne_bytes(), key.operation, key.value);
            out.push(RequestCount { owner, span_id, operation, value, count, amount });
        }
        Ok(out)
    }

    /// Hits that are not counted by request, as there were too many requests.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn requests_lost(&self) -> Result<u64, Error> {
        self.instrument.sum("meter_counts", MeterCounter::RequestsFull as u32)
    }
}

fn owner(number: u16) -> Option<MeterOwner> {
    let all = [MeterOwner::None, MeterOwner::Request, MeterOwner::Unread];
    all.into_iter().find(|owner| *owner as u16 == number)
}
