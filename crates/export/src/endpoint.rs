//! Where requests go: the URL, the credentials in it, and how it is shown. Not here: sending.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

use crate::Error;

/// A URL as it may be shown: without user, password and the values of its query.
///
/// Also of what is no URL as much is hidden as may be a secret.
pub fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let query_at = rest.find(['?', '#']).unwrap_or(rest.len());
    let (before, query) = rest.split_at(query_at);
    // A password may hold what ends it in a URL, and then this is no URL.
    let shown = match before.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None if query.contains('@') => "***".to_owned(),
        None => before.to_owned(),
    };
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{shown}{}", masked_query(query))
}

/// `?key=***&other=***`.
fn masked_query(query: &str) -> String {
    let Some(first) = query.chars().next() else { return String::new() };
    let rest = query.get(first.len_utf8()..).unwrap_or_default();
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, _)) => format!("{key}=***"),
        None => "***".to_owned(),
    };
    let pairs: Vec<_> = rest.split('&').filter(|p| !p.is_empty()).map(pair).collect();
    format!("{first}{}", pairs.join("&"))
}

/// The URL without its user and password, and the value of `Authorization` that they stand for:
/// neither of the two clients sends them.
pub(crate) fn without_credentials(url: &str) -> (String, Option<String>) {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = authority.rsplit_once('@')?;
        Some((format!("{scheme}://{host}{path}"), user))
    });
    let Some((bare, user)) = parts else { return (url.to_owned(), None) };
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let pair = [decoded(name), b":".to_vec(), decoded(password)].concat();
    (bare, Some(format!("Basic {}", BASE64_STANDARD.encode(pair))))
}

/// The same, of a URL that requests can go to.
///
/// # Errors
/// [`Error`] for one that they can't.
pub(crate) fn checked(url: &str) -> Result<(String, Option<String>), Error> {
    let (bare, credentials) = without_credentials(url);
    let uri: http::Uri = bare.parse().map_err(|_| Error::Endpoint(url.to_owned()))?;
    let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
        return Err(Error::Endpoint(url.to_owned()));
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Error::Endpoint(url.to_owned()));
    }
    // The parser takes any number, and gRPC would go to another port then.
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    let is_port = port.strip_prefix(':').is_none_or(|n| n.parse::<u16>().is_ok_and(|n| n > 0));
    if !is_port {
        return Err(Error::Port(url.to_owned()));
    }
    Ok((bare, credentials))
}

/// The scheme, the host and the port of a URL: what is alike for all that goes to one server.
pub(crate) fn origin(url: &str) -> String {
    let (bare, _) = without_credentials(url);
    match bare.parse::<http::Uri>().map(http::Uri::into_parts) {
        Ok(http::uri::Parts { scheme: Some(scheme), authority: Some(authority), .. }) => {
            let usual = if scheme.as_str() == "https" { 443 } else { 80 };
            let port = authority.port_u16().unwrap_or(usual);
            format!("{scheme}://{}:{port}", authority.host().to_ascii_lowercase())
        }
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_address_alone() {
        assert_eq!(origin("http://a:b@Host:4318/v1/traces?x=1"), "http://host:4318");
        assert_eq!(origin("https://host/v1"), origin("https://host:443"));
        assert_ne!(origin("http://host"), origin("https://host"));
    }

    #[test]
    fn what_is_no_url_of_a_host_is_refused() {
        for url in ["http://h", "https://h:4317/p?q", "http://u:p@[::1]:4317", "http://u:p@h:1"] {
            assert!(checked(url).is_ok(), "{url}");
        }
        for url in ["ftp://x", "http://", "http://:4317", "http://a b:4317", "x", "/p"] {
            assert!(matches!(checked(url), Err(Error::Endpoint(_))), "{url}");
        }
        for url in ["http://h:99999", "http://h:0", "http://h:", "http://[::1]:70000/p"] {
            assert!(matches!(checked(url), Err(Error::Port(_))), "{url}");
        }
    }

    #[test]
    fn secrets_are_masked() {
        for (url, shown) in [
            ("http://localhost:4317", "http://localhost:4317"),
            ("https://a/v1/traces", "https://a/v1/traces"),
            ("http://user:password@127.0.0.1:4317", "http://***@127.0.0.1:4317"),
            ("http://token@host/p", "http://***@host/p"),
            ("https://h/v1?token=abc&x=y", "https://h/v1?token=***&x=***"),
            ("https://h/v1?abc", "https://h/v1?***"),
            ("user:password@host:1", "***@host:1"),
            ("http://user:pa/ss@host", "http://***@host"),
            ("http://user:pa?s s@host", "http://***?***"),
            ("http://user:pa#s s@host", "http://***#***"),
        ] {
            assert_eq!(masked(url), shown, "{url}");
        }
    }

    #[test]
    fn credentials_become_a_header() {
        let (url, header) = without_credentials("http://us%40er:pass@host:1/p?q=1");
        assert_eq!(url, "http://host:1/p?q=1");
        assert_eq!(header.as_deref(), Some("Basic dXNAZXI6cGFzcw=="));
        let plain = "http://host:1/p@q";
        assert_eq!(without_credentials(plain), (plain.to_owned(), None));
    }
}
