//! Flags of Kubernetes.

use clap::Args;

use crate::config::Use;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct KubernetesArgs {
    /// Whether to ask Kubernetes' API server for this node's pods, which name what runs in them
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) kubernetes: Option<Use>,
    /// Name of this node in Kubernetes; also NODE_NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
}
