//! Where requests that are being served have their method, for what counts them. Not here: reading them.

use wire::Active;
use wire::raw::{self, NONE};

use crate::instrument::Constants;

/// Offsets in the structures of a binary.
#[derive(Debug, Clone, Copy)]
pub struct RequestLayouts {
    net: [raw::Request; 2],
    fast_method: u16,
    fast_tls: u16,
}

impl RequestLayouts {
    pub(super) fn of(constants: &raw::Process, own: &Constants) -> Self {
        let fast = &own.fasthttp;
        Self { net: constants.requests, fast_method: fast.method, fast_tls: fast.tls }
    }

    /// Where the text of the method lies in the process: address and length. An empty one stands for GET.
    pub fn method(&self, request: &Active) -> Option<(u64, u64)> {
        let at = match request.fast {
            0 => self.net.get(usize::from(request.request_kind))?.method,
            _ => self.fast_method,
        };
        if at == NONE {
            return None;
        }
        Some((request.word(at)?, request.word(at.checked_add(8)?)?))
    }

    /// Whether it came by TLS; where that has to be read in the process, its address.
    pub fn tls(&self, request: &Active) -> Option<Tls> {
        if request.fast != 0 {
            return (self.fast_tls != NONE)
                .then(|| Tls::At(request.req.wrapping_add(self.fast_tls.into())));
        }
        let at = self.net.get(usize::from(request.request_kind))?.tls;
        (at != NONE).then(|| request.word(at).map(|word| Tls::Known(word != 0))).flatten()
    }
}

/// Whether a request came by TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It is known.
    Known(bool),
    /// A byte in the process tells it.
    At(u64),
}
