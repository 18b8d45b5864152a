//! What is allocated, as one JSON object.

use goruntime::SizeClasses;
use serde_json::{Value, json};

use super::routes::{Amount, ByRoute};
use super::sums::Function;
use super::{FRAMES, View};
use crate::opened::unix_nanoseconds;

impl<'d> View<'_, 'd> {
    fn amount_json(&self, amount: &Amount) -> Value {
        let total = self.sums.as_ref().map(|sums| sums.bytes).filter(|total| *total > 0.0);
        json!({
            "bytes": whole(amount.bytes),
            "objects": whole(amount.objects),
            "share": total.map(|total| amount.bytes / total),
            "samples": amount.samples,
            "expectedError": self.error(amount.samples),
        })
    }

    fn routes_json(&self, routes: &ByRoute) -> Vec<Value> {
        let shown = routes.routes.iter().take(self.top);
        shown
            .map(|(operation, amount)| {
                let mut out = self.amount_json(amount);
                out["method"] = json!(operation.method);
                out["route"] = json!(operation.route);
                out
            })
            .collect()
    }

    fn function_json(&self, function: &Function<'_>, total: f64) -> Value {
        let frame = |frame: &goruntime::Position<'_>| json!({"function": frame.name(), "file": frame.file, "line": frame.line});
        json!({
            "function": function.name(),
            "file": function.file(),
            "line": function.line(),
            "bytes": whole(function.bytes),
            "objects": whole(function.objects),
            "share": if total > 0.0 { json!(function.bytes / total) } else { Value::Null },
            "samples": function.samples,
            "expectedError": self.error(function.samples),
            "stack": function.stack.iter().take(FRAMES).map(frame).collect::<Vec<_>>(),
        })
    }

    pub(super) fn json(&self) -> Value {
        let sums = self.sums.as_ref();
        let functions = sums.map(|sums| {
            let one = |function| self.function_json(function, sums.bytes);
            self.functions().map(one).collect::<Vec<_>>()
        });
        let large = sums.map(|_| {
            let one = |(f, objects, bytes): (&Function<'d>, f64, f64)| {
                json!({
                    "function": f.name(), "file": f.file(), "line": f.line(),
                    "bytes": whole(bytes), "objects": whole(objects),
                })
            };
            self.large().into_iter().map(one).collect::<Vec<_>>()
        });
        let counted = self.classes.as_ref();
        json!({
            "pid": self.target.process.pid,
            "service": self.target.service,
            "goVersion": self.target.binary.build_info().go_version,
            "timeUnixNano": unix_nanoseconds(),
            "source": self.source(),
            "seconds": self.seconds,
            "rate": sums.map(|sums| sums.rate).filter(|rate| *rate > 0),
            "profileCycle": sums.filter(|sums| sums.rate > 0).map(|sums| sums.cycle),
            "samples": sums.map(|sums| sums.samples),
            "expectedError": sums.and_then(|sums| self.error(sums.samples)),
            "overhead": self.seen.as_ref().map(|seen| seen.coverage.json()),
            "totalBytes": sums.map(|s| whole(s.bytes)).or(counted.map(SizeClasses::bytes)),
            "totalObjects": sums.map(|s| whole(s.objects)).or(counted.map(SizeClasses::objects)),
            "countedBytes": counted.map(SizeClasses::bytes),
            "countedObjects": counted.map(SizeClasses::objects),
            "functions": functions,
            "routes": self.routes.as_ref().map(|routes| self.routes_json(routes)),
            "noRequest": self.routes.as_ref().map(|routes| self.amount_json(&routes.none)),
            "requestsNotEnded": self.routes.as_ref().map(|routes| self.amount_json(&routes.not_ended)),
            "goroutineUnread": self.routes.as_ref().map(|routes| self.amount_json(&routes.unread)),
            "largeThreshold": self.large,
            "large": large,
            "sizeClasses": counted.map(classes_json),
            "largeObjects": counted.map(|c| json!({"bytes": c.large_bytes, "objects": c.large_objects})),
            "notes": self.notes,
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn classes_json(classes: &SizeClasses) -> Vec<Value> {
    let used = classes.small.iter().filter(|(_, objects)| *objects > 0);
    used.map(|(size, objects)| {
        json!({"size": size, "bytes": size.saturating_mul(*objects), "objects": objects})
    })
    .collect()
}
