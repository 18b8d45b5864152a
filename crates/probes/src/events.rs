//! Reading the ring buffers.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use libbpf_rs::{AsRawLibbpf, MapHandle, RingBuffer, RingBufferBuilder, libbpf_sys};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::{Error, Session};

/// The ring buffers of a session, to be opened by the thread that reads them.
pub struct EventSource {
    maps: [MapHandle; 2],
}

impl EventSource {
    pub(crate) fn new(session: &Session) -> Result<Self, Error> {
        Ok(Self { maps: [session.ring(RINGS[0])?, session.ring(RINGS[1])?] })
    }

    /// Opens the buffers; `on_record` is called with the bytes of each record.
    ///
    /// # Errors
    /// What libbpf says.
    pub fn open<'cb>(self, on_record: impl FnMut(&[u8]) + 'cb) -> Result<Events<'cb>, Error> {
        let shared = Rc::new(RefCell::new(on_record));
        let mut builder = RingBufferBuilder::new();
        for map in &self.maps {
            let on_record = shared.clone();
            builder
                .add(map, move |bytes| {
                    (on_record.borrow_mut())(bytes);
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

/// How full a ring buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Bytes that wait to be read.
    pub used: u64,
    /// Bytes that have room in it.
    pub size: u64,
}

/// The ring buffers' names, in the order of what [`Events::read`] gives.
pub const RINGS: [&str; 2] = ["events", "lifecycle"];

impl Events<'_> {
    /// How full each ring buffer is.
    fn fill(&self) -> [Fill; 2] {
        let all = self.rings.as_libbpf_object().as_ptr();
        [0, 1].map(|i| {
            // SAFETY: the ring buffers live as long as `self`, and only this thread reads from them:
            // `RingBuffer` is not Sync. What has no such index is null and is not looked at.
            let (used, size) = unsafe {
                let ring = libbpf_sys::ring_buffer__ring(all, i);
                if ring.is_null() {
                    return Fill::default();
                }
                (libbpf_sys::ring__avail_data_size(ring), libbpf_sys::ring__size(ring))
            };
            Fill { used, size }
        })
    }

    /// Waits at most `timeout` for a wake-up, then reads everything that is there. Gives how full the
    /// ring buffers were before that.
    ///
    /// # Errors
    /// What libbpf says; an interrupted wait is none.
    pub fn read(&self, timeout: Duration) -> Result<[Fill; 2], Error> {
        // Not libbpf's own wait, which reads at once: then nobody knows how much there was.
        // SAFETY: the descriptor is the ring buffers', which live as long as `self`.
        let ready = unsafe { BorrowedFd::borrow_raw(self.rings.epoll_fd()) };
        let timeout = Timespec::try_from(timeout).ok();
        match poll(&mut [PollFd::from_borrowed_fd(ready, PollFlags::IN)], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => {
                let e = libbpf_rs::Error::from_raw_os_error(e.raw_os_error());
                return Err(Error::bpf("wait for events")(e));
            }
        }
        let fill = self.fill();
        self.rings.consume().map_err(Error::bpf("read events"))?;
        Ok(fill)
    }
}
