//! gin's trees, and how a path is looked up in them: step by step as gin does, which does not come back
//! to each alternative that it has passed.

use super::value::Value;

/// Nodes of a router that are kept.
const MAX_NODES: usize = 32_768;
/// Nodes above a node.
const MAX_DEPTH: usize = 256;
/// Nodes that a path is compared with.
const MAX_STEPS: u32 = 4096;
/// `nodeType` of `tree.go`.
const PARAM: u64 = 2;
const CATCH_ALL: u64 = 3;

/// The tree of each method.
#[derive(Debug)]
pub(super) struct Trees(Vec<(String, Node)>);

/// A node, with the routes below it.
#[derive(Debug, Default)]
struct Node {
    /// Both may be cut within a character.
    path: Vec<u8>,
    indices: Vec<u8>,
    wild: bool,
    kind: u64,
    children: Vec<Node>,
    /// The whole path of the route, if there is a handler.
    route: Option<String>,
}

impl Trees {
    /// `trees []methodTree{method, root *node}` of an engine.
    pub(super) fn read(engine: &Value<'_>) -> Option<Self> {
        let mut left = MAX_NODES;
        let mut out = Vec::new();
        for tree in engine.field("trees")?.elements()? {
            let root = tree.field("root")?.target()?;
            out.push((tree.field("method")?.text()?, Node::read(&root, &mut left, MAX_DEPTH)?));
        }
        Some(Self(out))
    }

    /// The route that a method and a path take.
    pub(super) fn find<'n>(&'n self, method: &str, path: &'n str) -> Option<&'n str> {
        let (_, root) = self.0.iter().find(|(known, _)| known == method)?;
        root.find(path.as_bytes())
    }
}

impl Node {
    fn read(node: &Value<'_>, left: &mut usize, depth: usize) -> Option<Self> {
        *left = left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let handled = node.field("handlers")?.address().is_some();
        let full = node.field("fullPath")?.text()?;
        let children = node.field("children")?.elements()?;
        let children = children.iter().map(|child| Self::read(&child.target()?, left, depth));
        Some(Self {
            path: node.field("path")?.bytes_of_text()?,
            indices: node.field("indices")?.bytes_of_text()?,
            wild: node.field("wildChild")?.number()? != 0,
            kind: node.field("nType")?.number()?,
            children: children.collect::<Option<_>>()?,
            route: handled.then_some(full),
        })
    }

    /// `(*node).getValue` of `tree.go`, without the values.
    fn find<'n>(&'n self, path: &'n [u8]) -> Option<&'n str> {
        let mut skipped: Vec<(&[u8], &Node)> = Vec::new();
        // A node that is come back to has no children but the wild one.
        let (mut node, mut path, mut wild_only) = (self, path, false);
        for _ in 0..MAX_STEPS {
            let below = path.strip_prefix(node.path.as_slice());
            if let Some(rest) = below.filter(|rest| !rest.is_empty()) {
                let index = node.indices.iter().position(|b| rest.first() == Some(b));
                if let Some(index) = index.filter(|_| !wild_only) {
                    if node.wild {
                        skipped.push((path, node));
                    }
                    (node, path) = (node.children.get(index)?, rest);
                    continue;
                }
                if !node.wild {
                    if rest == b"/" {
                        return None;
                    }
                    (path, node) = back(&mut skipped, rest)?;
                    wild_only = true;
                    continue;
                }
                wild_only = false;
                node = node.children.last()?;
                if node.kind == CATCH_ALL {
                    return node.route.as_deref();
                }
                if node.kind != PARAM {
                    return None;
                }
                let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
                if end == rest.len() {
                    return node.route.as_deref();
                }
                (node, path) = (node.children.first()?, rest.get(end..)?);
                continue;
            }
            if below.is_some() {
                if node.route.is_some() || path == b"/" {
                    return node.route.as_deref();
                }
            } else if path == b"/" || node.is_path_with_slash(path) {
                return None;
            }
            (path, node) = back(&mut skipped, path)?;
            wild_only = true;
        }
        None
    }

    /// Whether gin redirects to this node's path.
    fn is_path_with_slash(&self, path: &[u8]) -> bool {
        self.route.is_some() && self.path.strip_suffix(b"/") == Some(path)
    }
}

/// The last node that was passed and whose path ends like this one.
fn back<'n>(skipped: &mut Vec<(&'n [u8], &'n Node)>, path: &[u8]) -> Option<(&'n [u8], &'n Node)> {
    while let Some((before, node)) = skipped.pop() {
        if before.ends_with(path) {
            return Some((before, node));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, route: Option<&str>, children: Vec<Node>) -> Node {
        let is_wild = |child: &&Node| child.kind != 0;
        let wild = children.iter().any(|child| is_wild(&child));
        let plain = children.iter().filter(|child| !is_wild(child));
        let indices = plain.filter_map(|child| child.path.first().copied()).collect();
        let kind = match path.as_bytes().first() {
            Some(b':') => PARAM,
            _ => 0,
        };
        let route = route.map(str::to_owned);
        Node { path: path.into(), indices, wild, kind, children, route }
    }

    /// `/a/:y` beside `/:x/b/d` and `/:x/c`, as gin stores them.
    fn tree() -> Trees {
        let below_x = vec![node("b/d", Some("/:x/b/d"), vec![]), node("c", Some("/:x/c"), vec![])];
        let x = node(":x", None, vec![node("/", None, below_x)]);
        let a = node("a/", None, vec![node(":y", Some("/a/:y"), vec![])]);
        Trees(vec![("GET".to_owned(), node("/", None, vec![a, x]))])
    }

    #[test]
    fn a_path_is_looked_up_as_gin_does_it() {
        let tree = tree();
        assert_eq!(tree.find("GET", "/a/7"), Some("/a/:y"));
        assert_eq!(tree.find("GET", "/k/b/d"), Some("/:x/b/d"));
        assert_eq!(tree.find("GET", "/ab/c"), Some("/:x/c"), "it comes back from a");
        // It does not come back from a parameter that goes on.
        assert_eq!(tree.find("GET", "/a/b/d"), None);
        assert_eq!(tree.find("POST", "/a/7"), None);
        assert_eq!(tree.find("GET", "/a/"), None);
    }
}
