//! Stacks with counts ([`Profile`]), and what is made of them: pprof's files ([`pprof`]), folded stacks,
//! speedscope's JSON, flame graphs and tables of functions. Not here: where stacks come from, and writing
//! files.

mod flame;
mod folded;
mod model;
pub mod pprof;
mod proto;
mod speedscope;
mod table;
mod tree;

pub use flame::{flame_graph, flame_graph_of_difference};
pub use folded::folded;
pub use model::{Frame, Location, Mapping, Profile, Sample, ValueType, short_name};
pub use speedscope::speedscope;
pub use table::{Row, Table};
