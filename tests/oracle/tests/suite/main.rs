//! Compares what `gobin` reads of Go binaries with independent sources of truth.
//!
//! Each module asks one source: the symbol table ([`functions`], [`anchors`]), DWARF and reflection
//! ([`layouts`]), the Go runtime inside of the running program ([`lines`]), the toolchain that
//! built it ([`buildinfo`]); [`rows`] compares what gobin reads in two ways; [`sites`] states what probes need of the machine code.
//!
//! Each goes through [`gotap_testkit::go::selected`]: a cross-section of Go versions and build
//! modes, or all of them with `GOTAP_TEST_MATRIX=full`.

mod anchors;
mod buildinfo;
mod dwarf;
mod fixture;
mod functions;
mod layouts;
mod lines;
mod offsets;
mod rows;
mod sites;
mod symbols;
mod truth;
