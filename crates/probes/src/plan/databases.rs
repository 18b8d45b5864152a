//! Which database a `sql.DB` stands for, or a configuration of pgx: how the agent finds that in a
//! process's memory, by the types that a connector can have. The programs only pass an address on.

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

/// How to find what a `sql.DB` stands for, or pgx's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseLayout {
    /// Offset of `sql.DB.connector`.
    pub connector: u64,
    /// Types of connectors, by the address of their descriptor in the file.
    pub connectors: Vec<(u64, ConnectorLayout)>,
    /// Types of drivers, and their systems.
    pub drivers: Vec<(u64, &'static str)>,
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
    let pgx = ["github.com/jackc/pgconn.Config", "github.com/jackc/pgx/v5/pgconn.Config"];
    let pgx = pgx.map(|name| {
        let offset = |field| context.types.offset(name, &[field]);
        Some(PgxLayout {
            host: offset("Host")?,
            port: offset("Port")?,
            database: offset("Database")?,
        })
    });
    let Some(connector) = context.types.offset("database/sql.DB", &["connector"]) else {
        plan.databases = Some(DatabaseLayout { pgx, ..DatabaseLayout::default() });
        return;
    };
    let types = |methods: &[&str]| context.types.with_methods(methods);
    let connectors = types(&["Connect", "Driver"]);
    let connectors = connectors.iter().filter_map(|typ| {
        let target = context.types.pointee(typ).unwrap_or(*typ);
        let package = context.types.package(&target)?;
        let layout = layout(context, package, target.name)?;
        Some((typ.vaddr, layout))
    });
    let connectors = connectors.collect();
    let drivers = types(&["Open"]).into_iter().filter_map(|typ| {
        let target = context.types.pointee(&typ).unwrap_or(typ);
        let system = system(context.types.package(&target)?)?;
        Some((typ.vaddr, system))
    });
    let drivers = drivers.collect();
    plan.databases = Some(DatabaseLayout { connector, connectors, drivers, pgx });
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
