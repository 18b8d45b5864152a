//! Folded stacks: a line for each stack, the outermost function first, and a value behind it. It is what
//! tools for flame graphs read.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{Profile, short_name};

/// The folded stacks of one kind of value, sorted. Stacks that differ in lines alone are one.
pub fn folded(profile: &Profile, kind: usize) -> String {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for sample in &profile.samples {
        let names: Vec<String> =
            profile.frames(sample).rev().map(|frame| plain(&short_name(&frame.function))).collect();
        let value = sample.values.get(kind).copied().unwrap_or(0);
        if value != 0 && !names.is_empty() {
            // Files of others may say anything.
            let sum = sums.entry(names.join(";")).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    let mut out = String::new();
    for (stack, value) in sums {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{stack} {value}");
    }
    out
}

/// A name without what separates names and lines.
fn plain(name: &str) -> String {
    name.replace([';', '\n', '\r'], ":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::example;

    #[test]
    fn the_outermost_function_stands_first() {
        let wanted = "main.main;main.f[...];main.inlined 50\nmain.main;main.g 30\n";
        assert_eq!(folded(&example(), 1), wanted);
    }
}
