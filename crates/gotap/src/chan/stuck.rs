//! Whether nothing of the program itself can go on: all that runs its code waits for locks, or to send.
//!
//! Goroutines that are in the standard library alone, such as those that wait for requests or signals, run none of
//! it. Whoever waits to receive is no part of this: a timer or a request may wake it. The program's own modules, as its
//! build information has them, are not the standard library, whatever they are called.

use goruntime::{Goroutine, Position, StackState};

use super::View;
use super::hints::LONG;

/// First elements of the standard library's import paths.
const STANDARD: &[&str] = &[
    "archive",
    "arena",
    "bufio",
    "builtin",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
    "unique",
    "unsafe",
    "vendor",
    "weak",
];

/// The import path of a function's package. In symbols a dot in its last element is written `%2e`.
fn package(function: &str) -> String {
    let name = function.split('[').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |at| at + 1);
    let end = name[last..].find('.').map_or(name.len(), |at| last + at);
    name[..end].replace("%2e", ".")
}

/// Whether a function is of the standard library, in a program that is made of these modules.
fn is_standard(function: &str, modules: &[&str]) -> bool {
    let package = package(function);
    let is_in = |module: &&str| {
        package.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let first = package.split('/').next().unwrap_or_default();
    STANDARD.contains(&first) && !modules.iter().any(is_in)
}

/// Whether a stack has code of the program, or of modules that it uses. The main function alone does not count
/// where the standard library is called from it, or where it waits: for the end of a server, or a signal.
fn runs_program(goid: u64, stack: &[Position<'_>], modules: &[&str]) -> bool {
    let is_own = |frame: &&Position<'_>| !is_standard(frame.function, modules);
    stack.iter().filter(is_own).any(|frame| !(goid == 1 && frame.function == "main.main"))
}

impl View<'_, '_> {
    /// Whether all that run code of the program wait for each other.
    pub(super) fn stuck(&self) -> Option<String> {
        if self.snapshot.further_modules {
            // Stacks end at a plugin's functions: what runs there is not known.
            return None;
        }
        let (mut blocked, mut others) = (Vec::<&Goroutine>::new(), 0);
        for goroutine in self.snapshot.goroutines.iter().filter(|g| !g.system) {
            let is_known = matches!(goroutine.stack, StackState::Known(_)) && !goroutine.changed;
            let stack = self.snapshot.stack(goroutine).filter(|_| is_known)?;
            if self.is_blocked(goroutine) {
                blocked.push(goroutine);
            } else if runs_program(goroutine.goid, &self.symbols.stack(stack), &self.modules) {
                return None;
            } else {
                others += 1;
            }
        }
        if blocked.len() < 2 {
            return None;
        }
        let mut places: Vec<String> = blocked.iter().map(|g| self.place(g)).collect();
        places.sort_unstable();
        places.dedup();
        places.truncate(3);
        Some(format!(
            "none that runs code of the program can go on: {} goroutines have waited for locks or to send for at \
             least {} s ({}), and the other {others} are in the standard library or in main.main alone; unless \
             a request, a signal or a timer wakes one, this is a deadlock",
            blocked.len(),
            LONG / 1_000_000_000,
            places.join(", "),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(function: &'static str) -> Position<'static> {
        Position { function, file: "", line: 0, start_line: 0, inlined: false }
    }

    #[test]
    fn the_standard_library_is_known_by_its_import_paths() {
        for function in
            ["net/http.(*Server).Serve", "os/signal.loop", "runtime.gopark", "main.init"]
        {
            assert_eq!(is_standard(function, &["shop"]), function != "main.init", "{function}");
        }
        for function in
            ["golang.org/x/net/http2.f", "shop/net.f", "github.com/a/b.(*T).F", "nets.f"]
        {
            assert!(!is_standard(function, &[]), "{function}");
        }
        assert!(is_standard("slices.SortFunc[go.shape.*github.com/a/b.T]", &["github.com/a/b"]));
    }

    #[test]
    fn a_module_is_the_programs_whatever_it_is_called() {
        let modules = ["image", "github.com/a/b", "log/v2.x"];
        for function in ["image.Load", "image/png.(*decoder).decode", "log/v2%2ex.Print"] {
            assert!(!is_standard(function, &modules) && is_standard(function, &[]), "{function}");
        }
        assert!(is_standard("log.Print", &modules) && is_standard("log/slog.Info", &modules));
        let stack = [at("image/cache.(*Cache).fill"), at("image/cache.Start")];
        assert!(runs_program(9, &stack, &modules) && !runs_program(9, &stack, &[]));
    }

    #[test]
    fn the_main_function_is_no_code_that_runs_where_it_waits() {
        let wait = [at("runtime.gopark"), at("main.main"), at("runtime.main")];
        assert!(!runs_program(1, &wait, &[]));
        assert!(runs_program(7, &wait, &[]));
        assert!(runs_program(1, &[at("main.load"), at("main.main")], &[]));
        let serves = [at("net.(*netFD).accept"), at("net/http.(*Server).Serve")];
        assert!(!runs_program(9, &serves, &[]));
    }
}
