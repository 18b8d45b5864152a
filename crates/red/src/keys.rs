//! The attributes of spans that metrics have, too, each found without an allocation.

use trace::{Named, Operation, Span, ValueRef};

/// An attribute that a metric may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Key {
    Method,
    Scheme,
    ErrorType,
    HttpStatus,
    Route,
    ProtocolVersion,
    ServerAddress,
    ServerPort,
    RpcSystem,
    RpcMethod,
    RpcStatus,
    DbSystem,
    DbCollection,
    DbNamespace,
    DbOperation,
    DbStatus,
    DbSummary,
    DbProcedure,
}

/// Their names, in order.
const NAMES: [&str; Key::COUNT] = [
    "http.request.method",
    "url.scheme",
    "error.type",
    "http.response.status_code",
    "http.route",
    "network.protocol.version",
    "server.address",
    "server.port",
    "rpc.system.name",
    "rpc.method",
    "rpc.response.status_code",
    "db.system.name",
    "db.collection.name",
    "db.namespace",
    "db.operation.name",
    "db.response.status_code",
    "db.query.summary",
    "db.stored_procedure.name",
];

impl Key {
    pub(crate) const COUNT: usize = Key::DbProcedure as usize + 1;

    pub(crate) fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Its value in a span.
    pub(crate) fn of(self, span: &Span) -> Option<ValueRef<'_>> {
        let (operation, error) = (&span.operation, &span.error_type);
        let text = match (self, operation) {
            (Key::ErrorType, _) => error.as_deref(),
            (Key::ServerAddress, _) => operation.server()?.address.as_deref(),
            (Key::ServerPort, _) => return operation.server()?.port.map(int),
            (Key::RpcSystem, _) => Some(operation.call()?.system.label()),
            (Key::RpcMethod, _) => operation.call()?.method.as_ref().map(Named::label),
            (Key::RpcStatus, _) => operation.call()?.code.as_deref(),
            (_, Operation::Http(http)) => match self {
                Key::Method => http.method.as_ref().map(Named::label),
                Key::Scheme => http.scheme,
                Key::HttpStatus => return http.status.map(int),
                Key::Route => http.route.as_deref(),
                Key::ProtocolVersion => http.version,
                _ => None,
            },
            (_, Operation::Database(query)) => match self {
                Key::DbSystem => Some(query.system),
                Key::DbCollection => query.collection.as_deref(),
                Key::DbNamespace => query.namespace.as_deref(),
                Key::DbOperation => query.operation.as_deref(),
                Key::DbStatus => query.code.as_deref(),
                Key::DbSummary => query.summary.as_deref(),
                Key::DbProcedure => query.procedure.as_deref(),
                _ => None,
            },
            (_, Operation::Rpc(_) | Operation::Connection(_)) => None,
        };
        text.map(ValueRef::Text)
    }
}

fn int(n: u16) -> ValueRef<'static> {
    ValueRef::Int(n.into())
}

#[cfg(test)]
mod tests {
    use trace::{Call, Endpoint, Http, Query, RpcSystem, synthetic};

    use super::*;

    const ALL: [Key; Key::COUNT] = [
        Key::Method,
        Key::Scheme,
        Key::ErrorType,
        Key::HttpStatus,
        Key::Route,
        Key::ProtocolVersion,
        Key::ServerAddress,
        Key::ServerPort,
        Key::RpcSystem,
        Key::RpcMethod,
        Key::RpcStatus,
        Key::DbSystem,
        Key::DbCollection,
        Key::DbNamespace,
        Key::DbOperation,
        Key::DbStatus,
        Key::DbSummary,
        Key::DbProcedure,
    ];

    /// Metrics and spans name the same things, with the same values.
    #[test]
    fn each_key_is_the_attribute_of_its_name() {
        let server = Endpoint::new("h", Some(80));
        let method = Some(Named::known("a.B/C"));
        let call = Call { system: RpcSystem::Grpc, method, code: Some("OK".into()) };
        let request = Http {
            method: Some(Named::Other("BREW".into())),
            scheme: Some("http"),
            route: Some("/a".into()),
            server: server.clone(),
            version: Some("1.1"),
            status: Some(500),
            call: Some(call),
            ..Http::default()
        };
        let text = || Some("x".into());
        let query = Query {
            system: "mysql",
            namespace: text(),
            operation: text(),
            summary: text(),
            collection: text(),
            procedure: text(),
            code: text(),
            server,
            ..Query::default()
        };
        let mut seen = [false; Key::COUNT];
        for operation in [synthetic::http(request), Operation::Database(Box::new(query))] {
            let error_type = Some("500".into());
            let span = Span { operation, error_type, ..synthetic::span(1, 1, None) };
            for (i, key) in ALL.into_iter().enumerate() {
                let attribute = synthetic::attribute(&span, NAMES[i]);
                let value = attribute.as_ref().map(trace::Value::as_ref);
                assert_eq!(key.of(&span), value, "{}", key.name());
                seen[i] |= value.is_some() && key as usize == i;
            }
        }
        assert_eq!(seen, [true; Key::COUNT]);
    }
}
