//! The answers as HTTP statuses, a connection each.

#![expect(clippy::unwrap_used, reason = "a fake that fails shall fail its test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::{Answer, STALL, Script, response};

pub fn serve(listener: &TcpListener, script: &Arc<Script>) {
    for stream in listener.incoming() {
        let script = script.clone();
        std::thread::spawn(move || answer(stream.unwrap(), &script));
    }
}

fn answer(mut stream: TcpStream, script: &Script) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut has_spans) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        has_spans |= line.contains("/v1/traces");
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    // All metrics are taken.
    let answer = match has_spans {
        true => script.next(&ExportTraceServiceRequest::decode(&body[..]).unwrap()),
        false => Answer::Take,
    };
    let (status, header) = match answer {
        Answer::Take | Answer::Partial(_) => ("200 OK", String::new()),
        Answer::BadRequest => ("400 Bad Request", String::new()),
        Answer::Unavailable => ("503 Service Unavailable", String::new()),
        Answer::TooMany(None) => ("429 Too Many Requests", String::new()),
        Answer::TooMany(Some(after)) => {
            ("429 Too Many Requests", format!("Retry-After: {after}\r\n"))
        }
        Answer::Stall => {
            std::thread::sleep(STALL);
            return;
        }
    };
    let body = response(answer).encode_to_vec();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{header}Content-Type: application/x-protobuf\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // A client that gave up is gone.
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}
