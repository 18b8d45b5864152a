//! The table of libraries in `docs/libraries.md`, which this test makes of the registry and compares.
//! `GOTAP_WRITE_DOCS=1` writes it instead.

use std::path::Path;

use instruments::{Ability, KnownLibrary, Seen, Traced, libraries, traced};

const BEGIN: &str = "<!-- libraries:begin -->\n";
const END: &str = "<!-- libraries:end -->";

/// Which sides are traced.
fn sides(traced: &Traced, library: Option<&KnownLibrary>) -> &'static str {
    let abilities = match library.map(|library| library.seen) {
        Some(Seen::As(abilities)) => abilities,
        _ => traced.abilities,
    };
    let is_server = |ability: &Ability| ability.label().ends_with("-server");
    let served = abilities.iter().any(is_server);
    match (served, abilities.iter().all(is_server)) {
        (true, true) => "server",
        (true, false) => "server, client",
        (false, _) => "client",
    }
}

fn table() -> String {
    let mut out = String::from(
        "| module | traced | versions that are tested | in `gotap ps` | shown by |\n|---|---|---|---|---|\n",
    );
    for traced in traced() {
        let mut row = |module: &str, sides: &str, versions: &str| {
            let (word, verb) = (traced.word, traced.verb.name);
            out.push_str(&format!(
                "| `{module}` | {sides} | {versions} | `{word}` | `gotap trace {verb}` |\n"
            ));
        };
        if let Some(package) = traced.standard {
            row(package, sides(traced, None), "Go's own");
        }
        for library in traced.libraries {
            for (module, oldest, newest) in library.tested {
                let versions = if oldest == newest {
                    (*oldest).into()
                } else {
                    format!("{oldest} to {newest}")
                };
                row(module, sides(traced, Some(library)), &versions);
            }
        }
    }
    for library in libraries().filter(|library| library.seen == Seen::Not) {
        out.push_str(&format!("| `{}` | not traced | | | |\n", library.module));
    }
    out
}

#[test]
fn the_table_of_libraries_is_that_of_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/libraries.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a mark where the table begins");
    let (written, after) = rest.split_once(END).expect("a mark where it ends");
    let table = table();
    if std::env::var_os("GOTAP_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "run the tests with GOTAP_WRITE_DOCS=1");
    }
}
