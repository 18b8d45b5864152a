//! The HTTP client, and through it the program that end-to-end tests observe.

use std::time::Duration;

use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::{self, Connection};
use gotap_testkit::process::Running;

const SOON: Duration = Duration::from_secs(20);

/// Starts httpapp and returns it with its address.
fn httpapp(arguments: &[&str]) -> (Running, String) {
    let program = go::build("httpapp", Version::of(26), Mode::Plain).expect("httpapp builds");
    let running = Running::start(&program, arguments, &[]).expect("httpapp starts");
    let address = running.wait_for("listening ", SOON).expect("httpapp listens");
    (running, address)
}

#[test]
fn requests_share_a_connection() {
    let (_server, address) = httpapp(&[]);
    let mut connection = Connection::open(&address).unwrap();
    let port = connection.local_port().unwrap();
    let hello = connection.get("/hello", &[("X-Any", "thing")]).unwrap();
    assert_eq!((hello.status, hello.text().as_str()), (200, "hi\n"));
    assert_eq!(hello.header("content-length"), Some("3"));
    assert_eq!(connection.get("/users/42", &[]).unwrap().text(), "user 42\n");
    assert_eq!(connection.get("/status/204", &[]).unwrap().status, 204);
    assert_eq!(connection.get("/status/404", &[]).unwrap().status, 404);
    let chunked = connection.get("/chunked", &[]).unwrap();
    assert_eq!(chunked.header("Transfer-Encoding"), Some("chunked"));
    assert_eq!(chunked.text(), "chunk 1\nchunk 2\nchunk 3\n");
    assert_eq!(connection.request("HEAD", "/hello", &[], None).unwrap().body, b"");
    assert_eq!(connection.get("/no-such", &[]).unwrap().status, 404);
    assert_eq!(connection.local_port().unwrap(), port);
}

#[test]
fn bodies_go_up_whole_or_in_chunks() {
    let (_server, address) = httpapp(&[]);
    let mut connection = Connection::open(&address).unwrap();
    let whole = connection.request("POST", "/echo", &[], Some(b"a body")).unwrap();
    assert_eq!(whole.body, b"a body");
    let chunks: [&[u8]; 3] = [b"one ", b"", b"two"];
    let chunked = connection.request_chunked("PUT", "/echo", &[], &chunks).unwrap();
    assert_eq!(chunked.body, b"one two");
}

#[test]
fn requests_can_be_pipelined_and_broken() {
    let (_server, address) = httpapp(&[]);
    let mut connection = Connection::open(&address).unwrap();
    let pipeline =
        ["/users/1", "/users/2", "/users/3"].map(|path| connection.head("GET", path, &[]));
    connection.send_raw(&pipeline.concat()).unwrap();
    for id in 1..=3 {
        assert_eq!(connection.read_response().unwrap().text(), format!("user {id}\n"));
    }
    connection.send_raw(b"NO HTTP\r\n\r\n").unwrap();
    connection.finish_sending().unwrap();
    assert_eq!(connection.read_response().unwrap().status, 400);
}

#[test]
fn panics_of_the_server_are_errors_of_the_client() {
    let (server, address) = httpapp(&[]);
    for path in ["/panic", "/abort", "/panic-after-write"] {
        let error = http::get(&address, path, &[]).unwrap_err();
        assert!(format!("{error:#}").contains("the connection ended"), "{path}: {error:#}");
    }
    server.wait_for_error("panic after the first write", SOON).unwrap();
    assert_eq!(http::get(&address, "/hello", &[]).unwrap().status, 200);
}

#[test]
fn the_app_calls_its_backend_in_all_the_ways() {
    let (_backend, backend) = httpapp(&[]);
    let (_server, address) = httpapp(&[&format!("-backend=http://{backend}")]);
    for (case, expected) in [
        ("same", "status=200"),
        ("noctx", "status=200"),
        ("go", "status=200"),
        ("go-deep?n=5", "status=200"),
        ("ctx-pool", "status=200"),
        ("noctx-pool", "status=200"),
        ("late-pool", "status=200"),
        ("late-pool", "status=200"),
        ("ctx-derived", "status=200"),
        ("outlive", "started"),
        ("post", "status=200"),
        ("userinfo", "status=200"),
        ("timeout", "Client.Timeout exceeded"),
        ("refused", "connection refused"),
        ("canceled", "context canceled"),
        ("precanceled", "context canceled"),
    ] {
        let path = format!("/call/{case}");
        let response = http::get(&address, &path, &[("X-Id", "7")]).unwrap();
        assert_eq!(response.status, 200, "{case}");
        assert!(response.text().contains(expected), "{case}: {}", response.text());
    }
}

#[test]
fn the_app_is_a_client_too_and_can_idle() {
    let (_server, address) = httpapp(&["-reuse=false"]);
    let program = go::build("httpapp", Version::of(26), Mode::Plain).unwrap();
    let arguments = ["-client=2", &format!("http://{address}/status/418")];
    let mut client = Running::start(&program, &arguments, &[]).unwrap();
    assert!(client.wait(SOON).unwrap().success());
    assert_eq!(client.stdout(), ["client ready", "status 418", "status 418"]);
    let mut idle = Running::start(&program, &["-hold"], &[]).unwrap();
    idle.wait_for("holding", SOON).unwrap();
    assert!(idle.stop().unwrap().success());
}
