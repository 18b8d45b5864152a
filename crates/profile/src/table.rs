//! Functions by what is spent in them (flat), and in them and all that they call (cumulative).

use std::collections::{HashMap, HashSet};

use crate::{Frame, Profile};

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'p> {
    /// A frame of it.
    pub frame: &'p Frame,
    /// What is spent in it alone.
    pub flat: i64,
    /// What is spent in it and in all that it calls.
    pub cumulative: i64,
}

/// All functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<'p> {
    /// All that is spent.
    pub total: i64,
    /// Those in which most is spent first.
    pub rows: Vec<Row<'p>>,
}

impl<'p> Table<'p> {
    /// Of one kind of value.
    pub fn new(profile: &'p Profile, kind: usize) -> Self {
        let mut rows: HashMap<&str, Row<'p>> = HashMap::new();
        for sample in &profile.samples {
            let value = sample.values.get(kind).copied().unwrap_or(0);
            let mut seen: HashSet<&str> = HashSet::new();
            for (i, frame) in profile.frames(sample).enumerate() {
                let row =
                    rows.entry(&frame.function).or_insert(Row { frame, flat: 0, cumulative: 0 });
                row.flat += if i == 0 { value } else { 0 };
                // One that calls itself counts once.
                row.cumulative += if seen.insert(&frame.function) { value } else { 0 };
            }
        }
        let mut rows: Vec<Row<'p>> = rows.into_values().collect();
        rows.sort_by(|a, b| {
            (b.flat, b.cumulative, &a.frame.function).cmp(&(
                a.flat,
                a.cumulative,
                &b.frame.function,
            ))
        });
        Self { total: profile.total(kind), rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::example;

    #[test]
    fn a_function_that_calls_itself_counts_once() {
        let mut profile = example();
        let stack = profile.samples[0].stack.clone();
        profile.samples[0].stack.extend(stack);
        let table = Table::new(&profile, 1);
        let row = |name: &str| {
            let row = table.rows.iter().find(|row| &*row.frame.function == name).unwrap();
            (row.flat, row.cumulative)
        };
        assert_eq!(table.total, 80);
        assert_eq!((row("main.inlined"), row("main.g")), ((50, 50), (30, 30)));
        assert_eq!((row("main.f[go.shape.int]"), row("main.main")), ((0, 50), (0, 80)));
        let order: Vec<&str> = table.rows.iter().map(|row| &*row.frame.function).collect();
        assert_eq!(order, ["main.inlined", "main.g", "main.main", "main.f[go.shape.int]"]);
    }
}
