//! github.com/valyala/fasthttp, and fiber upon it: what they serve. Its records are those of HTTP. Its programs are in
//! `bpf/instruments/fasthttp`.

pub(crate) mod plan;

use wire::Probe;
use wire::raw::Address;

use crate::instrument::Instrument;
use crate::plan::Ability;
use crate::registry::{HTTP_VERB, Seen, Traced, known};

const FAST_HTTP: Seen = Seen::Inside(Ability::FastHttp);

pub(crate) const INSTRUMENT: Instrument = Instrument {
    ability: |probe| match probe {
        Probe::FasthttpServerStart
        | Probe::FasthttpServerFinish
        | Probe::FasthttpServerHijack
        | Probe::FasthttpConnClose => Some(Ability::FastHttp),
        _ => None,
    },
    plan: plan::plan,
    error: |_, _, _| None,
    makers: &[],
    traced: Some(Traced {
        word: "fasthttp",
        verb: HTTP_VERB,
        abilities: &[Ability::FastHttp],
        standard: None,
        sdk: &[],
        libraries: &[
            known(
                "github.com/valyala/fasthttp",
                FAST_HTTP,
                &[("github.com/valyala/fasthttp", "1.40.0", "1.78.0")],
            ),
            known(
                "github.com/gofiber/fiber",
                FAST_HTTP,
                &[
                    ("github.com/gofiber/fiber/v2", "2.39.0", "2.52.15"),
                    ("github.com/gofiber/fiber/v3", "3.1.0", "3.1.0"),
                ],
            ),
        ],
    }),
};

wire::constants! {
    /// Its constants of a process (`struct gt_fasthttp`).
    #[expect(missing_docs, reason = "the header says which Go field each is")]
    pub struct Constants {
        pub counted: Address,
        pub counted_tls: Address,
        pub workers: Address,
        pub workers_size: u32,
        pub pad0: u32,
        pub ctx_slot: u16,
        pub conn_id: u16,
        pub conn_requests: u16,
        pub conn: u16,
        pub tls: u16,
        pub timeout_response: u16,
        pub response: u16,
        pub header: u16,
        pub header_size: u16 = 0,
        pub method: u16,
        pub uri: u16,
        pub proto: u16,
        pub host: u16,
        pub user_agent: u16,
        pub content_length: u16,
        pub headers: u16,
        pub pair_size: u16 = 0,
        pub pair_value: u16 = 0,
        pub status: u16,
        pub response_length: u16,
        pub body_stream: u16,
        pub body: u16,
        pub body_raw: u16,
        pub body_bytes: u16,
        pub fiber_route: u16,
        pub fiber_ctx: u16,
        pub route_path: u16,
        pub route_use: u16,
        pub fiber_iface: u16 = 0,
        pub fiber_closure: u16 = 0,
        pub counted_conn: u16,
        pub counted_tls_conn: u16,
    }
}
