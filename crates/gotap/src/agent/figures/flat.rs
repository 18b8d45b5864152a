//! All figures as one list, as Prometheus reads them: attributes name the process, and `target_info` says what else is
//! known of it. Not here: how that is printed.

use std::collections::HashMap;

use metrics::{Labels, Metric, Target, target_labels};
use pipeline::Measured;
use red::Consumer;
use trace::{Resource, Value};

use super::Figures;

impl Figures {
    /// Everything as one list, in which attributes name the processes, and the labels of `target_info`.
    pub(in crate::agent) fn collect_flat(&self) -> (Vec<Metric>, Vec<Labels>) {
        let Measured { metrics: mut out, processes, .. } = self.collect(Consumer::Pull);
        let mut targets = vec![target_labels(&self.resource)];
        let mut by_name: HashMap<_, _> = out.iter().enumerate().map(|(i, m)| (m.name, i)).collect();
        for (resource, metrics) in processes {
            let target = as_target(&resource);
            let attributes = vec![
                ("job", target.job.into()),
                ("instance", target.instance.into()),
                ("service", resource.service_name().to_owned().into()),
                ("pid", pid(&resource).into()),
            ];
            targets.push(target.info);
            for mut metric in metrics {
                metric.add_attributes(&attributes);
                match by_name.get(metric.name) {
                    Some(at) => out[*at].merge(metric),
                    None => {
                        by_name.insert(metric.name, out.len());
                        out.push(metric);
                    }
                }
            }
        }
        (out, targets)
    }
}

fn as_target(resource: &Resource) -> Target {
    Target::new(resource.attributes().iter().map(|(key, value)| {
        let text = match value {
            Value::Int(n) => n.to_string(),
            Value::Double(n) => n.to_string(),
            Value::Texts(texts) => texts.join(","),
            text => text.as_str().unwrap_or_default().to_owned(),
        };
        (key.as_str(), text)
    }))
}

fn pid(resource: &Resource) -> String {
    resource.pid().map(|pid| pid.to_string()).unwrap_or_default()
}
