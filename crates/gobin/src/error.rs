//! The ways in which a file can fail to be a Go binary that we can read.
//!
//! Only what makes the whole file unreadable is an [`Error`]; a single missing type or function is
//! an `Option`, so that one hole costs one feature and not the process.

/// Why a file could not be opened as a Go binary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is no ELF file, or its headers point outside it.
    #[error("not a readable ELF file: {0}")]
    Elf(String),
    /// The machine is neither x86-64 nor arm64.
    #[error("built for machine {0}, while only x86-64 and arm64 are supported")]
    Machine(u16),
    /// There is no Go build information, so this is not a Go program.
    #[error("not a Go program: it carries no Go build information")]
    NotGo,
    /// There is no function table (`pclntab`).
    #[error("no Go function table (pclntab) found; was the file processed by a packer?")]
    NoPclntab,
    /// The function table is of a layout that is not known.
    #[error("{}", unknown_magic(*.0))]
    PclntabMagic(u32),
    /// A table says something that its own bytes contradict.
    #[error("damaged {table}: {what}")]
    Damaged {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The module data, where text and types start, was not found.
    #[error("Go module data not found")]
    NoModuledata,
}

impl Error {
    /// Whether the file is a Go program all the same: its build information was found.
    pub fn is_of_go(&self) -> bool {
        match self {
            Error::Elf(_) | Error::Machine(_) | Error::NotGo => false,
            Error::NoPclntab
            | Error::PclntabMagic(_)
            | Error::Damaged { .. }
            | Error::NoModuledata => true,
        }
    }
}

fn unknown_magic(magic: u32) -> String {
    match magic {
        // Of Go 1.2 and of Go 1.16.
        0xffff_fffb | 0xffff_fffa => {
            "built by a Go before 1.18, whose function table can't be read".to_owned()
        }
        _ => format!(
            "was it obfuscated, as by garble? Its Go function table has the unknown magic {magic:#x}"
        ),
    }
}
