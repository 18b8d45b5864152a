//! Stacks merged into a tree of calls.

use std::collections::BTreeMap;

use crate::{Profile, short_name};

/// Levels of a tree; what is called further in counts where it is cut.
const MAX_DEPTH: usize = 2048;

/// A function as its callers led to it.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// What is spent in it and in all that it calls.
    pub(crate) value: i64,
    /// The same in the profile that it is compared with.
    pub(crate) before: i64,
    pub(crate) children: BTreeMap<String, Node>,
}

impl Node {
    /// Of one kind of value, and of one of a profile from before.
    pub(crate) fn new(profile: &Profile, kind: usize, before: Option<(&Profile, usize)>) -> Self {
        let mut root = Self::default();
        // Files of others may say anything.
        root.add(profile, kind, |node, value| node.value = node.value.saturating_add(value));
        if let Some((before, kind)) = before {
            root.add(before, kind, |node, value| node.before = node.before.saturating_add(value));
        }
        root
    }

    fn add(&mut self, profile: &Profile, kind: usize, add: impl Fn(&mut Node, i64)) {
        for sample in &profile.samples {
            let value = sample.values.get(kind).copied().unwrap_or(0);
            if value <= 0 {
                continue;
            }
            add(self, value);
            let mut node = &mut *self;
            for frame in profile.frames(sample).rev().take(MAX_DEPTH) {
                node = node.children.entry(short_name(&frame.function).into_owned()).or_default();
                add(node, value);
            }
        }
    }

    /// How many levels there are below that are at least so large.
    pub(crate) fn depth(&self, least: i64) -> usize {
        let large = self.children.values().filter(|child| child.value >= least.max(1));
        large.map(|child| 1 + child.depth(least)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::example;

    #[test]
    fn stacks_with_the_same_callers_are_merged() {
        let root = Node::new(&example(), 1, Some((&example(), 0)));
        assert_eq!((root.value, root.before), (80, 8));
        let main = &root.children["main.main"];
        assert_eq!((main.value, main.children.len()), (80, 2));
        assert_eq!(main.children["main.f[...]"].children["main.inlined"].before, 5);
        assert_eq!((root.depth(0), root.depth(40)), (3, 3));
        assert_eq!(root.depth(60), 1);
    }
}
