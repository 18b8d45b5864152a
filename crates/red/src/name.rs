//! What operations are called where they are shown: the same from a span and from a point of a metric. Not here:
//! the names of spans.

use metrics::Attributes;
use trace::{Kind, Span, ValueRef};

use crate::class::{Class, Groups};
use crate::keys::Key;

/// What a point of a metric is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Whether its operations were made, or else served.
    pub made: bool,
    /// What they are called.
    pub name: String,
    /// Whether they failed.
    pub failed: bool,
}

/// What an operation is called.
pub fn operation_name(span: &Span) -> String {
    let class = Class::of(span, Groups::ALL, true).into_iter().flatten().next();
    let value = |key: Key| match key.of(span)? {
        ValueRef::Text(text) => Some(text.to_owned()),
        ValueRef::Int(n) => Some(n.to_string()),
        ValueRef::Double(_) | ValueRef::Texts(_) => None,
    };
    class.map_or_else(|| span.name.to_string(), |class| name(class, value))
}

/// What a point is about of the metric of how long operations take; `None` for other metrics.
pub fn described(metric: &str, attributes: &Attributes) -> Option<Described> {
    let class = Class::ALL.into_iter().find(|class| class.duration().name == metric)?;
    let value = |key: Key| {
        let found = attributes.iter().find(|(name, _)| *name == key.name());
        found.map(|(_, value)| value.to_text().into())
    };
    let is_overflow = *attributes == metrics::overflow();
    let name = if is_overflow { "(others)".to_owned() } else { name(class, value) };
    let failed = value(Key::ErrorType).is_some();
    Some(Described { made: class.kind() == Kind::Client, name, failed })
}

fn name(class: Class, value: impl Fn(Key) -> Option<String>) -> String {
    let method = || value(Key::Method).unwrap_or_else(|| "HTTP".to_owned());
    match class {
        Class::RpcServer | Class::RpcClient => {
            value(Key::RpcMethod).or_else(|| value(Key::RpcSystem)).unwrap_or_default()
        }
        Class::Database => {
            let what = value(Key::DbSummary).or_else(|| value(Key::DbOperation));
            let system = value(Key::DbSystem).unwrap_or_default();
            format!("{system} {}", what.unwrap_or_default()).trim_end().to_owned()
        }
        Class::HttpServer => match value(Key::Route) {
            Some(route) => format!("{} {route}", method()),
            None => method(),
        },
        Class::HttpClient => match (value(Key::ServerAddress), value(Key::ServerPort)) {
            (Some(address), Some(port)) => format!("{} {address}:{port}", method()),
            (Some(address), None) => format!("{} {address}", method()),
            _ => method(),
        },
    }
}

#[cfg(test)]
mod tests {
    use trace::{Endpoint, Http, Named, Operation, Query, synthetic};

    use super::*;
    use crate::series::Series;

    /// The name of an operation, from its span and from its metric.
    fn names(kind: Kind, operation: Operation) -> [String; 2] {
        let span = Span { kind, operation, ..synthetic::span(1, 1, None) };
        let class = Class::of(&span, Groups::ALL, true).into_iter().flatten().next().unwrap();
        let attributes = Series::new(class, 0, &span, false).attributes();
        let point = described(class.duration().name, &attributes).unwrap();
        assert_eq!((point.made, point.failed), (kind == Kind::Client, false));
        [operation_name(&span), point.name]
    }

    #[test]
    fn an_operation_has_the_name_of_its_metric() {
        let request = |route: Option<&str>| {
            let method = Some(Named::known("GET"));
            let (server, route) = (Endpoint::new("h", Some(80)), route.map(Into::into));
            synthetic::http(Http { method, server, route, ..Http::default() })
        };
        assert_eq!(names(Kind::Server, request(None)), ["GET"; 2]);
        assert_eq!(names(Kind::Server, request(Some("/a/{id}"))), ["GET /a/{id}"; 2]);
        assert_eq!(names(Kind::Client, request(None)), ["GET h:80"; 2]);
        assert_eq!(names(Kind::Client, synthetic::http(Http::default())), ["HTTP"; 2]);
        let operation = Some("GET".into());
        let query = Query { system: "redis", operation, ..Query::default() };
        assert_eq!(names(Kind::Client, Operation::Database(Box::new(query))), ["redis GET"; 2]);
    }

    #[test]
    fn only_metrics_of_operations_are_described() {
        assert_eq!(described("process.uptime", &Vec::new()), None);
        let others = described("rpc.client.call.duration", &metrics::overflow()).unwrap();
        assert_eq!((others.made, others.name.as_str()), (true, "(others)"));
        let failed = vec![("error.type", "500".into())];
        let served = described("http.server.request.duration", &failed).unwrap();
        assert!(served.failed && !served.made && served.name == "HTTP");
    }
}
