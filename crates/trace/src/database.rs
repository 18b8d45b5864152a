//! What operations on databases are joined with: the database that they are of.

/// What a `sql.DB` stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// `db.system.name`.
    pub system: &'static str,
    /// Host name, address or path of a socket.
    pub address: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// `db.namespace`: the database's name.
    pub namespace: Option<String>,
}

/// What of a program speaks to a database (`enum gt_sql_library`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlLibrary {
    /// `database/sql` with any driver.
    Std = 0,
    /// `github.com/jackc/pgx/v4`.
    Pgx4 = 1,
    /// `github.com/jackc/pgx/v5`.
    Pgx5 = 2,
}

impl SqlLibrary {
    /// The one with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        let all = [SqlLibrary::Std, SqlLibrary::Pgx4, SqlLibrary::Pgx5];
        all.into_iter().find(|library| *library as u8 == number)
    }
}

/// Finds what the `sql.DB` of a process stands for.
pub trait Databases: std::fmt::Debug + Send + Sync {
    /// What is behind the DB at this address, of pgx behind the configuration; `None` if that can't
    /// be read now.
    fn database(&self, db: u64, library: SqlLibrary) -> Option<Database>;
}
