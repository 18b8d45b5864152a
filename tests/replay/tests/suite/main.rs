//! What `gotap replay` makes of recordings of real programs, which lie in `streams/`, beside the spans that gotap
//! printed when each was made (`make recordings`). No root, no BPF, no Go: what stands here is quick, and tests of how
//! records become spans, and how spans are printed, belong here. What the kernel side reads is in `tests/e2e`.

mod damaged;
mod output;
mod spans;
mod stream;
