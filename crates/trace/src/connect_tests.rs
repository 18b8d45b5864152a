//! Tests of calls by Connect: they are not taken for other requests, and their spans say what they should.

use std::sync::Arc;

use wire::{Outcome, Parent, Role, Text, Unread};

use super::*;
use crate::test_support::{core, get, unread};

fn event(method: &str, content: Content, status: u16) -> HttpEvent {
    let text = |value: &str| Text { value: value.into(), truncated: false };
    let mut span = core(Parent::None);
    span.outcome = Outcome::Done;
    HttpEvent {
        instance: 1,
        role: Role::Server,
        span,
        request_size: None,
        response_size: None,
        status: Some(status),
        version: (1, 1),
        tls: false,
        known_scheme: true,
        raw_path: false,
        opaque: false,
        path_kept: true,
        tracestate: false,
        content,
        error_type: 0,
        response: 0,
        server: 0,
        errno: 0,
        method: text(method),
        target: text(""),
        host: text("h"),
        peer: Text::default(),
        user_agent: Text::default(),
        route: Text::default(),
        query: Text::default(),
        error_text: Text::default(),
    }
}

/// System and name of the call that a request is, and its code.
fn told(event: &HttpEvent, path: &str) -> Option<(String, String, Option<String>)> {
    let known = ["/a.Shop/Buying", "/a.Shop/Sell"].map(str::to_owned).into();
    let (mut http, mut ended) = (Http::default(), Ended::error("before", ""));
    let name = add_call(event, path, &known, &mut http, &mut ended)?;
    let call = http.call?;
    assert_eq!(call.method, Some(Named::Known(name.clone())));
    let code = call.code.map(String::from);
    assert_eq!(ended.error_type.as_deref(), Some(code.as_deref().unwrap_or("before")));
    Some((call.system.label().to_owned(), name.into(), code))
}

#[test]
fn method_and_content_type_tell_the_protocol() {
    let sell = |system: &str| Some((system.to_owned(), "a.Shop/Sell".to_owned(), None));
    for (method, content, expected) in [
        ("POST", Content::Message, sell("connectrpc")),
        ("POST", Content::Connect, sell("connectrpc")),
        ("GET", Content::Other, sell("connectrpc")),
        ("POST", Content::Grpc, sell("grpc")),
        ("POST", Content::GrpcWeb, sell("grpc")),
        ("POST", Content::Other, None),
        ("OPTIONS", Content::Other, None),
    ] {
        assert_eq!(told(&event(method, content, 200), "/a.Shop/Sell"), expected, "{method}");
    }
}

#[test]
fn only_known_procedures_are_called() {
    let is_call = |path| told(&event("POST", Content::Message, 200), path).is_some();
    // What is known goes on where the next constant begins.
    assert!(is_call("/a.Shop/Buy") && is_call("/a.Shop/Sell") && is_call("/api/a.Shop/Sell"));
    for path in ["/a.Shop/Selling", "/b.Shop/Sell", "/a.Shop/", "/a.Shop", "/Sell", "", "*"] {
        assert!(!is_call(path), "{path}");
    }
}

#[test]
fn a_code_is_told_where_there_is_no_other() {
    let code = |content, status| told(&event("POST", content, status), "/a.Shop/Sell").unwrap().2;
    assert_eq!(code(Content::Message, 401).as_deref(), Some("unauthenticated"));
    assert_eq!(code(Content::Grpc, 503).as_deref(), Some("UNAVAILABLE"));
    // Invalid arguments, or a failed precondition; nothing found, or no such procedure.
    assert_eq!(code(Content::Message, 400), None);
    assert_eq!(code(Content::Message, 404), None);
    assert_eq!(code(Content::Message, 200), None);
}

/// A span of a request that was made, as a call or not.
fn made(event: &HttpEvent, calls: bool) -> Span {
    let (system, method) = (RpcSystem::Connect, Some(Named::known("a.Shop/Sell")));
    let call = calls.then_some(RpcCall { system, method, code: None });
    let http = crate::synthetic::http(Http { call, ..Http::default() });
    let (process, ended) = (ProcessInfo::default(), Ended::default());
    Span::new(&event.span, "call", Kind::Client, ended, http, &process, 0)
}

#[test]
fn calls_go_on_in_bodies() {
    for (content, status, calls, expected) in [
        (Content::Grpc, 200, true, Some(GoesOn::Open)),
        (Content::GrpcWeb, 200, true, Some(GoesOn::Open)),
        (Content::Connect, 200, true, Some(GoesOn::Open)),
        (Content::Message, 200, true, None),
        (Content::Message, 404, true, Some(GoesOn::Failed)),
        (Content::Grpc, 404, true, Some(GoesOn::Failed)),
        (Content::Grpc, 204, true, Some(GoesOn::Failed)),
        (Content::Grpc, 307, true, None),
        (Content::Grpc, 200, false, None),
    ] {
        let mut event = event("POST", content, status);
        let span = made(&event, calls);
        assert_eq!(goes_on(&event, &span), None, "nothing to know its end by");
        event.response = 0x7000;
        assert_eq!(goes_on(&event, &span), None, "a request that was served");
        event.role = Role::Client;
        assert_eq!(goes_on(&event, &span), expected, "{content:?} {status}");
    }
}

#[test]
fn an_end_tells_code_message_and_time() {
    let mut end_event = CallEndEvent {
        instance: 1,
        end_ns: 9_000,
        response: 0x7000,
        code: Some(5),
        unread: wire::UnreadSet::default(),
        closed: false,
        error_type: 0,
        message: Text { value: "no such thing".into(), truncated: false },
    };
    let names = [(0x40, "context.deadlineExceededError".to_owned())].into();
    let process = ProcessInfo { type_names: std::sync::Arc::new(names), ..ProcessInfo::default() };
    let ended = |event: &CallEndEvent| {
        let span = made(&self::event("POST", Content::Connect, 200), true);
        // The real time was another one when the call was answered: what counts is how long it took.
        assert_eq!(span.end_unix_nano, 3_500);
        let span = end(Call { span, answered_ns: 8_500 }, event, &process);
        let code = span.operation.call().and_then(|call| call.code.clone());
        (code.map(String::from), span.status, span.end_unix_nano)
    };
    let failed = |code: &str, message: &str| {
        (Some(code.to_owned()), Status::Error(message.to_owned()), 4_000)
    };
    assert_eq!(ended(&end_event), failed("not_found", "no such thing"));
    // Errors without a code: connect gives them one.
    (end_event.code, end_event.error_type) = (Some(2), 0x30);
    assert_eq!(ended(&end_event), failed("unknown", "no such thing"));
    end_event.message.value = "context canceled".into();
    assert_eq!(ended(&end_event), failed("canceled", "context canceled"));
    end_event.error_type = 0x40;
    assert_eq!(ended(&end_event), failed("deadline_exceeded", "context deadline exceeded"));
    // With a code that the server chose, the text means nothing.
    end_event.error_type = 0;
    assert_eq!(ended(&end_event), failed("unknown", "context canceled"));
    end_event.code = Some(0);
    assert_eq!(ended(&end_event), (None, Status::Unset, 4_000));
    // Who closes a stream tells when.
    (end_event.code, end_event.closed) = (None, true);
    assert_eq!(ended(&end_event), (None, Status::Unset, 4_000));
    // What could not be read is no success.
    end_event.closed = false;
    end_event.unread = unread(&[Unread::Status]);
    let span = made(&event("POST", Content::Grpc, 200), true);
    let span = end(Call { span, answered_ns: 8_500 }, &end_event, &process);
    assert_eq!(get(&span, "gotap.unread"), "status");
    assert_eq!(get(&span, "rpc.response.status_code"), "-");
}

#[test]
fn a_newer_response_at_its_address_ends_a_call() {
    let mut assembler = crate::Assembler::new();
    let procedures = Arc::new(["/a.Shop/Sell".to_owned()].into());
    let info = ProcessInfo { procedures, call_ends: true, ..ProcessInfo::default() };
    assembler.add_process(1, info);
    let mut answered = |path: &str| {
        let mut event = event("POST", Content::Grpc, 200);
        (event.role, event.response) = (Role::Client, 0x7000);
        event.target.value = path.into();
        assembler.on_event(wire::Event::Http(Box::new(event)), 0).map(|span| span.name)
    };
    assert_eq!(answered("/a.Shop/Sell"), None, "it goes on");
    assert_eq!(answered("/a.Shop/Sell"), None, "so does this one");
    assert_eq!(answered("/else").as_deref(), Some("POST"));
    let ended: Vec<_> = assembler.tick(0).into_iter().map(|span| span.name).collect();
    assert_eq!(ended, ["a.Shop/Sell", "a.Shop/Sell"]);
}
