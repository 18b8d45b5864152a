//! google.golang.org/grpc: where its calls are served and made. What its records mean is in `wire` and `trace`, as
//! requests of HTTP may carry them. Its programs are in `bpf/instruments/grpc`.

pub(crate) mod plan;

use wire::Probe;
use wire::raw::Address;

use crate::instrument::Instrument;
use crate::plan::Ability;
use crate::registry::{Seen, Traced, Verb, known};

const VERB: Verb = Verb {
    name: "grpc",
    about: "gRPC calls that Go programs serve and make",
    shows: |operation| operation.call().is_some(),
};

const GRPC: Seen = Seen::As(&[Ability::GrpcServer, Ability::GrpcClient]);

pub(crate) const INSTRUMENT: Instrument = Instrument {
    ability: |probe| match probe {
        Probe::GrpcServerStart | Probe::GrpcServerStatus | Probe::GrpcHandlerStatus => {
            Some(Ability::GrpcServer)
        }
        Probe::GrpcClientStart | Probe::GrpcClientFinish => Some(Ability::GrpcClient),
        Probe::GrpcClientJoin => Some(Ability::Join),
        _ => None,
    },
    plan: plan::plan,
    error: plan::error,
    makers: &[],
    traced: Some(Traced {
        word: "grpc",
        verb: VERB,
        abilities: &[Ability::GrpcServer, Ability::GrpcClient],
        standard: None,
        sdk: &[
            "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
            "connectrpc.com/otelconnect",
        ],
        libraries: &[known(
            "google.golang.org/grpc",
            GRPC,
            &[("google.golang.org/grpc", "1.33.3", "1.85.0")],
        )],
    }),
};

wire::constants! {
    /// Its constants of a process (`struct gt_grpc`).
    #[expect(missing_docs, reason = "the header says which Go field each is")]
    pub struct Constants {
        pub incoming_key: Address,
        pub outgoing_key: Address,
        pub handler_transport: Address,
        pub server_workers: u16,
        pub stream_method: u16,
        pub stream_ctx: u16,
        pub stream_state: u16,
        pub transport_peer: u16,
        pub transport_local: u16,
        pub status_code: u16,
        pub status_message: u16,
        pub attempt_call: u16,
        pub attempt_transport: u16,
        pub attempt_stream: u16,
        pub attempt_transparent: u16,
        pub call_ctx: u16,
        pub call_hdr: u16,
        pub call_cc: u16,
        pub call_finished: u16,
        pub hdr_method: u16,
        pub cc_target: u16,
        pub client_peer: u16,
        pub starts_attempt: u16 = 0,
        pub stream_inner: u16,
        pub server_number: u16,
        pub client_number: u16,
        pub attempt_ctx: u16,
        pub data: Address,
        pub data_size: u32,
        pub pad: u32,
    }
}
