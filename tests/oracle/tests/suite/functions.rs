//! The function table against the symbol table.

use anyhow::{Context, Result, ensure};
use gobin::Function;
use gotap_testkit::go::Mode;

use crate::fixture::{Differences, Fixture, all, each, stripped_beside_plain};
use crate::symbols::{Symbols, normal};

/// Functions that gotap probes or decodes and that every httpapp has.
const TARGETS: [&str; 11] = [
    "net/http.serverHandler.ServeHTTP",
    "net/http.(*response).finishRequest",
    "net/http.(*conn).close",
    "net/http.(*Transport).roundTrip",
    "net/http.(*Transport).getConn",
    "net/http.(*persistConn).roundTrip",
    "runtime.newproc1",
    "runtime.selectnbrecv",
    "runtime.GOMAXPROCS",
    "runtime.forEachGRace",
    "runtime.gcMarkTinyAllocs",
];

#[test]
fn every_function_has_its_symbol_and_every_symbol_its_function() {
    for app in ["oracle", "httpapp"] {
        each(app, |_, mode| mode != Mode::Stripped, compare_with_symbols);
    }
}

fn compare_with_symbols(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let symbols = Symbols::read(&fixture.data)?;
    let mut differences = Differences::default();
    let mut compared = 0;
    for function in binary.functions().functions() {
        compared += 1;
        let Some(names) = symbols.functions.get(&function.entry) else {
            differences.add(format!("{} at {:#x} has no symbol", function.name, function.entry));
            continue;
        };
        if !names.iter().any(|name| normal(name) == normal(function.name)) {
            differences.add(format!("{} is {names:?}", function.name));
        }
    }
    ensure!(compared == binary.functions().len(), "some records are unreadable");
    let module = binary.module();
    for (address, names) in &symbols.functions {
        let is_go = (module.text..module.etext).contains(address);
        let function = binary.functions().lookup(*address);
        if is_go && function.is_none_or(|f| f.entry != *address) {
            differences.add(format!("{names:?} at {address:#x} is no function"));
        }
    }
    differences.finish()
}

#[test]
fn functions_are_in_order_and_found_by_name_and_by_address() {
    each("httpapp", all, |fixture| {
        let binary = fixture.parse()?;
        let functions: Vec<Function<'_>> = binary.functions().functions().collect();
        ensure!(functions.len() > 4000, "only {} functions", functions.len());
        let (first, last) = (functions[0], functions[functions.len() - 1]);
        let module = binary.module();
        ensure!(first.entry >= module.text && last.end <= module.etext, "outside of the text");
        for pair in functions.windows(2) {
            ensure!(pair[0].end <= pair[1].entry, "{} overlaps {}", pair[0].name, pair[1].name);
        }
        for function in &functions {
            let found = binary.functions().lookup(function.end - 1);
            ensure!(found == Some(*function), "{} is not found by address", function.name);
            let named = binary.function(function.name).context("no such name")?;
            ensure!(named.name == function.name, "{} is not found by name", function.name);
        }
        Ok(())
    });
}

#[test]
fn what_is_probed_is_there() {
    each("httpapp", all, |fixture| {
        let binary = fixture.parse()?;
        let missing: Vec<_> =
            TARGETS.into_iter().filter(|name| binary.function(name).is_none()).collect();
        ensure!(missing.is_empty(), "missing {missing:?}");
        Ok(())
    });
}

#[test]
fn stripping_changes_no_function() {
    each("oracle", stripped_beside_plain, |fixture| {
        let plain = fixture.sibling(Mode::Plain)?;
        let (stripped, plain) = (fixture.parse()?, plain.parse()?);
        let names = |binary: &gobin::Binary<'_>| -> Vec<(String, u64)> {
            let functions = binary.functions().functions();
            functions.map(|f| (f.name.to_owned(), f.entry)).collect()
        };
        let (stripped, plain) = (names(&stripped), names(&plain));
        ensure!(stripped.len() == plain.len(), "{} and {}", stripped.len(), plain.len());
        let mut differences = Differences::default();
        for (got, want) in stripped.into_iter().zip(plain) {
            differences.compare("function", got, want);
        }
        differences.finish()
    });
}
