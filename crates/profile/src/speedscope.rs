//! The file format of speedscope (<https://www.speedscope.app>), a viewer of profiles.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{Frame, Profile, short_name};

/// The profile as speedscope's JSON, one of its profiles for each kind of value.
pub fn speedscope(profile: &Profile, name: &str) -> Value {
    let mut numbers: HashMap<(&str, &str), usize> = HashMap::new();
    let mut frames: Vec<Value> = Vec::new();
    let mut stacks = Vec::with_capacity(profile.samples.len());
    for sample in &profile.samples {
        let stack: Vec<usize> = profile
            .frames(sample)
            .rev()
            .map(|frame| {
                *numbers.entry((&frame.function, &frame.file)).or_insert_with(|| {
                    frames.push(frame_json(frame));
                    frames.len() - 1
                })
            })
            .collect();
        stacks.push(stack);
    }
    let profiles: Vec<Value> = profile
        .types
        .iter()
        .enumerate()
        .map(|(kind, typ)| {
            let weight = |i: usize| profile.samples[i].values.get(kind).copied().unwrap_or(0);
            let weights: Vec<i64> = (0..stacks.len()).map(weight).collect();
            json!({
                "type": "sampled",
                "name": format!("{name}: {}", typ.kind),
                "unit": unit(&typ.unit),
                "startValue": 0,
                "endValue": profile.total(kind),
                "samples": stacks,
                "weights": weights,
            })
        })
        .collect();
    json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": name,
        "exporter": "gotap",
        "activeProfileIndex": profile.default_type,
        "shared": { "frames": frames },
        "profiles": profiles,
    })
}

/// A frame stands for its function, with the line on which that starts.
fn frame_json(frame: &Frame) -> Value {
    let mut out = json!({ "name": short_name(&frame.function) });
    if !frame.file.is_empty() {
        out["file"] = json!(&*frame.file);
    }
    if frame.start_line > 0 {
        out["line"] = json!(frame.start_line);
    }
    out
}

/// Units that the format knows; the others are numbers.
fn unit(unit: &str) -> &str {
    match unit {
        "nanoseconds" | "microseconds" | "milliseconds" | "seconds" | "bytes" => unit,
        _ => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::example;

    #[test]
    fn stacks_refer_to_frames_and_have_a_weight_each() {
        let file = speedscope(&example(), "app");
        let names: Vec<&str> = file["shared"]["frames"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|f| f["name"].as_str())
            .collect();
        assert_eq!(names, ["main.main", "main.f[...]", "main.inlined", "main.g"]);
        let cpu = &file["profiles"][1];
        assert_eq!(cpu["samples"], json!([[0, 1, 2], [0, 3]]));
        assert_eq!((&cpu["weights"], &cpu["endValue"]), (&json!([50, 30]), &json!(80)));
        assert_eq!(
            (&cpu["unit"], &file["profiles"][0]["unit"]),
            (&json!("nanoseconds"), &json!("none"))
        );
        assert_eq!(file["activeProfileIndex"], 1);
    }
}
