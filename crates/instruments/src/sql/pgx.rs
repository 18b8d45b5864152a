//! pgx 4 and 5 used without database/sql, where they are a driver and need no probes of their own.
//! Operations are known by their connection, as rows and batches may be closed by another goroutine, and
//! many be open at once; in the middle of a function that is found in the stack slot where it keeps its
//! receiver.

use gobin::Site;
use trace::SqlLibrary;
use wire::Probe;
use wire::raw::{self, NO_REGISTER, NONE, SiteKey};

use super::ABILITY;
use super::contract::SqlOperation;
use super::plan::{CLOSURE, WORDS};
use crate::plan::{Context, Plan};

/// x86's number of the stack pointer.
const STACK: u8 = 4;

/// A version of pgx, and what differs between them.
struct Version {
    library: SqlLibrary,
    package: &'static str,
    /// Where its connections to the server are.
    protocol: &'static str,
    /// What a query's rows are.
    rows: &'static str,
    /// The first result word of the error that executing and copying return, after a command tag.
    error: usize,
}

const VERSIONS: [Version; 2] = [
    Version {
        library: SqlLibrary::Pgx4,
        package: "github.com/jackc/pgx/v4",
        protocol: "github.com/jackc/pgconn",
        rows: "connRows",
        error: 3,
    },
    Version {
        library: SqlLibrary::Pgx5,
        package: "github.com/jackc/pgx/v5",
        protocol: "github.com/jackc/pgx/v5/pgconn",
        rows: "baseRows",
        error: 2,
    },
];

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    for version in &VERSIONS {
        let query = context.binary.function(&format!("{}.(*Conn).Query", version.package));
        if query.is_none() || is_only_a_driver(context, version.package) {
            continue;
        }
        let mut pgx = Pgx { context, version, plan: &mut *plan };
        let parts = [
            ("queries", pgx.queries()),
            ("executions", pgx.executions()),
            ("prepared statements", pgx.preparations()),
            ("copies", pgx.copies()),
            ("batches", pgx.batches()),
        ];
        let missing: Vec<_> = parts.iter().filter(|(_, found)| found.is_none()).collect();
        if missing.len() < parts.len() && !plan.abilities.contains(&ABILITY) {
            plan.abilities.push(ABILITY);
        }
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            plan.miss(ABILITY, format!("no site found for {names} of {}", version.package));
        }
    }
}

/// Whether all connections of pgx are `database/sql`'s, which has probes of its own: nothing else makes
/// any, and nobody can ask for what is behind one.
fn is_only_a_driver(context: &Context<'_, '_>, package: &str) -> bool {
    let driver = format!("{package}/stdlib");
    let linked = |name: &str| context.binary.function(name).is_some();
    // The rest looks through all code.
    if !linked(&format!("{driver}.(*Conn).QueryContext"))
        || linked(&format!("{package}/pgxpool.(*Pool).Acquire"))
    {
        return false;
    }
    let own = [format!("{package}."), format!("{driver}.")];
    let is_own = |caller: &str| own.iter().any(|prefix| caller.starts_with(prefix));
    // Methods may be linked although nobody calls them.
    let hidden = ["database/sql.(*Conn).Raw".to_owned(), format!("{driver}.AcquireConn")];
    let makers = ["connect", "Connect", "ConnectConfig", "ConnectWithOptions"];
    let makers = makers.map(|name| format!("{package}.{name}"));
    let names = hidden.iter().chain(&makers);
    let found: Vec<_> = names.filter_map(|name| context.binary.function(name)).collect();
    let is_makers = |callee: &str| makers.iter().any(|name| name == callee);
    context.binary.callers(&found).is_some_and(|calls| {
        calls.into_iter().all(|(caller, callee)| is_makers(callee) && is_own(caller))
    })
}

struct Pgx<'a, 'b, 'c, 'd> {
    context: &'a Context<'b, 'c>,
    version: &'a Version,
    plan: &'d mut Plan,
}

impl Pgx<'_, '_, '_, '_> {
    fn own(&self, name: &str) -> String {
        format!("{}.{name}", self.version.package)
    }

    fn field(&self, name: &str, field: &str) -> Option<u16> {
        Some(self.context.offset(&self.own(name), &[field])).filter(|offset| *offset != NONE)
    }

    fn described(&self, operation: SqlOperation, key: SiteKey) -> raw::Site {
        raw::Site {
            operation: operation as u8,
            library: self.version.library as u8,
            key: key as u8,
            ..raw::Site::ABSENT
        }
    }

    /// A start: a receiver, a context, and in words from `text` on the text. The configuration is in
    /// the field `config` of the receiver.
    fn start(
        &self,
        operation: SqlOperation,
        key: SiteKey,
        config: u16,
        text: Option<usize>,
    ) -> raw::Site {
        let word = |i: usize| WORDS.get(i).copied().unwrap_or(NO_REGISTER);
        let mut found = self.described(operation, key);
        found.base = word(0);
        found.context = [word(1), word(2)];
        found.db_field = config;
        if let Some(text) = text {
            found.text = [word(text), word(text + 1)];
        }
        found
    }

    fn in_words(&self, operation: SqlOperation, key: SiteKey, first: usize) -> raw::Site {
        let word = |i: usize| WORDS.get(i).copied().unwrap_or(NO_REGISTER);
        let error = [word(first), word(first + 1)];
        raw::Site { error, ..self.described(operation, key) }
    }

    fn add(&mut self, name: &str, start: (Site, raw::Site), end: (String, Site, raw::Site)) {
        let name = self.own(name);
        self.plan.add_described(Probe::SqlStart, &name, start.0, start.1);
        self.plan.add_described(Probe::SqlEnd, &end.0, end.1, end.2);
    }

    /// From `Query` until the rows are closed: only then the error is known.
    fn queries(&mut self) -> Option<()> {
        let (operation, key) = (SqlOperation::Query, SiteKey::Receiver);
        let config = self.field("Conn", "config")?;
        let start = self.context.entry(&self.own("(*Conn).Query")).ok()?;
        let rows = self.version.rows;
        let close = self.own(&format!("(*{rows}).Close"));
        let function = self.context.binary.function(&close)?;
        let reader = self.field(rows, "multiResultReader")?;
        let (site, slot) = self.context.binary.site_past_field(&function, reader.into())?;
        let mut end = self.described(operation, key);
        end.base = STACK;
        end.base_slot = u16::try_from(slot).ok()?;
        end.key_field = self.field(rows, "conn")?;
        end.error_field = self.field(rows, "err")?;
        end.text_field = self.field(rows, "sql")?;
        let begin = self.start(operation, key, config, Some(3));
        self.add("(*Conn).Query", (start, begin), (close, site, end));
        self.given_up(&self.own("(*Conn).Query"), operation);
        Some(())
    }

    fn executions(&mut self) -> Option<()> {
        let (operation, key) = (SqlOperation::Exec, SiteKey::Receiver);
        let binary = self.context.binary;
        let config = self.field("Conn", "config")?;
        let name = self.own("(*Conn).Exec");
        let start = self.context.entry(&name).ok()?;
        let (function, exec) =
            (binary.function(&name)?, binary.function(&self.own("(*Conn).exec"))?);
        let first = self.version.error;
        let site = binary.kept_site(&function, &exec, (first, 2))?;
        let begin = self.start(operation, key, config, Some(3));
        let mut end = self.in_words(operation, key, first);
        self.receiver_in_stack(&name, &mut end)?;
        self.add("(*Conn).Exec", (start, begin), (name.clone(), site, end));
        self.given_up(&name, operation);
        Some(())
    }

    /// Where version 5 returns at once, as it could not drop a statement that failed before.
    fn given_up(&mut self, name: &str, operation: SqlOperation) -> Option<()> {
        let binary = self.context.binary;
        let function = binary.function(name)?;
        let callee = self.own("(*Conn).deallocateInvalidatedCachedStatements");
        let site = binary.failed_site(&function, &binary.function(&callee)?)?;
        let mut end = self.in_words(operation, SiteKey::Receiver, 0);
        self.receiver_in_stack(name, &mut end)?;
        self.plan.add_rare(Probe::SqlEnd, name, site, end);
        Some(())
    }

    /// Only what is sent: a statement that is known already is not.
    fn preparations(&mut self) -> Option<()> {
        let (operation, key) = (SqlOperation::Prepare, SiteKey::Within);
        let binary = self.context.binary;
        let name = self.own("(*Conn).Prepare");
        let function = binary.function(&name)?;
        let prepare = format!("{}.(*PgConn).Prepare", self.version.protocol);
        let prepare = binary.function(&prepare)?;
        let start = binary.call_site(&function, &prepare)?;
        let site = binary.branch_site(&function, Some(&prepare), 3)?;
        let mut begin = self.start(operation, key, self.field("Conn", "config")?, Some(5));
        self.receiver_in_stack(&name, &mut begin)?;
        let mut end = self.in_words(operation, key, 1);
        self.receiver_in_stack(&name, &mut end)?;
        self.add("(*Conn).Prepare", (start, begin), (name, site, end));
        Some(())
    }

    fn receiver_in_stack(&self, function: &str, found: &mut raw::Site) -> Option<()> {
        let binary = self.context.binary;
        let slot = binary.receiver_slot(&binary.function(function)?)?;
        found.base = STACK;
        found.base_slot = u16::try_from(slot).ok()?;
        Some(())
    }

    fn copies(&mut self) -> Option<()> {
        let (operation, key) = (SqlOperation::Copy, SiteKey::Receiver);
        let binary = self.context.binary;
        let name = self.own("(*copyFrom).run");
        // Programs that copy nothing do not have it.
        let Some(function) = binary.function(&name) else { return Some(()) };
        let copy = binary.function(&format!("{}.(*PgConn).CopyFrom", self.version.protocol))?;
        let start = binary.call_site(&function, &copy)?;
        let first = self.version.error;
        let site = binary.kept_site(&function, &copy, (first, 2))?;
        let mut begin = self.start(operation, key, self.field("Conn", "config")?, Some(5));
        let mut end = self.in_words(operation, key, first);
        for found in [&mut begin, &mut end] {
            self.receiver_in_stack(&name, found)?;
            found.key_field = self.field("copyFrom", "conn")?;
        }
        self.add("(*copyFrom).run", (start, begin), (name, site, end));
        Some(())
    }

    /// From `SendBatch` until its results are closed.
    fn batches(&mut self) -> Option<()> {
        let (operation, key) = (SqlOperation::Batch, SiteKey::Receiver);
        let name = self.own("(*Conn).SendBatch");
        if self.context.binary.function(&name).is_none() {
            return Some(());
        }
        let start = self.context.entry(&name).ok()?;
        let mut begin = self.start(operation, key, self.field("Conn", "config")?, None);
        let statements = ["items", "queuedQueries", "QueuedQueries"];
        begin.batch_field = statements.iter().find_map(|field| self.field("Batch", field))?;
        let ends = match self.version.library {
            SqlLibrary::Pgx5 => self.ends_of_batches()?,
            _ => self.returns_of_batches()?,
        };
        self.plan.add_described(Probe::SqlStart, &name, start, begin);
        for (function, site, end) in ends {
            self.plan.add_described(Probe::SqlEnd, &function, site, end);
        }
        Some(())
    }

    /// Deferred closures, which have a pointer to the results.
    fn ends_of_batches(&self) -> Option<Vec<(String, Site, raw::Site)>> {
        let mut ends = Vec::new();
        for results in ["batchResults", "pipelineBatchResults"] {
            let name = self.own(&format!("(*{results}).Close.func1"));
            let Ok(site) = self.context.entry(&name) else { continue };
            let mut end = self.described(SqlOperation::Batch, SiteKey::Receiver);
            end.base = CLOSURE;
            end.base_slot = 8;
            end.key_field = self.field(results, "conn")?;
            end.error_field = self.field(results, "err")?;
            ends.push((name, site, end));
        }
        (!ends.is_empty()).then_some(ends)
    }

    /// Version 4 has nothing there but returns, which are single-stepped; and, where nothing was
    /// sent, the test of an error that is known already.
    fn returns_of_batches(&self) -> Option<Vec<(String, Site, raw::Site)>> {
        let name = self.own("(*batchResults).Close");
        let binary = self.context.binary;
        let function = binary.function(&name)?;
        let mut end = self.in_words(SqlOperation::Batch, SiteKey::Receiver, 0);
        end.base = STACK;
        end.base_slot = 8;
        end.key_field = self.field("batchResults", "conn")?;
        end.flags = raw::SITE_QUIET;
        let sites = binary.return_sites(&function).into_iter();
        let mut ends: Vec<_> = sites.map(|site| (name.clone(), site, end)).collect();
        let failed = raw::Site {
            base: WORDS[0],
            base_slot: NONE,
            error_field: self.field("batchResults", "err")?,
            flags: raw::SITE_QUIET | raw::SITE_ERRORS,
            ..end
        };
        ends.push((name, binary.entry_site(&function)?, failed));
        Some(ends)
    }
}
