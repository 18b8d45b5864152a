//! What will be attached where in one binary, at what cost, and what can't and why.
//!
//! A pure function of the binary and the options, so it can be tested and shown without a kernel.
//! Addresses in it are those of the file; [`Plan::constants`] moves them to where a process is
//! loaded. HTTP and the runtime add their sites and offsets in a file each below `plan/`; instruments in
//! their own modules.

mod contexts;
mod http;
mod http2;
mod join;
pub(crate) mod maps;
mod missing;
pub(crate) mod net;
mod optimised;
mod options;
mod others;
mod requests;
mod routes;
mod runtime;
mod telemetry;
pub(crate) mod types;

use std::collections::BTreeSet;
use std::sync::Arc;

use gobin::{Binary, Site, SiteKind, Types};
use wire::raw::{self, Constant, NONE};
use wire::{Logging, Probe};
use zerocopy::IntoBytes;

use crate::instrument::{Constants, INSTRUMENTS};
use crate::sql::DatabaseLayout;
pub(crate) use missing::{NoSite, Reason};

pub use missing::Missing;
pub use options::Options;
pub use requests::{RequestLayouts, Tls};
pub use routes::{Rewriter, RouteLayout, Router};

/// A probe and where it will stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSite {
    /// What a hit means.
    pub probe: Probe,
    /// Function in which it stands.
    pub function: String,
    /// The instruction.
    pub site: Site,
    /// Whether it is hit for each operation, or only when something goes wrong.
    pub hot: bool,
}

impl PlannedSite {
    /// Roughly what a hit costs the target in nanoseconds, measured on the reference machine.
    pub fn cost_ns(&self) -> u32 {
        if self.site.kind.is_single_stepped() { 8_000 } else { 800 }
    }
}

/// Something that can be seen in a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// HTTP/1 requests that are served.
    HttpServer,
    /// HTTP/1 requests that are made.
    HttpClient,
    /// HTTP/2 requests that are served.
    Http2Server,
    /// HTTP/2 requests that are made.
    Http2Client,
    /// Requests that fasthttp serves, also for fiber.
    FastHttp,
    /// Requests that hertz serves.
    Hertz,
    /// Requests over HTTP/3, served and made.
    Http3,
    /// gRPC calls that are served.
    GrpcServer,
    /// gRPC calls that are made.
    GrpcClient,
    /// What a client library asks for, by the word of its instrument.
    Client(&'static str),
    /// Parents of work in goroutines that carry no context.
    Lineage,
    /// Calls that are joined with what serves them on this host, by their connection.
    Join,
    /// Routes of requests that one of the known routers dispatches.
    Routes(Router),
}

impl Ability {
    /// The name in output.
    pub fn label(self) -> &'static str {
        match self {
            Ability::HttpServer => "http-server",
            Ability::HttpClient => "http-client",
            Ability::Http2Server => "http2-server",
            Ability::Http2Client => "http2-client",
            Ability::FastHttp => "fasthttp-server",
            Ability::Hertz => "hertz-server",
            Ability::Http3 => "http3",
            Ability::GrpcServer => "grpc-server",
            Ability::GrpcClient => "grpc-client",
            Ability::Client(word) => word,
            Ability::Lineage => "goroutine-lineage",
            Ability::Join => "connection-join",
            Ability::Routes(router) => router.label(),
        }
    }
}

/// The plan for one binary.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Probes to attach.
    pub sites: Vec<PlannedSite>,
    /// What will be seen.
    pub abilities: Vec<Ability>,
    /// What will not.
    pub missing: Vec<Missing>,
    /// Names of types that errors can have, by address in the file.
    pub type_names: Vec<(u64, String)>,
    /// How to read the routes of routers, where requests do not name theirs.
    pub routes: Option<Arc<RouteLayout>>,
    /// How to find what a `sql.DB` stands for, where the program has any.
    pub databases: Option<DatabaseLayout>,
    /// Remote procedures that connect may serve or call: each starts with `/package.Service/Method`.
    pub procedures: Arc<BTreeSet<String>>,
    /// Whether it is an OpenTelemetry Collector or the like.
    pub is_collector: bool,
    /// Whether OpenTelemetry's SDK makes spans in it, too.
    pub has_sdk: bool,
    /// Whether it is seen where calls by connect end that the program makes.
    pub call_ends: bool,
    /// Where a thread keeps its goroutine, from the thread pointer.
    tls_g: Option<i64>,
    types: Vec<(u64, raw::Type)>,
    described: Vec<(u64, raw::Site)>,
    pub(crate) constants: raw::Process,
    /// What instruments tell the programs.
    pub(crate) own: Constants,
    lowest_vaddr: u64,
    pie: bool,
}

impl Plan {
    /// Makes the plan for `binary`.
    pub fn new(binary: &Binary<'_>, options: &Options) -> Self {
        let types = binary.types();
        let mut plan = Self {
            sites: Vec::new(),
            abilities: Vec::new(),
            missing: Vec::new(),
            type_names: Vec::new(),
            routes: None,
            databases: None,
            procedures: Arc::default(),
            call_ends: false,
            is_collector: false,
            has_sdk: false,
            tls_g: None,
            types: Vec::new(),
            described: Vec::new(),
            constants: raw::Process::ABSENT,
            own: Constants::ABSENT,
            lowest_vaddr: binary.image().lowest_vaddr(),
            pie: binary.image().is_pie(),
        };
        let context = Context { binary, types: &types, options };
        if !runtime::plan(&context, &mut plan, options) {
            return plan;
        }
        maps::plan(&context, &mut plan);
        others::plan(&context, &mut plan);
        http::plan_server(&context, &mut plan);
        http::plan_client(&context, &mut plan);
        http2::plan(&context, &mut plan);
        routes::plan(&context, &mut plan);
        telemetry::plan(&context, &mut plan);
        for instrument in INSTRUMENTS {
            (instrument.plan)(&context, &mut plan);
        }
        join::plan(&context, &mut plan);
        if !plan.abilities.is_empty() {
            types::plan(&context, &mut plan);
        }
        optimised::explain(&context, &mut plan);
        // What is linked in and can't be seen explains best why nothing is, and net/http's absence the least.
        plan.missing.sort_by_key(|m| (m.is_absent(), m.why.contains(" net/http.")));
        plan
    }

    /// Whether there is anything to attach for an operation.
    pub fn is_useful(&self) -> bool {
        self.abilities
            .iter()
            .any(|a| !matches!(a, Ability::Lineage | Ability::Join | Ability::Routes(_)))
    }

    /// The load bias of a process whose first segment is mapped at `start`.
    pub fn bias(&self, start: u64) -> u64 {
        if self.pie { start.wrapping_sub(self.lowest_vaddr & !0xfff) } else { 0 }
    }

    /// Whether processes may have the file anywhere in memory.
    pub fn is_pie(&self) -> bool {
        self.pie
    }

    /// The constants for a process with this load bias, as the programs have them (`struct gt_process`).
    pub fn constants_of(&self, instance: u32, hits: u32, bias: u64) -> Vec<u8> {
        let mut process = self.constants(instance, bias);
        process.hits = hits;
        let mut own = self.own;
        own.relocate(bias);
        [process.as_bytes(), own.as_bytes()].concat()
    }

    fn constants(&self, instance: u32, bias: u64) -> raw::Process {
        let mut out = self.constants;
        out.instance = instance;
        out.addresses_mut().for_each(|address| *address = address.relocated(bias));
        out
    }

    /// Where requests that are being served have what they are counted by.
    pub fn request_layouts(&self) -> RequestLayouts {
        RequestLayouts::of(&self.constants, &self.own)
    }

    /// What must be known of a process to tell which request writes a line of its log.
    ///
    /// # Errors
    /// Why that can't be told, as a clause.
    pub fn logging(&self, instance: u32, bias: u64) -> Result<Logging, &'static str> {
        let found = self.constants(instance, bias);
        let fields = [found.g_m, found.m_curg, found.g_goid];
        let tls_g = self.tls_g.ok_or("where a thread keeps its goroutine was not found")?;
        if fields.contains(&NONE) {
            return Err("fields of Go's runtime were not found");
        }
        Ok(Logging {
            tls_g,
            dial_conn: found.dial_conn.into(),
            dial_conn_size: found.dial_conn_size,
            instance,
            g_m: found.g_m,
            m_curg: found.m_curg,
            g_goid: found.g_goid,
            g_parent_goid: found.g_parent_goid,
            g_gopc: found.g_gopc,
            pad: 0,
        })
    }

    /// Types that the programs must know, with addresses for this load bias.
    pub fn types(&self, bias: u64) -> impl Iterator<Item = (u64, raw::Type)> + '_ {
        self.types.iter().map(move |(vaddr, value)| (vaddr.wrapping_add(bias), *value))
    }

    /// What the programs must know of single sites, by address for this load bias.
    pub fn described(&self, bias: u64) -> impl Iterator<Item = (u64, raw::Site)> + '_ {
        self.described.iter().map(move |(vaddr, value)| (vaddr.wrapping_add(bias), *value))
    }

    /// Adds one of several sites of a probe, which are told apart by what is said of each.
    pub(crate) fn add_described(
        &mut self,
        probe: Probe,
        function: &str,
        site: Site,
        mut found: raw::Site,
    ) {
        found.flags |= u8::from(site.kind == SiteKind::StackCheck);
        self.described.push((site.vaddr, found));
        self.sites.push(PlannedSite { probe, function: function.to_owned(), site, hot: true });
    }

    /// The same off the hot path.
    pub(crate) fn add_rare(&mut self, probe: Probe, function: &str, site: Site, found: raw::Site) {
        self.add_described(probe, function, site, found);
        if let Some(added) = self.sites.last_mut() {
            added.hot = false;
        }
    }

    pub(crate) fn add(&mut self, probe: Probe, function: &str, site: Site, hot: bool) {
        if site.kind == SiteKind::StackCheck {
            let (word, bit) = (probe as usize / 64, probe as usize % 64);
            if let Some(word) = self.constants.guards.get_mut(word) {
                *word |= 1 << bit;
            }
        }
        self.sites.push(PlannedSite { probe, function: function.to_owned(), site, hot });
    }
}

/// What the planners look at.
pub(crate) struct Context<'a, 'd> {
    pub(crate) binary: &'a Binary<'d>,
    pub(crate) types: &'a Types<'a, 'd>,
    pub(crate) options: &'a Options,
}

impl Context<'_, '_> {
    /// Offset of a field as the programs want it; [`NONE`] when the struct has none.
    pub(crate) fn offset(&self, name: &str, path: &[&str]) -> u16 {
        let offset = self.types.offset(name, path);
        offset.and_then(|o| u16::try_from(o).ok()).unwrap_or(NONE)
    }

    /// The same for the first of several names, as structs and fields have changed theirs.
    pub(crate) fn offset_of(&self, names: &[(&str, &[&str])]) -> u16 {
        let found = names.iter().map(|(name, path)| self.offset(name, path));
        found.into_iter().find(|offset| *offset != NONE).unwrap_or(NONE)
    }

    /// The address of the descriptor of a pointer to a structure, as interfaces hold it; 0 when there
    /// is none.
    pub(crate) fn pointer_to(&self, name: &str) -> u64 {
        let target = self.types.find_struct(name);
        let found = target.and_then(|target| self.types.pointer_to(&target));
        found.map_or(0, |typ| typ.vaddr)
    }

    /// The cheapest site at the entry of a function.
    pub(crate) fn entry(&self, function: &str) -> Result<Site, NoSite> {
        let found = self.binary.function(function);
        let found = found.ok_or_else(|| NoSite::NotLinked(function.to_owned()))?;
        self.binary.entry_site(&found).ok_or_else(|| NoSite::Unreadable(function.to_owned()))
    }
}
