//! How `http.ServeMux` chooses a pattern, as it did until Go 1.21.

/// What `(*ServeMux).Handler` of Go 1.21 and older chooses: the host's patterns before others, the
/// exact one before the longest that ends in a slash.
pub(super) fn matching<'p>(
    patterns: impl Iterator<Item = &'p str> + Clone,
    host: &str,
    path: &str,
) -> Option<&'p str> {
    let with_host = format!("{host}{path}");
    let exact = |wanted: &str| patterns.clone().find(|p| *p == wanted);
    // A path that lacks only the last slash is redirected by the pattern that has it.
    if exact(path).is_none() && exact(&with_host).is_none() && !path.ends_with('/') {
        let redirect = exact(&format!("{path}/")).or_else(|| exact(&format!("{with_host}/")));
        if redirect.is_some() {
            return redirect;
        }
    }
    let longest = |wanted: &str| {
        let prefixes = patterns.clone().filter(|p| p.ends_with('/') && wanted.starts_with(*p));
        exact(wanted).or_else(|| prefixes.max_by_key(|p| p.len()))
    };
    longest(&with_host).or_else(|| longest(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_chosen_as_net_http_chooses() {
        let patterns = ["/", "/a", "/a/", "/a/b/", "/tree/", "example.com/a/"];
        let chosen = |host, path| matching(patterns.into_iter(), host, path);
        assert_eq!(chosen("h", "/a"), Some("/a"));
        assert_eq!(chosen("h", "/a/x"), Some("/a/"));
        assert_eq!(chosen("h", "/a/b/c"), Some("/a/b/"));
        assert_eq!(chosen("h", "/ab"), Some("/"));
        assert_eq!(chosen("h", "/tree"), Some("/tree/"));
        assert_eq!(chosen("example.com", "/a/b/c"), Some("example.com/a/"));
        assert_eq!(matching(["/a"].into_iter(), "h", "/none"), None);
    }
}
