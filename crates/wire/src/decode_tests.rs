//! Tests of decoding records.

use super::*;
use crate::contract_tests::event_kinds;
use proptest::prelude::*;

#[test]
fn cut_characters_are_dropped_and_bad_bytes_replaced() {
    let cut = text("aé".as_bytes().split_at(2).0, 3);
    assert_eq!(cut, Text { value: "a".into(), truncated: true });
    assert_eq!(text(b"a\xffb", 3).value, "a\u{fffd}b");
    assert_eq!(text(b"abc", 2).value, "ab");
}

#[test]
fn short_records_are_refused() {
    assert_eq!(decode(&[3, 0, 0]), Err(DecodeError::Short(3)));
    let mut record = vec![0u8; 100];
    record[0] = 3;
    assert_eq!(decode(&record), Err(DecodeError::Short(100)));
    record[0] = 99;
    record[4] = 7;
    let kept = Record { kind: 99, instance: 7, bytes: record.clone().into() };
    assert_eq!(decode(&record), Ok(Event::Record(Box::new(kept))), "an instrument may know it");
}

#[test]
fn peers_are_addresses_of_either_kind() {
    let mut record = vec![0u8; 872];
    record[..2].copy_from_slice(&HTTP_SERVER.to_le_bytes());
    record[104] = 16; // flags
    record[112] = 4; // peer_len
    record[136..140].copy_from_slice(&[10, 0, 0, 9]);
    record[152..154].copy_from_slice(&8080u16.to_le_bytes());
    let peer = |record: &[u8]| match decode(record) {
        Ok(Event::Http(event)) => event.peer.value,
        other => panic!("{other:?}"),
    };
    assert_eq!(peer(&record), "10.0.0.9:8080");
    record[112] = 16;
    record[136..152].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(peer(&record), "[::1]:8080");
    record[112] = 5;
    assert_eq!(peer(&record), "");
}

/// A record of this kind and size, with these 16-bit and 32-bit numbers at their offsets.
fn record(kind: u16, size: usize, short: &[(usize, u16)], long: &[(usize, u32)]) -> Event {
    let mut record = vec![0u8; size];
    record[..2].copy_from_slice(&kind.to_le_bytes());
    for (at, value) in short {
        record[*at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    for (at, value) in long {
        record[*at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    decode(&record).unwrap()
}

/// The bits of the span in a record.
const UNREAD: usize = 8 + 60;

fn bits(what: &[Unread]) -> (usize, u32) {
    (UNREAD, what.iter().map(|what| 1 << *what as u32).sum())
}

#[test]
fn what_could_not_be_read_of_a_request_is_none() {
    let lens = [106, 108, 110, 112, 114, 116].map(|at| (at, TEXT_UNREAD));
    let unread = bits(&[Unread::Status, Unread::Size]);
    let Event::Http(event) = record(HTTP_SERVER, 872, &lens, &[unread]) else { panic!() };
    assert_eq!((event.status, event.response_size), (None, None));
    assert_eq!((event.method.value.as_str(), event.method.truncated), ("", false));
    let found: Vec<_> = event.span.unread.iter().map(Unread::label).collect();
    let expected = ["method", "target", "host", "peer", "user_agent", "route", "status", "size"];
    assert_eq!(found, expected);
    // All is known of a record that says nothing else.
    let Event::Http(event) = record(HTTP_SERVER, 872, &[(100, 200)], &[]) else { panic!() };
    assert!(event.span.unread.is_empty() && event.response_size == Some(0), "{event:?}");
    // A request line is read in one piece.
    let line = [(104, FLAG_LINE), (106, 3), (108, TEXT_UNREAD)];
    let Event::Http(event) = record(HTTP_SERVER_SMALL, 384, &line, &[]) else { panic!() };
    assert_eq!(event.method, Text::default());
    assert!([Unread::Method, Unread::Target].iter().all(|what| event.span.unread.has(*what)));
}

#[test]
fn codes_that_could_not_be_read_are_none() {
    let status = bits(&[Unread::Status]);
    let Event::Rpc(event) = record(RPC_CLIENT, 488, &[], &[status]) else { panic!() };
    assert_eq!(event.code, None);
    let Event::Rpc(event) = record(RPC_CLIENT, 488, &[], &[]) else { panic!() };
    assert_eq!(event.code, Some(0));
    // Of the end of a call it is no sign that the caller wants no more.
    let ended = record(CALL_END, 176, &[], &[(40, status.1)]);
    let Event::CallEnd(event) = ended else { panic!() };
    assert!(event.code.is_none() && !event.closed && event.unread.has(Unread::Status));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(
        kind in prop_oneof![any::<u16>(), prop::sample::select(event_kinds())],
        has_its_size in any::<bool>(),
        mut bytes in prop::collection::vec(any::<u8>(), 0..4200),
    ) {
        if bytes.len() >= 4 {
            bytes[..2].copy_from_slice(&kind.to_le_bytes());
            if has_its_size {
                let size = u16::try_from(bytes.len()).unwrap();
                bytes[2..4].copy_from_slice(&size.to_le_bytes());
            }
        }
        let _ = decode(&bytes);
    }

    #[test]
    fn whole_http_records_decode(mut bytes in prop::collection::vec(any::<u8>(), 872)) {
        bytes[..2].copy_from_slice(&HTTP_SERVER.to_le_bytes());
        bytes[8 + 57] %= 5; // parent
        bytes[8 + 58] %= 7; // outcome
        prop_assert!(matches!(decode(&bytes), Ok(Event::Http(_))));
    }
}
