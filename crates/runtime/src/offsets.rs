//! Offsets in structures of the runtime that no type descriptor describes, as they are only ever
//! variables: a table by Go version in `offsets.tsv`, which the oracle tests write from DWARF and
//! compare with it (`scripts/offsets.sh`).

/// The table: a heading with minor versions, then a line for each field.
const TABLE: &str = include_str!("offsets.tsv");

/// The offsets of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offsets {
    column: Option<usize>,
}

impl Offsets {
    /// Those of a minor version; of one that is newer than the table, those of the newest.
    pub(crate) fn of(minor: u16) -> Self {
        let known = TABLE.lines().next().unwrap_or_default().split('\t').skip(1);
        let known = known.filter_map(|text| text.parse::<u16>().ok());
        let fits = |(_, version): &(usize, u16)| *version <= minor;
        Self { column: known.enumerate().filter(fits).last().map(|(column, _)| column) }
    }

    /// The offset of a field, such as `schedt.ngsys`; `None` where that version has none.
    pub(crate) fn get(self, field: &str) -> Option<u64> {
        let row = TABLE.lines().skip(1).find_map(|line| {
            let (name, rest) = line.split_once('\t')?;
            (name == field).then_some(rest)
        })?;
        row.split('\t').nth(self.column?)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_version_has_the_newest_offsets() {
        let at = |minor| Offsets::of(minor).get("schedt.ngsys");
        assert_eq!(at(99), at(27));
        assert!(at(27).is_some() && at(18).is_some());
        assert_ne!(at(24), at(25));
        assert_eq!(Offsets::of(17).get("schedt.ngsys"), None);
    }

    #[test]
    fn what_a_version_lacks_is_missing() {
        assert_eq!(Offsets::of(21).get("schedt.stwTotalTimeGC"), None);
        assert!(Offsets::of(22).get("schedt.stwTotalTimeGC").is_some());
        assert_eq!(Offsets::of(22).get("schedt.noSuchField"), None);
    }
}
