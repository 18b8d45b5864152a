//! The requests that Parca and Pyroscope take: a pprof file with labels. By their published interfaces:
//! `parca.profilestore.v1alpha1.WriteRawRequest` and `push.v1.PushRequest`, the parts that matter.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelSet {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) raw_profile: Vec<u8>,
    /// Of Pyroscope alone: a name of the profile.
    #[prost(string, tag = "2")]
    pub(super) id: String,
}

/// Parca's.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelledSeries {
    #[prost(message, optional, tag = "1")]
    pub(super) labels: Option<LabelSet>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRawRequest {
    #[prost(message, repeated, tag = "2")]
    pub(super) series: Vec<LabelledSeries>,
}

/// Pyroscope's.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PushedSeries {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) series: Vec<PushedSeries>,
}

/// Labels in the order of their names, as both keep them.
fn sorted(labels: &[(String, String)]) -> Vec<Label> {
    let labels =
        labels.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() });
    let mut labels: Vec<_> = labels.collect();
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    labels
}

/// A request for Parca with one profile, a pprof file.
pub fn parca_profile(labels: &[(String, String)], file: Vec<u8>) -> Vec<u8> {
    let samples = vec![RawSample { raw_profile: file, id: String::new() }];
    let labels = Some(LabelSet { labels: sorted(labels) });
    WriteRawRequest { series: vec![LabelledSeries { labels, samples }] }.encode_to_vec()
}

/// A request for Pyroscope with one profile, a pprof file. `id` is unlike that of all others, a UUID.
pub fn pyroscope_profile(labels: &[(String, String)], file: Vec<u8>, id: String) -> Vec<u8> {
    let samples = vec![RawSample { raw_profile: file, id }];
    PushRequest { series: vec![PushedSeries { labels: sorted(labels), samples }] }.encode_to_vec()
}
