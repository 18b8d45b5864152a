//! The pods of one node: a watch of Kubernetes' API server, and what a container's pod says of it as
//! OpenTelemetry's attributes.
//!
//! [`Watcher`] follows the pods of one node and keeps what is needed of them in [`Pods`], which any thread may
//! ask. [`attributes`] turns a pod into attributes of a resource; it does no IO. Not here: which process is in
//! which container (`host::container` reads names of cgroups), and which processes are observed.

pub mod attributes;
mod cache;
mod image;
mod owner;
mod pod;
mod room;
mod server;
mod status;
mod watch;

pub use cache::{Placed, Pods};
pub use pod::{Container, Owner, Pod};
pub use server::{Error, Server, node_name};
pub use status::{Failure, State, Status};
pub use watch::{Notice, Watcher};

#[cfg(test)]
mod pods_tests;
