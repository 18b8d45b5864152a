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
    /// All that is spent; of differences, all that has changed.
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
                row.flat = row.flat.saturating_add(if i == 0 { value } else { 0 });
                // One that calls itself counts once.
                let value = if seen.insert(&frame.function) { value } else { 0 };
                row.cumulative = row.cumulative.saturating_add(value);
            }
        }
        let is_some = |row: &Row<'_>| row.flat != 0 || row.cumulative != 0;
        let mut rows: Vec<Row<'p>> = rows.into_values().filter(is_some).collect();
        rows.sort_by_key(|row| {
            let order = |value: i64| std::cmp::Reverse(value.saturating_abs());
            (order(row.flat), order(row.cumulative), row.frame.function.clone())
        });
        let values = profile.samples.iter().filter_map(|sample| sample.values.get(kind));
        let total = values.fold(0i64, |sum, value| sum.saturating_add(value.saturating_abs()));
        Self { total, rows }
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

    #[test]
    fn what_has_become_less_counts_as_much() {
        let mut profile = example();
        profile.samples[0].values = vec![-5, -50];
        let table = Table::new(&profile, 1);
        assert_eq!(table.total, 80);
        let first: Vec<(&str, i64)> =
            table.rows.iter().take(2).map(|row| (&*row.frame.function, row.flat)).collect();
        assert_eq!(first, [("main.inlined", -50), ("main.g", 30)]);
        profile.samples[0].values = vec![0, 0];
        assert_eq!(Table::new(&profile, 1).rows.len(), 2);
    }
}
