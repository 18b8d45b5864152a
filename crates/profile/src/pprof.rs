//! pprof's format, which is protocol buffers compressed by gzip: written for `go tool pprof` and
//! `go build -pgo`, and read to compare with.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::rc::Rc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use crate::model::{Frame, Location, Mapping, Profile, Sample, ValueType};
use crate::proto;

/// A file is not read beyond so many bytes, uncompressed.
const MAX_BYTES: u64 = 1 << 30;

/// Why a file is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It can't be uncompressed.
    #[error("it is not compressed by gzip: {0}")]
    Gzip(std::io::Error),
    /// It is too large.
    #[error("it has more than 1 GiB")]
    TooLarge,
    /// It is no profile.
    #[error("it is no pprof profile: {0}")]
    Decode(#[from] prost::DecodeError),
    /// It refers to what it does not have.
    #[error("it is damaged: a {0} is missing")]
    Missing(&'static str),
}

/// The file's contents.
///
/// # Errors
/// None that are known: memory is written to.
pub fn encode(profile: &Profile) -> std::io::Result<Vec<u8>> {
    encode_without(profile, "")
}

/// The same without the labels that have this key.
///
/// # Errors
/// As above.
pub fn encode_without(profile: &Profile, label: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = Encoder { without: label.to_owned(), ..Encoder::default() };
    let message = encoder.profile(profile);
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(&message.encode_to_vec())?;
    out.finish()
}

#[derive(Default)]
struct Encoder<'p> {
    /// Labels that are left out.
    without: String,
    strings: HashMap<&'p str, i64>,
    table: Vec<String>,
    /// Numbers by name, file and first line.
    functions: HashMap<(i64, i64, u32), u64>,
    list: Vec<proto::Function>,
}

impl<'p> Encoder<'p> {
    fn profile(&mut self, profile: &'p Profile) -> proto::Profile {
        self.string("");
        let sample_type: Vec<_> = profile.types.iter().map(|typ| self.value_type(typ)).collect();
        let default = profile.types.get(profile.default_type);
        let default_sample_type = default.map_or(0, |typ| self.string(&typ.kind));
        let period_type = profile.period.as_ref().map(|(typ, _)| self.value_type(typ));
        let mapping =
            profile.mappings.iter().enumerate().map(|(i, m)| self.mapping(i, m)).collect();
        let location =
            profile.locations.iter().enumerate().map(|(i, l)| self.location(i, l)).collect();
        let sample = profile.samples.iter().map(|sample| self.sample(sample)).collect();
        proto::Profile {
            sample_type,
            sample,
            mapping,
            location,
            function: std::mem::take(&mut self.list),
            string_table: std::mem::take(&mut self.table),
            time_nanos: profile.time,
            duration_nanos: profile.duration,
            period_type,
            period: profile.period.as_ref().map_or(1, |(_, period)| *period),
            default_sample_type,
        }
    }

    fn string(&mut self, text: &'p str) -> i64 {
        let next = i64::try_from(self.table.len()).unwrap_or(0);
        let number = *self.strings.entry(text).or_insert(next);
        if number == next {
            self.table.push(text.to_owned());
        }
        number
    }

    fn value_type(&mut self, typ: &'p ValueType) -> proto::ValueType {
        proto::ValueType { kind: self.string(&typ.kind), unit: self.string(&typ.unit) }
    }

    fn mapping(&mut self, index: usize, mapping: &'p Mapping) -> proto::Mapping {
        proto::Mapping {
            id: index as u64 + 1,
            memory_start: mapping.start,
            memory_limit: mapping.end,
            file_offset: mapping.offset,
            filename: self.string(&mapping.file),
            build_id: self.string(&mapping.build_id),
            // What could be found out has been: viewers need not try.
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        }
    }

    fn location(&mut self, index: usize, location: &'p Location) -> proto::Location {
        let lines = location.frames.iter().map(|frame| proto::Line {
            function_id: self.function(frame),
            line: frame.line.into(),
        });
        proto::Location {
            line: lines.collect(),
            id: index as u64 + 1,
            mapping_id: location.mapping.map_or(0, |number| number as u64 + 1),
            address: location.address,
        }
    }

    fn function(&mut self, frame: &'p Frame) -> u64 {
        let (name, filename) = (self.string(&frame.function), self.string(&frame.file));
        let next = self.functions.len() as u64 + 1;
        let id = *self.functions.entry((name, filename, frame.start_line)).or_insert(next);
        if id == next {
            let start_line = frame.start_line.into();
            self.list.push(proto::Function { id, name, system_name: name, filename, start_line });
        }
        id
    }

    fn sample(&mut self, sample: &'p Sample) -> proto::Sample {
        let labels: Vec<_> = sample.labels.iter().filter(|(key, _)| *key != self.without).collect();
        let labels = labels.into_iter();
        proto::Sample {
            location_id: sample.stack.iter().map(|number| *number as u64 + 1).collect(),
            value: sample.values.clone(),
            label: labels
                .map(|(key, text)| proto::Label { key: self.string(key), text: self.string(text) })
                .collect(),
        }
    }
}

/// Reads a file, also one that other tools wrote.
///
/// # Errors
/// See [`Error`].
pub fn decode(file: &[u8]) -> Result<Profile, Error> {
    let mut raw = Vec::new();
    if file.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(file).take(MAX_BYTES + 1).read_to_end(&mut raw).map_err(Error::Gzip)?;
    } else {
        raw.extend_from_slice(file);
    }
    if raw.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge);
    }
    let message = proto::Profile::decode(raw.as_slice())?;
    if message.sample_type.is_empty() {
        return Err(Error::Missing("sample type"));
    }
    Decoder::new(&message).profile(&message)
}

struct Decoder {
    strings: Vec<Rc<str>>,
    functions: HashMap<u64, proto::Function>,
}

impl Decoder {
    fn new(message: &proto::Profile) -> Self {
        Self {
            strings: message.string_table.iter().map(|text| text.as_str().into()).collect(),
            functions: message.function.iter().map(|function| (function.id, *function)).collect(),
        }
    }

    fn string(&self, number: i64) -> Result<Rc<str>, Error> {
        let found = usize::try_from(number).ok().and_then(|number| self.strings.get(number));
        found.cloned().ok_or(Error::Missing("string"))
    }

    fn value_type(&self, typ: proto::ValueType) -> Result<ValueType, Error> {
        Ok(ValueType::new(&self.string(typ.kind)?, &self.string(typ.unit)?))
    }

    fn profile(&self, message: &proto::Profile) -> Result<Profile, Error> {
        let types = message.sample_type.iter().map(|typ| self.value_type(*typ));
        let mut out = Profile::new(types.collect::<Result<_, _>>()?);
        let default = self.string(message.default_sample_type)?;
        if let Some(found) = out.types.iter().position(|typ| *typ.kind == *default) {
            out.default_type = found;
        }
        (out.time, out.duration) = (message.time_nanos, message.duration_nanos);
        if let Some(typ) = message.period_type {
            out.period = Some((self.value_type(typ)?, message.period));
        }
        let mut numbers = HashMap::new();
        for location in &message.location {
            let frames: Result<Vec<Frame>, Error> =
                location.line.iter().map(|line| self.frame(*line)).collect();
            let (address, mapping) = (location.address, None);
            numbers
                .insert(location.id, out.location(Location { address, mapping, frames: frames? }));
        }
        for sample in &message.sample {
            let number = |id| numbers.get(id).copied().ok_or(Error::Missing("location"));
            let stack = sample.location_id.iter().map(number).collect::<Result<_, _>>()?;
            let label = |label: &proto::Label| -> Result<_, Error> {
                Ok((self.string(label.key)?.to_string(), self.string(label.text)?.to_string()))
            };
            let labels = sample.label.iter().map(label).collect::<Result<_, _>>()?;
            out.samples.push(Sample { stack, values: sample.value.clone(), labels });
        }
        Ok(out)
    }

    fn frame(&self, line: proto::Line) -> Result<Frame, Error> {
        let function = self.functions.get(&line.function_id).ok_or(Error::Missing("function"))?;
        let number = |line: i64| u32::try_from(line).unwrap_or(0);
        Ok(Frame {
            function: self.string(function.name)?,
            file: self.string(function.filename)?,
            line: number(line.line),
            start_line: number(function.start_line),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::example;

    #[test]
    fn what_is_written_is_read_again() {
        let mut profile = example();
        profile.time = 17;
        profile.duration = 1_000;
        let again = decode(&encode(&profile).unwrap()).unwrap();
        assert_eq!((&again.types, again.default_type), (&profile.types, 1));
        assert_eq!(
            (again.time, again.duration, again.period.as_ref()),
            (17, 1_000, profile.period.as_ref())
        );
        assert_eq!(again.samples, profile.samples);
        let frames = |profile: &Profile| -> Vec<Vec<Frame>> {
            profile.locations.iter().map(|location| location.frames.clone()).collect()
        };
        assert_eq!(frames(&again), frames(&profile));
    }

    #[test]
    fn everything_stands_once_and_is_referred_to() {
        let mut raw = Vec::new();
        GzDecoder::new(&*encode(&example()).unwrap()).read_to_end(&mut raw).unwrap();
        let message = proto::Profile::decode(raw.as_slice()).unwrap();
        assert_eq!((message.location.len(), message.function.len()), (3, 4));
        assert_eq!(message.string_table[0], "");
        assert_eq!(message.sample[0].location_id, [1, 3]);
        assert_eq!(message.location[0].mapping_id, message.mapping[0].id);
        assert_eq!(message.function[3].start_line, 40);
    }

    #[test]
    fn a_file_that_is_no_profile_is_refused() {
        assert!(decode(b"no profile at all").is_err());
        assert!(decode(&[]).is_err());
        assert!(decode(&[0x1f, 0x8b, 0, 0]).is_err());
        let whole = encode(&example()).unwrap();
        assert!(decode(&whole[..whole.len() / 2]).is_err());
        let mut encoder = Encoder::default();
        let mut message = encoder.profile(&Profile::new(vec![ValueType::new("a", "b")]));
        message.sample.push(proto::Sample {
            location_id: vec![9],
            value: vec![1],
            label: Vec::new(),
        });
        assert!(matches!(decode(&message.encode_to_vec()), Err(Error::Missing("location"))));
    }
}
