//! Addresses of runtime globals against the symbol table.

use anyhow::{Context, Result};
use gobin::Global;
use gotap_testkit::go::Mode;

use crate::fixture::{Differences, Fixture, each, stripped_beside_plain};
use crate::symbols::{Symbols, place};

#[test]
fn globals_are_where_the_symbols_say() {
    for app in ["oracle", "httpapp"] {
        each(app, |_, mode| mode != Mode::Stripped, compare_with_symbols);
    }
}

fn compare_with_symbols(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let symbols = Symbols::read(&fixture.data)?;
    let mut differences = Differences::default();
    for global in Global::ALL {
        let truth = address(&symbols, global);
        let truth = truth.with_context(|| format!("no symbol {}", global.symbol()))?;
        differences.compare(global.symbol(), binary.global(global), Some(truth));
    }
    differences.finish()
}

fn address(symbols: &Symbols, global: Global) -> Option<u64> {
    let older = || symbols.address("runtime.mProf").filter(|_| global == Global::MProfCycle);
    symbols.address(global.symbol()).or_else(older)
}

/// The variable that a server without a handler takes: its patterns lead to other routers.
#[test]
fn the_default_mux_is_where_the_symbols_say() {
    each(
        "httpapp",
        |_, mode| mode != Mode::Stripped,
        |fixture| {
            let binary = fixture.parse()?;
            let symbols = Symbols::read(&fixture.data)?;
            let found = binary.first_reference("net/http.serverHandler.ServeHTTP");
            let truth = symbols.address("net/http.DefaultServeMux").context("no symbol")?;
            let mut differences = Differences::default();
            differences.compare("net/http.DefaultServeMux", found, Some(truth));
            differences.finish()
        },
    );
}

/// What a server's connection asks of each panic of a handler.
#[test]
fn the_panic_of_those_who_give_up_is_found() {
    each(
        "httpapp",
        |_, mode| mode != Mode::Stripped,
        |fixture| {
            let binary = fixture.parse()?;
            let symbols = Symbols::read(&fixture.data)?;
            let found = binary.first_interface("net/http.(*conn).serve.func1");
            let truth = symbols.address("net/http.ErrAbortHandler").context("no symbol")?;
            let mut differences = Differences::default();
            differences.compare("net/http.ErrAbortHandler", found, Some(truth));
            differences.finish()
        },
    );
}

/// How far a section's content can shift, as a path in it becomes shorter.
const SHIFT: u64 = 64;

/// A stripped build has no symbols to compare with, and its sections start elsewhere. But they
/// hold the same things in the same order.
#[test]
fn stripping_keeps_globals_in_their_place() {
    for app in ["oracle", "httpapp"] {
        each(app, stripped_beside_plain, compare_with_plain);
    }
}

fn compare_with_plain(fixture: &Fixture) -> Result<()> {
    let plain = fixture.sibling(Mode::Plain)?;
    let symbols = Symbols::read(&plain.data)?;
    let binary = fixture.parse()?;
    let mut differences = Differences::default();
    let mut pairs = Vec::new();
    for global in Global::ALL {
        let name = global.symbol();
        let got = binary.global(global).with_context(|| format!("{name} was not found"))?;
        let want = address(&symbols, global).with_context(|| format!("no symbol {name}"))?;
        pairs.push((want, got, name));
        let (section, offset) = place(&fixture.data, got)?;
        let (wanted_section, wanted_offset) = place(&plain.data, want)?;
        if section != wanted_section || offset.abs_diff(wanted_offset) > SHIFT {
            differences.add(format!(
                "{name}: {section}+{offset:#x}, plain {wanted_section}+{wanted_offset:#x}"
            ));
        }
    }
    pairs.sort_unstable();
    for pair in pairs.windows(2).filter(|pair| pair[0].1 >= pair[1].1) {
        differences.add(format!("{} is not before {}", pair[0].2, pair[1].2));
    }
    differences.finish()
}
