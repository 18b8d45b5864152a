//! One module a subject, one test a rule.
//!
//! - [`layers`]: which crate may depend on what.
//! - [`sources`]: what source files look like.
//! - [`image`]: the Dockerfile.
//! - [`documents`]: that documents and commands agree, and what no file may say.

mod documents;
mod image;
mod layers;
mod repo;
mod sources;
