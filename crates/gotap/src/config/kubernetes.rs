//! Settings of Kubernetes: whether and how pods are asked for, and which of them are observed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use podwatch::Server;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Invalid;

/// Names of pods for spans and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Kubernetes {
    /// Whether the API server is asked for this node's pods: `auto` does so in a pod and with a kubeconfig
    pub(crate) enabled: Use,
    /// Name of this node; the host's name if not given, but in a pod, where it must be
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// kubeconfig file by which the API server is found; the pod's service account if not given
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Name services by the labels app.kubernetes.io/instance, name and version before their controllers and images
    pub(crate) service_labels: bool,
}

/// Whether to do something.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Use {
    /// Where it can be done
    #[default]
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// Pods that match all that is given; with nothing given, all pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PodChoice {
    /// Namespace, with * and ?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Name of the pod, with * and ?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// Name of the container in the pod, with * and ?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    /// Labels of the pod; their values with * and ?
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
}

impl Kubernetes {
    /// Finds settings that can't be met on any machine. `needed` is whether processes are chosen by their pods.
    pub(super) fn validate(&self, needed: bool) -> Result<()> {
        if self.enabled == Use::Off && needed {
            let sentence = "select.kubernetes needs kubernetes.enabled to be auto or on";
            return Err(Invalid(sentence.into()).into());
        }
        Ok(())
    }

    /// The API server to ask and this node's name; `None` where pods are not asked for. `needed` is whether processes
    /// are chosen by their pods.
    ///
    /// # Errors
    /// [`Invalid`] where they must be and can't.
    pub(crate) fn server(&self, needed: bool) -> Result<Option<(Server, String)>> {
        let server = match &self.kubeconfig {
            Some(path) => Some(Server::Kubeconfig(path.clone())),
            None => Server::is_in_pod().then_some(Server::OfPod),
        };
        let server = match (self.enabled, server) {
            (Use::Off, _) => return self.validate(needed).map(|()| None),
            (_, Some(server)) => server,
            (Use::Auto, None) if !needed => return Ok(None),
            (_, None) => {
                let sentence = "kubernetes: gotap runs in no pod: say where the API server is by kubernetes.kubeconfig";
                return Err(Invalid(sentence.into()).into());
            }
        };
        let host = crate::resource::host_name(None);
        let node = podwatch::node_name(self.node.as_deref(), &host);
        let node = node.map_err(|e| Invalid(format!("kubernetes: {e}")))?;
        Ok(Some((server, node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_asked_where_it_can_be() {
        let with = |enabled, kubeconfig: Option<&str>, node: Option<&str>| Kubernetes {
            enabled,
            kubeconfig: kubeconfig.map(Into::into),
            node: node.map(Into::into),
            service_labels: false,
        };
        let file = || Server::Kubeconfig("/k".into());
        let auto = with(Use::Auto, Some("/k"), Some("a")).server(false).unwrap();
        assert_eq!(auto, Some((file(), "a".into())));
        assert_eq!(with(Use::Off, Some("/k"), None).server(false).unwrap(), None);
        // Tests do not run in a pod.
        assert_eq!(with(Use::Auto, None, None).server(false).unwrap(), None);
        assert!(with(Use::On, None, None).server(false).is_err());
        assert!(with(Use::Auto, None, None).server(true).is_err());
        assert!(with(Use::Off, Some("/k"), None).server(true).is_err());
        let (_, node) = with(Use::On, Some("/k"), None).server(false).unwrap().unwrap();
        assert_eq!(node, crate::resource::host_name(None).to_lowercase());
    }
}
