//! Instructions that probes stand on: cheap for the kernel, and found in every build.

use anyhow::{Context, Result, ensure};
use gobin::{Arch, Binary, Function, Place, Site, SiteKind};
use gotap_testkit::go::Mode;

use crate::fixture::{Differences, Fixture, all, each};
use crate::symbols::Symbols;

/// What is probed at its entry.
const ENTRIES: [&str; 4] = [
    "net/http.serverHandler.ServeHTTP",
    "net/http.(*response).finishRequest",
    "net/http.(*conn).close",
    "net/http.(*Transport).roundTrip",
];
const ROUND_TRIP: &str = "net/http.(*Transport).roundTrip";

fn function<'d>(binary: &Binary<'d>, name: &str) -> Result<Function<'d>> {
    binary.function(name).with_context(|| format!("no function {name}"))
}

/// A site must lie in its function, and its file offset hold the same byte as its address.
fn check_place(binary: &Binary<'_>, function: &Function<'_>, site: &Site) -> Result<()> {
    ensure!(
        (function.entry..function.end).contains(&site.vaddr)
            && site.vaddr == function.entry + site.delta,
        "{site:x?} is not in {function:x?}"
    );
    let by_address = binary.image().bytes(site.vaddr, 4).context("no code")?;
    let offset = usize::try_from(site.file_offset)?;
    ensure!(&binary.image().file()[offset..offset + 4] == by_address, "wrong offset in {site:x?}");
    let first = by_address[0];
    let plausible = match (binary.image().arch(), site.kind) {
        (Arch::Amd64, SiteKind::Push) => (0x50..=0x57).contains(&first),
        (Arch::Amd64, SiteKind::Branch | SiteKind::StackCheck) => {
            (0x70..=0x7f).contains(&first) || first == 0x0f
        }
        (Arch::Arm64, _) => site.vaddr.is_multiple_of(4),
        _ => true,
    };
    ensure!(plausible, "{site:x?} is on {by_address:x?}");
    Ok(())
}

#[test]
fn entries_are_emulated() {
    each("httpapp", all, |fixture| {
        let binary = fixture.parse()?;
        let expected = match fixture.mode {
            Mode::Arm64 => SiteKind::StackCheck,
            _ if fixture.version.minor >= 21 => SiteKind::Push,
            _ => SiteKind::StackCheck,
        };
        let mut differences = Differences::default();
        for name in ENTRIES {
            let function = function(&binary, name)?;
            let site = binary.entry_site(&function).with_context(|| format!("{name}: none"))?;
            check_place(&binary, &function, &site)?;
            differences.compare(name, site.kind, expected);
        }
        differences.finish()
    });
}

#[test]
fn results_of_a_round_trip_are_tested_by_a_branch() {
    each("httpapp", all, |fixture| {
        let binary = fixture.parse()?;
        let round_trip = function(&binary, ROUND_TRIP)?;
        let send = function(&binary, "net/http.(*persistConn).roundTrip")?;
        let site = binary.result_site(&round_trip, &send).context("no site")?;
        check_place(&binary, &round_trip, &site)?;
        ensure!(site.kind == SiteKind::Branch, "{site:x?}");
        Ok(())
    });
}

#[test]
fn a_missing_connection_is_seen_with_its_error() {
    each("httpapp", not_arm, |fixture| {
        let binary = fixture.parse()?;
        let round_trip = function(&binary, ROUND_TRIP)?;
        let get = function(&binary, "net/http.(*Transport).getConn")?;
        let (site, places) = binary.nonzero_site(&round_trip, &get, 1).context("no site")?;
        check_place(&binary, &round_trip, &site)?;
        ensure!(site.kind != SiteKind::SingleStep, "{site:x?}");
        ensure!(places.iter().all(Option::is_some), "the error is not kept at {site:x?}");
        Ok(())
    });
}

/// The error by which an alternate round tripper declines a request.
#[test]
fn declined_requests_are_told_by_a_branch() {
    each("httpapp", not_arm, |fixture| {
        let binary = fixture.parse()?;
        let round_trip = function(&binary, ROUND_TRIP)?;
        let alternate = function(&binary, "net/http.(*Transport).alternateRoundTripper")?;
        let found = binary.sentinel_site(&round_trip, &alternate, "net/http.ErrSkipAltProtocol");
        let (site, global, response) = found.context("no site")?;
        check_place(&binary, &round_trip, &site)?;
        // Only the race detector moves it.
        ensure!(site.kind == SiteKind::Branch && response == Place::Register, "{site:x?}");
        let result = function(&binary, "net/http.(*persistConn).roundTrip")?;
        let other = binary.result_site(&round_trip, &result).context("no site of results")?;
        ensure!(site.vaddr != other.vaddr, "one site for both: {site:x?}");
        if fixture.has_symbols() {
            let symbols = Symbols::read(&fixture.data)?;
            let expected = symbols.address("net/http.ErrSkipAltProtocol").context("no symbol")?;
            ensure!(global == expected, "{global:x}, not {expected:x}");
        }
        Ok(())
    });
}

/// Where HTTP/2 looks for a handler's panic, under the names that its two homes have.
#[test]
fn recovered_panics_of_streams_are_seen() {
    each("httpapp", all, |fixture| {
        let binary = fixture.parse()?;
        let name = match fixture.version.minor {
            27.. => "net/http/internal/http2.(*serverConn).runHandler.func1",
            _ => "net/http.(*http2serverConn).runHandler.func1",
        };
        let closure = function(&binary, name)?;
        let recover = function(&binary, "runtime.gorecover")?;
        let site = binary.call_site(&closure, &recover).context("no site")?;
        check_place(&binary, &closure, &site)?;
        ensure!(site.kind == SiteKind::Call, "{site:x?}");
        Ok(())
    });
}

#[test]
fn new_goroutines_are_seen_with_their_number() {
    each("httpapp", not_arm, |fixture| {
        let binary = fixture.parse()?;
        let goid = binary.types().offset("runtime.g", &["goid"]).context("no goid")?;
        let create = function(&binary, "runtime.newproc1")?;
        let (site, register) = binary.store_site(&create, goid).context("no site")?;
        check_place(&binary, &create, &site)?;
        ensure!(site.kind != SiteKind::SingleStep, "{site:x?}");
        ensure!(register < 16 && register != 4, "register {register}");
        Ok(())
    });
}

#[test]
fn returns_are_found() {
    each("httpapp", all, |fixture| {
        let binary = fixture.parse()?;
        let round_trip = function(&binary, ROUND_TRIP)?;
        let sites = binary.return_sites(&round_trip);
        ensure!(sites.len() >= 2, "{} returns", sites.len());
        sites.iter().try_for_each(|site| check_place(&binary, &round_trip, site))
    });
}

#[test]
fn the_current_goroutine_is_found_by_the_thread_pointer() {
    each("httpapp", not_arm, compare_tls);
}

/// Go's own linker puts g right below the thread pointer; with cgo the system's linker decides.
fn compare_tls(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let offset = binary.tls_g_offset();
    match fixture.mode {
        Mode::Cgo => ensure!(offset.is_none_or(|o| o < 0 && o % 8 == 0), "{offset:?}"),
        _ => ensure!(offset == Some(-8), "{offset:?}"),
    }
    Ok(())
}

fn not_arm(_: gotap_testkit::go::Version, mode: Mode) -> bool {
    mode != Mode::Arm64
}
