//! Requests by the TCP connection that they came on, so that the connection's span can link to theirs. Not here: what
//! is known of connections.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use trace::{Kind, Span, SpanContext};

/// Connections whose requests are remembered; the oldest make room.
const MAX_CONNECTIONS: usize = 1 << 14;
/// Requests of one connection that are linked to: the last ones.
const MAX_LINKS: usize = 8;

/// The process that serves a connection, and the other end.
type Key = (u32, SocketAddr);

/// The requests of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    /// How many had a span that is sent.
    pub count: u64,
    /// The last of them, the oldest first.
    pub last: VecDeque<SpanContext>,
}

/// All of them, for any thread.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    requests: HashMap<Key, Requests>,
    /// In the order in which they came. Those that were taken are still among them.
    order: VecDeque<Key>,
    /// Requests of connections that made room.
    forgotten: u64,
}

impl Connections {
    /// Remembers a request that was served; of other spans nothing.
    pub(crate) fn note(&self, span: &Span) {
        let Some(key) = key_of(span) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.requests.contains_key(&key) {
            while known.order.len() >= MAX_CONNECTIONS {
                let oldest = known.order.pop_front();
                let oldest = oldest.and_then(|oldest| known.requests.remove(&oldest));
                known.forgotten += oldest.map_or(0, |oldest| oldest.count);
            }
            known.order.push_back(key);
        }
        let requests = known.requests.entry(key).or_default();
        requests.count += 1;
        if requests.last.len() >= MAX_LINKS {
            requests.last.pop_front();
        }
        requests.last.push_back(span.context());
    }

    /// Requests that were forgotten before their connection ended, as there were too many connections.
    pub fn forgotten(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forgotten
    }

    /// The requests of a connection that process `pid` served, which has ended.
    pub fn take(&self, pid: u32, peer: SocketAddr) -> Option<Requests> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.requests.remove(&(pid, canonical(peer)))
    }
}

fn key_of(span: &Span) -> Option<Key> {
    if span.kind != Kind::Server {
        return None;
    }
    Some((span.resource.pid()?, canonical(span.operation.peer()?)))
}

/// One that IPv6 carries for IPv4 is one of IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trace::{Endpoint, Http, Resource, Value, synthetic};

    use super::*;

    fn request(id: u8, port: u16) -> Span {
        let peer = Some(Endpoint::new("127.0.0.1", Some(port)));
        Span {
            operation: synthetic::http(Http { peer, ..Http::default() }),
            resource: Arc::new(Resource::new(vec![("process.pid".into(), Value::Int(7))])),
            ..synthetic::span(1, id, None)
        }
    }

    #[test]
    fn a_connection_has_its_own_requests() {
        let connections = Connections::default();
        (1..=10).for_each(|id| connections.note(&request(id, 5)));
        connections.note(&request(11, 6));
        let found = connections.take(7, "[::ffff:127.0.0.1]:5".parse().unwrap()).unwrap();
        assert_eq!((found.count, found.last.len()), (10, MAX_LINKS));
        assert_eq!(found.last.back().unwrap().span_id, [10; 8]);
        assert!(connections.take(7, "127.0.0.1:5".parse().unwrap()).is_none());
        assert!(connections.take(8, "127.0.0.1:6".parse().unwrap()).is_none());
    }

    #[test]
    fn the_oldest_connections_make_room() {
        let connections = Connections::default();
        for port in 0..=u16::try_from(MAX_CONNECTIONS).unwrap() {
            connections.note(&request(1, port));
            assert_eq!(connections.forgotten(), u64::from(port == 1 << 14));
        }
        assert!(connections.take(7, "127.0.0.1:0".parse().unwrap()).is_none());
        assert!(connections.take(7, "127.0.0.1:1".parse().unwrap()).is_some());
    }
}
