//! database/sql's part of a plan. Its functions have kept their shape since Go 1.18; what moved into
//! closures is asked for in both places.

use gobin::{Function, Site};
use wire::Probe;
use wire::raw::{self, NO_REGISTER, NONE};

use super::ABILITY;
use super::contract::SqlOperation;
use crate::plan::{Context, Plan};

/// A word of Go's ABI by its number among x86's registers: RAX, RBX, RCX, RDI, RSI, R8, R9, R10, R11.
pub(crate) const WORDS: [u8; 9] = [0, 3, 1, 7, 6, 8, 9, 10, 11];
/// The register of a closure's context.
pub(super) const CLOSURE: u8 = 2;

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let binary = context.binary;
    // The connection pool: whoever uses database/sql has it.
    if binary.function("database/sql.(*DB).conn").is_none() {
        return;
    }
    let before = plan.sites.len();
    let mut sql = Sql { context, plan, incomplete: Vec::new() };
    sql.queries();
    sql.deferred("execDC", SqlOperation::Exec, 5);
    sql.deferred("prepareDC", SqlOperation::Prepare, 7);
    sql.statements();
    sql.begin();
    sql.ends_of_transactions();
    let mut incomplete = sql.incomplete;
    incomplete.dedup();
    let bad_conn = binary.variable("database/sql/driver.ErrBadConn", "database/sql.(*DB).retry");
    plan.constants.bad_conn = bad_conn.unwrap_or_default().into();
    if plan.sites.len() > before {
        plan.abilities.push(ABILITY);
    }
    if !incomplete.is_empty() {
        plan.miss(ABILITY, format!("no site found for {}", incomplete.join(", ")));
    }
}

struct Sql<'a, 'b, 'c, 'd> {
    context: &'a Context<'b, 'c>,
    plan: &'d mut Plan,
    incomplete: Vec<&'static str>,
}

impl<'b> Sql<'_, 'b, '_, '_> {
    fn function(&self, name: &str) -> Option<Function<'b>> {
        self.context.binary.function(&format!("database/sql.{name}"))
    }

    /// Adds an operation whose sites were all found.
    fn add(&mut self, name: &str, start: Option<(Site, raw::Site)>, ends: &[(Site, raw::Site)]) {
        let Some(start) = start else { return };
        let function = format!("database/sql.{name}");
        self.plan.add_described(Probe::SqlStart, &function, start.0, start.1);
        for (site, found) in ends {
            self.plan.add_described(Probe::SqlEnd, &function, *site, *found);
        }
    }

    /// A start whose receiver is the DB, with the context in the words that follow it.
    fn start(&self, name: &str, operation: SqlOperation, text: usize) -> Option<(Site, raw::Site)> {
        let site = self.context.entry(&format!("database/sql.{name}")).ok()?;
        let mut found = described(operation);
        found.base = WORDS[0];
        found.context = [WORDS[1], WORDS[2]];
        if let (Some(first), Some(second)) = (WORDS.get(text), WORDS.get(text + 1)) {
            found.text = [*first, *second];
        }
        Some((site, found))
    }

    fn queries(&mut self) {
        const NAME: &str = "(*DB).queryDC";
        let Some(function) = self.function(NAME) else { return };
        let binary = self.context.binary;
        let slot = |lock: &Function<'_>, nth| {
            let (site, slot) = binary.slot_site(&function, lock, nth)?;
            let mut found = described(SqlOperation::Query);
            found.error_slot = u16::try_from(slot).ok()?;
            Some((site, found))
        };
        let ends = self.function("withLock").zip(self.function("rowsiFromStatement")).and_then(
            |(lock, rows)| {
                // The driver answered; the statement that was prepared instead did; preparing failed.
                let after = binary.branch_site(&function, Some(&rows), 4)?;
                let after = (after, in_words(SqlOperation::Query, 2));
                Some([slot(&lock, 0)?, after, slot(&lock, 1)?])
            },
        );
        match ends {
            Some(ends) => {
                let start = self.start(NAME, SqlOperation::Query, 7);
                self.add(NAME, start, &ends);
            }
            None => self.incomplete.push("queries"),
        }
    }

    /// Operations that end in a deferred closure, which has a pointer to the error.
    fn deferred(&mut self, name: &'static str, operation: SqlOperation, text: usize) {
        /// The closure has the function that releases the connection first.
        const ERROR: u16 = 16;
        let name = format!("(*DB).{name}");
        if self.function(&name).is_none() {
            return;
        }
        let Ok(site) = self.context.entry(&format!("database/sql.{name}.func1")) else {
            return self.incomplete.push("executions");
        };
        let mut end = described(operation);
        end.error_closure = ERROR;
        let start = self.start(&name, operation, text);
        self.add(&name, start, &[(site, end)]);
    }

    fn statements(&mut self) {
        let field = |field| self.context.offset("database/sql.Stmt", &[field]);
        let (query, db) = (field("query"), field("db"));
        for (method, operation, callee) in [
            ("QueryContext", SqlOperation::StmtQuery, "rowsiFromStatement"),
            ("ExecContext", SqlOperation::StmtExec, "resultFromStatement"),
        ] {
            let name = format!("(*Stmt).{method}");
            if self.function(&name).is_none() {
                continue;
            }
            let Some(end) = self.statement_end(&name, operation, callee) else {
                self.incomplete.push("prepared statements");
                continue;
            };
            let start = self.start(&name, operation, WORDS.len()).map(|(site, mut found)| {
                found.text_field = query;
                found.db_field = db;
                (site, found)
            });
            self.add(&name, start, &[end]);
        }
    }

    /// From some version on the attempt is a closure. Before, an execution tests nothing itself but
    /// asks errors.Is.
    fn statement_end(
        &self,
        name: &str,
        operation: SqlOperation,
        callee: &str,
    ) -> Option<(Site, raw::Site)> {
        let binary = self.context.binary;
        let callee = self.function(callee)?;
        let places = [format!("{name}.func1"), name.to_owned()];
        let found = places.iter().filter_map(|place| self.function(place)).find_map(|function| {
            let site = binary.branch_site(&function, Some(&callee), 4)?;
            Some((site, in_words(operation, 2)))
        });
        found.or_else(|| {
            let is = binary.function("errors.Is")?;
            let site = binary.next_call_site(&self.function(name)?, &callee, &is)?;
            Some((site, in_words(operation, 0)))
        })
    }

    fn begin(&mut self) {
        const NAME: &str = "(*DB).beginDC";
        if self.function(NAME).is_none() {
            return;
        }
        let end = self.function("(*DB).beginDC.func1").zip(self.function("ctxDriverBegin"));
        let end = end.and_then(|(closure, begin)| {
            self.context.binary.branch_site(&closure, Some(&begin), 4)
        });
        let Some(end) = end else { return self.incomplete.push("beginning transactions") };
        let start = self.start(NAME, SqlOperation::Begin, WORDS.len());
        self.add(NAME, start, &[(end, in_words(SqlOperation::Begin, 2))]);
    }

    /// In the closure that calls the driver: a transaction that is over already does not get there.
    fn ends_of_transactions(&mut self) {
        let field = |field| self.context.offset("database/sql.Tx", &[field]);
        let (ctx, db, txi) = (field("ctx"), field("db"), field("txi"));
        for (method, operation) in
            [("Commit", SqlOperation::Commit), ("rollback", SqlOperation::Rollback)]
        {
            let name = format!("(*Tx).{method}.func1");
            let Some(closure) = self.function(&name) else { continue };
            let binary = self.context.binary;
            let sites = binary.entry_site(&closure).zip(binary.branch_site(&closure, None, 2));
            let variables = binary.closure_variables(&closure, txi.into());
            let Some(((start, end), (tx, _))) = sites.zip(variables) else {
                self.incomplete.push("ending transactions");
                continue;
            };
            let mut found = described(operation);
            found.base = CLOSURE;
            found.base_slot = u16::try_from(tx).unwrap_or(NONE);
            found.context_field = ctx;
            found.db_field = db;
            self.add(&name, Some((start, found)), &[(end, in_words(operation, 0))]);
        }
    }
}

/// A site that finds nothing yet.
fn described(operation: SqlOperation) -> raw::Site {
    raw::Site { operation: operation as u8, ..raw::Site::ABSENT }
}

/// An end with the error in result word `first` and the next.
fn in_words(operation: SqlOperation, first: usize) -> raw::Site {
    let word = |i: usize| WORDS.get(i).copied().unwrap_or(NO_REGISTER);
    raw::Site { error: [word(first), word(first + 1)], ..described(operation) }
}
