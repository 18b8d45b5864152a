//! Requests as the published types of each back end read them, and what becomes of profiles that nobody takes.

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use profile::{Frame, Mapping, ValueType};
use prost::Message;
use std::time::Duration;
use trace::{Resource, Value};

use super::worker::TRIES;
use super::*;

fn example() -> profile::Profile {
    let mut out = profile::Profile::new(vec![ValueType::new("samples", "count")]);
    out.period = Some((ValueType::new("cpu", "nanoseconds"), 10_101_010));
    (out.time, out.duration) = (1_700_000_000_000_000_000, 15_000_000_000);
    out.mappings =
        vec![Mapping { start: 0x1000, end: 0x2000, file: "/app".into(), ..Mapping::default() }];
    let mut at = |function: &str, address, mapping| {
        let (function, file) = (function.into(), "a.go".into());
        let frames = vec![Frame { function, file, line: 7, start_line: 3 }];
        out.location(profile::Location { address, mapping, frames })
    };
    let (work, main) = (at("main.work", 0x1010, Some(0)), at("main.main", 0x1100, Some(0)));
    let kernel = at("do_futex [kernel]", 0xffff_ffff_8000_0000, None);
    let link = [("trace_id", "0102030405060708090a0b0c0d0e0f10"), ("span_id", "1112131415161718")];
    let labels = link.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    out.samples = vec![
        profile::Sample { stack: vec![work, main], values: vec![5], labels },
        profile::Sample { stack: vec![work, main], values: vec![2], labels: Vec::new() },
        profile::Sample { stack: vec![kernel, main], values: vec![1], labels: Vec::new() },
    ];
    out
}

#[test]
fn all_numbers_in_a_request_lead_to_entries() {
    let attributes = vec![
        ("service.name".to_owned(), Value::Text("shop".into())),
        ("process.pid".to_owned(), Value::Int(7)),
    ];
    let bytes = otlp_profiles(&Resource::new(attributes), &example(), &[[9; 16]]);
    let request = ExportProfilesServiceRequest::decode(&bytes[..]).unwrap();
    let tables = request.dictionary.unwrap();
    let of = &request.resource_profiles[0];
    assert_eq!(of.resource.as_ref().unwrap().attributes[0].key, "service.name");
    let one = &of.scope_profiles[0].profiles[0];
    assert_eq!((one.period, one.duration_nano), (10_101_010, 15_000_000_000));
    let text = |number: i32| tables.string_table[usize::try_from(number).unwrap()].as_str();
    let sampled = one.sample_type.unwrap();
    assert_eq!((text(sampled.type_strindex), text(sampled.unit_strindex)), ("samples", "count"));
    let name = |location: i32| {
        let line = tables.location_table[usize::try_from(location).unwrap()].lines[0];
        assert_eq!(line.line, 7);
        let function = tables.function_table[usize::try_from(line.function_index).unwrap()];
        text(function.name_strindex)
    };
    let stack = |sample: usize| {
        let number = usize::try_from(one.samples[sample].stack_index).unwrap();
        tables.stack_table[number].location_indices.iter().map(|n| name(*n)).collect::<Vec<_>>()
    };
    assert_eq!(stack(0), ["main.work", "main.main"]);
    assert_eq!(stack(2), ["do_futex [kernel]", "main.main"]);
    assert_eq!(one.samples[0].stack_index, one.samples[1].stack_index, "a stack stands once");
    assert_eq!(
        tables.link_table[usize::try_from(one.samples[0].link_index).unwrap()].span_id[0],
        0x11
    );
    assert_eq!((one.samples[1].link_index, &one.samples[0].values[..]), (0, &[5][..]));
    // Entry 0 of each table is the empty value.
    assert!(
        tables.link_table[0].trace_id.is_empty()
            && tables.stack_table[0].location_indices.is_empty()
    );
    assert_eq!((tables.location_table[0].address, tables.mapping_table[0].memory_limit), (0, 0));
    let kind = |location: usize| {
        let attribute = tables.location_table[location].attribute_indices[0];
        let attribute = &tables.attribute_table[usize::try_from(attribute).unwrap()];
        assert_eq!(text(attribute.key_strindex), "profile.frame.type");
        format!("{:?}", attribute.value)
    };
    assert!(kind(1).contains("\"go\"") && kind(3).contains("\"kernel\""), "{}", kind(3));
}

#[test]
fn labels_are_sorted() {
    let labels = [("b", "2"), ("__name__", "process_cpu"), ("a", "1")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = push::WriteRawRequest::decode(&parca_profile(&labels, vec![1, 2])[..]).unwrap();
    let series = &request.series[0];
    let names = series.labels.as_ref().unwrap().labels.iter().map(|label| label.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["__name__", "a", "b"]);
    assert_eq!(series.samples[0].raw_profile, [1, 2]);
    let bytes = pyroscope_profile(&labels, vec![3], "id".into());
    let request = push::PushRequest::decode(&bytes[..]).unwrap();
    assert_eq!(request.series[0].labels[1].name, "a");
    assert_eq!(request.series[0].samples[0].id, "id");
}

#[test]
fn profiles_that_nobody_takes_are_counted() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    // Nobody listens there.
    let config = Config {
        endpoint: "http://user:secret@127.0.0.1:1".into(),
        protocol: crate::Protocol::Http,
        queue_bytes: 10,
        ..Config::default()
    };
    let exporter =
        ProfileExporter::start(ProfileBackend::Pyroscope, &config, None, move |sentence| {
            heard.lock().unwrap().push(sentence);
        });
    let exporter = exporter.unwrap();
    let stats = exporter.stats();
    exporter.push(Some(vec![0; 8]));
    exporter.push(Some(vec![0; 8]));
    exporter.push(None);
    let until = Instant::now() + Duration::from_secs(30);
    while stats.read().lost[2].1 == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    exporter.finish_by(Instant::now() + Duration::from_millis(100));
    exporter.join();
    let sent = stats.read();
    assert_eq!((sent.sent, sent.retries), (0, u64::from(TRIES) - 1));
    let lost = [("export_queue_full", 1), ("export_rejected", 0), ("export_unreachable", 1)];
    assert_eq!(sent.lost[..3], lost);
    assert_eq!(sent.lost[4], ("not_encoded", 1));
    let said = said.lock().unwrap();
    assert!(said.len() == 1 && said[0].contains("127.0.0.1:1 can't be reached"), "{said:?}");
    assert!(!said[0].contains("secret"), "{said:?}");
}

#[test]
fn profiles_that_a_thread_leaves_behind_are_counted() {
    let config = Config {
        endpoint: "http://127.0.0.1:1".into(),
        protocol: crate::Protocol::Http,
        ..Config::default()
    };
    // The thread fails where it says that nobody is there.
    let exporter =
        ProfileExporter::start(ProfileBackend::Pyroscope, &config, None, |_| panic!("on purpose"));
    let exporter = exporter.unwrap();
    let stats = exporter.stats();
    (0..3).for_each(|_| exporter.push(Some(vec![0; 8])));
    let until = Instant::now() + Duration::from_secs(30);
    while stats.failed.load(Ordering::Relaxed) == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    exporter.push(Some(vec![0; 8]));
    exporter.finish_by(Instant::now());
    exporter.join();
    let sent = stats.read();
    assert_eq!((sent.sent, sent.lost[5]), (0, ("export_failed", 4)));
    assert_eq!(sent.lost.iter().map(|(_, n)| n).sum::<u64>(), 4);
}

#[test]
fn a_thread_ends_with_its_exporter() {
    let config = Config { endpoint: "http://127.0.0.1:1".into(), ..Config::default() };
    let exporter = ProfileExporter::start(ProfileBackend::Otlp, &config, None, |_| ()).unwrap();
    let shared = exporter.shared.clone();
    drop(exporter);
    assert_eq!(Arc::strong_count(&shared), 1);
}

/// One back end for spans and profiles that is away is named once, with both.
#[test]
fn a_back_end_that_spans_go_to_as_well_is_named_once() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let say = || {
        let said = said.clone();
        move |sentence| said.lock().unwrap().push(sentence)
    };
    let config = Config { flush_interval: Duration::ZERO, ..Config::default() };
    let config = Config { endpoint: "http://127.0.0.1:1".into(), ..config };
    let mut spans = crate::Exporter::start(&config, say()).unwrap();
    let profiles =
        ProfileExporter::start(ProfileBackend::Otlp, &config, Some(&spans.stats()), say());
    let (profiles, until) = (profiles.unwrap(), Instant::now() + Duration::from_secs(30));
    spans.push(&trace::synthetic::span(1, 1, None));
    spans.tick();
    while said.lock().unwrap().is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    profiles.push(Some(vec![0; 8]));
    let stats = profiles.stats();
    while stats.read().lost[2].1 == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(stats.read().lost[2], ("export_unreachable", 1));
    let said = said.lock().unwrap();
    assert!(said.len() == 1 && said[0].ends_with("; profiles go there, too"), "{said:?}");
}
