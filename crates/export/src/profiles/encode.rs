//! A profile as OTLP, `opentelemetry.proto.profiles.v1development`, which is in development: a later version may
//! have other fields. What is used more than once stands in tables. Entry 0 of each table is empty.

use std::collections::HashMap;
use std::hash::Hash;

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::profiles::v1development as otlp;
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use profile::{Location, Profile, Sample};
use prost::Message;
use trace::{Resource, Value};

/// Labels of a sample that are a link and no attributes.
const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";

/// A request with a profile for each id, of the process that `resource` is: the first has the profile's first type of
/// values, and so on, as one of OTLP has one type. Labels `trace_id` and `span_id` in hexadecimal become links. Each
/// id is unlike all others.
pub fn otlp_profiles(resource: &Resource, profile: &Profile, ids: &[[u8; 16]]) -> Vec<u8> {
    let mut tables = Tables::new();
    let value_type = |tables: &mut Tables, kind: &str, unit: &str| otlp::ValueType {
        type_strindex: tables.string(kind),
        unit_strindex: tables.string(unit),
    };
    let types: Vec<_> =
        profile.types.iter().map(|t| value_type(&mut tables, &t.kind, &t.unit)).collect();
    let period = profile.period.as_ref();
    let period_type = period.map(|(t, _)| value_type(&mut tables, &t.kind, &t.unit));
    for mapping in &profile.mappings {
        let filename_strindex = tables.string(&mapping.file);
        tables.out.mapping_table.push(otlp::Mapping {
            memory_start: mapping.start,
            memory_limit: mapping.end,
            file_offset: mapping.offset,
            filename_strindex,
            attribute_indices: Vec::new(),
        });
    }
    for location in &profile.locations {
        tables.location(location);
    }
    let samples: Vec<_> = profile.samples.iter().map(|sample| tables.sample(sample)).collect();
    let of_type = |(number, (sample_type, id)): (usize, (otlp::ValueType, &[u8; 16]))| {
        let value = |(one, sample): (&otlp::Sample, &Sample)| {
            let values = vec![*sample.values.get(number)?];
            Some(otlp::Sample { values, ..one.clone() })
        };
        otlp::Profile {
            sample_type: Some(sample_type),
            samples: samples.iter().zip(&profile.samples).filter_map(value).collect(),
            time_unix_nano: u64::try_from(profile.time).unwrap_or(0),
            duration_nano: u64::try_from(profile.duration).unwrap_or(0),
            period_type,
            period: period.map_or(0, |(_, period)| *period),
            profile_id: id.to_vec(),
            ..otlp::Profile::default()
        }
    };
    let profiles = types.into_iter().zip(ids).enumerate().map(of_type).collect();
    let scope = InstrumentationScope {
        name: "gotap".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let scope_profiles = otlp::ScopeProfiles { scope: Some(scope), profiles, ..Default::default() };
    let resource_profiles = otlp::ResourceProfiles {
        resource: Some(of_resource(resource)),
        scope_profiles: vec![scope_profiles],
        ..Default::default()
    };
    let request = ExportProfilesServiceRequest {
        resource_profiles: vec![resource_profiles],
        dictionary: Some(tables.out),
    };
    request.encode_to_vec()
}

fn of_resource(resource: &Resource) -> OtlpResource {
    let text = |value: &str| AnyValue { value: Some(Any::StringValue(value.to_owned())) };
    let value = |value: &Value| match value {
        Value::Int(n) => AnyValue { value: Some(Any::IntValue(*n)) },
        Value::Texts(texts) => {
            let values = texts.iter().map(|one| text(one)).collect();
            AnyValue { value: Some(Any::ArrayValue(ArrayValue { values })) }
        }
        other => text(other.as_str().unwrap_or_default()),
    };
    let attributes = resource.attributes().iter();
    let attributes = attributes.map(|(key, of)| KeyValue {
        key: key.clone(),
        value: Some(value(of)),
        ..KeyValue::default()
    });
    OtlpResource { attributes: attributes.collect(), ..OtlpResource::default() }
}

/// The dictionary in the making.
struct Tables {
    out: otlp::ProfilesDictionary,
    strings: HashMap<String, i32>,
    functions: HashMap<otlp::Function, i32>,
    stacks: HashMap<otlp::Stack, i32>,
    links: HashMap<otlp::Link, i32>,
    attributes: HashMap<(String, String), i32>,
}

/// The number of an entry, which is added if it is new.
fn number<T: Eq + Hash + Clone>(known: &mut HashMap<T, i32>, table: &mut Vec<T>, entry: T) -> i32 {
    let next = i32::try_from(table.len()).unwrap_or(0);
    let number = *known.entry(entry.clone()).or_insert(next);
    if number == next {
        table.push(entry);
    }
    number
}

impl Tables {
    fn new() -> Self {
        let out = otlp::ProfilesDictionary {
            mapping_table: vec![otlp::Mapping::default()],
            location_table: vec![otlp::Location::default()],
            function_table: vec![otlp::Function::default()],
            link_table: vec![otlp::Link::default()],
            string_table: vec![String::new()],
            attribute_table: vec![otlp::KeyValueAndUnit::default()],
            stack_table: vec![otlp::Stack::default()],
        };
        Self {
            out,
            strings: HashMap::from([(String::new(), 0)]),
            functions: HashMap::from([(otlp::Function::default(), 0)]),
            stacks: HashMap::from([(otlp::Stack::default(), 0)]),
            links: HashMap::from([(otlp::Link::default(), 0)]),
            attributes: HashMap::new(),
        }
    }

    fn string(&mut self, text: &str) -> i32 {
        if let Some(known) = self.strings.get(text) {
            return *known;
        }
        number(&mut self.strings, &mut self.out.string_table, text.to_owned())
    }

    fn attribute(&mut self, key: &str, value: &str) -> i32 {
        let pair = (key.to_owned(), value.to_owned());
        if let Some(known) = self.attributes.get(&pair) {
            return *known;
        }
        let key_strindex = self.string(key);
        let number = i32::try_from(self.out.attribute_table.len()).unwrap_or(0);
        let value = AnyValue { value: Some(Any::StringValue(value.to_owned())) };
        let entry = otlp::KeyValueAndUnit { key_strindex, value: Some(value), unit_strindex: 0 };
        self.out.attribute_table.push(entry);
        self.attributes.insert(pair, number);
        number
    }

    /// Adds a location, whose number is one more than in the profile.
    fn location(&mut self, location: &Location) {
        let mut lines = Vec::with_capacity(location.frames.len());
        for frame in &location.frames {
            let name = self.string(&frame.function);
            let entry = otlp::Function {
                name_strindex: name,
                system_name_strindex: name,
                filename_strindex: self.string(&frame.file),
                start_line: frame.start_line.into(),
            };
            let function_index = number(&mut self.functions, &mut self.out.function_table, entry);
            lines.push(otlp::Line { function_index, line: frame.line.into(), column: 0 });
        }
        let kind = frame_type(location).map(|kind| self.attribute("profile.frame.type", kind));
        let mapping = location.mapping.and_then(|number| i32::try_from(number + 1).ok());
        self.out.location_table.push(otlp::Location {
            mapping_index: mapping.unwrap_or(0),
            address: location.address,
            lines,
            attribute_indices: kind.into_iter().collect(),
        });
    }

    /// Without values.
    fn sample(&mut self, sample: &Sample) -> otlp::Sample {
        let index = |number: &usize| i32::try_from(number + 1).unwrap_or(0);
        let stack = otlp::Stack { location_indices: sample.stack.iter().map(index).collect() };
        let stack_index = number(&mut self.stacks, &mut self.out.stack_table, stack);
        let label = |wanted: &str| sample.labels.iter().find(|(key, _)| key == wanted);
        let id = |wanted: &str| label(wanted).and_then(|(_, text)| from_hex(text));
        let link = id(TRACE_ID).zip(id(SPAN_ID));
        let link = link.map(|(trace_id, span_id)| otlp::Link { trace_id, span_id });
        let link_index =
            link.map_or(0, |link| number(&mut self.links, &mut self.out.link_table, link));
        let others = sample.labels.iter().filter(|(key, _)| key != TRACE_ID && key != SPAN_ID);
        let attribute_indices = others.map(|(key, text)| self.attribute(key, text)).collect();
        otlp::Sample {
            stack_index,
            attribute_indices,
            link_index,
            values: Vec::new(),
            timestamps_unix_nano: Vec::new(),
        }
    }
}

/// By the semantic conventions; `None` of what is no code.
fn frame_type(location: &Location) -> Option<&'static str> {
    let function = location.frames.first().map_or("", |frame| &*frame.function);
    match location.mapping {
        _ if function.ends_with("[kernel]") => Some("kernel"),
        Some(0) => Some("go"),
        _ if location.address != 0 => Some("native"),
        _ => None,
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes().chunks(2);
    bytes.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
