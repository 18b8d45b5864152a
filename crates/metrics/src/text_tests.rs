//! The text formats, letter by letter.

use super::*;
use crate::Histogram;

fn metrics() -> Vec<Metric> {
    let mut histogram = Histogram::new(&[0.1, 1.0]);
    histogram.record(0.5);
    let attributes = vec![("gotap.reason", "a \"b\"\\\n".into())];
    let (trace_id, span_id) = ([0xab; 16], [1; 8]);
    let exemplar = Exemplar { value: 0.5, time_unix_nano: 12_345_678_901, trace_id, span_id };
    let mut point = HistogramPoint::new(vec![("n", 7.into())], histogram);
    point.exemplars.push(exemplar);
    vec![
        Metric::counter("gotap.spans", "{span}", "Spans", [Point::int(7, attributes)]),
        Metric::gauge("gotap.ring", "By", "Bytes", [Point::int(1, Vec::new())]),
        Metric::gauge("gotap.nothing", "By", "Nothing", []),
        Metric::gauge("go.goroutine.count", "{goroutine}", "Some", [Point::int(2, Vec::new())]),
        Metric::histogram("gotap.attach", "s", "Time", [point]),
        Metric::counter("graph_total", "", "Edges", [Point::int(3, Vec::new())]),
    ]
}

#[test]
fn the_classic_format_is_as_it_should_be() {
    let text =
        render(&metrics(), &[vec![("service_name".into(), "gotap".into())]], Format::Classic);
    let expected = "\
# HELP target_info Attributes of gotap and of the processes that it observes
# TYPE target_info gauge
target_info{service_name=\"gotap\"} 1
# HELP gotap_spans_total Spans
# TYPE gotap_spans_total counter
gotap_spans_total{gotap_reason=\"a \\\"b\\\"\\\\\\n\"} 7
# HELP gotap_ring_bytes Bytes
# TYPE gotap_ring_bytes gauge
gotap_ring_bytes 1
# HELP go_goroutine Some
# TYPE go_goroutine gauge
go_goroutine 2
# HELP gotap_attach_seconds Time
# TYPE gotap_attach_seconds histogram
gotap_attach_seconds_bucket{n=\"7\",le=\"0.1\"} 0
gotap_attach_seconds_bucket{n=\"7\",le=\"1.0\"} 1
gotap_attach_seconds_bucket{n=\"7\",le=\"+Inf\"} 1
gotap_attach_seconds_sum{n=\"7\"} 0.5
gotap_attach_seconds_count{n=\"7\"} 1
# HELP graph_total Edges
# TYPE graph_total counter
graph_total 3
";
    assert_eq!(text, expected);
}

#[test]
fn openmetrics_has_units_and_an_end() {
    let text = render(&metrics(), &[], Format::OpenMetrics);
    assert!(text.contains("# TYPE gotap_spans counter\ngotap_spans_total{"), "{text}");
    assert!(text.contains("# UNIT gotap_ring_bytes bytes\n"), "{text}");
    assert!(text.starts_with("# HELP target Attributes of gotap and of the processes that it observes\n# TYPE target info\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let exemplar = " # {trace_id=\"abababababababababababababababab\",span_id=\"0101010101010101\"} \
                    0.5 12.345\n";
    let bucket = format!("gotap_attach_seconds_bucket{{n=\"7\",le=\"1.0\"}} 1{exemplar}");
    assert!(text.contains(&bucket), "{text}");
    assert_eq!(text.matches("trace_id").count(), 1, "{text}");
    assert!(text.contains("# TYPE graph counter\ngraph_total 3\n"), "{text}");
}

#[test]
fn a_scraper_gets_what_it_takes() {
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
    assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    assert_eq!(Format::accepted("text/plain"), Format::Classic);
    assert_eq!(Format::accepted(""), Format::Classic);
    assert_eq!(Format::accepted("application/openmetrics-text; q=0"), Format::Classic);
}
