//! Libraries of a program that say what it speaks: which are linked in, in which version, and what
//! is traced of each. Those that are not traced are named, too, so that silence is not taken for
//! idleness. Not here: which libraries are known, and whether a probe could be placed (`instruments`), which is only asked.

#[cfg(test)]
mod table_tests;
mod tested;

use std::collections::BTreeSet;

use gobin::{Binary, Module};
use instruments::{Ability, Plan, Seen};

/// A library that is linked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) module: String,
    /// As it was built: that of its replacement, where it has one. `None` where the program does not say.
    pub(crate) version: Option<String>,
    /// What was linked in its place.
    pub(crate) replaced: Option<String>,
    /// The labels of what is traced of it; none for what is not.
    pub(crate) instruments: Vec<&'static str>,
}

/// The known libraries of a binary, in the order of its build information. Without any, as when it was
/// built outside of modules, its functions tell which there are, and nothing which version.
pub(crate) fn find(binary: &Binary<'_>, plan: &Plan) -> Vec<Library> {
    let info = binary.build_info();
    if info.main.is_none() && info.deps.is_empty() {
        let functions = binary.functions().functions();
        let linked = linked(functions.map(|function| function.name)).into_iter();
        let library = |module: String| {
            let instruments = instruments(binary, plan, &module, seen(&module)?)?;
            Some(Library { module, version: None, replaced: None, instruments })
        };
        return linked.filter_map(library).collect();
    }
    let known = |module: &Module<'_>| {
        let seen = seen(module.path)?;
        Some(Library {
            module: module.path.to_owned(),
            version: Some(module.version.to_owned()),
            replaced: module.replaced.map(str::to_owned),
            instruments: instruments(binary, plan, module.path, seen)?,
        })
    };
    binary.build_info().deps.iter().filter_map(known).collect()
}

/// The known modules, with their major versions, that functions with these names belong to.
fn linked<'a>(functions: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for name in functions {
        let mut modules = instruments::libraries().map(|library| library.module);
        let Some(module) = modules.find(|module| name.starts_with(module)) else { continue };
        let rest = name.get(module.len()..).unwrap_or_default();
        let major = rest.strip_prefix("/v").map(|rest| {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest.get(..digits).unwrap_or_default()
        });
        let path = match major {
            Some(major) if !major.is_empty() => format!("{module}/v{major}"),
            _ => module.to_owned(),
        };
        // Else it is a module whose name only begins like that.
        let after = name.get(path.len()..).unwrap_or_default();
        if after.starts_with(['/', '.']) {
            out.insert(path);
        }
    }
    out
}

fn seen(path: &str) -> Option<Seen> {
    let major = |rest: &str| {
        let number = rest.strip_prefix("/v");
        rest.is_empty() || number.is_some_and(|n| n.parse::<u32>().is_ok())
    };
    let is_it = |module: &str| path.strip_prefix(module).is_some_and(major);
    instruments::libraries().find(|library| is_it(library.module)).map(|library| library.seen)
}

/// What is traced of a library; `None` where what matters of it is not linked in.
fn instruments(
    binary: &Binary<'_>,
    plan: &Plan,
    module: &str,
    seen: Seen,
) -> Option<Vec<&'static str>> {
    let able = |wanted: &[Ability]| {
        let all = plan.abilities.iter().filter(|ability| wanted.contains(ability));
        all.map(|ability| ability.label()).collect()
    };
    let linked = |name: &str| binary.function(&format!("{module}/{name}")).is_some();
    let inside = || plan.sites.iter().any(|site| site.function.starts_with(module));
    match seen {
        Seen::As(abilities) => Some(able(abilities)),
        Seen::Not => Some(Vec::new()),
        Seen::Inside(ability) => Some(if inside() { able(&[ability]) } else { Vec::new() }),
        Seen::Driver(ability, method) => {
            let seen = inside() || linked(method);
            Some(if seen { able(&[ability]) } else { Vec::new() })
        }
        Seen::Within(package) => {
            // Many programs link another package of it, or gRPC's frames, which are gRPC's matter.
            let sides = [
                ("(*serverConn).serve", "server", Ability::Http2Server),
                ("(*Transport).RoundTripOpt", "client", Ability::Http2Client),
            ];
            let prefix = format!("{module}/{package}.");
            let traced = |side: &str| {
                let mut sites = plan.sites.iter();
                sites.any(|s| s.function.starts_with(&prefix) && s.probe.label().contains(side))
            };
            let used = sides.iter().any(|(name, ..)| linked(&format!("{package}.{name}")));
            let all = sides.iter().filter(|(_, side, _)| traced(side));
            used.then(|| all.flat_map(|(.., ability)| able(&[*ability])).collect())
        }
    }
}

impl Library {
    /// For people: `pgx/v5 5.5.0`.
    pub(crate) fn short(&self) -> String {
        let elements: Vec<_> = self.module.split('/').collect();
        let from = match elements.as_slice() {
            ["golang.org", ..] => 1,
            [.., last] if last.strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok()) => {
                elements.len().saturating_sub(2)
            }
            _ => elements.len().saturating_sub(1),
        };
        let name = elements.get(from..).unwrap_or_default().join("/");
        let version = match self.version.as_deref().map(|version| version.trim_start_matches('v')) {
            None => "(version unknown)",
            Some("") => "(replaced)",
            Some(version) => version,
        };
        let note = match self.is_tested() {
            _ if self.instruments.is_empty() => " (not traced)",
            Some(false) => " (untested)",
            _ => "",
        };
        format!("{name} {version}{note}")
    }

    /// Whether the tests trace this version, or older and newer ones; `None` where it is not known.
    pub(crate) fn is_tested(&self) -> Option<bool> {
        let version = self.version.as_deref()?;
        // Somebody else's may differ in any way.
        let replaced = self.replaced.as_ref().is_some_and(|by| *by != self.module);
        Some(!replaced && tested::is_tested(&self.module, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_in_all_major_versions() {
        assert_eq!(seen("github.com/jackc/pgx"), seen("github.com/jackc/pgx/v5"));
        let grpc = &[Ability::GrpcServer, Ability::GrpcClient];
        assert_eq!(seen("google.golang.org/grpc"), Some(Seen::As(grpc)));
        assert_eq!(
            seen("github.com/redis/go-redis/v9"),
            Some(Seen::Inside(Ability::Client("redis")))
        );
        assert_eq!(seen("github.com/IBM/sarama"), Some(Seen::Not));
        assert_eq!(seen("github.com/jackc/pgxpool"), None);
        assert_eq!(seen("google.golang.org/grpc/cmd/protoc-gen-go-grpc"), None);
        assert_eq!(seen("github.com/redis/go-redis/extra/v9"), None);
    }

    #[test]
    fn functions_tell_which_libraries_are_linked_in() {
        let functions = [
            "google.golang.org/grpc.(*Server).Serve",
            "google.golang.org/grpc/internal/status.New",
            "github.com/jackc/pgx/v5/pgconn.Connect",
            "github.com/jackc/pgx.Connect",
            "github.com/jackc/pgxpool.New",
            "github.com/gorilla/muxer.New",
            "github.com/lib/pq/vendored.New",
            "main.main",
        ];
        let found: Vec<_> = linked(functions.into_iter()).into_iter().collect();
        let pgx = ["github.com/jackc/pgx", "github.com/jackc/pgx/v5", "github.com/lib/pq"];
        assert_eq!(found, [&pgx[..], &["google.golang.org/grpc"]].concat());
    }

    #[test]
    fn short_names_are_the_ends_of_paths() {
        let short = |module: &str, version: &str, instruments| {
            let (module, version) = (module.to_owned(), Some(version.to_owned()));
            Library { module, version, replaced: None, instruments }.short()
        };
        assert_eq!(short("google.golang.org/grpc", "v1.58.3", vec!["x"]), "grpc 1.58.3");
        assert_eq!(short("github.com/jackc/pgx/v5", "v5.5.0", vec![]), "pgx/v5 5.5.0 (not traced)");
        assert_eq!(short("golang.org/x/net", "v0.60.0", vec!["x"]), "x/net 0.60.0");
        assert_eq!(short("google.golang.org/grpc", "v1.33.2", vec!["x"]), "grpc 1.33.2 (untested)");
        let pq = |replaced: Option<&str>, version: Option<&str>| Library {
            module: "github.com/lib/pq".to_owned(),
            version: version.map(str::to_owned),
            replaced: replaced.map(str::to_owned),
            instruments: vec!["sql"],
        };
        assert_eq!(pq(Some("./pq"), Some("")).short(), "pq (replaced) (untested)");
        assert_eq!(pq(Some("a.b/pq"), Some("v1.10.9")).short(), "pq 1.10.9 (untested)");
        assert_eq!(pq(Some("github.com/lib/pq"), Some("v1.10.9")).short(), "pq 1.10.9");
        assert_eq!(pq(None, None).short(), "pq (version unknown)");
    }
}
