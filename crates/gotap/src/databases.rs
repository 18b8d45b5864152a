//! What a program's databases are: read once from the memory of a process, where its `sql.DB` says how
//! it connects. Data source names hold passwords, so that all but host, port and name is forgotten
//! at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use goproc::Process;
use instruments::{ConnectorLayout, DatabaseLayout, PgxLayout};
use trace::Database;
use trace::SqlLibrary;

/// Databases of a process that are kept; a program that makes more than this has names for some.
const MAX_DATABASES: usize = 256;
/// Drivers around a driver; a wrapper may hold itself.
const MAX_WRAPPERS: usize = 4;
/// Longer data source names are not read.
const MAX_DSN: u64 = 4096;

/// The databases of one process.
#[derive(Debug)]
pub(crate) struct DatabaseReader {
    process: Process,
    layout: DatabaseLayout,
    bias: u64,
    known: Mutex<HashMap<u64, Option<Database>>>,
}

impl DatabaseReader {
    pub(crate) fn new(process: Process, layout: DatabaseLayout, bias: u64) -> Self {
        Self { process, layout, bias, known: Mutex::default() }
    }

    fn read(&self, db: u64, library: SqlLibrary) -> Option<Database> {
        match library {
            SqlLibrary::Std => self.behind_db(db),
            SqlLibrary::Pgx4 => self.configured(db, self.layout.pgx[0]?),
            SqlLibrary::Pgx5 => self.configured(db, self.layout.pgx[1]?),
        }
    }

    /// What pgx or lib/pq was configured to connect to.
    fn configured(&self, config: u64, layout: PgxLayout) -> Option<Database> {
        let port = self.word(config.checked_add(layout.port)?)? & 0xffff;
        Some(Database {
            system: "postgresql",
            address: self.text(config.wrapping_add(layout.host)),
            port: u16::try_from(port).ok().filter(|port| *port != 0),
            namespace: self.text(config.wrapping_add(layout.database)).filter(|n| !n.is_empty()),
        })
    }

    fn behind_db(&self, db: u64) -> Option<Database> {
        self.behind(db.checked_add(self.layout.connector)?, "", MAX_WRAPPERS)
    }

    /// What the connector or driver in an interface stands for, also behind what wraps it. `dsn` is
    /// what a driver was given.
    fn behind(&self, interface: u64, dsn: &str, wrappers: usize) -> Option<Database> {
        let (typ, data) = self.interface(interface)?;
        self.value(typ, data, dsn, wrappers)
    }

    /// The same, of a connector or driver of this type, by the address of its descriptor in the file.
    fn value(&self, typ: u64, data: u64, dsn: &str, wrappers: usize) -> Option<Database> {
        let known = |vaddr: u64| vaddr == typ;
        if let Some((_, layout)) = self.layout.connectors.iter().find(|(t, _)| known(*t)) {
            return self.connected(*layout, data, wrappers);
        }
        if let Some((_, system)) = self.layout.drivers.iter().find(|(t, _)| known(*t)) {
            return Some(parse_dsn(system, dsn));
        }
        let (_, wrapper) = self.layout.wrappers.iter().find(|(t, _)| known(*t))?;
        let wrappers = wrappers.checked_sub(1)?;
        let own = wrapper.dsn.and_then(|offset| self.text(data.checked_add(offset)?));
        let dsn = own.as_deref().unwrap_or(dsn);
        let mut found = wrapper.held.iter().filter_map(|held| {
            let at = self.follow(data, &held.path)?;
            match held.value {
                Some(typ) => self.value(typ, at, dsn, wrappers),
                None => self.behind(at, dsn, wrappers),
            }
        });
        let first = found.next()?;
        found.try_fold(first, common)
    }

    /// Where a path of offsets ends, with a pointer in front of each but the first.
    fn follow(&self, data: u64, path: &[u64]) -> Option<u64> {
        let (first, rest) = path.split_first()?;
        let mut at = data.checked_add(*first)?;
        for offset in rest {
            at = self.word(at)?.checked_add(*offset)?;
        }
        Some(at)
    }

    /// What a connector says of itself.
    fn connected(&self, layout: ConnectorLayout, data: u64, wrappers: usize) -> Option<Database> {
        match layout {
            ConnectorLayout::Opaque { system } => Some(Database { system, ..Database::default() }),
            ConnectorLayout::Text { system, dsn } => {
                Some(parse_dsn(system, &self.text(data.wrapping_add(dsn))?))
            }
            ConnectorLayout::Named { dsn, driver } => {
                let dsn = self.text(data.wrapping_add(dsn)).unwrap_or_default();
                self.behind(data.wrapping_add(driver), &dsn, wrappers)
            }
            ConnectorLayout::Pq(layout) => self.configured(data, layout),
            ConnectorLayout::MySql { config, address, name } => {
                let config = self.word(data.wrapping_add(config))?;
                let (address, port) = host_port(&self.text(config.wrapping_add(address))?);
                let namespace = self.text(config.wrapping_add(name)).filter(|n| !n.is_empty());
                Some(Database { system: "mysql", address, port, namespace })
            }
        }
    }

    /// Type, as an address in the file, and data of an interface with methods.
    fn interface(&self, address: u64) -> Option<(u64, u64)> {
        let table = self.word(address)?;
        let typ = self.word(table.checked_add(8)?)?;
        Some((typ.wrapping_sub(self.bias), self.word(address.checked_add(8)?)?))
    }

    fn word(&self, address: u64) -> Option<u64> {
        self.process.word_at(address).ok().filter(|word| *word != 0)
    }

    fn text(&self, address: u64) -> Option<String> {
        self.process.string_at(address, MAX_DSN).ok()?
    }
}

impl trace::Databases for DatabaseReader {
    fn database(&self, db: u64, library: SqlLibrary) -> Option<Database> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&db) {
            return found.clone();
        }
        let found = self.read(db, library);
        if known.len() < MAX_DATABASES {
            known.insert(db, found.clone());
        }
        found
    }
}

/// What is true of both of the databases that a wrapper holds, as it may ask either. A driver beside its own
/// connector knows nothing but its system.
fn common(one: Database, other: Database) -> Option<Database> {
    let nothing = |db: &Database| db.address.is_none() && db.namespace.is_none();
    if one.system != other.system {
        return None;
    }
    if nothing(&one) || nothing(&other) {
        return Some(if nothing(&one) { other } else { one });
    }
    Some(Database {
        system: one.system,
        port: one.port.filter(|_| (&one.address, one.port) == (&other.address, other.port)),
        address: one.address.filter(|address| other.address.as_ref() == Some(address)),
        namespace: one.namespace.filter(|name| other.namespace.as_ref() == Some(name)),
    })
}

/// What may be known of a data source name. Of SQLite's, which is a path, nothing.
fn parse_dsn(system: &'static str, dsn: &str) -> Database {
    let mut found = Database { system, ..Database::default() };
    if system == "sqlite" {
        return found;
    }
    match dsn.split_once("://") {
        Some((_, rest)) => url(rest, &mut found),
        None if system == "postgresql" => pairs(dsn, &mut found),
        None if system == "mysql" => mysql(dsn, &mut found),
        None => {}
    }
    found
}

/// `[user[:password]@][host[:port]][/name][?…]`, of several hosts the first.
fn url(rest: &str, found: &mut Database) {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let first = hosts.split(',').next().unwrap_or_default();
    (found.address, found.port) = host_port(first);
    if found.address.is_some() && found.port.is_none() && found.system == "postgresql" {
        found.port = Some(5432);
    }
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    found.namespace = Some(name).filter(|name| !name.is_empty());
}

/// `[user[:password]@][network[(address)]]/name[?…]`. The password may have any of these characters.
fn mysql(dsn: &str, found: &mut Database) {
    let Some((server, name)) = dsn.rsplit_once('/') else { return };
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    let address = server.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    (found.address, found.port) = address.map_or((None, None), host_port);
    if found.address.is_some() && found.port.is_none() && server.starts_with("tcp(") {
        found.port = Some(3306);
    }
    let name = name.split('?').next().unwrap_or_default();
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    found.namespace = Some(name).filter(|name| !name.is_empty());
}

/// `host=… port=… dbname=…`, with values in single quotes where they need it.
fn pairs(dsn: &str, found: &mut Database) {
    let mut rest = dsn.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap_or((quoted, "")),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        match key.trim() {
            "host" => found.address = Some(value.to_owned()),
            "port" => found.port = value.parse().ok(),
            "dbname" => found.namespace = Some(value.to_owned()),
            _ => {}
        }
        rest = next.trim_start();
    }
    if found.address.is_some() && found.port.is_none() {
        found.port = Some(5432);
    }
}

/// Splits an address; the path of a socket has no port.
fn host_port(text: &str) -> (Option<String>, Option<u16>) {
    let text = text.trim();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.starts_with('/') && !port.ends_with(']') => {
            (host, port.parse().ok())
        }
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (Some(host.to_owned()).filter(|host| !host.is_empty()), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(dsn: &str) -> (Option<String>, Option<u16>, Option<String>) {
        let found = parse_dsn("postgresql", dsn);
        (found.address, found.port, found.namespace)
    }

    fn expected(
        address: &str,
        port: u16,
        name: &str,
    ) -> (Option<String>, Option<u16>, Option<String>) {
        (Some(address.into()), Some(port), Some(name.into()))
    }

    #[test]
    fn data_source_names_tell_where_and_no_secret() {
        assert_eq!(
            parsed("postgres://u:p%40ss@db:5433/shop?sslmode=disable"),
            expected("db", 5433, "shop")
        );
        assert_eq!(parsed("postgresql://[::1]/shop"), expected("::1", 5432, "shop"));
        assert_eq!(
            parsed("user=u password='a b=c' host=db dbname=shop sslmode=disable"),
            expected("db", 5432, "shop")
        );
        assert_eq!(
            parsed("host=/run/postgresql dbname=x port=1"),
            expected("/run/postgresql", 1, "x")
        );
        assert_eq!(parsed(""), (None, None, None));
        assert_eq!(parse_dsn("sqlite", "file:secret.db").address, None);
    }

    #[test]
    fn data_source_names_of_mysql_tell_the_same() {
        let parsed = |dsn| {
            let found = parse_dsn("mysql", dsn);
            (found.address, found.port, found.namespace)
        };
        assert_eq!(parsed("u:p/@(:ss@tcp(db:3307)/shop?loc=UTC"), expected("db", 3307, "shop"));
        assert_eq!(parsed("tcp([::1])/a%20b"), expected("::1", 3306, "a b"));
        let socket = Some("/run/mysqld.sock".to_owned());
        assert_eq!(parsed("u@unix(/run/mysqld.sock)/"), (socket, None, None));
        assert_eq!(parsed("/shop"), (None, None, Some("shop".to_owned())));
        assert_eq!(parsed("secret"), (None, None, None));
    }

    #[test]
    fn of_two_databases_behind_a_wrapper_only_what_both_have_in_common_is_told() {
        let one = parse_dsn("postgresql", "postgres://u@a:1/shop");
        let other = parse_dsn("postgresql", "postgres://u@b:1/shop");
        let both = common(one.clone(), other).expect("one system");
        assert_eq!(
            (both.address, both.port, both.namespace.as_deref()),
            (None, None, Some("shop"))
        );
        assert_eq!(common(one.clone(), one.clone()), Some(one.clone()));
        assert_eq!(common(parse_dsn("postgresql", ""), one.clone()), Some(one.clone()));
        assert_eq!(common(one, parse_dsn("mysql", "/shop")), None);
    }
}
