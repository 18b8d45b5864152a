//! The continuous profiles of `gotap run`: where its settings send them, which processes they are of, and what is
//! counted. Not here: taking them (`profile::continuous`), sending them (`export`).

use std::sync::Arc;

use anyhow::Result;
use export::{LiveStats, ProfileBackend, ProfileExporter, ProfileStats};
use metrics::{Metric, Point};
use pipeline::Sink;
use probes::{Features, ServedMaps};

use super::figures::Figures;
use super::{Targets, count, say};
use crate::config;
use crate::profile::continuous::{
    Chosen, Continuous, Counts, Links, Needs, Observer, Outlets, Settings, Since,
};

/// Profiles that the settings ask for.
pub(super) struct Wanted {
    settings: Settings,
    outlets: Outlets,
    links: Arc<Links>,
    counts: Arc<Counts>,
}

impl Wanted {
    /// What the settings ask for, with its exporters started; `None` if nothing takes profiles. `beside` them the
    /// other signals are sent.
    pub(super) fn new(
        config: &config::Config,
        bounds: &config::Bounds,
        beside: &LiveStats,
    ) -> Result<Option<Self>> {
        let to = config.profile_backends(bounds.export_bytes)?;
        if to.is_empty() {
            return Ok(None);
        }
        let mut exporters = Vec::new();
        for (backend, settings) in &to {
            let exporter =
                ProfileExporter::start(*backend, settings, Some(beside), |sentence| say(&sentence));
            let name = backend.name();
            let invalid = |e: export::Error| config::Invalid(format!("profiles.{name}: {e}"));
            exporters.push(exporter.map_err(invalid)?);
            say(&format!("sending profiles to {} ({name})", export::masked(&settings.endpoint)));
        }
        let profiles = &config.profiles;
        let settings = Settings {
            kinds: profiles.kinds(),
            interval: profiles.interval()?,
            frequency: profiles.frequency,
        };
        let outlets = Outlets::new(exporters);
        Ok(Some(Self { settings, outlets, links: Arc::default(), counts: Arc::default() }))
    }

    /// What looks at the spans that are sent.
    pub(super) fn sink(&self) -> Box<dyn Sink> {
        Box::new(Observer(self.links.clone()))
    }

    pub(super) fn counted(&self) -> Counted {
        Counted { counts: self.counts.clone(), stats: self.outlets.stats() }
    }

    /// Starts to take them.
    pub(super) fn start(
        self,
        features: Features,
        maps: ServedMaps,
        figures: Arc<Figures>,
        targets: Arc<Targets>,
    ) -> Result<Continuous> {
        let Self { settings, outlets, links, counts } = self;
        let choose = Box::new(move || chosen(&figures, &targets));
        let needs = Needs { settings, features, maps, links, choose, outlets, say };
        Ok(Continuous::start(needs, counts)?)
    }
}

/// What is observed, and Go programs that match the selection and have nothing to trace.
fn chosen(figures: &Figures, targets: &Targets) -> Vec<Chosen> {
    let observed = figures.resources().into_iter().filter_map(|(pid, resource)| {
        let since = Since::Traced(targets.get(pid)?.instance);
        Some(Chosen { pid, since, resource })
    });
    let idle = figures.lasting().into_iter();
    let idle = idle.map(|(pid, (at, resource))| Chosen { pid, since: Since::Found(at), resource });
    observed.chain(idle).collect()
}

/// What is counted of profiles.
pub(super) struct Counted {
    counts: Arc<Counts>,
    stats: Vec<(ProfileBackend, Arc<ProfileStats>)>,
}

impl Counted {
    pub(super) fn metrics(&self) -> Vec<Metric> {
        self.taken().into_iter().chain(self.sent()).collect()
    }

    /// What became of samples and of processes.
    fn taken(&self) -> [Metric; 7] {
        let one = |n: u64| [Point::int(n, Vec::new())];
        [
            Metric::counter(
                "gotap.profiles.samples",
                "{sample}",
                "Samples that are in continuous profiles",
                one(self.counts.samples()),
            ),
            Metric::counter(
                "gotap.profiles.samples.lost",
                "{sample}",
                "Samples that are in no continuous profile",
                by_reason(self.counts.lost()),
            ),
            Metric::counter(
                "gotap.profiles.samples.unlinked",
                "{sample}",
                "Samples of requests without a link, as these had not ended or their traces are not sent",
                one(self.counts.without_link()),
            ),
            Metric::counter(
                "gotap.profiles.others",
                "{profile}",
                "Profiles of other kinds than cpu that were made",
                one(self.counts.others()),
            ),
            Metric::counter(
                "gotap.profiles.skipped",
                "{profile}",
                "Profiles of other kinds than cpu that were not made",
                by_reason(self.counts.skipped()),
            ),
            Metric::counter(
                "gotap.profiles.unseen",
                "{observation}",
                "Observations of goroutines that are in no wall profile",
                by_reason(self.counts.unseen()),
            ),
            Metric::counter(
                "gotap.profiles.left_out",
                "{process}",
                "Processes that could not be profiled",
                one(self.counts.processes_left_out()),
            ),
        ]
    }

    /// What became of profiles, by back end.
    fn sent(&self) -> [Metric; 3] {
        let (mut sent, mut drops, mut retries) = (Vec::new(), Vec::new(), Vec::new());
        for (backend, stats) in &self.stats {
            let (exporter, stats) = (("exporter", backend.name().into()), stats.read());
            sent.push(Point::int(stats.sent, vec![exporter.clone()]));
            retries.push(Point::int(stats.retries, vec![exporter.clone()]));
            drops.extend(stats.lost.map(|(reason, n)| {
                Point::int(n, vec![exporter.clone(), ("reason", reason.into())])
            }));
        }
        [
            Metric::counter(
                "gotap.profiles.sent",
                "{profile}",
                "Profiles that a back end took",
                sent,
            ),
            Metric::counter(
                "gotap.profiles.drops",
                "{profile}",
                "Profiles that a back end did not get",
                drops,
            ),
            Metric::counter(
                "gotap.profiles.retries",
                "{request}",
                "Requests with profiles that were sent again",
                retries,
            ),
        ]
    }

    /// What is said at the end.
    pub(super) fn sentence(&self) -> String {
        let listed = |all: &[(&str, u64)]| {
            let some = all.iter().filter(|(_, n)| *n > 0);
            some.map(|(reason, n)| format!("{reason} {n}")).collect::<Vec<_>>().join(", ")
        };
        let samples = usize::try_from(self.counts.samples()).unwrap_or(usize::MAX);
        let mut out = format!("profiles of {}", count(samples, "sample", "samples"));
        match listed(&self.counts.lost()) {
            none if none.is_empty() => out.push_str(", none lost"),
            lost => out.push_str(&format!(", lost: {lost}")),
        }
        let (others, skipped) = (self.counts.others(), listed(&self.counts.skipped()));
        if others > 0 || !skipped.is_empty() {
            out.push_str(&format!("; {others} profiles of other kinds"));
        }
        if !skipped.is_empty() {
            out.push_str(&format!(", not made: {skipped}"));
        }
        let unseen = listed(&self.counts.unseen());
        if !unseen.is_empty() {
            out.push_str(&format!(", goroutines not seen: {unseen}"));
        }
        for (backend, stats) in &self.stats {
            let stats = stats.read();
            out.push_str(&format!("; {}: {} sent", backend.name(), stats.sent));
            let lost = listed(&stats.lost);
            if !lost.is_empty() {
                out.push_str(&format!(", not delivered: {lost}"));
            }
        }
        out
    }
}

fn by_reason<const N: usize>(counts: [(&'static str, u64); N]) -> [Point; N] {
    counts.map(|(reason, n)| Point::int(n, vec![("reason", reason.into())]))
}
