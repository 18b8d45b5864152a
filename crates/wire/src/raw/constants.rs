//! What the programs know of one process: offsets and addresses in it, and where single sites find
//! what they need. Written into maps by `probes`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::libraries::{Join, Net};
use super::{Address, NONE, Slots};

/// No register (`GT_NO_REGISTER`).
pub const NO_REGISTER: u8 = 0xff;

/// Content types of requests are sent (`GT_TELLS_CONTENT`).
pub const TELLS_CONTENT: u16 = 1;
/// Whether a request's path was changed is told, also of one that has a pattern (`GT_TELLS_PATHS`).
pub const TELLS_PATHS: u16 = 2;
/// It is a collector of telemetry (`GT_IS_COLLECTOR`).
pub const IS_COLLECTOR: u16 = 4;
/// It may write `traceparent` into requests (`GT_SENDS_TRACE`).
pub const SENDS_TRACE: u16 = 8;
/// Requests may come with B3's trace context (`GT_READS_B3`).
pub const READS_B3: u16 = 64;
/// Headers of requests that the user asks for are sent (`GT_TELLS_HEADERS`).
pub const TELLS_HEADERS: u16 = 128;
/// OpenTelemetry's SDK begins traces in it (`GT_HAS_SDK`).
pub const HAS_SDK: u16 = 32;
/// HTTP/2 keeps no net/http request, so that GC may free it while its handler runs (`GT_FREES_REQUESTS`).
pub const FREES_REQUESTS: u16 = 16;
/// An end that comes by without an operation, too (`GT_SITE_QUIET`).
pub const SITE_QUIET: u8 = 2;
/// An end only if there is an error (`GT_SITE_ERRORS`).
pub const SITE_ERRORS: u8 = 4;
/// The error is connect's own: its second word says all (`GT_SITE_OWN_ERROR`).
pub const SITE_OWN_ERROR: u8 = 8;

/// Where a site finds what it needs (`struct gt_site`): x86 numbers of registers, and offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Site {
    /// What it stands for: the instrument's own number.
    pub operation: u8,
    /// 1: the site is the branch of a stack check; [`SITE_QUIET`], [`SITE_ERRORS`],
    /// [`SITE_OWN_ERROR`].
    pub flags: u8,
    /// Register of the receiver.
    pub base: u8,
    /// Registers of the context.
    pub context: [u8; 2],
    /// Registers of the text.
    pub text: [u8; 2],
    /// Registers of the error.
    pub error: [u8; 2],
    /// Which of the instrument's libraries it is of.
    pub library: u8,
    /// The receiver is at this offset behind its register.
    pub base_slot: u16,
    /// The context is in this field of the receiver.
    pub context_field: u16,
    /// The text is.
    pub text_field: u16,
    /// The `sql.DB` is; else it is the receiver. Of connect's calls, the response is.
    pub db_field: u16,
    /// The error is at this distance from the stack pointer.
    pub error_slot: u16,
    /// The error is where the word at this offset in the closure points to.
    pub error_closure: u16,
    /// The error is in this field of the receiver.
    pub error_field: u16,
    /// What the operation is known by is. With connect the call is; else it is the receiver.
    pub key_field: u16,
    /// A slice of statements is, of what the fourth argument points to.
    pub batch_field: u16,
    /// A [`SiteKey`].
    pub key: u8,
    /// Zero.
    pub pad: [u8; 3],
}

/// What an operation is known by from its start to its end (`enum gt_site_key`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SiteKey {
    /// Its goroutine.
    Goroutine = 0,
    /// The connection, perhaps in the middle of another operation.
    Within = 1,
    /// The connection: the receiver, or what is at [`Site::key_field`] in it.
    Receiver = 2,
}

impl Site {
    /// A site that finds nothing.
    pub const ABSENT: Self = Self {
        operation: 0,
        flags: 0,
        base: NO_REGISTER,
        context: [NO_REGISTER; 2],
        text: [NO_REGISTER; 2],
        error: [NO_REGISTER; 2],
        library: 0,
        base_slot: NONE,
        context_field: NONE,
        text_field: NONE,
        db_field: NONE,
        error_slot: NONE,
        error_closure: NONE,
        error_field: NONE,
        key_field: NONE,
        batch_field: NONE,
        key: 0,
        pad: [0; 3],
    };
}

/// Offsets in one kind of request (`struct gt_request`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "each is the Go field of its name")]
#[repr(C)]
pub struct Request {
    /// Bytes that matter.
    pub size: u16,
    pub method: u16,
    pub url: u16,
    pub proto_major: u16,
    pub proto_minor: u16,
    pub header: u16,
    pub content_length: u16,
    pub host: u16,
    pub remote_addr: u16,
    pub request_uri: u16,
    pub tls: u16,
    pub ctx: u16,
    pub pattern: u16,
    pub pat: u16,
    pub response: u16,
    pub body: u16,
}

impl Request {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        size: 0,
        method: NONE,
        url: NONE,
        proto_major: NONE,
        proto_minor: NONE,
        header: NONE,
        content_length: NONE,
        host: NONE,
        remote_addr: NONE,
        request_uri: NONE,
        tls: NONE,
        ctx: NONE,
        pattern: NONE,
        pat: NONE,
        response: NONE,
        body: NONE,
    };
}

/// Offsets in one copy of the HTTP/2 implementation (`struct gt_http2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "each is the Go field of its name")]
#[repr(C)]
pub struct Http2 {
    pub rws: u16,
    pub status: u16,
    pub written: u16,
    pub stream: u16,
    pub close_err: u16,
    pub stream_state: u16,
    pub pad: [u16; 2],
}

impl Http2 {
    /// Offsets of nothing.
    pub const ABSENT: Self = Self {
        rws: NONE,
        status: NONE,
        written: NONE,
        stream: NONE,
        close_err: NONE,
        stream_state: NONE,
        pad: [0; 2],
    };
}

/// Tables of interface values that the programs have met (`struct gt_learned`); theirs to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "each is the Go type of its name")]
#[repr(C)]
pub struct Learned {
    pub cancel_ctx: u64,
    pub value_ctx: u64,
    pub tcp_addr: u64,
    pub transport: u64,
    pub status_ok: u64,
    pub server: u64,
    pub seed: u64,
    pub second: u64,
    pub began: u64,
}

impl Learned {
    /// Before any was met.
    pub const NOTHING: Self = Self {
        cancel_ctx: 0,
        value_ctx: 0,
        tcp_addr: 0,
        transport: 0,
        status_ok: 0,
        server: 0,
        seed: 0,
        second: 0,
        began: 0,
    };
}

/// Processes whose hits are counted by themselves (`GT_HIT_SLOTS`), and one for all others.
pub const HIT_SLOTS: u32 = 512;

/// In the last word of [`Process::guards`], set by the programs: a probe of the process was hit (`GT_WAS_HIT`).
pub const WAS_HIT: u64 = 1 << 63;

/// Constants of one process (`struct gt_process`). Offsets are in bytes, [`NONE`] where absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[expect(missing_docs, reason = "each is the Go field of its name")]
#[repr(C)]
pub struct Process {
    pub instance: u32,
    /// Index of its first counter of hits.
    pub hits: u32,
    pub dial_conn_size: u64,
    pub guards: [u64; 2],
    pub allgptr: Address,
    pub allglen: Address,
    pub allp: Address,
    pub goidgen: Address,
    pub cancel_ctx: Address,
    pub value_ctx: Address,
    pub skip_alternate: Address,
    pub bad_conn: Address,
    pub abort_handler: Address,
    pub dial_conn: Address,
    pub g_goid: u16,
    pub g_parent_goid: u16,
    pub g_gopc: u16,
    pub g_m: u16,
    pub m_curg: u16,
    pub p_goidcache: u16,
    pub new_g_register: u16,
    pub no_conn_error: u16,
    pub no_conn_error_data: u16,
    /// A [`Slots`].
    pub map_slots: u16,
    pub map_group_size: u16,
    pub pattern_str: u16,
    pub resp_written: u16,
    pub resp_status: u16,
    pub url_scheme: u16,
    pub url_host: u16,
    pub url_path: u16,
    pub url_raw_path: u16,
    pub response_status: u16,
    pub response_content_length: u16,
    pub response_proto_major: u16,
    pub response_proto_minor: u16,
    pub response_request: u16,
    pub alternate_response: u16,
    pub g_panic: u16,
    /// Sum of [`TELLS_CONTENT`], [`TELLS_PATHS`], [`IS_COLLECTOR`], [`SENDS_TRACE`],
    /// [`FREES_REQUESTS`], [`HAS_SDK`], [`TELLS_HEADERS`] and [`READS_B3`].
    pub tells: u16,
    pub response_header: u16,
    pub panic_arg: u16,
    /// Whether the client of a response has left.
    pub resp_left: u16,
    pub conn_write_error: u16,
    pub url_opaque: u16,
    /// [`NONE`] also when queries are not asked for.
    pub url_raw_query: u16,
    /// `net/http.Request`, and `ServerRequest` of Go 1.27's HTTP/2.
    pub requests: [Request; 2],
    /// net/http's own HTTP/2, and that of `golang.org/x/net`.
    pub http2: [Http2; 2],
    pub net: Net,
    pub join: Join,
    pub learned: Learned,
}

impl Process {
    /// All addresses in it, to be relocated. A test compares their number with that of the fields.
    pub fn addresses_mut(&mut self) -> impl Iterator<Item = &mut Address> {
        [
            &mut self.allgptr,
            &mut self.allglen,
            &mut self.allp,
            &mut self.goidgen,
            &mut self.cancel_ctx,
            &mut self.value_ctx,
            &mut self.skip_alternate,
            &mut self.bad_conn,
            &mut self.abort_handler,
            &mut self.dial_conn,
            &mut self.net.tcp_addr,
            &mut self.net.tcp_conn,
            &mut self.net.tls_conn,
        ]
        .into_iter()
    }

    /// Constants that say that nothing is known.
    pub const ABSENT: Self = Self {
        instance: 0,
        hits: 0,
        dial_conn_size: 0,
        guards: [0; 2],
        allgptr: Address::NONE,
        allglen: Address::NONE,
        allp: Address::NONE,
        goidgen: Address::NONE,
        cancel_ctx: Address::NONE,
        value_ctx: Address::NONE,
        skip_alternate: Address::NONE,
        bad_conn: Address::NONE,
        abort_handler: Address::NONE,
        dial_conn: Address::NONE,
        g_goid: NONE,
        g_parent_goid: NONE,
        g_gopc: NONE,
        g_m: NONE,
        m_curg: NONE,
        p_goidcache: NONE,
        new_g_register: NONE,
        no_conn_error: NONE,
        no_conn_error_data: NONE,
        map_slots: Slots::Unknown as u16,
        map_group_size: 0,
        pattern_str: NONE,
        resp_written: NONE,
        resp_status: NONE,
        url_scheme: NONE,
        url_host: NONE,
        url_path: NONE,
        url_raw_path: NONE,
        response_status: NONE,
        response_content_length: NONE,
        response_proto_major: NONE,
        response_proto_minor: NONE,
        response_request: NONE,
        alternate_response: NONE,
        g_panic: NONE,
        tells: 0,
        response_header: NONE,
        panic_arg: NONE,
        resp_left: NONE,
        conn_write_error: NONE,
        url_opaque: NONE,
        url_raw_query: NONE,
        requests: [Request::ABSENT; 2],
        http2: [Http2::ABSENT; 2],
        net: Net::ABSENT,
        join: Join::ABSENT,
        learned: Learned::NOTHING,
    };
}

const _: () = assert!(size_of::<Request>() == 32);
const _: () = assert!(size_of::<Http2>() == 16);
const _: () = assert!(size_of::<Site>() == 32);
const _: () = assert!(size_of::<Learned>() == 72);
const _: () = assert!(size_of::<Process>() == 424);
