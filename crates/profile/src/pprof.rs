//! Building a profile: every string, function and location once.

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// Function name.
    pub function: &'a str,
    /// Source file; empty when unknown.
    pub file: &'a str,
    /// Line, 0 when unknown.
    pub line: u32,
}

/// A profile in the making.
#[derive(Debug, Default)]
pub struct Builder {
    profile: Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<(i64, i64), u64>,
    locations: HashMap<(u64, Vec<(u64, i64)>), u64>,
}

impl Builder {
    /// A profile of one kind of value, such as `goroutine` in `count`, of the program at `path`, whose
    /// code is at these addresses.
    pub fn new(kind: &str, unit: &str, path: &str, text: std::ops::Range<u64>) -> Self {
        let mut out = Self::default();
        out.string("");
        let value = ValueType { kind: out.string(kind), unit: out.string(unit) };
        out.profile.sample_type = vec![value];
        out.profile.period_type = Some(value);
        out.profile.period = 1;
        let filename = out.string(path);
        out.profile.mapping = vec![Mapping {
            id: 1,
            memory_start: text.start,
            memory_limit: text.end,
            filename,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        }];
        out
    }

    /// When it was taken, in nanoseconds since 1970.
    pub fn set_time(&mut self, nanoseconds: i64) {
        self.profile.time_nanos = nanoseconds;
    }

    /// Adds a stack, the innermost address first; each has the frames of the calls that were inlined
    /// there, the innermost first.
    pub fn add(&mut self, stack: &[(u64, Vec<Frame<'_>>)], value: i64, labels: &[(&str, &str)]) {
        let location_id = stack.iter().map(|(at, frames)| self.location(*at, frames)).collect();
        let label = labels
            .iter()
            .map(|(key, text)| Label { key: self.string(key), text: self.string(text) })
            .collect();
        self.profile.sample.push(Sample { location_id, value: vec![value], label });
    }

    /// The file's contents.
    ///
    /// # Errors
    /// None that are known: memory is written to.
    pub fn finish(mut self) -> std::io::Result<Vec<u8>> {
        let mut table = vec![String::new(); self.strings.len()];
        for (text, number) in self.strings.drain() {
            if let Some(slot) = usize::try_from(number).ok().and_then(|i| table.get_mut(i)) {
                *slot = text;
            }
        }
        self.profile.string_table = table;
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        out.write_all(&self.profile.encode_to_vec())?;
        out.finish()
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(known) = self.strings.get(text) {
            return *known;
        }
        let number = i64::try_from(self.strings.len()).unwrap_or(0);
        self.strings.insert(text.to_owned(), number);
        number
    }

    fn function(&mut self, frame: &Frame<'_>) -> u64 {
        let key = (self.string(frame.function), self.string(frame.file));
        let next = self.functions.len() as u64 + 1;
        let id = *self.functions.entry(key).or_insert(next);
        if id == next {
            let (name, filename) = key;
            self.profile.function.push(Function { id, name, system_name: name, filename });
        }
        id
    }

    fn location(&mut self, address: u64, frames: &[Frame<'_>]) -> u64 {
        let lines: Vec<(u64, i64)> =
            frames.iter().map(|frame| (self.function(frame), frame.line.into())).collect();
        let next = self.locations.len() as u64 + 1;
        let id = *self.locations.entry((address, lines.clone())).or_insert(next);
        if id == next {
            let line = lines.into_iter();
            let line = line.map(|(function_id, line)| Line { function_id, line }).collect();
            let mapping_id = u64::from(address != 0);
            self.profile.location.push(Location { id, mapping_id, address, line });
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decode(bytes: &[u8]) -> Profile {
        let mut raw = Vec::new();
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut raw).unwrap();
        Profile::decode(raw.as_slice()).unwrap()
    }

    #[test]
    fn everything_stands_once_and_is_referred_to() {
        let frame = |function, line| Frame { function, file: "a.go", line };
        let mut builder = Builder::new("goroutine", "count", "/app", 0x1000..0x2000);
        let inner = (0x1010, vec![frame("main.inlined", 3), frame("main.f", 9)]);
        let outer = (0x1100, vec![frame("main.main", 20)]);
        builder.add(&[inner.clone(), outer.clone()], 5, &[("state", "waiting")]);
        builder.add(&[outer], 2, &[]);
        let profile = decode(&builder.finish().unwrap());
        let text = |i: i64| profile.string_table[usize::try_from(i).unwrap()].as_str();
        assert_eq!(text(0), "");
        assert_eq!(text(profile.sample_type[0].kind), "goroutine");
        assert_eq!((profile.location.len(), profile.function.len()), (2, 3));
        assert_eq!(profile.sample[0].location_id, vec![1, 2]);
        assert_eq!(profile.sample[1].location_id, vec![2]);
        assert_eq!(profile.sample[0].value, vec![5]);
        assert_eq!(profile.location[0].line.len(), 2);
        assert_eq!(text(profile.function[0].name), "main.inlined");
        assert_eq!(text(profile.sample[0].label[0].text), "waiting");
    }
}
