//! A bounded number of series by what they belong to. What comes when it is full goes to one series, which says so
//! as the metrics data model wants it.

use std::collections::HashMap;
use std::hash::Hash;

use metrics::Attributes;

/// Series that are kept.
const MAX: usize = 1000;

/// What is counted, by key.
#[derive(Debug)]
pub(super) struct Series<K, V> {
    known: HashMap<K, V>,
    overflow: Option<V>,
}

impl<K, V> Default for Series<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), overflow: None }
    }
}

impl<K: Eq + Hash, V: Default> Series<K, V> {
    /// The series of a key.
    pub(super) fn of(&mut self, key: K) -> &mut V {
        if self.known.len() >= MAX && !self.known.contains_key(&key) {
            return self.overflow.get_or_insert_default();
        }
        self.known.entry(key).or_default()
    }

    /// All of them with their attributes.
    pub(super) fn all(&self, attributes: impl Fn(&K) -> Attributes) -> Vec<(Attributes, &V)> {
        let known = self.known.iter().map(|(key, value)| (attributes(key), value));
        known.chain(self.overflow.iter().map(|value| (metrics::overflow(), value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_to_one_series_that_says_so() {
        let mut series = Series::<usize, u64>::default();
        for n in 0..MAX + 3 {
            *series.of(n) += 1;
        }
        *series.of(0) += 1;
        let all = series.all(|n| vec![("n", n.to_string().into())]);
        assert_eq!(all.len(), MAX + 1);
        let (attributes, count) = all.last().expect("the last one");
        assert_eq!((attributes[0].0, **count), ("otel.metric.overflow", 3));
        assert!(
            all.iter().any(|(attributes, n)| attributes[0].1 == "0".to_owned().into() && **n == 2)
        );
    }
}
