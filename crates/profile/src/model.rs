//! What a profile is: samples of stacks, each location once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

/// A kind of value and its unit, such as `cpu` in `nanoseconds`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueType {
    /// What is counted.
    pub kind: String,
    /// In which unit.
    pub unit: String,
}

impl ValueType {
    /// A kind in a unit.
    pub fn new(kind: &str, unit: &str) -> Self {
        Self { kind: kind.to_owned(), unit: unit.to_owned() }
    }
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Function name, whole.
    pub function: Rc<str>,
    /// Source file; empty when unknown.
    pub file: Rc<str>,
    /// Line, 0 when unknown.
    pub line: u32,
    /// Line on which the function starts, 0 when unknown.
    pub start_line: u32,
}

/// An address, with the calls that were inlined there, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// In the process's memory; 0 of what is no code.
    pub address: u64,
    /// Number of its mapping in the profile.
    pub mapping: Option<usize>,
    /// At least one.
    pub frames: Vec<Frame>,
}

/// Code of a file in the process's memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// Where it starts.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Where in the file it is from.
    pub offset: u64,
    /// The file.
    pub file: String,
    /// What identifies the file's contents, in hexadecimal; empty when unknown.
    pub build_id: String,
}

/// A stack and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Numbers of locations, the innermost first.
    pub stack: Vec<usize>,
    /// One for each kind of value.
    pub values: Vec<i64>,
    /// What else is known of it.
    pub labels: Vec<(String, String)>,
}

/// A profile.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// What its values are.
    pub types: Vec<ValueType>,
    /// Which of them viewers show first.
    pub default_type: usize,
    /// What one sample stands for.
    pub period: Option<(ValueType, i64)>,
    /// When it was taken, in nanoseconds since 1970.
    pub time: i64,
    /// For how long, in nanoseconds.
    pub duration: i64,
    /// Where code is. That of the main program comes first.
    pub mappings: Vec<Mapping>,
    /// All locations, once.
    pub locations: Vec<Location>,
    /// All samples.
    pub samples: Vec<Sample>,
    known: HashMap<Location, usize>,
}

impl Profile {
    /// An empty one with these kinds of values, the last of which viewers show first.
    pub fn new(types: Vec<ValueType>) -> Self {
        let default_type = types.len().saturating_sub(1);
        Self { types, default_type, ..Self::default() }
    }

    /// The number of a location.
    pub fn location(&mut self, location: Location) -> usize {
        if let Some(known) = self.known.get(&location) {
            return *known;
        }
        let number = self.locations.len();
        self.known.insert(location.clone(), number);
        self.locations.push(location);
        number
    }

    /// The sum of the values of one kind.
    pub fn total(&self, kind: usize) -> i64 {
        let values = self.samples.iter().filter_map(|sample| sample.values.get(kind));
        values.fold(0i64, |sum, value| sum.saturating_add(*value))
    }

    /// The frames of a sample, the innermost first.
    pub fn frames<'p>(&'p self, sample: &'p Sample) -> impl DoubleEndedIterator<Item = &'p Frame> {
        let locations = sample.stack.iter().filter_map(|number| self.locations.get(*number));
        locations.flat_map(|location| &location.frames)
    }
}

/// A function's name as Go prints it: without type arguments: `[...]` stands for them.
pub fn short_name(name: &str) -> Cow<'_, str> {
    // Names in brackets alone are no functions.
    match (name.find('['), name.rfind(']')) {
        (Some(first), Some(last)) if 0 < first && first < last && !name.contains(' ') => {
            Cow::Owned(format!("{}[...]{}", &name[..first], &name[last + 1..]))
        }
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn frame(function: &str, line: u32) -> Frame {
        Frame { function: function.into(), file: "a.go".into(), line, start_line: line / 10 * 10 }
    }

    /// `main.main` calls `main.f`, into which `main.inlined` is inlined, and `main.g`.
    pub(crate) fn example() -> Profile {
        let mut out = Profile::new(vec![
            ValueType::new("samples", "count"),
            ValueType::new("cpu", "nanoseconds"),
        ]);
        out.period = Some((ValueType::new("cpu", "nanoseconds"), 10));
        out.mappings =
            vec![Mapping { start: 0x1000, end: 0x2000, file: "/app".into(), ..Mapping::default() }];
        let mut at = |address, frames| out.location(Location { address, mapping: Some(0), frames });
        let f = at(0x1010, vec![frame("main.inlined", 3), frame("main.f[go.shape.int]", 19)]);
        let g = at(0x1020, vec![frame("main.g", 31)]);
        let main = at(0x1100, vec![frame("main.main", 40)]);
        let label = vec![("state".to_owned(), "running".to_owned())];
        out.samples = vec![
            Sample { stack: vec![f, main], values: vec![5, 50], labels: label },
            Sample { stack: vec![g, main], values: vec![3, 30], labels: Vec::new() },
        ];
        out
    }

    #[test]
    fn a_location_stands_once() {
        let mut profile = example();
        let again = profile.locations[1].clone();
        assert_eq!((profile.location(again), profile.locations.len()), (1, 3));
        assert_eq!(profile.total(1), 80);
    }

    #[test]
    fn type_arguments_are_left_out_of_names() {
        assert_eq!(short_name("main.f[go.shape.int]"), "main.f[...]");
        assert_eq!(short_name("main.(*T[go.shape.int]).m"), "main.(*T[...]).m");
        assert_eq!(short_name("[libc.so.6]"), "[libc.so.6]");
        assert_eq!(short_name("main.f"), "main.f");
    }
}
