//! Flame graphs: SVG with a script of ours that zooms and searches, and with nothing that is loaded from
//! elsewhere. The outermost function is at the bottom; a function is as wide as what is spent in it and in
//! all that it calls.

use std::fmt::Write;

use crate::Profile;
use crate::tree::Node;

const SCRIPT: &str = include_str!("flame.js");
/// Size of the picture, and of a function in it.
const WIDTH: f64 = 1200.0;
const ROW: usize = 17;
const MARGIN: f64 = 10.0;
const HEAD: usize = 64;
/// A function narrower than this is not drawn.
const NARROWEST: f64 = 0.2;
/// A letter's width.
const LETTER: f64 = 6.6;
/// Boxes in one picture.
const MAX_BOXES: usize = 50_000;

/// The flame graph of one kind of value. `title` says of what it is.
pub fn flame_graph(profile: &Profile, kind: usize, title: &str) -> String {
    draw(&Node::new(profile, kind, None), &unit(profile, kind), title, None)
}

/// The same, in colours that tell what has grown since a profile from before (red) and what has become less
/// (blue), as shares of each profile.
pub fn flame_graph_of_difference(
    profile: &Profile,
    kind: usize,
    before: (&Profile, usize),
    title: &str,
) -> String {
    let root = Node::new(profile, kind, Some(before));
    draw(&root, &unit(profile, kind), title, Some(root.before))
}

fn unit(profile: &Profile, kind: usize) -> String {
    profile.types.get(kind).map(|typ| typ.unit.clone()).unwrap_or_default()
}

struct Picture<'t> {
    out: String,
    unit: &'t str,
    total: i64,
    /// All that there was in the profile from before.
    before: Option<i64>,
    least: i64,
    height: usize,
    boxes: usize,
}

fn draw(root: &Node, unit: &str, title: &str, before: Option<i64>) -> String {
    let scale = (WIDTH - 2.0 * MARGIN) / root.value.max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "casts saturate")]
    let least = (NARROWEST / scale).ceil() as i64;
    let height = HEAD + ROW * (root.depth(least) + 1) + 34;
    let mut picture =
        Picture { out: String::new(), unit, total: root.value, before, least, height, boxes: 0 };
    picture.head(title);
    picture.function("all", root, 0, 0.0, scale);
    picture.out.push_str("</g>\n");
    let _ = writeln!(picture.out, "<script><![CDATA[\n{SCRIPT}\n]]></script>\n</svg>");
    picture.out
}

impl Picture<'_> {
    fn head(&mut self, title: &str) {
        let (height, title, middle) = (self.height, escaped(title), WIDTH / 2.0);
        let right = WIDTH - MARGIN;
        // Writing to a string does not fail.
        let _ = write!(
            self.out,
            r##"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">
<style>text {{ font: 12px monospace; fill: #1b1b1b }} #title {{ font-size: 16px; text-anchor: middle }}
.f {{ cursor: pointer }} .f:hover rect {{ stroke: #000; stroke-width: 0.6 }} .f text {{ pointer-events: none }}
.button {{ cursor: pointer; fill: #666 }} #search, #found {{ text-anchor: end }} .past {{ opacity: 0.5 }} .hidden {{ display: none }}</style>
<rect width="100%" height="100%" fill="#fbfaf5"/>
<text id="title" x="{middle}" y="26">{title}</text>
<text id="reset" class="button hidden" x="{MARGIN}" y="48">reset zoom</text>
<text id="search" class="button" x="{right}" y="48">search</text>
<text id="details" x="{MARGIN}" y="{details}"> </text>
<text id="found" x="{right}" y="{details}"> </text>
<g id="frames">
"##,
            details = height - 10,
        );
    }

    fn function(&mut self, name: &str, node: &Node, level: usize, from: f64, scale: f64) {
        if node.value < self.least.max(1) || self.boxes >= MAX_BOXES {
            return;
        }
        self.boxes += 1;
        let width = node.value as f64 * scale;
        let y = self.height - 34 - ROW * (level + 1);
        let (x, name) = (MARGIN + from, if name.is_empty() { "?" } else { name });
        let shown = label(name, width);
        let (text_x, text_y, box_height) = (x + 3.0, y + ROW - 5, ROW - 1);
        let _ = writeln!(
            self.out,
            r#"<g class="f" data-l="{level}"><title>{} ({})</title><rect x="{x:.2}" y="{y}" width="{width:.2}" height="{box_height}" rx="2" fill="{}"/><text x="{text_x:.2}" y="{text_y}">{}</text></g>"#,
            escaped(name),
            self.details(node),
            self.colour(name, node),
            escaped(&shown),
        );
        let mut from = from;
        for (name, child) in &node.children {
            self.function(name, child, level + 1, from, scale);
            from += child.value as f64 * scale;
        }
    }

    fn details(&self, node: &Node) -> String {
        let share = 100.0 * node.value as f64 / self.total.max(1) as f64;
        let value = value_text(node.value, self.unit);
        let change = self.before.map(|_| format!(", {:+.2}% points", 100.0 * self.change(node)));
        format!("{value}, {share:.2}%{}", change.unwrap_or_default())
    }

    /// How much its share has changed.
    fn change(&self, node: &Node) -> f64 {
        let share = |value: i64, total: i64| value as f64 / total.max(1) as f64;
        share(node.value, self.total) - self.before.map_or(0.0, |total| share(node.before, total))
    }

    fn colour(&self, name: &str, node: &Node) -> String {
        if self.before.is_some() {
            // A tenth of all is the deepest colour.
            let change = (self.change(node) * 10.0).clamp(-1.0, 1.0);
            let other = 240.0 - 150.0 * change.abs();
            return if change >= 0.0 {
                format!("rgb(240,{other:.0},{other:.0})")
            } else {
                format!("rgb({other:.0},{other:.0},240)")
            };
        }
        let sum =
            name.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let shade = f64::from(sum % 50);
        if name.ends_with(" [kernel]") {
            format!("rgb({:.0},{:.0},120)", 235.0 - shade, 150.0 + shade / 2.0)
        } else if name.starts_with("runtime.") {
            format!("rgb({:.0},{:.0},{:.0})", 150.0 + shade, 180.0 + shade / 2.0, 205.0)
        } else {
            format!("rgb({:.0},{:.0},{:.0})", 245.0 - shade / 3.0, 190.0 - shade, 90.0 + shade)
        }
    }
}

/// As much of a name as fits.
fn label(name: &str, width: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
    let room = ((width - 6.0) / LETTER) as usize;
    if name.chars().count() <= room {
        name.to_owned()
    } else if room < 4 {
        String::new()
    } else {
        name.chars().take(room - 2).chain("..".chars()).collect()
    }
}

/// A value with its unit, for people.
pub(crate) fn value_text(value: i64, unit: &str) -> String {
    let value = value as f64;
    match unit {
        "nanoseconds" if value >= 1e9 => format!("{:.2} s", value / 1e9),
        "nanoseconds" if value >= 1e6 => format!("{:.1} ms", value / 1e6),
        "nanoseconds" => format!("{:.1} µs", value / 1e3),
        "bytes" if value >= 1_048_576.0 => format!("{:.1} MiB", value / 1_048_576.0),
        "bytes" if value >= 1024.0 => format!("{:.1} KiB", value / 1024.0),
        "bytes" => format!("{value} B"),
        _ => format!("{value}"),
    }
}

/// Text that may stand in XML: what XML can't hold at all is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push('?')
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::example;

    /// The width of a function's box, and its colour.
    fn drawn(svg: &str, name: &str) -> (f64, String) {
        let rest = svg.split(&format!("<title>{name} (")).nth(1).unwrap();
        let part = |key: &str| {
            let value = rest.split(&format!(" {key}=\"")).nth(1).unwrap();
            value.split('"').next().unwrap().to_owned()
        };
        (part("width").parse().unwrap(), part("fill"))
    }

    #[test]
    fn functions_are_as_wide_as_their_shares() {
        let svg = flame_graph(&example(), 1, "a <title>");
        assert!((drawn(&svg, "main.main").0 - 1180.0).abs() < 0.1);
        assert!((drawn(&svg, "main.inlined").0 - 1180.0 * 5.0 / 8.0).abs() < 0.1);
        assert!(svg.contains("a &lt;title&gt;") && svg.contains("62.50%"), "{svg}");
        // Nothing is loaded from elsewhere.
        assert_eq!(svg.matches("http").count(), 1, "{svg}");
        assert_eq!(svg.matches("<g ").count(), 1 + 5);
        assert_eq!(svg.matches("]]>").count(), 1);
    }

    #[test]
    fn what_has_grown_is_red_and_what_has_become_less_is_blue() {
        let mut before = example();
        before.samples[1].values = vec![13, 130];
        let svg = flame_graph_of_difference(&example(), 1, (&before, 1), "difference");
        assert_eq!(drawn(&svg, "main.inlined").1, "rgb(240,90,90)");
        assert_eq!(drawn(&svg, "main.g").1, "rgb(90,90,240)");
        assert_eq!(drawn(&svg, "main.main").1, "rgb(240,240,240)");
        assert!(svg.contains("+34.72% points"), "{svg}");
    }

    #[test]
    fn a_name_is_cut_to_its_box() {
        assert_eq!(label("main.main", 100.0), "main.main");
        assert_eq!(label("main.main", 50.0), "main..");
        assert_eq!(label("main.main", 20.0), "");
        assert_eq!(escaped("a\u{1}<\"&>"), "a?&lt;&quot;&amp;&gt;");
    }
}
