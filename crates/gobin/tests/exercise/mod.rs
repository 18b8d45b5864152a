//! Asks a binary everything that `gobin` can answer, on a bounded sample of its functions and
//! types. The tests with damaged binaries and the fuzz target share it.

use gobin::{Binary, Global, Place, Site};

/// Functions whose code is looked at, and one of which each binary has several.
const NAMES: [&str; 10] = [
    "net/http.serverHandler.ServeHTTP",
    "net/http.(*response).finishRequest",
    "net/http.(*Transport).roundTrip",
    "net/http.(*Transport).getConn",
    "net/http.(*Transport).alternateRoundTripper",
    "net/http.(*persistConn).roundTrip",
    "runtime.gorecover",
    "runtime.newproc1",
    "runtime.main",
    "main.main",
];
/// How many functions and types are sampled.
const SAMPLE: usize = 24;

/// What to go through; [`Depth::Tables`] leaves out what must read a whole index first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Headers, the function table and lines.
    Tables,
    /// As well functions by name, code and types.
    All,
}

/// Parses `data` and asks for everything. Tells how many answers there were; 0 if it can't be
/// parsed.
pub fn exercise(data: &[u8], depth: Depth) -> usize {
    let Ok(binary) = Binary::parse(data) else { return 0 };
    let info = binary.build_info();
    let image = binary.image();
    let mut answers = 1 + usize::from(info.main.is_some()) + info.deps.len();
    answers += usize::from(binary.is_unknown_version() || binary.is_stripped());
    answers += image.segments().iter().filter_map(|s| image.file_offset(s.vaddr)).count();
    answers += usize::from(image.pointer(image.lowest_vaddr()).is_some());
    answers += lines(&binary);
    if depth == Depth::All {
        answers += code(&binary) + types(&binary);
    }
    answers
}

/// Functions by number and by address, and the frames at some addresses in them.
fn lines(binary: &Binary<'_>) -> usize {
    let table = binary.functions();
    let step = table.len() / SAMPLE + 1;
    let mut answers = 0;
    for function in (0..table.len()).step_by(step).filter_map(|i| table.function(i)) {
        for pc in [function.entry, function.entry + 20, function.end.wrapping_sub(1)] {
            answers += usize::from(table.lookup(pc) == Some(function));
            answers += binary.lines().frames(pc).len();
            answers += usize::from(binary.open_defers(pc).is_some());
        }
    }
    answers + binary.lines().frames(u64::MAX).len() + binary.lines().frames(0).len()
}

/// Globals and every kind of site.
fn code(binary: &Binary<'_>) -> usize {
    let mut answers = Global::ALL.into_iter().filter_map(|g| binary.global(g)).count();
    answers += usize::from(binary.is_cgo()) + usize::from(binary.tls_g_offset().is_some());
    let functions: Vec<_> = NAMES.iter().filter_map(|name| binary.function(name)).collect();
    for function in &functions {
        let mut sites: Vec<Site> = binary.return_sites(function);
        sites.extend(binary.entry_site(function));
        sites.extend(binary.store_site(function, 152).map(|(site, ..)| site));
        sites.extend(binary.branch_site(function, None, 2));
        answers += usize::from(binary.closure_variables(function, 8).is_some());
        sites.extend(binary.plain_return_sites(function, &[8, 16]).iter().map(|(site, _)| *site));
        for callee in &functions {
            sites.extend(binary.result_site(function, callee));
            sites.extend(binary.branch_site(function, Some(callee), 4));
            sites.extend(binary.slot_site(function, callee, 0).map(|(site, _)| site));
            sites.extend(binary.next_call_site(function, callee, function));
            sites.extend(binary.call_site(function, callee));
            sites.extend(binary.call_sites(function, callee));
            sites.extend(binary.returning_sites(function, callee).iter().map(|(site, _)| *site));
            sites.extend(binary.branch_after_field(function, callee, 2, 8));
            sites.extend(
                binary
                    .sentinel_site(function, callee, "net/http.ErrSkipAltProtocol")
                    .map(|(site, ..)| site),
            );
            if let Some((site, [place, _])) = binary.nonzero_site(function, callee, 1) {
                sites.push(site);
                answers += usize::from(place == Some(Place::Register));
            }
        }
        answers += sites.len();
    }
    answers
}

/// Structs with their fields, and what fields lead to.
fn types(binary: &Binary<'_>) -> usize {
    let types = binary.types();
    let mut answers = types.with_methods(&["Error"]).len() + binary.procedures().len();
    for map in types.maps().take(SAMPLE) {
        answers += usize::from(types.swiss_map(&map.map).is_some_and(|swiss| swiss.is_split()));
    }
    for (name, typ) in types.structs().take(SAMPLE) {
        let fields = types.fields(&typ);
        answers += fields.len() + usize::from(types.find_struct(name) == Some(typ));
        answers += usize::from(types.pointer_to(&typ).is_some());
        for field in fields.iter().take(SAMPLE) {
            let Some(of) = types.at(field.typ) else { continue };
            answers += usize::from(types.pointee(&of).is_some());
            answers += usize::from(types.swiss_map(&of).is_some());
            answers += usize::from(types.package(&of).is_some());
        }
    }
    let roots: Vec<u64> = types.structs().take(SAMPLE).map(|(_, typ)| typ.vaddr).collect();
    let shapes = types.shapes(&roots, |package| package.len() % 2 == 0);
    answers += roots.iter().filter(|root| shapes.get(**root).is_some()).count();
    answers += roots.iter().filter(|root| shapes.is_direct(**root)).count();
    for path in [&["sched", "sp"][..], &["m", "curg"], &["goid"]] {
        answers += usize::from(types.offset("runtime.g", path).is_some());
    }
    answers + usize::from(types.field_type("net/http.Request", "Header").is_some())
}
