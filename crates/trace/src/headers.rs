//! Headers of served requests that the user asks for, as attributes. Finding them is the kernel side's matter.

use compact_str::CompactString;
use wire::{Text, Unread, UnreadSet};

use crate::span::{Span, Value};
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

/// The attributes' keys by the headers' indices: of HTTP and of gRPC.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<[&'static str; 2]>);

impl Names {
    /// Of these headers.
    pub(crate) fn new(headers: &[String]) -> Self {
        // Keys are static, and these are made once, when gotap starts.
        let key = |prefix: &str, name: &str| -> &'static str {
            Box::leak(format!("{prefix}.{}", name.to_ascii_lowercase()).into_boxed_str())
        };
        let keys =
            |name: &String| [key("http.request.header", name), key("rpc.request.metadata", name)];
        Self(headers.iter().map(keys).collect())
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
                span.attributes.push((keys[usize::from(rpc)], Value::Texts(texts.into())));
            }
        }
        span.add_unread(UnreadSet::default().with(Unread::Headers, unread));
    }
}

#[cfg(test)]
mod tests {
    use wire::{Event, Role};

    use super::*;
    use crate::test_support::{get, http_event};
    use crate::{Assembler, ProcessInfo};

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
        assert_eq!(request(&mut assembler, 3).get(KEY), None);
        let span = request(&mut assembler, 2);
        assert_eq!(span.get(KEY), Some(&Value::Texts(["one".into(), "three…".into()].into())));
        assert_eq!(request(&mut assembler, 2).get(KEY), None);
    }

    #[test]
    fn what_could_not_be_read_is_said() {
        let mut assembler = assembler();
        header(&mut assembler, 2, None);
        let span = request(&mut assembler, 2);
        assert_eq!((span.get(KEY), get(&span, "gotap.unread").as_str()), (None, "headers"));
    }

    #[test]
    fn only_requests_that_wait_need_room() {
        let mut assembler = assembler();
        assembler.hold_at_most(4);
        header(&mut assembler, 99, Some("old"));
        for id in 1..=50 {
            header(&mut assembler, id, Some("new"));
            assert!(request(&mut assembler, id).get(KEY).is_some());
        }
        assert!(request(&mut assembler, 99).get(KEY).is_some());
        (1..=6).for_each(|id| header(&mut assembler, id, Some("new")));
        assert_eq!(assembler.forgotten_headers(), 2);
        assert!(request(&mut assembler, 2).get(KEY).is_none());
        assert!(request(&mut assembler, 3).get(KEY).is_some());
    }
}
