//! One module a subject, one test a rule.
//!
//! - [`layers`]: which crate may depend on what.
//! - [`meaning`]: who may name or read the attributes of spans.
//! - [`sources`]: what source files look like.
//! - [`image`]: the Dockerfile.
//! - [`documents`]: that documents and commands agree, and what no file may say.

mod documents;
mod image;
mod layers;
mod meaning;
mod repo;
mod sources;
