//! Headers of served requests that the user asks for. Finding them is the kernel side's matter.

use compact_str::CompactString;
use wire::{Text, Unread, UnreadSet};

use crate::span::{Header, Span};
use crate::text::marked;

/// Values of one request that are kept: the kernel side sends no more.
const MAX_VALUES: usize = 64;

/// What came of a request, in order: the header's index, and its value where it could be read.
#[derive(Debug, Default)]
pub(crate) struct Values(Vec<(u16, Option<Text>)>);

impl Values {
    pub(crate) fn add(&mut self, name: u16, value: Option<Text>) {
        if self.0.len() < MAX_VALUES {
            self.0.push((name, value));
        }
    }
}

/// Where a header's name begins in the attributes' keys.
const PREFIXES: [&str; 2] = ["http.request.header.", "rpc.request.metadata."];

/// The attributes' keys by the headers' indices: of HTTP and of gRPC.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<[&'static str; 2]>);

impl Names {
    /// Of these headers.
    pub(crate) fn new(headers: &[String]) -> Self {
        // Keys are static, and these are made once, when gotap starts.
        let key = |prefix: &str, name: &str| -> &'static str {
            Box::leak(format!("{prefix}{}", name.to_ascii_lowercase()).into_boxed_str())
        };
        Self(headers.iter().map(|name| PREFIXES.map(|prefix| key(prefix, name))).collect())
    }

    /// Adds the values to their span.
    pub(crate) fn add_to(&self, span: &mut Span, values: Values, rpc: bool) {
        let unread = values.0.iter().any(|(_, value)| value.is_none());
        for (at, keys) in self.0.iter().enumerate() {
            let of_it = values.0.iter().filter(|(name, _)| usize::from(*name) == at);
            let texts: Vec<CompactString> = of_it
                .filter_map(|(_, value)| value.as_ref())
                .map(|text| marked(&text.value, text.truncated))
                .collect();
            if !texts.is_empty() {
                let key = keys[usize::from(rpc)];
                let name = &key[PREFIXES[usize::from(rpc)].len()..];
                span.headers.push(Header { name, key, values: texts.into() });
            }
        }
        span.add_unread(UnreadSet::default().with(Unread::Headers, unread));
    }
}

#[cfg(test)]
mod tests {
    use wire::{Event, Role};

    use super::*;
    use crate::synthetic::attribute;
    use crate::test_support::{get, http_event};
    use crate::{Assembler, ProcessInfo, Value};

    const KEY: &str = "http.request.header.x-request-id";

    fn assembler() -> Assembler {
        let mut assembler = Assembler::new();
        assembler.request_headers(&["x-other".to_owned(), "X-Request-Id".to_owned()]);
        assembler.add_process(1, ProcessInfo::default());
        assembler
    }

    fn header(assembler: &mut Assembler, id: u8, value: Option<&str>) {
        let value = value.map(|text| Text { value: text.into(), truncated: text.len() > 3 });
        let event = Event::Header { span_id: [id; 8], name: 1, value };
        assert!(assembler.on_event(event, 0).is_none());
    }

    fn request(assembler: &mut Assembler, id: u8) -> Span {
        let mut event = http_event(Role::Server);
        event.span.span_id = [id; 8];
        assembler.on_event(Event::Http(Box::new(event)), 0).unwrap()
    }

    #[test]
    fn values_are_attributes_of_their_own_span() {
        let mut assembler = assembler();
        header(&mut assembler, 2, Some("one"));
        header(&mut assembler, 2, Some("three"));
        assert_eq!(attribute(&request(&mut assembler, 3), KEY), None);
        let span = request(&mut assembler, 2);
        let values = Value::Texts(["one".into(), "three…".into()].into());
        assert_eq!(attribute(&span, KEY), Some(values));
        assert_eq!(span.headers[0].name, "x-request-id");
        assert_eq!(attribute(&request(&mut assembler, 2), KEY), None);
    }

    #[test]
    fn what_could_not_be_read_is_said() {
        let mut assembler = assembler();
        header(&mut assembler, 2, None);
        let span = request(&mut assembler, 2);
        assert_eq!((attribute(&span, KEY), get(&span, "gotap.unread").as_str()), (None, "headers"));
    }

    #[test]
    fn only_requests_that_wait_need_room() {
        let mut assembler = assembler();
        assembler.hold_at_most(4);
        header(&mut assembler, 99, Some("old"));
        for id in 1..=50 {
            header(&mut assembler, id, Some("new"));
            assert!(attribute(&request(&mut assembler, id), KEY).is_some());
        }
        assert!(attribute(&request(&mut assembler, 99), KEY).is_some());
        (1..=6).for_each(|id| header(&mut assembler, id, Some("new")));
        assert_eq!(assembler.forgotten_headers(), 2);
        assert!(attribute(&request(&mut assembler, 2), KEY).is_none());
        assert!(attribute(&request(&mut assembler, 3), KEY).is_some());
    }
}
