//! Which requests are being served, and have been for a while: an iterator of the kernel's over the map in which
//! the tracing programs note them. No trap, and nothing of the observed programs is touched.
//!
//! It has a program of its own, `bpf/serving.bpf.c`. Not here: what the requests' goroutines do.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use libbpf_rs::{Iter, Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject};
use wire::{Active, Serving, ServingAsked, decode_active, decode_serving};
use zerocopy::IntoBytes;

use crate::Error;
use crate::session::{missing, program};

pub(crate) static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/serving.bpf.o"));

/// Entries of `servers`.
const MAX_SERVED: usize = 16_384;

/// Maps that the object shares with the tracing programs.
pub(crate) const SHARED: [&str; 3] = ["servers", "goroutines", "lineages"];

/// The maps in which the tracing programs note which requests goroutines serve.
#[derive(Debug)]
pub struct ServedMaps {
    pub(crate) maps: [MapHandle; 3],
}

impl ServedMaps {
    /// Lets an object that is not loaded yet use these maps.
    pub(crate) fn share(&self, open: &mut OpenObject) -> Result<(), Error> {
        for mut map in open.maps_mut() {
            let number = SHARED.iter().position(|name| map.name() == *name);
            if let Some(shared) = number.and_then(|number| self.maps.get(number)) {
                map.reuse_fd(shared.as_fd()).map_err(Error::bpf("share maps"))?;
            }
        }
        Ok(())
    }
}

/// Lets an object have maps of its own instead, which hold nothing.
pub(crate) fn share_none(open: &mut OpenObject) -> Result<(), Error> {
    for mut map in open.maps_mut() {
        if SHARED.iter().any(|name| map.name() == *name) {
            map.set_max_entries(1).map_err(Error::bpf("size maps"))?;
        }
    }
    Ok(())
}

/// Opens the object.
pub(crate) fn open() -> Result<OpenObject, Error> {
    ObjectBuilder::default()
        .name("gotap_serving")
        .and_then(|b| b.open_memory(OBJECT))
        .map_err(Error::bpf("open BPF object"))
}

/// Opens the object with one of its programs.
fn open_one(name: &str) -> Result<OpenObject, Error> {
    let mut open = open()?;
    open.progs_mut().for_each(|mut program| program.set_autoload(program.name() == name));
    Ok(open)
}

/// Tells which requests are being served.
pub struct Requests {
    link: Link,
    _object: Object,
}

impl Requests {
    /// Loads the iterator over these maps. It tells of requests that began at least so long ago.
    ///
    /// # Errors
    /// What libbpf says, or [`Error::Denied`].
    pub fn load(maps: &ServedMaps, older_than: Duration) -> Result<Self, Error> {
        let mut open = open_one("tell_serving")?;
        maps.share(&mut open)?;
        let mut object = open.load().map_err(Error::bpf("load BPF programs"))?;
        let younger_ns = u64::try_from(older_than.as_nanos()).unwrap_or(u64::MAX / 2);
        let asked = ServingAsked { younger_ns };
        let map = object.maps().find(|map| map.name() == "serving_asked");
        map.ok_or_else(|| missing("map", "serving_asked"))?
            .update(&0u32.to_ne_bytes(), asked.as_bytes(), MapFlags::ANY)
            .map_err(Error::bpf("write what is asked for"))?;
        let link = program(&mut object, "tell_serving")?
            .attach_iter(maps.maps[0].as_fd())
            .map_err(Error::bpf("attach to the map of requests"))?;
        Ok(Self { link, _object: object })
    }

    /// The requests that are being served now, up to `most`; and whether there are more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn read(&self, most: usize) -> Result<(Vec<Serving>, bool), Error> {
        let mut out = decode_serving(&told(&self.link, most, size_of::<Serving>())?);
        let more = out.len() > most;
        out.truncate(most);
        Ok((out, more))
    }
}

/// What an iterator tells, with room for a record more than `most`.
fn told(link: &Link, most: usize, record: usize) -> Result<Vec<u8>, Error> {
    let iterator = Iter::new(link).map_err(Error::bpf("look at requests"))?;
    let room = most.saturating_add(1).saturating_mul(record);
    let mut bytes = Vec::new();
    iterator
        .take(u64::try_from(room).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|said| Error::bpf("look at requests")(libbpf_rs::Error::from(said)))?;
    Ok(bytes)
}

/// Tells which requests are being served, so that they can be counted.
pub struct ActiveRequests {
    link: Link,
    _object: Object,
}

impl ActiveRequests {
    /// Loads the iterator over these maps.
    ///
    /// # Errors
    /// What libbpf says, or [`Error::Denied`].
    pub fn load(maps: &ServedMaps) -> Result<Self, Error> {
        let mut open = open_one("tell_active")?;
        maps.share(&mut open)?;
        let mut object = open.load().map_err(Error::bpf("load BPF programs"))?;
        let link = program(&mut object, "tell_active")?
            .attach_iter(maps.maps[0].as_fd())
            .map_err(Error::bpf("attach to the map of requests"))?;
        Ok(Self { link, _object: object })
    }

    /// The requests that are being served now: all that the map has room for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn read(&self) -> Result<Vec<Active>, Error> {
        Ok(decode_active(&told(&self.link, MAX_SERVED, size_of::<Active>())?))
    }
}
