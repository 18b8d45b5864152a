//! References of images: `registry.example:5000/shop/app:1.4.2@sha256:…`. Not here: whether there is such an
//! image.

/// A reference's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image<'a> {
    pub(crate) name: &'a str,
    pub(crate) tag: Option<&'a str>,
    pub(crate) digest: Option<&'a str>,
}

impl<'a> Image<'a> {
    /// Takes a reference apart.
    pub(crate) fn new(reference: &'a str) -> Self {
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (reference, None),
        };
        // A colon before the last slash is that of a registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Self { name, tag: tag.and_then(some), digest: digest.and_then(some) }
    }

    /// The version of what is in it; `latest` alone is none.
    pub(crate) fn version(&self) -> Option<String> {
        match (self.tag, self.digest) {
            (Some(tag), Some(digest)) => Some(format!("{tag}@{digest}")),
            (None, Some(digest)) => Some(digest.to_owned()),
            (Some("latest"), None) | (None, None) => None,
            (Some(tag), None) => Some(tag.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (reference, name, tag, digest, version) in [
            ("shop", "shop", None, None, None),
            ("shop:1.2", "shop", Some("1.2"), None, Some("1.2")),
            ("shop:latest", "shop", Some("latest"), None, None),
            ("r.example:5000/shop", "r.example:5000/shop", None, None, None),
            ("r.example:5000/a/shop:1", "r.example:5000/a/shop", Some("1"), None, Some("1")),
            ("shop@sha256:ab", "shop", None, Some("sha256:ab"), Some("sha256:ab")),
            ("shop:1@sha256:ab", "shop", Some("1"), Some("sha256:ab"), Some("1@sha256:ab")),
            ("", "", None, None, None),
        ] {
            let image = Image::new(reference);
            assert_eq!(image, Image { name, tag, digest }, "{reference}");
            assert_eq!(image.version().as_deref(), version, "{reference}");
        }
    }
}
