//! The attributes of spans that metrics have, too, found in one pass without an allocation.

use trace::{Span, Value};

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

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "http.request.method" => Key::Method,
            "url.scheme" => Key::Scheme,
            "error.type" => Key::ErrorType,
            "http.response.status_code" => Key::HttpStatus,
            "http.route" => Key::Route,
            "network.protocol.version" => Key::ProtocolVersion,
            "server.address" => Key::ServerAddress,
            "server.port" => Key::ServerPort,
            "rpc.system.name" => Key::RpcSystem,
            "rpc.method" => Key::RpcMethod,
            "rpc.response.status_code" => Key::RpcStatus,
            "db.system.name" => Key::DbSystem,
            "db.collection.name" => Key::DbCollection,
            "db.namespace" => Key::DbNamespace,
            "db.operation.name" => Key::DbOperation,
            "db.response.status_code" => Key::DbStatus,
            "db.query.summary" => Key::DbSummary,
            "db.stored_procedure.name" => Key::DbProcedure,
            _ => return None,
        })
    }
}

/// What the name of an attribute stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Key(Key),
    RequestSize,
    ResponseSize,
    Other,
}

impl Role {
    fn of(name: &str) -> Self {
        match name {
            "http.request.body.size" => Role::RequestSize,
            "http.response.body.size" => Role::ResponseSize,
            name => Key::of(name).map_or(Role::Other, Role::Key),
        }
    }
}

/// Roles of names by their addresses: names of attributes are constants, of which there are few, and
/// comparing texts would take longer than all else.
#[derive(Debug)]
pub(crate) struct Roles {
    slots: Box<[(usize, usize, Role); Roles::SLOTS]>,
}

impl Default for Roles {
    fn default() -> Self {
        Self { slots: Box::new([(0, 0, Role::Other); Roles::SLOTS]) }
    }
}

impl Roles {
    const SLOTS: usize = 256;
    const TRIES: usize = 8;

    fn of(&mut self, name: &'static str) -> Role {
        let (address, len) = (name.as_ptr() as usize, name.len());
        let first = (address ^ address >> 8) % Self::SLOTS;
        for at in first..first + Self::TRIES {
            let slot = &mut self.slots[at % Self::SLOTS];
            if (slot.0, slot.1) == (address, len) {
                return slot.2;
            }
            if slot.0 == 0 {
                *slot = (address, len, Role::of(name));
                return slot.2;
            }
        }
        Role::of(name)
    }
}

/// What a span says of what metrics are about.
#[derive(Debug, Default)]
pub(crate) struct Seen<'a> {
    values: [Option<&'a Value>; Key::COUNT],
    /// Bytes of the request's body.
    pub(crate) request_size: Option<i64>,
    /// Bytes of the answer's body.
    pub(crate) response_size: Option<i64>,
}

impl<'a> Seen<'a> {
    pub(crate) fn of(span: &'a Span, roles: &mut Roles) -> Self {
        let mut seen = Self::default();
        for (name, value) in &span.attributes {
            match (roles.of(name), value) {
                (Role::Key(key), value) => seen.values[key as usize] = Some(value),
                (Role::RequestSize, Value::Int(n)) => seen.request_size = Some(*n),
                (Role::ResponseSize, Value::Int(n)) => seen.response_size = Some(*n),
                _ => {}
            }
        }
        seen
    }

    pub(crate) fn get(&self, key: Key) -> Option<&'a Value> {
        self.values[key as usize]
    }

    pub(crate) fn has(&self, key: Key) -> bool {
        self.get(key).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_name() {
        for (i, name) in NAMES.iter().enumerate() {
            let key = Key::of(name).unwrap();
            assert_eq!((key as usize, key.name()), (i, *name));
        }
        assert_eq!(Key::of("url.path"), None);
    }
}
