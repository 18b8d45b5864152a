//! Which database a `sql.DB` stands for, or a configuration of pgx: how the agent finds that in a
//! process's memory, by the types that a connector can have. The programs only pass an address on.

use gobin::{Kind, Type};

use super::{Ability, Context, Plan};

/// Packages of drivers, and what OpenTelemetry calls their databases.
const SYSTEMS: [(&str, &str); 11] = [
    ("github.com/lib/pq", "postgresql"),
    ("github.com/jackc/pgx/v4/stdlib", "postgresql"),
    ("github.com/jackc/pgx/v5/stdlib", "postgresql"),
    ("github.com/go-sql-driver/mysql", "mysql"),
    ("modernc.org/sqlite", "sqlite"),
    ("github.com/mattn/go-sqlite3", "sqlite"),
    ("github.com/glebarez/go-sqlite", "sqlite"),
    ("github.com/microsoft/go-mssqldb", "microsoft.sql_server"),
    ("github.com/denisenkom/go-mssqldb", "microsoft.sql_server"),
    ("github.com/sijms/go-ora/v2", "oracle.db"),
    ("github.com/ClickHouse/clickhouse-go/v2", "clickhouse"),
];
const MYSQL: &str = "github.com/go-sql-driver/mysql";
/// Interfaces by which a driver that wraps another one holds it.
const WRAPPED: [&str; 3] = ["driver.Connector", "driver.Driver", "driver.DriverContext"];
/// Structures nested deeper than this in a wrapper are not looked into.
const MAX_NESTING: usize = 2;
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
    /// Types of connectors and drivers that are none of these and may wrap one of them: where they
    /// hold interfaces with it.
    pub wrappers: Vec<(u64, Vec<u64>)>,
    /// Configurations of pgx 4 and 5, where they are linked in.
    pub pgx: [Option<PgxLayout>; 2],
}

/// Offsets in a `pgconn.Config`, which a `pgx.ConnConfig` starts with.
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
    if !plan.abilities.contains(&Ability::Sql) {
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
            plan.miss(Ability::Sql, format!("servers and databases of {package}: {NO_FIELD}"));
        }
    }
    let Some(connector) = context.types.offset("database/sql.DB", &["connector"]) else {
        plan.databases = Some(DatabaseLayout { pgx, ..DatabaseLayout::default() });
        return;
    };
    let types = |methods: &[&str]| context.types.with_methods(methods);
    let (mut connectors, mut drivers, mut wrappers) = (Vec::new(), Vec::new(), Vec::new());
    for typ in types(&["Connect", "Driver"]) {
        let target = context.types.pointee(&typ).unwrap_or(typ);
        let package = context.types.package(&target).unwrap_or_default();
        match layout(context, package, target.name) {
            Some(layout) => connectors.push((typ.vaddr, layout)),
            None => wrappers.push((typ.vaddr, wrapped(context, &target, MAX_NESTING))),
        }
    }
    for typ in types(&["Open"]) {
        let target = context.types.pointee(&typ).unwrap_or(typ);
        match system(context.types.package(&target).unwrap_or_default()) {
            Some(system) => drivers.push((typ.vaddr, system)),
            None => wrappers.push((typ.vaddr, wrapped(context, &target, MAX_NESTING))),
        }
    }
    wrappers.retain(|(_, offsets)| !offsets.is_empty());
    let opaque = ConnectorLayout::Opaque { system: "mysql" };
    if connectors.iter().any(|(_, layout)| *layout == opaque) {
        plan.miss(Ability::Sql, format!("servers and databases of {MYSQL}: {NO_FIELD}"));
    }
    plan.databases = Some(DatabaseLayout { connector, connectors, drivers, wrappers, pgx });
}

/// Offsets of the interfaces in a structure by which it may hold what it wraps.
fn wrapped(context: &Context<'_, '_>, typ: &Type<'_>, depth: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    for field in context.types.fields(typ) {
        let Some(inner) = context.types.at(field.typ) else { continue };
        match inner.kind {
            Kind::Interface if WRAPPED.contains(&inner.name) => offsets.push(field.offset),
            Kind::Struct if depth > 0 => {
                let within = wrapped(context, &inner, depth - 1);
                offsets.extend(within.into_iter().filter_map(|at| at.checked_add(field.offset)));
            }
            _ => {}
        }
    }
    offsets
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
        _ if package.ends_with("/stdlib") => {
            own("name").map(|dsn| ConnectorLayout::Text { system, dsn })
        }
        _ => None,
    };
    Some(known.unwrap_or(ConnectorLayout::Opaque { system }))
}
