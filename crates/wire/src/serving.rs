//! The contract of the iterator over requests that are being served: the twin of `bpf/serving.h`.
//!
//! Not here: what their goroutines do.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Processors whose next goroutine ids are known (`GT_MAX_P`).
const MAX_P: usize = 64;

/// What is asked for (`struct gt_serving_asked`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ServingAsked {
    /// Requests that began less long ago are left out.
    pub younger_ns: u64,
}

/// A request that is being served (`struct gt_serving`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Serving {
    /// Where the `runtime.g` of the goroutine is that serves it.
    pub g: u64,
    /// The goroutine's number.
    pub goid: u64,
    /// When it began, by the monotonic clock.
    pub start_ns: u64,
    /// Its span's id, as the program wrote it: see [`Serving::span`].
    pub span_id: u64,
    /// The process.
    pub instance: u32,
    processors: u32,
    ended_ns: u64,
    goidgen: u64,
    caches: [u64; 64],
}

const _: () = assert!(size_of::<Serving>() == 56 + 8 * MAX_P);

impl Serving {
    /// Its span's id.
    pub fn span(&self) -> [u8; 8] {
        self.span_id.to_ne_bytes()
    }

    /// Whether goroutine `goid`, which this one has started, belongs to the request, and not to an earlier
    /// one: `is_younger` of `bpf/served.h`.
    pub fn started(&self, goid: u64) -> bool {
        if self.ended_ns == 0 {
            return true;
        }
        if self.goidgen == 0 {
            return false;
        }
        let given = self.caches.iter().take(self.processors as usize);
        goid > self.goidgen
            || given
                .map(|cache| (cache >> 8, cache & 0xff))
                .any(|(next, left)| goid >= next && goid < next.saturating_add(left))
    }
}

/// Words of a request that are kept (`GT_REQUEST_WORDS`).
pub const REQUEST_WORDS: usize = 40;

/// A request that is being served, to be counted (`struct gt_active`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Active {
    /// Where net/http's `Request` or fasthttp's `RequestCtx` is.
    pub req: u64,
    /// The process.
    pub instance: u32,
    /// Which structure net/http has for it: `raw::Process::requests`.
    pub request_kind: u8,
    /// 0: no remote procedure.
    pub rpc: u8,
    /// Not 0: fasthttp's.
    pub fast: u8,
    pad: u8,
    request: [u64; 40],
}

const _: () = assert!(size_of::<Active>() == 16 + 8 * REQUEST_WORDS);

impl Active {
    /// The word at an offset of the request's copy.
    pub fn word(&self, offset: u16) -> Option<u64> {
        let offset = usize::from(offset);
        (offset % 8 == 0).then(|| self.request.get(offset / 8).copied()).flatten()
    }
}

/// Decodes what the iterator tells of requests to be counted; what is cut off at the end is left out.
pub fn decode_active(bytes: &[u8]) -> Vec<Active> {
    let whole = bytes.chunks_exact(size_of::<Active>());
    whole.filter_map(|record| Active::read_from_bytes(record).ok()).collect()
}

/// Decodes what the iterator tells; what is cut off at the end is left out.
pub fn decode_serving(bytes: &[u8]) -> Vec<Serving> {
    let whole = bytes.chunks_exact(size_of::<Serving>());
    whole.filter_map(|record| Serving::read_from_bytes(record).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(ended_ns: u64, goidgen: u64) -> Serving {
        let mut caches = [0; MAX_P];
        caches[1] = 40 << 8 | 5;
        caches[2] = 60 << 8 | 5;
        let (g, goid, start_ns, span_id, instance) = (1, 2, 3, 4, 5);
        Serving { g, goid, start_ns, span_id, instance, processors: 2, ended_ns, goidgen, caches }
    }

    #[test]
    fn goroutines_that_were_not_given_out_are_younger() {
        let request = serving(1, 100);
        assert!([40, 44, 101].iter().all(|goid| request.started(*goid)));
        // The third processor's are not known.
        assert!(![39, 45, 60, 100].iter().any(|goid| request.started(*goid)));
        assert!(serving(0, 0).started(7) && !serving(1, 0).started(7));
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let one = serving(0, 0);
        let bytes = [one.as_bytes(), &one.as_bytes()[..100]].concat();
        assert_eq!(decode_serving(&bytes), [one]);
        assert_eq!(one.span(), 4u64.to_ne_bytes());
    }
}
