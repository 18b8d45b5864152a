//! Which API server is asked, and which node this is. Not here: asking.

use std::path::PathBuf;
use std::time::Duration;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Set by Kubernetes in each container.
const IN_POD: &str = "KUBERNETES_SERVICE_HOST";

/// Why there is no API server to ask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service account's files can't be used.
    #[error("Kubernetes' service account can't be used: {0}")]
    Account(#[source] kube::config::InClusterError),
    /// The kubeconfig can't be used.
    #[error("kubeconfig {path}: {source}")]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        source: Box<kube::config::KubeconfigError>,
    },
    /// Nothing names this node.
    #[error(
        "it is not known which node this is: set NODE_NAME from the pod's spec.nodeName, kubernetes.node or --node"
    )]
    Node,
    /// The thread can't be started.
    #[error("start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Where the API server is, and by which right it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// By the pod's service account.
    OfPod,
    /// By a kubeconfig.
    Kubeconfig(PathBuf),
}

impl Server {
    /// Whether this process runs in a pod.
    pub fn is_in_pod() -> bool {
        std::env::var_os(IN_POD).is_some_and(|host| !host.is_empty())
    }

    /// The settings of a client. Files are read; nothing is sent.
    pub(crate) async fn config(&self) -> Result<Config, Error> {
        let mut config = match self {
            Server::OfPod => Config::incluster().map_err(Error::Account)?,
            Server::Kubeconfig(path) => {
                let wrong =
                    |source| Error::Kubeconfig { path: path.clone(), source: Box::new(source) };
                let read = Kubeconfig::read_from(path).map_err(wrong)?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(read, &options).await.map_err(wrong)?
            }
        };
        config.connect_timeout = Some(CONNECT);
        Ok(config)
    }
}

/// The name of this node: as it is set, or else, outside of a pod, the host's, in lower case as kubelets register it.
/// In a pod the host's name may be the pod's.
///
/// # Errors
/// [`Error::Node`].
pub fn node_name(set: Option<&str>, host: &str) -> Result<String, Error> {
    match set.filter(|name| !name.is_empty()) {
        Some(name) => Ok(name.to_owned()),
        None if Server::is_in_pod() || host.is_empty() => Err(Error::Node),
        None => Ok(host.to_lowercase()),
    }
}
