//! Real programs that take minutes to build or to fetch: what back ends say of traces and profiles, and what gotap says
//! of programs that garble obfuscated. `make test-backends` runs this.

mod agents;
mod envoy;
mod garble;
mod jaeger;
mod parca;
mod retention;
