//! What the user can choose about probes. Not here: who reads it from where.

use wire::raw;

/// What the user can choose about probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Trap each goroutine's creation, so that no ancestor is ever lost.
    pub exact_lineage: bool,
    /// Traces of programs with OpenTelemetry's SDK are not sent, so that nothing is joined with their calls.
    pub leaves_sdk_traces: bool,
    /// Take over B3's trace context of requests that have no traceparent.
    pub b3: bool,
    /// Headers of served requests that are told.
    pub headers: raw::Wanted,
    /// Which traces are wanted.
    pub sampling: raw::Sampling,
    /// Do not join calls with what serves them on this host, which is a further trap for each call.
    pub no_connection_join: bool,
    /// Read the query strings of calls that are made. Those of requests are part of their target.
    pub query_strings: bool,
    /// Attach a program that does nothing instead: what is left is what the traps themselves cost.
    /// Needs uprobe_multi.
    pub empty_probes: bool,
    /// It is known from the start which processes will be observed: only what these need is loaded. Otherwise all is,
    /// so that no process that starts has to wait for it.
    pub known_processes: bool,
    /// Have room for the requests of one process, not of a host: looking through it quicker.
    pub one_process: bool,
}
