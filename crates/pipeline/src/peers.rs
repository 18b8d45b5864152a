//! Which service answered a call: the request that it became is a span of an observed process and ends before
//! it. Not here: calls whose requests end later, as those that stream do; they do not say it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use trace::{Kind, Resource, Span};

/// Requests that are remembered for the ends of their calls.
const MAX: usize = 16_384;

/// The processes of requests that were served lately, by the id of the span that made each.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    served: HashMap<[u8; 8], Arc<Resource>>,
    order: VecDeque<[u8; 8]>,
}

impl Peers {
    /// Remembers a request; says of a call which service answered it.
    pub(crate) fn name(&mut self, span: &mut Span) {
        match (span.kind, span.parent_span_id) {
            (Kind::Server, Some(call)) => self.remember(call, &span.resource),
            (Kind::Server, None) => {}
            (Kind::Client, _) => {
                span.answered_by = self.served.remove(&span.span_id);
            }
        }
    }

    fn remember(&mut self, call: [u8; 8], resource: &Arc<Resource>) {
        // What a call asked for a second time has the same parent: the last answer is the one that came.
        if self.served.insert(call, resource.clone()).is_none() {
            self.order.push_back(call);
        }
        // What was found leaves its place in the order behind.
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.served.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use trace::Value;
    use trace::synthetic::{attribute, span};

    use super::*;

    fn served(call: u8, service: &str) -> Span {
        let attributes = vec![("service.name".to_owned(), Value::Text(service.into()))];
        Span { resource: Arc::new(Resource::new(attributes)), ..span(1, 9, Some(call)) }
    }

    fn peer(peers: &mut Peers, call: u8) -> Option<String> {
        let mut made = Span { kind: Kind::Client, ..span(1, call, None) };
        peers.name(&mut made);
        attribute(&made, "service.peer.name")?.as_str().map(str::to_owned)
    }

    #[test]
    fn a_call_says_who_answered_it_once() {
        let mut peers = Peers::default();
        peers.name(&mut served(7, "stock"));
        assert_eq!(peer(&mut peers, 8), None);
        assert_eq!(peer(&mut peers, 7).as_deref(), Some("stock"));
        assert_eq!(peer(&mut peers, 7), None);
        peers.name(&mut served(8, ""));
        assert_eq!(peer(&mut peers, 8), None, "a service without a name");
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut peers = Peers::default();
        for n in 0..MAX as u64 + 1 {
            peers.remember(n.to_be_bytes(), &Arc::default());
        }
        assert_eq!((peers.served.len(), peers.order.len()), (MAX, MAX));
        assert!(!peers.served.contains_key(&0u64.to_be_bytes()));
    }
}
