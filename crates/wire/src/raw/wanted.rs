//! Which headers of served requests the programs tell.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Names that may be asked for.
const NAMES: usize = 8;
/// Bytes of a name: a word is read by a length of five bits.
const LONGEST: usize = 31;

/// Why a name can't be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderNameError {
    /// It is none, by RFC 9110.
    #[error("{0:?} is no name of a header")]
    Invalid(String),
    /// Longer ones are not compared.
    #[error("{0:?} is longer than {LONGEST} characters")]
    Long(String),
    /// Its attribute would be there twice.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// There is room for a few.
    #[error("there can be {NAMES} headers at most")]
    Many,
}

/// The name of a header (`struct gt_wanted_name`), as its bytes are compared.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct WantedName {
    /// Bytes of the name.
    pub len: u64,
    /// The name with the bit set that tells upper from lower case, and spaces behind it.
    pub text: [u64; 4],
}

/// The user's choice (`struct gt_wanted`).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Wanted {
    /// How many there are.
    pub count: u32,
    /// Zero.
    pub pad: u32,
    /// The names.
    pub names: [WantedName; 8],
}

impl Wanted {
    /// Those with these names, in any case.
    ///
    /// # Errors
    /// [`HeaderNameError`] for what is no name, and for more than there is room for.
    pub fn new(names: &[String]) -> Result<Self, HeaderNameError> {
        let mut wanted = Self::default();
        for (at, name) in names.iter().enumerate() {
            let new = WantedName::new(name)?;
            if wanted.names[..at.min(NAMES)].contains(&new) {
                return Err(HeaderNameError::Twice(name.clone()));
            }
            *wanted.names.get_mut(at).ok_or(HeaderNameError::Many)? = new;
            wanted.count += 1;
        }
        Ok(wanted)
    }
}

impl WantedName {
    fn new(name: &str) -> Result<Self, HeaderNameError> {
        let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(HeaderNameError::Invalid(name.to_owned()));
        }
        if name.len() > LONGEST {
            return Err(HeaderNameError::Long(name.to_owned()));
        }
        let mut bytes = [b' '; 32];
        bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from | 0x20);
        let mut text = [0; 4];
        for (word, chunk) in text.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Ok(Self { len: name.len() as u64, text })
    }
}

const _: () = assert!(size_of::<WantedName>() == 40);
const _: () = assert!(size_of::<Wanted>() == 328);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case_with_spaces_behind() {
        let wanted = Wanted::new(&["X-Request-ID".to_owned()]).unwrap();
        assert_eq!((wanted.count, wanted.names[0].len), (1, 12));
        let bytes: Vec<u8> = wanted.names[0].text.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(bytes, *b"x-request-id                    ");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let new = |names: &[&str]| {
            Wanted::new(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).err()
        };
        assert_eq!(new(&["a:b"]), Some(HeaderNameError::Invalid("a:b".to_owned())));
        assert_eq!(new(&[""]), Some(HeaderNameError::Invalid(String::new())));
        assert_eq!(new(&["x".repeat(32).as_str()]), Some(HeaderNameError::Long("x".repeat(32))));
        assert_eq!(new(&["x".repeat(31).as_str()]), None);
        assert_eq!(new(&["a", "b", "A"]), Some(HeaderNameError::Twice("A".to_owned())));
        let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        assert_eq!((new(&nine), new(&nine[..8])), (Some(HeaderNameError::Many), None));
    }
}
