//! Requests over HTTP, and what an answer must be for what was sent to count as taken.

use std::io::Write;
use std::time::Duration;

use prost::Message;

use super::{Failure, Rejected, Response, rejected, with_credentials};
use crate::endpoint::{checked, masked, without_credentials};
use crate::signal::Paths;
use crate::tls;
use crate::{Compression, Config, Error};

/// `bpf/telemetry.h` knows our requests by it.
const USER_AGENT: &str = concat!("gotap-otlp-exporter/", env!("CARGO_PKG_VERSION"));
/// Characters that are shown of what a server says of itself.
const MAX_SHOWN: usize = 80;

pub(crate) struct Http {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, String)>,
    gzip: bool,
    content_type: &'static str,
    server: &'static str,
}

impl Http {
    pub(super) fn new(config: &Config, paths: Paths, to: &str, exact: bool) -> Result<Self, Error> {
        let url = if exact { to.to_owned() } else { with_path(to, paths.http) };
        let (url, credentials) = checked(&url)?;
        let tls = tls::Files::read(config)?.for_http()?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .user_agent(USER_AGENT)
            .http_status_as_error(false)
            // They would be followed by a GET without the telemetry, and take headers with secrets elsewhere.
            .max_redirects(0)
            .tls_config(tls)
            .build()
            .new_agent();
        let gzip = config.compression == Compression::Gzip;
        let headers = with_credentials(&config.headers, credentials);
        check_headers(&headers)?;
        Ok(Self {
            agent,
            url,
            headers,
            gzip,
            content_type: paths.content_type,
            server: paths.server,
        })
    }

    pub(super) fn send(&self, body: &[u8]) -> Result<Rejected, Failure> {
        let mut request = self.agent.post(&self.url).header("content-type", self.content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = if self.gzip {
            request.header("content-encoding", "gzip").send(&compressed(body)[..])
        } else {
            request.send(body)
        };
        let again = |e: ureq::Error| Failure {
            why: e.to_string().replace(&self.url, &masked(&self.url)),
            retry: Some(None),
            connected: matches!(e, ureq::Error::Timeout(_)),
        };
        let mut answer = answer.map_err(again)?;
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        if (200..300).contains(&status) {
            let media_type = header("content-type").map(media_type);
            let body = answer.body_mut().read_to_vec().ok();
            return taken(media_type.as_deref(), body.as_deref()).map_err(|what| Failure {
                why: format!("HTTP status {status}, but {what}: it is not {}", self.server),
                retry: None,
                connected: true,
            });
        }
        if (300..400).contains(&status) {
            let to = header("location").map(redirected).unwrap_or_default();
            let why = format!("HTTP status {status}, a redirect{to}, which is not followed");
            return Err(Failure { why, retry: None, connected: true });
        }
        let after = header("retry-after").and_then(|after| after.parse().ok());
        let retry = matches!(status, 429 | 502 | 503 | 504);
        Err(Failure {
            why: format!("HTTP status {status}"),
            retry: retry.then(|| after.map(Duration::from_secs)),
            connected: true,
        })
    }
}

/// Whether headers can be sent.
pub(super) fn check_headers(headers: &[(String, String)]) -> Result<(), Error> {
    for (name, value) in headers {
        let valid =
            name.parse::<http::HeaderName>().is_ok() && value.parse::<http::HeaderValue>().is_ok();
        if !valid {
            return Err(Error::Header(name.clone()));
        }
    }
    Ok(())
}

/// The type of a body without its parameters, as it may be shown.
fn media_type(header: &str) -> String {
    let bare = header.split(';').next().unwrap_or_default().trim();
    bare.chars().take(MAX_SHOWN).collect::<String>().to_ascii_lowercase()
}

/// Where a redirect goes, as ` to HOST`: paths and queries may hold secrets.
fn redirected(location: &str) -> String {
    let (location, _) = without_credentials(location);
    let uri = location.parse::<http::Uri>().ok();
    let host = uri.as_ref().and_then(http::Uri::authority).map(|to| to.as_str());
    host.map(|host| format!(" to {}", host.chars().take(MAX_SHOWN).collect::<String>()))
        .unwrap_or_default()
}

/// What an answer with a good status says, or what of it no back end answers. `body` is `None` where it could not be
/// read: what was sent is taken then, and is not sent twice.
///
/// An empty body is a response in which nothing was refused, whatever its type is: some back ends answer so.
fn taken(media_type: Option<&str>, body: Option<&[u8]>) -> Result<Rejected, String> {
    if body.is_some_and(<[u8]>::is_empty) {
        return Ok(Rejected::default());
    }
    match media_type {
        Some(json) if json.ends_with("json") => match body {
            Some(body) => from_json(body).ok_or_else(|| "its JSON is no response".to_owned()),
            None => Ok(Rejected::default()),
        },
        Some(other) if !other.contains("proto") && !other.ends_with("/octet-stream") => {
            Err(format!("the answer is {other}"))
        }
        _ => {
            let response = body.map_or(Ok(Response::default()), Response::decode);
            response.map(rejected).map_err(|_| "the answer can't be decoded".to_owned())
        }
    }
}

/// The response as JSON, by which some back ends answer protobuf, too.
fn from_json(body: &[u8]) -> Option<Rejected> {
    let response: serde_json::Value = serde_json::from_slice(body).ok()?;
    let Some(partial) = response.as_object()?.get("partialSuccess").and_then(|p| p.as_object())
    else {
        return Some(Rejected::default());
    };
    let count = partial.iter().find(|(name, _)| name.starts_with("rejected")).map(|(_, n)| n);
    // Protobuf's JSON has numbers of 64 bits as strings.
    let count = count.and_then(|n| n.as_u64().or_else(|| n.as_str()?.parse().ok())).unwrap_or(0);
    let message = partial.get("errorMessage").and_then(|m| m.as_str()).unwrap_or_default();
    Some((count, message.to_owned()))
}

/// The base URL with the path of a signal. What follows its own path stays behind.
fn with_path(base: &str, path: &str) -> String {
    let end = base.find(['?', '#']).unwrap_or(base.len());
    let (before, after) = base.split_at(end);
    format!("{}{}{after}", before.trim_end_matches('/'), path)
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to a vector does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_signal_comes_before_the_query() {
        assert_eq!(with_path("http://h:1", "/v1/traces"), "http://h:1/v1/traces");
        assert_eq!(with_path("http://h:1/a/", "/v1/traces"), "http://h:1/a/v1/traces");
        assert_eq!(with_path("http://h:1/a?t=1", "/v1/metrics"), "http://h:1/a/v1/metrics?t=1");
    }

    #[test]
    fn answers_of_back_ends_count_as_taken() {
        let none = Rejected::default();
        for media_type in [None, Some("text/plain"), Some("application/x-protobuf")] {
            assert_eq!(taken(media_type, Some(b"")), Ok(none.clone()), "{media_type:?}");
        }
        assert_eq!(taken(Some("application/json"), Some(b"{}")), Ok(none.clone()));
        let partial = br#"{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "why"}}"#;
        assert_eq!(taken(Some("application/json"), Some(partial)), Ok((3, "why".into())));
        let partial = super::super::PartialSuccess { rejected: 2, message: "so".into() };
        let bytes = Response { partial: Some(partial) }.encode_to_vec();
        for media_type in [None, Some("application/x-protobuf"), Some("application/proto")] {
            assert_eq!(taken(media_type, Some(&bytes)), Ok((2, "so".into())), "{media_type:?}");
        }
        // What can't be read any more is not sent twice.
        assert_eq!(taken(Some("application/x-protobuf"), None), Ok(none));
    }

    #[test]
    fn answers_of_others_do_not() {
        for (media_type, body) in [
            (Some("text/html"), Some(&b"<html>"[..])),
            (Some("text/html"), None),
            (Some("application/json"), Some(b"<html>")),
            (Some("application/json"), Some(b"[]")),
            (Some("application/x-protobuf"), Some(b"<html>")),
            (None, Some(b"ok")),
        ] {
            assert!(taken(media_type, body).is_err(), "{media_type:?}");
        }
        assert_eq!(media_type("Text/HTML; charset=utf-8"), "text/html");
    }

    #[test]
    fn redirects_name_the_host_alone() {
        assert_eq!(redirected("https://u:p@other:1/path?token=x"), " to other:1");
        assert_eq!(redirected("/login?token=x"), "");
    }
}
