//! Pods for tests, as an API server sends them.

use crate::pod::{Pod, Sent};

/// The id of the container `app` of [`shop`].
pub(crate) const ID: &str = "4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a";

/// A pod of a Deployment.
pub(crate) const SHOP: &str = r#"{
  "kind": "Pod", "apiVersion": "v1",
  "metadata": {
    "name": "shop-7d9c5b6f4-x2x9k", "namespace": "market", "uid": "0b4a9c5e-0000-4000-8000-000000000001",
    "resourceVersion": "41", "creationTimestamp": "2026-11-29T09:00:00Z",
    "labels": {"app": "shop", "pod-template-hash": "7d9c5b6f4", "app.kubernetes.io/name": "storefront",
      "app.kubernetes.io/version": "3.1"},
    "annotations": {"resource.opentelemetry.io/deployment.environment.name": "staging",
      "kubectl.kubernetes.io/last-applied-configuration": "{\"password\":\"hunter2\"}"},
    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-7d9c5b6f4",
      "uid": "0b4a9c5e-0000-4000-8000-000000000002", "controller": true, "blockOwnerDeletion": true}],
    "managedFields": [{"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}]
  },
  "spec": {
    "nodeName": "node-a",
    "containers": [
      {"name": "app", "image": "registry.example:5000/shop/app:1.4.2", "env": [{"name": "PASSWORD", "value": "hunter2"}]},
      {"name": "proxy", "image": "proxy@sha256:9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b9f2b"}],
    "initContainers": [{"name": "migrate", "image": "shop/migrate"}]
  },
  "status": {
    "phase": "Running",
    "containerStatuses": [
      {"name": "app", "image": "registry.example:5000/shop/app:1.4.2", "imageID": "sha256:1", "ready": true,
        "restartCount": 0, "containerID": "containerd://4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a4f1c2b3a"},
      {"name": "proxy", "image": "proxy", "imageID": "", "ready": false, "restartCount": 0}]
  }
}"#;

/// That pod.
pub(crate) fn shop() -> Pod {
    Pod::from(serde_json::from_str::<Sent>(SHOP).unwrap())
}
