//! connectrpc.com/connect: how its calls end. What they are is said by the requests of HTTP that carry them, so their
//! records are joined with these (`trace`). Its programs are in `bpf/instruments/connect`.

pub(crate) mod plan;

use wire::Probe;
use wire::raw::Address;

use crate::instrument::Instrument;
use crate::plan::Ability;

pub(crate) const INSTRUMENT: Instrument = Instrument {
    ability: |probe| match probe {
        Probe::ConnectServerEnd => Some(Ability::HttpServer),
        Probe::ConnectClientEnd => Some(Ability::HttpClient),
        _ => None,
    },
    plan: plan::plan,
    error: plan::error,
    makers: &[],
    traced: None,
};

wire::constants! {
    /// Its constants of a process (`struct gt_connect`).
    pub struct Constants {
        /// The type `*Error`.
        pub error: Address,
        /// The variable `io.EOF`.
        pub eof: Address,
    }
}
