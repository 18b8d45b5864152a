//! How `http.ServeMux` chooses a pattern: as it did until Go 1.21, and as it does from then on, for
//! requests that do not name theirs since something passed a copy of them on.

use percent_encoding::percent_decode_str;

use super::table::is_clean;

/// What `(*ServeMux).Handler` of Go 1.21 and older chooses: the host's patterns before others, the
/// exact one before the longest that ends in a slash.
pub(super) fn matching<'p>(
    patterns: impl Iterator<Item = &'p str> + Clone,
    host: &str,
    path: &str,
) -> Option<&'p str> {
    if !is_clean(path) {
        return None;
    }
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

/// A pattern `[METHOD ][HOST]/[PATH]` since Go 1.22.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    method: String,
    host: String,
    segments: Vec<Segment>,
}

/// In the order in which alternatives are tried.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// Exactly this, or a last slash.
    Text(String),
    /// Any one.
    One,
    /// All that follows.
    Rest,
}

impl Parsed {
    pub(super) fn of(text: &str) -> Option<Self> {
        let (method, rest) = text.split_once([' ', '\t']).unwrap_or(("", text));
        let rest = rest.trim_start_matches([' ', '\t']);
        let (host, mut rest) = rest.split_at(rest.find('/')?);
        let mut segments = Vec::new();
        while let Some(after) = rest.strip_prefix('/') {
            if after.is_empty() {
                segments.push(Segment::Rest);
                break;
            }
            let end = after.find('/').unwrap_or(after.len());
            let (segment, others) = after.split_at(end);
            let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            segments.push(match name {
                Some("$") => Segment::Text("/".into()),
                Some(name) if name.ends_with("...") => Segment::Rest,
                Some(_) => Segment::One,
                None => Segment::Text(decoded(segment)),
            });
            rest = others;
        }
        Some(Self { method: method.into(), host: host.into(), segments })
    }

    /// Whether a path of such segments takes it.
    fn takes(&self, path: &[String]) -> bool {
        for (i, segment) in self.segments.iter().enumerate() {
            let taken = match (segment, path.get(i)) {
                (Segment::Rest, found) => return found.is_some(),
                (Segment::Text(text), Some(found)) => text == found,
                (Segment::One, Some(found)) => found != "/",
                (_, None) => false,
            };
            if !taken {
                return false;
            }
        }
        path.len() == self.segments.len()
    }
}

/// Which of the patterns a request takes, or is redirected by as it lacks only the last slash. The path
/// is escaped.
pub(super) fn choose(patterns: &[Parsed], method: &str, host: &str, path: &str) -> Option<usize> {
    if method == "CONNECT" || !path.starts_with('/') || !is_clean(path) {
        return None;
    }
    let found = best(patterns, method, host, &segments(path));
    let is_exact = |index: usize, path: &str| {
        let rest = patterns[index].segments.last() == Some(&Segment::Rest);
        !rest || (path.ends_with('/') && segments(path).len() == patterns[index].segments.len())
    };
    if found.is_none_or(|index| !is_exact(index, path)) && !path.ends_with('/') {
        let with_slash = format!("{path}/");
        let other = best(patterns, method, host, &segments(&with_slash));
        if other.is_some_and(|index| is_exact(index, &with_slash)) {
            return other;
        }
    }
    found
}

/// Those of the host come before others, then those of the method, and of these text before `{name}`
/// before the rest, from left to right.
fn best(patterns: &[Parsed], method: &str, host: &str, path: &[String]) -> Option<usize> {
    let taken = patterns.iter().enumerate().filter(|(_, pattern)| pattern.takes(path));
    let ranked = taken.filter_map(|(index, pattern)| {
        let of_method = match pattern.method.as_str() {
            known if known == method => 0,
            "GET" if method == "HEAD" => 1,
            "" => 2,
            _ => return None,
        };
        let of_host = match pattern.host.as_str() {
            "" => 1,
            known if known == host => 0,
            _ => return None,
        };
        Some(((of_host, of_method, kinds(pattern)), index))
    });
    ranked.min().map(|(_, index)| index)
}

fn kinds(pattern: &Parsed) -> Vec<u8> {
    let kind = |segment: &Segment| match segment {
        Segment::Text(_) => 0,
        Segment::One => 1,
        Segment::Rest => 2,
    };
    pattern.segments.iter().map(kind).collect()
}

/// The segments of a path, decoded; a last slash is one.
fn segments(path: &str) -> Vec<String> {
    let mut out: Vec<_> = path.split('/').skip(1).map(decoded).collect();
    if let Some(last) = out.last_mut().filter(|last| last.is_empty()) {
        "/".clone_into(last);
    }
    out
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
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
        assert_eq!(chosen("h", "/a/../ab"), None, "it is redirected");
    }

    #[test]
    fn newer_patterns_are_chosen_as_net_http_chooses() {
        let texts = [
            "GET /users/{id}",
            "/users/new",
            "POST /users/{id}",
            "/files/{path...}",
            "GET example.com/users/{id}",
            "/tree/",
            "/exact/{$}",
            "/",
        ];
        let patterns: Vec<_> = texts.iter().map(|text| Parsed::of(text).unwrap()).collect();
        let chosen = |method, host, path| choose(&patterns, method, host, path).map(|i| texts[i]);
        assert_eq!(chosen("GET", "h", "/users/7"), Some("GET /users/{id}"));
        // Those of the method are tried first.
        assert_eq!(chosen("GET", "h", "/users/new"), Some("GET /users/{id}"));
        assert_eq!(chosen("PUT", "h", "/users/new"), Some("/users/new"));
        assert_eq!(chosen("HEAD", "h", "/users/7"), Some("GET /users/{id}"));
        assert_eq!(chosen("PUT", "h", "/users/7"), Some("/"));
        assert_eq!(chosen("GET", "example.com", "/users/7"), Some("GET example.com/users/{id}"));
        assert_eq!(chosen("GET", "h", "/users/a%2Fb"), Some("GET /users/{id}"));
        assert_eq!(chosen("GET", "h", "/files/a/b"), Some("/files/{path...}"));
        assert_eq!(chosen("GET", "h", "/files/"), Some("/files/{path...}"));
        assert_eq!(chosen("GET", "h", "/exact/"), Some("/exact/{$}"));
        assert_eq!(chosen("GET", "h", "/exact/x"), Some("/"));
        assert_eq!(chosen("GET", "h", "/tree"), Some("/tree/"));
        // What is not clean is redirected.
        assert_eq!(chosen("GET", "h", "/tree/../x"), None);
        assert_eq!(chosen("GET", "h", "/a//b"), None);
        assert_eq!(chosen("GET", "h", "/tree/x"), Some("/tree/"));
        assert_eq!(chosen("GET", "h", "/users/"), Some("/"));
    }
}
