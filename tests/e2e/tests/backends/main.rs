//! Real back ends that take minutes to build: what they say of the shop's traces. `make test-backends` runs this.

mod jaeger;
