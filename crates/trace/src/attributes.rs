//! The attributes of spans, with the names of the semantic conventions. They are made here, once, for what leaves:
//! nothing reads one back by its name. Those of resources and of log records are made elsewhere.

use compact_str::{CompactString, ToCompactString};
use wire::Unread;

use crate::operation::{Call, Connection, Endpoint, Http, Named, Operation, Query, Rpc};
use crate::span::{Kind, Span, Value};

/// The value of an attribute, on its way out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Text.
    Text(&'a str),
    /// Integer.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// Several texts.
    Texts(&'a [CompactString]),
}

impl Value {
    /// The value, on its way out.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Static(text) => ValueRef::Text(text),
            Value::Text(text) => ValueRef::Text(text),
            Value::Int(n) => ValueRef::Int(*n),
            Value::Double(n) => ValueRef::Double(*n),
            Value::Texts(texts) => ValueRef::Texts(texts),
        }
    }
}

impl Span {
    /// Gives all attributes to `out`, in the order in which they are shown.
    pub fn attributes(&self, mut out: impl FnMut(&'static str, ValueRef<'_>)) {
        let mut out = Out(&mut out);
        let error = self.error_type.as_deref();
        match &self.operation {
            Operation::Http(of) => http(of, error, &mut out),
            Operation::Rpc(of) => rpc(of, self.kind, error, &mut out),
            Operation::Database(of) => query(of, error, &mut out),
            Operation::Connection(of) => connection(of, error, &mut out),
        }
        if !self.unread.is_empty() {
            let labels: Vec<_> = self.unread.iter().map(Unread::label).collect();
            out.text("gotap.unread", &labels.join(","));
        }
        for header in &self.headers {
            out.0(header.key, ValueRef::Texts(&header.values));
        }
        for (key, value) in self.added.iter() {
            out.0(key, value.as_ref());
        }
        if let Some(peer) = &self.answered_by {
            for (key, name) in [
                ("service.peer.name", peer.service_name()),
                ("service.peer.namespace", peer.service_namespace()),
            ] {
                out.some(key, Some(name).filter(|name| !name.is_empty()));
            }
        }
        out.some("gotap.sampling.kept", self.kept.map(super::span::Kept::label));
    }
}

/// Where attributes go.
struct Out<'o>(&'o mut dyn FnMut(&'static str, ValueRef<'_>));

impl Out<'_> {
    fn text(&mut self, key: &'static str, text: &str) {
        self.0(key, ValueRef::Text(text));
    }

    fn some(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn int(&mut self, key: &'static str, n: Option<impl Into<i64>>) {
        if let Some(n) = n {
            self.0(key, ValueRef::Int(n.into()));
        }
    }

    /// One that is too large for it is the largest that fits.
    fn size(&mut self, key: &'static str, n: Option<u64>) {
        self.int(key, n.map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
    }

    /// A name, and as it was sent where that is another.
    fn named(&mut self, key: &'static str, original: &'static str, name: Option<&Named>) {
        let Some(name) = name else { return };
        self.text(key, name.label());
        self.some(original, Some(name.sent()).filter(|sent| *sent != name.label()));
    }

    fn server(&mut self, server: &Endpoint) {
        self.some("server.address", server.address.as_deref());
        self.int("server.port", server.port);
    }
}

fn http(of: &Http, error: Option<&str>, out: &mut Out<'_>) {
    out.named("http.request.method", "http.request.method_original", of.method.as_ref());
    out.some("url.scheme", of.scheme);
    out.some("url.path", of.path.as_deref());
    out.some("url.query", of.query.as_deref());
    out.some("url.full", of.url.as_deref());
    out.some("http.route", of.route.as_deref());
    out.server(&of.server);
    if let Some(peer) = &of.peer {
        out.some("client.address", peer.address.as_deref());
        out.some("network.peer.address", peer.address.as_deref());
        out.int("network.peer.port", peer.port);
    }
    out.some("user_agent.original", of.user_agent.as_deref());
    out.int("http.request.resend_count", Some(of.resend).filter(|n| *n > 0));
    out.some("network.protocol.version", of.version);
    out.int("http.response.status_code", of.status);
    if of.call.is_none() {
        out.some("error.type", error);
    }
    out.size("http.request.body.size", of.request_size);
    out.size("http.response.body.size", of.response_size);
    if let Some(of) = &of.call {
        call(of, error, out);
    }
}

/// What is said of a call, whatever carries it, and how it failed.
fn call(of: &Call, error: Option<&str>, out: &mut Out<'_>) {
    out.text("rpc.system.name", of.system.label());
    out.named("rpc.method", "rpc.method_original", of.method.as_ref());
    out.some("rpc.response.status_code", of.code.as_deref());
    out.some("error.type", error);
}

fn rpc(of: &Rpc, kind: Kind, error: Option<&str>, out: &mut Out<'_>) {
    call(&of.call, error, out);
    out.server(&of.server);
    let peer = of.peer.map(|peer| (peer.ip().to_compact_string(), peer.port()));
    if let (Kind::Server, Some((address, _))) = (kind, &peer) {
        out.text("client.address", address);
    }
    out.int("gotap.rpc.resend_count", Some(of.resend).filter(|n| *n > 0));
    if let Some((address, port)) = peer {
        out.text("network.peer.address", &address);
        out.int("network.peer.port", Some(port));
    }
}

fn query(of: &Query, error: Option<&str>, out: &mut Out<'_>) {
    out.text("db.system.name", of.system);
    out.some("db.query.text", of.text.as_deref());
    out.some("db.operation.name", of.operation.as_deref());
    out.int("db.operation.batch.size", of.batch_size);
    if let Some((name, number)) = of.own {
        out.int(name, Some(number));
    }
    out.some("db.collection.name", of.collection.as_deref());
    out.some("db.stored_procedure.name", of.procedure.as_deref());
    out.some("db.query.summary", of.summary.as_deref());
    out.some("db.namespace", of.namespace.as_deref());
    out.server(&of.server);
    out.some("db.response.status_code", of.code.as_deref());
    out.some("error.type", error);
}

fn connection(of: &Connection, error: Option<&str>, out: &mut Out<'_>) {
    out.text("network.transport", "tcp");
    out.text("network.type", if of.server.is_ipv4() { "ipv4" } else { "ipv6" });
    out.text("client.address", &of.client.ip().to_compact_string());
    out.int("client.port", Some(of.client.port()));
    out.text("server.address", &of.server.ip().to_compact_string());
    out.int("server.port", Some(of.server.port()));
    out.int("process.pid", of.pid);
    if let Some(traffic) = of.traffic {
        out.size("gotap.tcp.sent", Some(traffic.sent));
        out.size("gotap.tcp.received", Some(traffic.received));
        out.int("gotap.tcp.retransmits", Some(traffic.retransmits));
        out.int("gotap.tcp.rtt_us", traffic.rtt_us);
    }
    out.some("error.type", error);
    out.size("gotap.tcp.requests", of.requests);
}
