//! One request to the back end, over gRPC or HTTP, and whether its failure is worth a retry. Not here: HTTP (`plain`).

mod plain;

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::endpoint::checked;
use crate::signal::Paths;
use crate::tls;
use crate::{Compression, Config, Error, Protocol};
use plain::Http;

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong, as a clause.
    pub(crate) why: String,
    /// Whether to try again, and the delay that the server asked for.
    pub(crate) retry: Option<Option<Duration>>,
    /// Whether a back end was there.
    pub(crate) connected: bool,
}

/// `Export…ServiceResponse`, the part that matters; it is alike for all signals.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

/// What the back end refused for good, and what it said.
pub(crate) type Rejected = (u64, String);

pub(crate) enum Transport {
    Grpc(Box<Grpc>),
    Http(Arc<Http>),
}

impl Transport {
    /// Prepares to send; connects only when something is sent. Needs a tokio runtime for gRPC. `to` is
    /// where; `exact` says that it needs no path appended.
    pub(crate) fn new(
        config: &Config,
        paths: impl Into<Paths>,
        to: &str,
        exact: bool,
    ) -> Result<Self, Error> {
        let paths = paths.into();
        Ok(match config.protocol {
            Protocol::Grpc => Self::Grpc(Box::new(Grpc::new(config, paths, to)?)),
            Protocol::Http => Self::Http(Arc::new(Http::new(config, paths, to, exact)?)),
        })
    }

    pub(crate) async fn send(&mut self, request: Bytes) -> Result<Rejected, Failure> {
        match self {
            Transport::Grpc(grpc) => grpc.send(request).await,
            Transport::Http(http) => {
                let http = http.clone();
                // On a thread of its own, so that it can be given up.
                let sent = tokio::task::spawn_blocking(move || http.send(&request)).await;
                sent.unwrap_or_else(|e| {
                    Err(Failure { why: e.to_string(), retry: Some(None), connected: true })
                })
            }
        }
    }
}

fn rejected(response: Response) -> Rejected {
    let partial = response.partial.unwrap_or_default();
    (u64::try_from(partial.rejected).unwrap_or(0), partial.message)
}

pub(crate) struct Grpc {
    endpoint: Endpoint,
    compression: Compression,
    client: tonic::client::Grpc<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
    path: PathAndQuery,
}

impl Grpc {
    fn new(config: &Config, paths: Paths, to: &str) -> Result<Self, Error> {
        let (url, credentials) = checked(to)?;
        let endpoint = Endpoint::from_shared(url);
        let mut endpoint = endpoint.map_err(|_| Error::Endpoint(to.to_owned()))?;
        tls::Files::are_whole(config)?;
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = tls::Files::read(config)?.for_grpc();
            endpoint = endpoint.tls_config(tls).map_err(|e| Error::Tls(causes(&e)))?;
        }
        let endpoint = endpoint.connect_timeout(config.timeout);
        let compression = config.compression;
        let client = Self::connect(&endpoint, compression);
        let metadata = metadata(&with_credentials(&config.headers, credentials))?;
        let path = PathAndQuery::from_static(paths.grpc);
        Ok(Self { endpoint, compression, client, metadata, timeout: config.timeout, path })
    }

    /// A client that connects when something is sent.
    fn connect(endpoint: &Endpoint, compression: Compression) -> tonic::client::Grpc<Channel> {
        let client = tonic::client::Grpc::new(endpoint.connect_lazy());
        match compression {
            Compression::None => client,
            // Servers answer in the coding that they were asked in.
            Compression::Gzip => client
                .send_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Gzip),
        }
    }

    async fn send(&mut self, body: Bytes) -> Result<Rejected, Failure> {
        let call = async {
            let ready = self.client.ready().await;
            ready.map_err(|e| Failure { why: causes(&e), retry: Some(None), connected: false })?;
            let mut request = Request::new(body);
            *request.metadata_mut() = self.metadata.clone();
            let answer = self.client.unary(request, self.path.clone(), RawCodec).await;
            answer.map_err(|status| grpc_failure(&status))
        };
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map(|response| rejected(response.into_inner())),
            Err(_) => {
                // The connection may have died without a sign, which TCP notices after a quarter of an hour only.
                self.client = Self::connect(&self.endpoint, self.compression);
                let why = "no answer in time".into();
                Err(Failure { why, retry: Some(None), connected: true })
            }
        }
    }
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, Error> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let pair = MetadataKey::from_bytes(name.to_lowercase().as_bytes())
            .ok()
            .zip(MetadataValue::try_from(value).ok());
        let (key, value) = pair.ok_or_else(|| Error::Header(name.clone()))?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

/// Whether headers, and those that the URL's credentials stand for, can be sent.
pub(crate) fn check_headers(config: &Config, credentials: Option<String>) -> Result<(), Error> {
    let headers = with_credentials(&config.headers, credentials);
    match config.protocol {
        Protocol::Grpc => metadata(&headers).map(drop),
        Protocol::Http => plain::check_headers(&headers),
    }
}

/// Which codes are worth a retry is said in the OTLP specification. A status with a source is no answer of the
/// server: the connection failed, as where a server that asks for a certificate closes it after the handshake.
fn grpc_failure(status: &Status) -> Failure {
    let source = std::error::Error::source(status).map(causes);
    let connected = source.is_none();
    let retry = source.is_some()
        || matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::Aborted
                | Code::OutOfRange
                | Code::DataLoss
        );
    // A server that has no room says when it will have some; else it never will.
    let asked = retry_delay(status.details());
    let retry = retry || status.code() == Code::ResourceExhausted && asked.is_some();
    let why = source.unwrap_or_else(|| status.message().to_owned());
    Failure {
        why: if why.is_empty() { format!("{:?}", status.code()) } else { why },
        retry: retry.then_some(asked),
        connected,
    }
}

/// `google.rpc.Status`, the part that matters.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The pause that a server asks for in the details of its answer.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let details = Details::decode(details).ok()?.details;
    let info = details.iter().find(|d| d.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&info.value[..]).ok()?.delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
}

/// An error with its causes on one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        out = format!("{out}: {cause}");
        next = cause.source();
    }
    out
}

/// Sends bytes that are encoded already; decodes the answer.
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Response;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Response;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Response>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Response::decode(bytes).map(Some).map_err(|e| Status::internal(e.to_string()))
    }
}

/// The headers, and those of the URL's credentials unless they are among them.
fn with_credentials(
    headers: &[(String, String)],
    credentials: Option<String>,
) -> Vec<(String, String)> {
    let mut headers = headers.to_vec();
    let given = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    headers.extend(credentials.filter(|_| !given).map(|value| ("authorization".into(), value)));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_given_wins_over_the_url() {
        let given = [("Authorization".to_owned(), "Bearer x".to_owned())];
        assert_eq!(with_credentials(&given, Some("Basic y".into())), given);
        let both = with_credentials(&[], Some("Basic y".into()));
        assert_eq!(both, [("authorization".to_owned(), "Basic y".to_owned())]);
    }
}
