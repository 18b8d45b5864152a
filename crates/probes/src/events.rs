//! Reading the ring buffers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use libbpf_rs::{MapHandle, RingBuffer, RingBufferBuilder};
use wire::{DecodeError, Event};

use crate::{Error, Session};

/// The ring buffers of a session, to be opened by the thread that reads them.
pub struct EventSource {
    maps: [MapHandle; 2],
}

impl EventSource {
    pub(crate) fn new(session: &Session) -> Result<Self, Error> {
        Ok(Self { maps: [session.ring("events")?, session.ring("lifecycle")?] })
    }

    /// Opens the buffers; `on_event` is called for each record.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn open<'cb>(
        self,
        on_event: impl FnMut(Result<Event, DecodeError>) + 'cb,
    ) -> Result<Events<'cb>, Error> {
        let shared = Rc::new(RefCell::new(on_event));
        let mut builder = RingBufferBuilder::new();
        for map in &self.maps {
            let on_event = shared.clone();
            builder
                .add(map, move |bytes| {
                    (on_event.borrow_mut())(wire::decode(bytes));
                    0
                })
                .map_err(Error::bpf("open ring buffer"))?;
        }
        let rings = builder.build().map_err(Error::bpf("open ring buffers"))?;
        Ok(Events { rings, _source: self })
    }
}

/// The reading end of the ring buffers. Spans do not wake the reader unless the buffer fills up;
/// starting and ending processes do.
pub struct Events<'cb> {
    rings: RingBuffer<'cb>,
    // libbpf keeps only the numbers of the maps' descriptors.
    _source: EventSource,
}

impl Events<'_> {
    /// Waits at most `timeout` for a wake-up, then reads everything that is there.
    ///
    /// # Errors
    /// What libbpf says; an interrupted wait is none.
    pub fn read(&self, timeout: Duration) -> Result<(), Error> {
        match self.rings.poll(timeout) {
            Err(e) if e.kind() != libbpf_rs::ErrorKind::Interrupted => {
                return Err(Error::bpf("wait for events")(e));
            }
            _ => {}
        }
        self.rings.consume().map_err(Error::bpf("read events"))
    }
}
