//! Tests of the mapping from gRPC events to spans.

use wire::Parent;

use super::*;
use crate::test_support::{core, get, unread};

fn event(role: Role) -> RpcEvent {
    let text = |value: &str| Text { value: value.into(), truncated: false };
    RpcEvent {
        instance: 1,
        role,
        span: core(Parent::Context),
        code: Some(0),
        connect: false,
        error_type: 0,
        peer: Some(([10, 0, 0, 1], 4711).into()),
        local: Some(([10, 0, 0, 2], 50051).into()),
        method: text("/shop.Cart/Add"),
        target: text("dns:///cart:50051"),
        message: Text::default(),
    }
}

fn made(event: RpcEvent) -> Span {
    span(event, &ProcessInfo::default(), 0)
}

#[test]
fn a_call_is_named_after_its_method() {
    let server = made(event(Role::Server));
    assert_eq!((server.name.as_str(), server.kind), ("shop.Cart/Add", Kind::Server));
    let keys = ["rpc.system.name", "rpc.method", "rpc.response.status_code", "server.port"];
    assert_eq!(keys.map(|k| get(&server, k)), ["grpc", "shop.Cart/Add", "OK", "50051"]);
    assert_eq!(get(&server, "network.peer.address"), "10.0.0.1");
    let client = made(event(Role::Client));
    assert_eq!((get(&client, "server.address").as_str(), client.kind), ("cart", Kind::Client));
    assert_eq!(client.parent_span_id, Some([3; 8]));
}

#[test]
fn codes_that_are_the_clients_fault_fail_its_span_only() {
    for (code, label, server_fails) in [(5, "NOT_FOUND", false), (13, "INTERNAL", true)] {
        for role in [Role::Server, Role::Client] {
            let mut event = event(role);
            event.code = Some(code);
            event.message.value = "no such thing".into();
            let span = made(event);
            assert_eq!(get(&span, "rpc.response.status_code"), label);
            let fails = role == Role::Client || server_fails;
            assert_eq!(span.status != Status::Unset, fails, "{label} {role:?}");
            assert_eq!(get(&span, "error.type"), if fails { label } else { "-" });
        }
    }
}

#[test]
fn a_method_that_does_not_exist_is_no_name() {
    let mut unknown = event(Role::Server);
    unknown.code = Some(12);
    unknown.message.value = "unknown method None for service gotap.test.Echo".into();
    let span = made(unknown.clone());
    assert_eq!((span.name.as_str(), get(&span, "rpc.method").as_str()), ("grpc", "_OTHER"));
    assert_eq!(get(&span, "rpc.method_original"), "shop.Cart/Add");
    unknown.message.value = "not yet".into();
    assert_eq!(made(unknown).name, "shop.Cart/Add");
}

#[test]
fn targets_of_all_forms_are_read() {
    for (target, address, port) in [
        ("cart:50051", "cart", "50051"),
        ("dns:///cart:50051", "cart", "50051"),
        ("dns://8.8.8.8/cart:50051", "cart", "50051"),
        ("dns:cart:50051", "cart", "50051"),
        ("passthrough:///[::1]:7", "::1", "7"),
        ("unix:///run/cart.sock", "/run/cart.sock", "-"),
        ("unix:cart.sock", "cart.sock", "-"),
        ("", "10.0.0.1", "4711"),
    ] {
        let mut event = event(Role::Client);
        event.target.value = target.into();
        let span = made(event);
        let found = (get(&span, "server.address"), get(&span, "server.port"));
        assert_eq!(found, (address.to_owned(), port.to_owned()), "{target}");
    }
}

#[test]
fn an_error_without_a_code_is_told_by_its_type() {
    let mut failed = event(Role::Client);
    failed.code = None;
    failed.error_type = 0x1000;
    let names = [(0x1000, "*balancer.dropError".to_owned())].into();
    let process = ProcessInfo { type_names: std::sync::Arc::new(names), ..ProcessInfo::default() };
    let span = span(failed, &process, 0);
    assert_eq!(get(&span, "error.type"), "*balancer.dropError");
    assert_eq!(get(&span, "rpc.response.status_code"), "-");
    assert!(matches!(span.status, Status::Error(_)));
}

#[test]
fn a_code_that_could_not_be_read_is_no_success() {
    for role in [Role::Server, Role::Client] {
        let mut unknown = event(role);
        (unknown.code, unknown.method) = (None, Text::default());
        unknown.span.unread = unread(&[Unread::Method, Unread::Status]);
        let span = made(unknown);
        assert_eq!((span.name.as_str(), span.status.clone()), ("grpc", Status::Unset));
        let keys = ["rpc.response.status_code", "error.type", "rpc.method"];
        assert_eq!(keys.map(|k| get(&span, k)), ["-"; 3]);
        assert_eq!(get(&span, "gotap.unread"), "method,status");
    }
}

#[test]
fn what_a_request_can_not_say_of_its_call_is_named() {
    for connect in [false, true] {
        let mut added = event(Role::Server);
        (added.code, added.connect) = (None, connect);
        added.span.unread = unread(&[Unread::Status]);
        let mut span = crate::synthetic::span(1, 2, None);
        span.add_unread(unread(&[Unread::Peer]));
        Addition::of(&added).add_to(&mut span);
        assert_eq!(get(&span, "gotap.unread"), "peer,status", "{connect}");
        assert_eq!(get(&span, "rpc.response.status_code"), "-", "{connect}");
        assert_eq!(span.status, Status::Unset, "{connect}");
    }
}
