//! Real back ends that take minutes to build or to fetch: what they say of traces and profiles. `make test-backends` runs this.

mod agents;
mod envoy;
mod jaeger;
mod parca;
mod retention;
