//! Which versions of the known libraries the tests trace: the oldest and the newest of each module, as the
//! `go.mod` files below `apps/` and the registry of `instruments` name them. Others may be laid out in another way; the plan finds out what
//! it can. Not here: what is traced of a library.

use semver::Version;

/// Module with its major version, oldest and newest version that is tested.
fn tested() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    instruments::libraries().flat_map(|library| library.tested).copied()
}

/// Whether a version of a module lies between those that are tested.
pub(super) fn is_tested(module: &str, version: &str) -> bool {
    let range = tested().find(|(known, ..)| *known == module);
    let parsed = |text: &str| Version::parse(text.trim_start_matches('v')).ok();
    let known = range.and_then(|(_, oldest, newest)| Some((parsed(oldest)?, parsed(newest)?)));
    match (known, parsed(version)) {
        (Some((oldest, newest)), Some(version)) => (oldest..=newest).contains(&version),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn versions_between_the_oldest_and_the_newest_are_tested() {
        for (module, version, expected) in [
            ("google.golang.org/grpc", "v1.33.3", true),
            ("google.golang.org/grpc", "v1.33.2", false),
            ("google.golang.org/grpc", "v1.9.0", false),
            ("google.golang.org/grpc", "v1.60.0-dev", true),
            ("google.golang.org/grpc", "v1.85.1", false),
            ("golang.org/x/net", "v0.0.0-20190311183353-d8887717615a", false),
            ("golang.org/x/net", "v0.0.0-20210405180319-a5a99cb37ef4", true),
            ("github.com/jackc/pgx/v3", "v3.6.2+incompatible", false),
            ("github.com/jackc/pgx/v5", "v5.5.0+incompatible", true),
            ("github.com/lib/pq", "(devel)", false),
            ("github.com/lib/pq", "", false),
        ] {
            assert_eq!(is_tested(module, version), expected, "{module} {version}");
        }
    }

    /// All `go.mod` files of programs, by whatever name.
    fn lists(folder: &Path, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                lists(&path, out);
            } else if name.starts_with("go.") && name.ends_with("mod") {
                out.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn the_table_says_what_the_programs_of_the_tests_are_built_with() {
        let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps");
        let mut files = Vec::new();
        lists(&apps, &mut files);
        let mut found: BTreeMap<&str, Vec<Version>> = BTreeMap::new();
        for line in files.iter().flat_map(|file| file.lines()) {
            // What only comes along with another library is not looked at.
            let line = line.trim().trim_start_matches("require ");
            let Some((module, version)) = line.split_once(" v") else { continue };
            if crate::libraries::seen(module).is_some_and(|seen| seen != instruments::Seen::Not)
                && !version.contains("//")
            {
                found.entry(module).or_default().push(Version::parse(version).unwrap());
            }
        }
        let found: BTreeMap<&str, (String, String)> = found
            .into_iter()
            .map(|(module, mut versions)| {
                versions.sort();
                let end = |version: Option<&Version>| version.unwrap().to_string();
                (module, (end(versions.first()), end(versions.last())))
            })
            .collect();
        let table = tested()
            .map(|(module, oldest, newest)| (module, (oldest.to_owned(), newest.to_owned())));
        assert_eq!(table.collect::<BTreeMap<_, _>>(), found);
    }
}
