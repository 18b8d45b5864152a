//! What controls a pod, and what controls that. Deployments and CronJobs are found by the names that Kubernetes'
//! own controllers give, and not asked for: that would need rights to read ReplicaSets and Jobs of the whole
//! cluster. A name that does not follow the rule leads to nothing.

use crate::pod::Pod;

/// The label by which a Deployment tells its ReplicaSets' pods apart.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// How long after the time of its schedule a Job of a CronJob may come: it may be started late.
const LATEST: i64 = 8 * 24 * 3600;
/// How much earlier than its schedule, by another clock.
const EARLIEST: i64 = 5 * 60;

/// The attributes of a pod's controllers, the outermost first.
pub(crate) fn controllers(pod: &Pod) -> Vec<(&'static str, String)> {
    let Some(owner) = &pod.owner else { return Vec::new() };
    let name = || owner.name.clone();
    let mut out = Vec::new();
    match owner.kind.as_str() {
        "ReplicaSet" => {
            out.extend(deployment(pod, &owner.name).map(|name| ("k8s.deployment.name", name)));
            out.push(("k8s.replicaset.name", name()));
        }
        "StatefulSet" => out.push(("k8s.statefulset.name", name())),
        "DaemonSet" => out.push(("k8s.daemonset.name", name())),
        "Job" => {
            out.extend(cron_job(pod, &owner.name).map(|name| ("k8s.cronjob.name", name)));
            out.push(("k8s.job.name", name()));
        }
        _ => {}
    }
    out
}

/// A Deployment's ReplicaSet is called as the Deployment, a dash, and the hash that its pods are labelled with.
fn deployment(pod: &Pod, replica_set: &str) -> Option<String> {
    let hash = pod.labels.get(TEMPLATE_HASH)?;
    let name = replica_set.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// A CronJob's Job is called as the CronJob, a dash, and the minutes from 1970 to the time for which it was
/// scheduled. Other Jobs have numbers in their names, too: one that is no such time is none.
fn cron_job(pod: &Pod, job: &str) -> Option<String> {
    let (name, minutes) = job.rsplit_once('-')?;
    let scheduled = minutes.parse::<u32>().ok().map(|minutes| i64::from(minutes) * 60)?;
    let late = pod.created? - scheduled;
    (!name.is_empty() && (-EARLIEST..=LATEST).contains(&late)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Owner;

    fn pod(kind: &str, name: &str, hash: Option<&str>) -> Pod {
        let owner = Some(Owner { kind: kind.into(), name: name.into() });
        let labels = hash.map(|hash| (TEMPLATE_HASH.to_owned(), hash.to_owned()));
        let (labels, created) = (labels.into_iter().collect(), Some(1_795_942_800));
        Pod { owner, labels, created, ..Pod::default() }
    }

    #[test]
    fn controllers_are_named() {
        for (kind, name, hash, expected) in [
            (
                "ReplicaSet",
                "shop-7d9c",
                Some("7d9c"),
                vec![("k8s.deployment.name", "shop"), ("k8s.replicaset.name", "shop-7d9c")],
            ),
            // It has no Deployment.
            ("ReplicaSet", "shop-7d9c", None, vec![("k8s.replicaset.name", "shop-7d9c")]),
            ("ReplicaSet", "shop-web", Some("7d9c"), vec![("k8s.replicaset.name", "shop-web")]),
            ("StatefulSet", "db", None, vec![("k8s.statefulset.name", "db")]),
            ("DaemonSet", "log", None, vec![("k8s.daemonset.name", "log")]),
            // 1795942800 s are 29932380 min.
            (
                "Job",
                "night-29932379",
                None,
                vec![("k8s.cronjob.name", "night"), ("k8s.job.name", "night-29932379")],
            ),
            ("Job", "night-20261129", None, vec![("k8s.job.name", "night-20261129")]),
            ("Job", "migrate", None, vec![("k8s.job.name", "migrate")]),
            ("Rollout", "shop", None, vec![]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(key, name)| (key, name.to_owned())).collect();
            assert_eq!(controllers(&pod(kind, name, hash)), expected, "{kind} {name}");
        }
        assert!(controllers(&Pod::default()).is_empty());
    }
}
