//! Which database a `sql.DB` stands for, or a configuration of pgx: how the agent finds that in a
//! process's memory, by the types that a connector can have. The programs only pass an address on.

use std::collections::HashMap;

use gobin::{Field, Kind, Type};
use wire::raw::{self, TypeRole};

use super::ABILITY;
use crate::plan::{Context, Plan, types};

/// Packages of drivers, and what OpenTelemetry calls their databases.
const SYSTEMS: [(&str, &str); 11] = [
    (PQ, "postgresql"),
    ("github.com/jackc/pgx/v4/stdlib", "postgresql"),
    ("github.com/jackc/pgx/v5/stdlib", "postgresql"),
    (MYSQL, "mysql"),
    ("modernc.org/sqlite", "sqlite"),
    ("github.com/mattn/go-sqlite3", "sqlite"),
    ("github.com/glebarez/go-sqlite", "sqlite"),
    ("github.com/microsoft/go-mssqldb", "microsoft.sql_server"),
    ("github.com/denisenkom/go-mssqldb", "microsoft.sql_server"),
    ("github.com/sijms/go-ora/v2", "oracle.db"),
    ("github.com/ClickHouse/clickhouse-go/v2", "clickhouse"),
];
const PQ: &str = "github.com/lib/pq";
const MYSQL: &str = "github.com/go-sql-driver/mysql";
/// Interfaces by which a driver that wraps another one holds it.
const WRAPPED: [&str; 3] = ["driver.Connector", "driver.Driver", "driver.DriverContext"];
/// Structures nested deeper than this in a wrapper, or further behind pointers, are not looked into.
const MAX_NESTING: usize = 2;
/// Places in one wrapper that are looked at.
const MAX_HELD: usize = 8;
const NO_FIELD: &str = "a field was not found";
/// pgx 4 and 5, and their configurations.
const PGX: [(&str, &str); 2] = [
    ("github.com/jackc/pgx/v4", "github.com/jackc/pgconn.Config"),
    ("github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn.Config"),
];

/// How to find what a `sql.DB` stands for, or pgx's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseLayout {
    /// Offset of `sql.DB.connector`.
    pub connector: u64,
    /// Types of connectors, by the address of their descriptor in the file.
    pub connectors: Vec<(u64, ConnectorLayout)>,
    /// Types of drivers, and their systems.
    pub drivers: Vec<(u64, &'static str)>,
    /// Types of connectors and drivers that are none of these and may wrap one of them, and where they
    /// may hold it.
    pub wrappers: Vec<(u64, Wrapper)>,
    /// Configurations of pgx 4 and 5, where they are linked in.
    pub pgx: [Option<PgxLayout>; 2],
}

/// A connector or driver around another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrapper {
    /// Offset of a string with the data source name for it, in a copy of `database/sql`'s `dsnConnector`.
    pub dsn: Option<u64>,
    /// Where it may hold the other one.
    pub held: Vec<Held>,
}

/// Where a wrapper may hold a connector or a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The first offset is one in the wrapper; at each place but the last is a pointer, to which the next
    /// offset is added.
    pub path: Vec<u64>,
    /// What is at the end of the path: an interface, or a value of the connector or driver with this type, by
    /// the address by which [`DatabaseLayout`] lists it.
    pub value: Option<u64>,
}

/// Offsets in a `pgconn.Config`, which a `pgx.ConnConfig` starts with, and in a `pq.Connector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgxLayout {
    /// Of the string with the host.
    pub host: u64,
    /// Of the port, two bytes.
    pub port: u64,
    /// Of the string with the database's name.
    pub database: u64,
}

/// What a connector's structure holds, as offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorLayout {
    /// A data source name, and a driver that tells the system.
    Named {
        /// Of the string.
        dsn: u64,
        /// Of the interface.
        driver: u64,
    },
    /// A data source name for this system.
    Text {
        /// What is behind it.
        system: &'static str,
        /// Of the string.
        dsn: u64,
    },
    /// lib/pq's configuration, since it has one.
    Pq(PgxLayout),
    /// A pointer to MySQL's configuration.
    MySql {
        /// Of the pointer.
        config: u64,
        /// Of the address, in the configuration.
        address: u64,
        /// Of the database's name, in the configuration.
        name: u64,
    },
    /// Nothing that is known, but for the system.
    Opaque {
        /// What is behind it.
        system: &'static str,
    },
}

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    if !plan.abilities.contains(&ABILITY) {
        return;
    }
    let pgx = PGX.map(|(_, name)| {
        let offset = |field| context.types.offset(name, &[field]);
        Some(PgxLayout {
            host: offset("Host")?,
            port: offset("Port")?,
            database: offset("Database")?,
        })
    });
    for ((package, _), layout) in PGX.iter().zip(&pgx) {
        let is_linked = context.binary.function(&format!("{package}.(*Conn).Query")).is_some();
        if is_linked && layout.is_none() {
            plan.miss(ABILITY, format!("servers and databases of {package}: {NO_FIELD}"));
        }
    }
    let Some(connector) = context.types.offset("database/sql.DB", &["connector"]) else {
        plan.databases = Some(DatabaseLayout { pgx, ..DatabaseLayout::default() });
        return;
    };
    let types = |methods: &[&str]| context.types.with_methods(methods);
    let (mut connectors, mut drivers, mut others) = (Vec::new(), Vec::new(), Vec::new());
    // What a structure may hold as it is, by the address of the structure's type.
    let mut known = HashMap::new();
    for typ in types(&["Connect", "Driver"]) {
        let target = context.types.pointee(&typ).unwrap_or(typ);
        let package = context.types.package(&target).unwrap_or_default();
        match layout(context, package, target.name) {
            Some(layout) => {
                connectors.push((typ.vaddr, layout));
                known.insert(target.vaddr, typ.vaddr);
            }
            None => others.push((typ.vaddr, target)),
        }
    }
    for typ in types(&["Open"]) {
        let target = context.types.pointee(&typ).unwrap_or(typ);
        match system(context.types.package(&target).unwrap_or_default()) {
            Some(system) => {
                drivers.push((typ.vaddr, system));
                known.insert(target.vaddr, typ.vaddr);
            }
            None => others.push((typ.vaddr, target)),
        }
    }
    let wrappers = wrappers(context, &known, others);
    let opaque = ConnectorLayout::Opaque { system: "mysql" };
    if connectors.iter().any(|(_, layout)| *layout == opaque) {
        plan.miss(ABILITY, format!("servers and databases of {MYSQL}: {NO_FIELD}"));
    }
    plan.databases = Some(DatabaseLayout { connector, connectors, drivers, wrappers, pgx });
}

/// What of these types may hold one that is known, and where.
fn wrappers<'d>(
    context: &Context<'_, 'd>,
    known: &HashMap<u64, u64>,
    others: Vec<(u64, Type<'d>)>,
) -> Vec<(u64, Wrapper)> {
    let wrapper = |(vaddr, target): (u64, Type<'d>)| {
        let mut found = Wrapper::default();
        hold(context, known, &target, &[0], MAX_NESTING, &mut found.held);
        let is_text = |typ| context.types.at(typ).is_some_and(|typ| typ.kind == Kind::String);
        // An interface holds such a structure as the pointer that it consists of.
        if vaddr == target.vaddr && is_a_pointer(context, &target) {
            for held in &mut found.held {
                held.path.remove(0);
            }
        }
        let dsn = |field: &Field<'_>| field.name == "dsn" && is_text(field.typ);
        let mut fields = context.types.fields(&target).into_iter();
        found.dsn = fields.find(dsn).map(|field| field.offset);
        (vaddr, found)
    };
    others.into_iter().map(wrapper).filter(|(_, found)| !found.held.is_empty()).collect()
}

/// Whether a structure is one pointer and nothing else.
fn is_a_pointer(context: &Context<'_, '_>, typ: &Type<'_>) -> bool {
    let mut typ = *typ;
    for _ in 0..=MAX_NESTING {
        let fields = context.types.fields(&typ);
        let [field] = &fields[..] else { return false };
        match context.types.at(field.typ) {
            Some(inner) if inner.kind == Kind::Pointer => return true,
            Some(inner) => typ = inner,
            None => return false,
        }
    }
    false
}

/// Adds where a structure at the end of this path may hold what it wraps: in an interface, as a value or a
/// pointer, or in another structure that holds it.
fn hold(
    context: &Context<'_, '_>,
    known: &HashMap<u64, u64>,
    typ: &Type<'_>,
    path: &[u64],
    depth: usize,
    found: &mut Vec<Held>,
) {
    for field in context.types.fields(typ) {
        let Some(mut inner) = context.types.at(field.typ) else { continue };
        let mut path = path.to_vec();
        let Some(end) = path.last_mut() else { return };
        let Some(at) = end.checked_add(field.offset) else { continue };
        *end = at;
        if let Some(pointee) = context.types.pointee(&inner) {
            inner = pointee;
            path.push(0);
        }
        if found.len() >= MAX_HELD {
            return;
        }
        if let Some(value) = known.get(&inner.vaddr) {
            found.push(Held { path, value: Some(*value) });
        } else if inner.kind == Kind::Interface && WRAPPED.contains(&inner.name) {
            found.push(Held { path, value: None });
        } else if inner.kind == Kind::Struct && depth > 0 {
            hold(context, known, &inner, &path, depth - 1, found);
        }
    }
}

fn system(package: &str) -> Option<&'static str> {
    SYSTEMS.iter().find(|(name, _)| *name == package).map(|(_, system)| *system)
}

fn layout(context: &Context<'_, '_>, package: &str, name: &str) -> Option<ConnectorLayout> {
    let (_, short) = name.split_once('.')?;
    let offset = |name: &str, field: &str| context.types.offset(name, &[field]);
    let own = |field| offset(&format!("{package}.{short}"), field);
    if package == "database/sql" {
        return Some(ConnectorLayout::Named { dsn: own("dsn")?, driver: own("driver")? });
    }
    let system = system(package)?;
    let config = || {
        let config = format!("{MYSQL}.Config");
        Some(ConnectorLayout::MySql {
            config: own("cfg")?,
            address: offset(&config, "Addr")?,
            name: offset(&config, "DBName")?,
        })
    };
    let known = match package {
        MYSQL => config(),
        PQ => pq(context),
        _ if package.ends_with("/stdlib") => {
            own("name").map(|dsn| ConnectorLayout::Text { system, dsn })
        }
        _ => None,
    };
    Some(known.unwrap_or(ConnectorLayout::Opaque { system }))
}

fn pq(context: &Context<'_, '_>) -> Option<ConnectorLayout> {
    let name = format!("{PQ}.Connector");
    let offset = |field| context.types.offset(&name, &["cfg", field]);
    Some(ConnectorLayout::Pq(PgxLayout {
        host: offset("Host")?,
        port: offset("Port")?,
        database: offset("Database")?,
    }))
}

/// Errors of database drivers, which have a code: type, field and, of numbers, size in bytes.
const SQL_ERRORS: [(&str, &str, u64); 6] = [
    ("github.com/lib/pq.Error", "Code", 0),
    ("github.com/jackc/pgconn.PgError", "Code", 0),
    ("github.com/jackc/pgx/v5/pgconn.PgError", "Code", 0),
    ("github.com/go-sql-driver/mysql.MySQLError", "Number", 2),
    ("github.com/mattn/go-sqlite3.Error", "ExtendedCode", 8),
    ("modernc.org/sqlite.Error", "code", 8),
];

/// What says which error it is, of drivers that have a code for that.
pub(super) fn error(context: &Context<'_, '_>, _: &Type<'_>, typ: &Type<'_>) -> Option<raw::Type> {
    let found = |name| context.types.find_struct(name).is_some_and(|t| t.vaddr == typ.vaddr);
    let (name, field, size) = SQL_ERRORS.iter().find(|(name, ..)| found(name))?;
    let offset = context.types.offset(name, &[field])?;
    let kind = if *size == 0 { TypeRole::SqlState } else { TypeRole::SqlNumber };
    types::role(kind, offset, *size)
}
