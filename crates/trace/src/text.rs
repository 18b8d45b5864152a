//! Small things that all instruments do with texts.

/// Splits `host[:port]`, also with an IPv6 literal.
pub(crate) fn host_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.is_empty() {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return Some((host, after.strip_prefix(':').and_then(|p| p.parse().ok())));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, port.parse().ok())),
        None => Some((text, None)),
    }
}

/// The text, with an ellipsis where it was cut.
pub(crate) fn marked(text: &str, cut: bool) -> String {
    if cut { format!("{text}…") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split() {
        assert_eq!(host_port("[::1]:80"), Some(("::1", Some(80))));
        assert_eq!(host_port("[::1]"), Some(("::1", None)));
        assert_eq!(host_port("host"), Some(("host", None)));
        assert_eq!(host_port("host:99999"), Some(("host", None)));
        assert_eq!(host_port(""), None);
    }
}
