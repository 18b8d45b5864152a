//! Settings of profiles: which are given to those who ask, and which are taken all the time and sent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use export::ProfileBackend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::TextOrNumber;
use super::otlp::with_scheme;
use super::{Config, Invalid, time};
use crate::profile::continuous::Kind;

/// How long a profile may be.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(10);
/// Samples a second of each processor.
const FREQUENCIES: std::ops::RangeInclusive<u64> = 1..=999;

/// Profiles of what is observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Profiles {
    /// To whom profiles are given at /targets/PID/debug/pprof/ of the address for Prometheus, for go tool pprof:
    /// to nobody (off), to this machine alone (local), or to all who reach it (all)
    pub(crate) serve: Serve,
    /// Which kinds of profiles are taken all the time, where one of the following settings says where to send them:
    /// cpu; wall, what goroutines wait for; alloc, heap, mutex and block, what Go's own profiler keeps. All but cpu
    /// are read from the memory of up to 64 processes
    pub(crate) kinds: Vec<Kind>,
    /// How long each profile is that is sent, from 1s to 10m
    pub(crate) interval: String,
    /// How often each processor is sampled in a second
    pub(crate) frequency: u64,
    /// Whether profiles are sent where traces go, by OTLP, whose profiles are in development
    pub(crate) otlp: bool,
    /// Parca, to which profiles are sent by gRPC
    pub(crate) parca: Backend,
    /// Pyroscope, to which profiles are sent by HTTP
    pub(crate) pyroscope: Backend,
}

/// Where and how profiles are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Backend {
    /// URL of the server that takes profiles all the time; none are sent if not given. Without a scheme it is
    /// http://
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// Headers of each request
    #[schemars(with = "BTreeMap<String, TextOrNumber>")]
    pub(crate) headers: BTreeMap<String, String>,
    /// PEM file of the certificate authority to trust instead of the public ones
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_certificate: Option<PathBuf>,
    /// PEM file of the certificate by which the server knows gotap, with those that it needs
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// PEM file of that certificate's key
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
}

/// Who gets profiles by HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Serve {
    /// Nobody
    #[default]
    Off,
    /// Who asks from this machine
    Local,
    /// Who reaches it
    All,
}

impl Default for Profiles {
    fn default() -> Self {
        Self {
            serve: Serve::default(),
            kinds: vec![Kind::Cpu],
            interval: "15s".into(),
            frequency: 99,
            otlp: false,
            parca: Backend::default(),
            pyroscope: Backend::default(),
        }
    }
}

impl Profiles {
    /// How long a profile is.
    ///
    /// # Errors
    /// [`Invalid`] for a time that can't be read, or is too short or too long.
    pub(crate) fn interval(&self) -> Result<Duration> {
        let interval = time("profiles.interval", &self.interval)?;
        if !INTERVALS.contains(&interval) {
            return Err(Invalid("profiles.interval: want 1s to 10m".into()).into());
        }
        Ok(interval)
    }

    /// The kinds that are taken, each once.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let mut out = Vec::new();
        for kind in &self.kinds {
            if !out.contains(kind) {
                out.push(*kind);
            }
        }
        out
    }

    /// Finds what the types can't.
    pub(super) fn validate(&self, config: &Config) -> Result<()> {
        if self.serve != Serve::Off && config.prometheus_listen.is_none() {
            let why = "profiles.serve: also say where, as prometheus_listen";
            return Err(Invalid(why.into()).into());
        }
        self.interval()?;
        if self.kinds.is_empty() {
            return Err(
                Invalid("profiles.kinds: want one of them at least, such as cpu".into()).into()
            );
        }
        if !FREQUENCIES.contains(&self.frequency) {
            return Err(Invalid("profiles.frequency: want 1 to 999".into()).into());
        }
        for (name, backend) in [("parca", &self.parca), ("pyroscope", &self.pyroscope)] {
            if backend.endpoint.is_none() && *backend != Backend::default() {
                let why = format!("profiles.{name}: also say where, as profiles.{name}.endpoint");
                return Err(Invalid(why).into());
            }
        }
        config.profile_backends(0).map(drop)
    }

    /// Hides what may be secret.
    pub(super) fn mask(&mut self) {
        for backend in [&mut self.parca, &mut self.pyroscope] {
            backend.endpoint = backend.endpoint.as_deref().map(export::masked);
            backend.headers.values_mut().for_each(|value| *value = "***".into());
        }
    }
}

impl Backend {
    fn to_export(
        &self,
        config: &Config,
        protocol: export::Protocol,
        queue_bytes: usize,
    ) -> Result<Option<export::Config>> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        Ok(Some(export::Config {
            endpoint: with_scheme(endpoint),
            protocol,
            headers: self.headers.clone().into_iter().collect(),
            timeout: config.otlp.timeout()?,
            ca_certificate: self.ca_certificate.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            queue_bytes,
            ..export::Config::default()
        }))
    }
}

impl Config {
    /// Where profiles are sent all the time, each with so much room for what waits.
    ///
    /// # Errors
    /// [`Invalid`] for settings that do not say it.
    pub(crate) fn profile_backends(
        &self,
        queue_bytes: usize,
    ) -> Result<Vec<(ProfileBackend, export::Config)>> {
        let (profiles, mut out) = (&self.profiles, Vec::new());
        let mut add = |backend, to: Option<export::Config>| out.extend(to.map(|to| (backend, to)));
        let grpc = profiles.parca.to_export(self, export::Protocol::Grpc, queue_bytes)?;
        add(ProfileBackend::Parca, grpc);
        let http = profiles.pyroscope.to_export(self, export::Protocol::Http, queue_bytes)?;
        add(ProfileBackend::Pyroscope, http);
        if profiles.otlp {
            if self.otlp.endpoint.is_none() && self.otlp.traces_endpoint.is_some() {
                let why = "profiles.otlp: only where traces go is known; set otlp.endpoint";
                return Err(Invalid(why.into()).into());
            }
            let to = self.otlp.endpoint.as_deref();
            let to = to.unwrap_or_else(|| self.otlp.protocol.default_endpoint());
            let endpoint = with_scheme(to);
            let as_traces = self.otlp.to_export(queue_bytes)?;
            let otlp = export::Config { endpoint, exact_url: false, ..as_traces };
            add(ProfileBackend::Otlp, Some(otlp));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_go_where_the_settings_say() {
        let mut config = Config::default();
        assert!(config.profile_backends(1).unwrap().is_empty());
        config.profiles.parca.endpoint = Some("parca:7070".into());
        config.profiles.otlp = true;
        config.otlp.endpoint = Some("collector:4317".into());
        let to = config.profile_backends(7).unwrap();
        let to: Vec<_> = to.iter().map(|(b, to)| (*b, &*to.endpoint, to.queue_bytes)).collect();
        let expected = [
            (ProfileBackend::Parca, "http://parca:7070", 7),
            (ProfileBackend::Otlp, "http://collector:4317", 7),
        ];
        assert_eq!(to, expected);
        config.otlp.traces_endpoint = config.otlp.endpoint.take();
        assert!(config.profile_backends(7).is_err());
    }

    #[test]
    fn settings_that_can_not_be_used_are_refused() {
        let valid = |change: fn(&mut Profiles)| {
            let mut config = Config::default();
            change(&mut config.profiles);
            config.profiles.validate(&config)
        };
        assert!(valid(|_| ()).is_ok());
        for change in [
            (|p| p.interval = "20m".into()) as fn(&mut Profiles),
            |p| p.interval = "fast".into(),
            |p| p.frequency = 0,
            |p| p.kinds = Vec::new(),
            |p| p.parca.ca_certificate = Some("ca.pem".into()),
            |p| p.serve = Serve::All,
        ] {
            assert!(valid(change).is_err());
        }
    }
}
