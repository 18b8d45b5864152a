//! Names of remote procedures among a binary's constants: `/package.Service/Method`, as the generated
//! code of gRPC and Connect has them.
//!
//! The constants stand one behind the other without a sign of where each ends, so that a name that is
//! found may go on into the next constant: who asks whether a name is known looks for one that
//! starts with it. So with other constants that are asked for. Not here: which of them are served or called.

use std::collections::BTreeSet;

use memchr::memchr_iter;

use crate::elf::Image;

/// Names that are kept; what is longer than [`MAX_NAME`] is none.
const MAX_NAMES: usize = 65_536;
const MAX_NAME: usize = 256;

/// Whether these bytes are among the constants.
pub(crate) fn has_constant(image: &Image<'_>, text: &[u8]) -> bool {
    let data = image.section(".rodata").map_or(&[][..], |section| section.data);
    memchr::memmem::find(data, text).is_some()
}

pub(crate) fn find(image: &Image<'_>) -> BTreeSet<String> {
    let data = image.section(".rodata").map_or(&[][..], |section| section.data);
    let mut out = BTreeSet::new();
    for at in memchr_iter(b'/', data) {
        if let Some(name) = data.get(at..).and_then(name)
            && out.len() < MAX_NAMES
        {
            out.insert(name.to_owned());
        }
    }
    out
}

/// The name that `text` starts with: of a package, a dot, a service, and a method.
fn name(text: &[u8]) -> Option<&str> {
    let text = text.get(..MAX_NAME.min(text.len()))?;
    let length = |text: &[u8]| text.iter().take_while(|&&byte| is_in_name(byte)).count();
    let service = text.get(1..)?;
    let service = service.get(..length(service))?;
    let parts = || service.split(|&byte| byte == b'.');
    if parts().count() < 2 || !parts().all(starts_a_name) {
        return None;
    }
    let method = text.get(service.len() + 1..)?.strip_prefix(b"/")?;
    let end = method.iter().take_while(|&&byte| is_in_name(byte) && byte != b'.').count();
    starts_a_name(method.get(..end)?).then_some(())?;
    std::str::from_utf8(text.get(..service.len() + 2 + end)?).ok()
}

fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
}

fn starts_a_name(part: &[u8]) -> bool {
    part.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_package_a_service_and_a_method() {
        let found = |text: &str| name(text.as_bytes()).map(str::to_owned);
        let whole = |text: &str| Some(text.to_owned());
        assert_eq!(found("/a.b_1.Shop/Buy"), whole("/a.b_1.Shop/Buy"));
        assert_eq!(found("/a.Shop/Buy/x.y/"), whole("/a.Shop/Buy"));
        assert_eq!(found("/a.Shop/Buy.more"), whole("/a.Shop/Buy"));
        for other in
            ["/Shop/Buy", "/a.Shop/", "/a.Shop", "/1.0/x", "/a..b/x", "//a.b/c", "/a.b/1", ""]
        {
            assert_eq!(found(other), None, "{other}");
        }
        assert_eq!(found(&format!("/a.b/{}", "x".repeat(1000))).map(|n| n.len()), Some(MAX_NAME));
    }
}
