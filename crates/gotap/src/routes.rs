//! Routes of requests that do not name theirs: the table of the server's router is read from the
//! process, and requests are matched with it as the router does.

mod chi;
mod find;
mod gin;
mod pattern;
mod routers;
mod servemux;
mod table;
mod value;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use goproc::Process;
use instruments::RouteLayout;
use trace::Routed;

use table::Table;
use value::Reader;

/// Tables are read anew after this time, when a request matches nothing.
const STALE: Duration = Duration::from_secs(5);
/// And after this time in any case: the address may be that of another server by now.
const OLD: Duration = Duration::from_secs(60);
/// Servers of a process that are kept; a program that makes more than this has routes for some.
const MAX_SERVERS: usize = 64;

/// The routers of one process.
#[derive(Debug)]
pub(crate) struct RouteReader {
    process: Process,
    layout: Arc<RouteLayout>,
    bias: u64,
    servers: Mutex<HashMap<u64, Known>>,
}

#[derive(Debug)]
struct Known {
    read_at: Instant,
    table: Option<Table>,
}

impl RouteReader {
    pub(crate) fn new(process: Process, layout: Arc<RouteLayout>, bias: u64) -> Self {
        Self { process, layout, bias, servers: Mutex::default() }
    }

    /// The routes of a server; none when they can't be read now.
    fn read(&self, server: u64) -> Option<Table> {
        let reader = Reader::open(self.process, &self.layout.shapes, self.bias)?;
        let (router, value) = find::router(&self.layout, &reader, self.bias, server)?;
        routers::read(&self.layout, router, &value)
    }
}

impl trace::Routes for RouteReader {
    fn route(&self, request: &Routed<'_>) -> Option<String> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |known: &Known| known.table.as_ref()?.find(request);
        if let Some(known) = servers.get(&request.server) {
            let (age, found) = (known.read_at.elapsed(), find(known));
            if age < STALE || (age < OLD && found.is_some()) {
                return found;
            }
        } else if servers.len() >= MAX_SERVERS {
            return None;
        }
        let known = Known { read_at: Instant::now(), table: self.read(request.server) };
        let found = find(&known);
        servers.insert(request.server, known);
        found
    }
}
