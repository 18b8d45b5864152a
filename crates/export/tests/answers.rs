//! What an answer over HTTP must be for telemetry to count as delivered. Not here: refusals by status (`refusals`).

#![expect(clippy::unwrap_used, reason = "in a test, also in its helpers")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use export::{Config, Exporter, Protocol};
use trace::synthetic;

/// Long enough for what takes about a second on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that gives each request the same answer; its URL and how many there were.
fn server(answer: String) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicU64::new(0));
    let count = requests.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                let header = line.trim().to_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, requests)
}

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Sends three batches of ten spans: how many were exported and rejected, and what was said.
fn fate(endpoint: &str) -> (u64, u64, Vec<String>) {
    let config = Config {
        endpoint: endpoint.to_owned(),
        protocol: Protocol::Http,
        headers: vec![("x-api-key".into(), "secret".into())],
        flush_interval: Duration::ZERO,
        timeout: 2 * PATIENCE,
        ..Config::default()
    };
    let said = Arc::<Mutex<Vec<String>>>::default();
    let heard = said.clone();
    let notice = move |sentence| heard.lock().unwrap().push(sentence);
    let mut exporter = Exporter::start(&config, notice).unwrap();
    let (stats, start) = (exporter.stats(), Instant::now());
    for batch in 1..=3 {
        for _ in 0..10 {
            exporter.push(&synthetic::span(1, 2, None));
        }
        exporter.tick();
        while stats.exported() + stats.lost().iter().map(|lost| lost.1).sum::<u64>() < 10 * batch {
            assert!(start.elapsed() < PATIENCE, "{stats:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let stats = exporter.shutdown(PATIENCE);
    let [_, (_, rejected), ..] = stats.lost();
    let said = said.lock().unwrap().clone();
    (stats.exported(), rejected, said)
}

#[test]
fn redirects_are_not_followed() {
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let (elsewhere, requests) = server(answer("200 OK", ""));
        let head = format!("{status}\r\nLocation: {elsewhere}/login?token=s3cret");
        let (endpoint, _) = server(answer(&head, ""));
        let (exported, rejected, said) = fate(&endpoint);
        assert_eq!((exported, rejected), (0, 30), "{status}: {said:?}");
        assert_eq!(requests.load(Ordering::Relaxed), 0, "{status}");
        let host = elsewhere.trim_start_matches("http://");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(&format!("a redirect to {host}, ")), "{said:?}");
        assert!(!said[0].contains("s3cret"), "{said:?}");
    }
}

#[test]
fn what_is_no_otlp_endpoint_takes_nothing() {
    for (media_type, body) in [
        ("text/html; charset=utf-8", "<html>Welcome</html>"),
        ("application/x-protobuf", "<html>Welcome</html>"),
        ("application/json", "Welcome"),
    ] {
        let (endpoint, _) = server(answer(&format!("200 OK\r\nContent-Type: {media_type}"), body));
        let (exported, rejected, said) = fate(&endpoint);
        assert_eq!((exported, rejected), (0, 30), "{media_type}: {said:?}");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("not an OTLP endpoint"), "{said:?}");
    }
}

#[test]
fn short_answers_of_back_ends_are_enough() {
    for (head, body) in [
        ("200 OK", ""),
        ("202 Accepted", ""),
        ("200 OK\r\nContent-Type: application/json", "{}"),
        ("200 OK\r\nContent-Type: text/plain", ""),
        ("200 OK\r\nContent-Type: application/x-protobuf", ""),
    ] {
        let (endpoint, _) = server(answer(head, body));
        assert_eq!(fate(&endpoint), (30, 0, Vec::new()), "{head}");
    }
    let (endpoint, _) = server("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".into());
    assert_eq!(fate(&endpoint), (30, 0, Vec::new()), "204");
}
