//! Records as the kernel side sends them, made up for benchmarks and for tests that replay many. Not here:
//! what real programs do, which end-to-end tests see.

use zerocopy::{FromZeros, IntoBytes};

use crate::names::Parent;
use crate::raw;

/// A request that was served or made.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Process instance.
    pub instance: u32,
    /// Whether it was made, not served.
    pub client: bool,
    /// Trace id.
    pub trace_id: [u8; 16],
    /// Span id.
    pub span_id: [u8; 8],
    /// Its parent's span id, if it has one.
    pub parent: Option<[u8; 8]>,
    /// Flags of the trace; 0x20: left out by sampling.
    pub trace_flags: u8,
    /// When it began, by the kernel's clock.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Status code.
    pub status: u16,
    /// Path of a request that was served, URL of one that was made.
    pub target: &'a str,
    /// Host with port.
    pub host: &'a str,
    /// Pattern of the route.
    pub route: &'a str,
}

/// The record of a request, in the smaller of the two sizes. Texts that do not fit are cut.
pub fn http(request: &Request<'_>) -> Vec<u8> {
    let mut event = raw::HttpSmall::new_zeroed();
    let head = &mut event.head;
    head.header.kind = if request.client { 7 } else { 6 };
    head.header.size = size_of::<raw::HttpSmall>() as u16;
    head.header.process = request.instance;
    head.span = span(request);
    (head.request_size, head.response_size) = (0, 512);
    head.status = request.status;
    (head.proto_major, head.proto_minor) = (1, 1);
    head.method_len = put(&mut event.method, "GET");
    head.target_len = put(&mut event.target, request.target);
    head.host_len = put(&mut event.host, request.host);
    head.route_len = put(&mut event.route, request.route);
    if !request.client {
        head.peer_len = put(&mut event.peer, "10.0.0.1:40000");
        head.user_agent_len = put(&mut event.user_agent, "Go-http-client/1.1");
    }
    event.as_bytes().to_vec()
}

fn span(request: &Request<'_>) -> raw::Span {
    let parent = request.parent.map_or(Parent::None, |_| Parent::Context);
    raw::Span {
        start_ns: request.start_ns,
        end_ns: request.end_ns,
        goid: 1,
        trace_id: request.trace_id,
        span_id: request.span_id,
        parent_span_id: request.parent.unwrap_or_default(),
        trace_flags: request.trace_flags,
        parent: parent as u32 as u8,
        outcome: 0,
        resend: 0,
        unread: 0,
    }
}

fn put(slot: &mut [u8], text: &str) -> u16 {
    let len = text.len().min(slot.len());
    slot[..len].copy_from_slice(&text.as_bytes()[..len]);
    text.len() as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Role, decode};

    #[test]
    fn what_is_made_up_is_decoded() {
        let request = Request {
            instance: 7,
            client: false,
            trace_id: [1; 16],
            span_id: [2; 8],
            parent: Some([3; 8]),
            trace_flags: 1,
            start_ns: 5,
            end_ns: 9,
            status: 503,
            target: "/users/1",
            host: "shop:80",
            route: "/users/{id}",
        };
        let Ok(Event::Http(event)) = decode(&http(&request)) else { panic!("no HTTP event") };
        assert_eq!((event.instance, event.role, event.status), (7, Role::Server, Some(503)));
        assert_eq!(
            (event.target.value.as_str(), event.host.value.as_str()),
            ("/users/1", "shop:80")
        );
        assert_eq!(event.span.parent, Parent::Context);
        assert_eq!((event.span.parent_span_id, event.span.end_ns), ([3; 8], 9));
    }
}
