//! Names of code that is not Go's: C libraries and C code in the program itself ([`Mappings`]), and the kernel
//! ([`Kernel`]). Files are held open from the moment at which a process is looked at, so that names are found
//! when it has ended.
//!
//! Symbols are read by blazesym. Not here: Go's own functions (`gobin`).

mod kernel;
mod mappings;

pub use kernel::Kernel;
pub use mappings::{Mapping, Mappings};
