//! Goroutines by where they come from and what they wait for, as metrics: read as often as a bound of processor
//! time allows, and the same numbers again in between. Not here: the runtime's counters.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use gomem::Remote;
use goruntime::{Census, Layout, Symbols};
use metrics::{Attributes, Metric, Point};

use crate::live::thread_time;
use crate::opened::Opened;

/// Places of one process that have metrics of their own, those with most goroutines.
const PLACES: usize = 20;
/// The share of a processor that reading the goroutines of one process may take.
const SHARE: f64 = 0.004;
/// It is not read more often.
const LEAST: Duration = Duration::from_secs(1);
/// Numbers of goroutines that are compared with those of before.
const REMEMBERED: usize = 1 << 16;
/// Goroutines are compared with those of so long ago.
const COMPARED: Duration = Duration::from_secs(60);
/// So many goroutines of one place may be a leak.
const MANY: u64 = 10;
/// Reasons to wait that have series of their own; the runtime has some forty. Those of a process that makes up more are
/// counted together.
const REASONS: usize = 64;
const OTHER: &str = "_OTHER";
/// Names of places that are kept of one file.
const NAMES: usize = 4096;

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    function: String,
    file: String,
    line: u32,
}

impl Place {
    fn attributes(&self) -> Attributes {
        vec![
            ("code.function.name", self.function.clone().into()),
            ("code.file.path", self.file.clone().into()),
            ("code.line.number", self.line.to_string().into()),
        ]
    }
}

/// Names of places by their addresses in one file; `None` for those that are the runtime's or have no name.
#[derive(Default)]
pub(super) struct Names(HashMap<u64, Option<Place>>);

impl Names {
    /// Finds the names of these that are not known yet. The file is read for that, which is rare.
    fn learn(&mut self, pid: u32, addresses: impl Iterator<Item = u64>) {
        let new: Vec<u64> = addresses.filter(|at| !self.0.contains_key(at)).collect();
        if new.is_empty() {
            return;
        }
        if self.0.len() + new.len() > NAMES {
            self.0.clear();
        }
        let Ok(opened) = Opened::new(pid) else { return };
        let Ok(binary) = opened.binary() else { return };
        let types = binary.types();
        let symbols = Symbols::new(&binary, &types);
        for address in new.into_iter().take(NAMES) {
            let found = symbols.creator_at(address);
            let found = found.filter(|at| !at.function.starts_with("runtime."));
            let place = found.map(|at| Place {
                function: at.name().into_owned(),
                file: at.file.to_owned(),
                line: at.line,
            });
            self.0.insert(address, place);
        }
    }
}

/// The goroutines of a moment, by place.
type Before = HashMap<u64, HashSet<u64>>;

/// What is known of the goroutines of one process.
#[derive(Default)]
pub(super) struct Origins {
    read: Option<Instant>,
    cost: Duration,
    census: Census,
    /// Of a minute ago at least, and of since then.
    before: Option<(Instant, Before)>,
    next: Option<(Instant, Before)>,
    /// For how long goroutines waited, all of them together, by reason.
    waited: BTreeMap<String, f64>,
    suspected: HashMap<u64, u64>,
}

impl Origins {
    /// Reads the goroutines if it is time to, and gives the metrics. `None` if they can't be read.
    pub(super) fn metrics(
        &mut self,
        (pid, memory, layout, bias): (u32, &Remote, &Layout, u64),
        names: &mut Names,
    ) -> Option<(Census, Vec<Metric>)> {
        let now = Instant::now();
        let due = |at: Instant| now.duration_since(at) >= LEAST.max(self.cost.div_f64(SHARE));
        if self.read.is_none_or(due) {
            let began = thread_time();
            let census = Census::take(memory, layout, bias, REMEMBERED).ok()?;
            self.add(census, now);
            names.learn(pid, self.census.origins.keys().copied());
            self.cost = thread_time().saturating_sub(began);
        }
        Some((self.census.clone(), self.to_metrics(names)))
    }

    fn add(&mut self, mut census: Census, now: Instant) {
        // Between two looks those that were seen at the first are taken to have waited.
        if let Some(before) = self.read {
            let seconds = now.duration_since(before).as_secs_f64();
            for (reason, count) in &self.census.reasons {
                *self.waited.entry(reason.clone()).or_default() += seconds * *count as f64;
            }
        }
        let reasons = std::mem::take(&mut census.reasons);
        for (reason, count) in reasons {
            let is_known = self.waited.len() < REASONS || self.waited.contains_key(&reason);
            let reason = if is_known { reason } else { OTHER.to_owned() };
            self.waited.entry(reason.clone()).or_default();
            *census.reasons.entry(reason).or_default() += count;
        }
        self.census = census;
        self.read = Some(now);
        let current = || -> Before {
            let goids = |goids: &Vec<u64>| goids.iter().copied().collect();
            self.census.origins.iter().map(|(at, origin)| (*at, goids(&origin.goids))).collect()
        };
        let is_old = |at: &Instant| now.duration_since(*at) >= COMPARED;
        if self.next.as_ref().is_none_or(|(at, _)| is_old(at)) {
            let newest = (now, current());
            self.before = self.next.replace(newest);
        }
        self.suspected = match &self.before {
            Some((_, before)) => suspected(&self.census, before),
            None => HashMap::new(),
        };
    }

    fn to_metrics(&self, names: &Names) -> Vec<Metric> {
        let mut places: BTreeMap<(&str, &str, u32), (&Place, u64, u64)> = BTreeMap::new();
        for (at, origin) in &self.census.origins {
            let Some(Some(place)) = names.0.get(at) else { continue };
            let key = (place.function.as_str(), place.file.as_str(), place.line);
            let (_, count, suspected) = places.entry(key).or_insert((place, 0, 0));
            *count += origin.count;
            *suspected += self.suspected.get(at).copied().unwrap_or(0);
        }
        let mut all: Vec<_> = places.into_values().collect();
        all.sort_by_key(|(_, count, suspected)| std::cmp::Reverse((*suspected, *count)));
        let rest: u64 = all.iter().skip(PLACES).map(|(_, count, _)| count).sum();
        let counts = all.iter().take(PLACES);
        let mut counts: Vec<Point> =
            counts.map(|(place, count, _)| Point::int(*count, place.attributes())).collect();
        if rest > 0 {
            counts.push(Point::int(rest, metrics::overflow()));
        }
        let suspects = all.iter().take(PLACES).filter(|(_, _, suspected)| *suspected > 0);
        let suspects: Vec<Point> =
            suspects.map(|(place, _, n)| Point::int(*n, place.attributes())).collect();
        let reason = |reason: &String| vec![("reason", reason.clone().into())];
        let waiting = self.census.reasons.iter().map(|(text, n)| Point::int(*n, reason(text)));
        let waited = self.waited.iter().map(|(text, s)| Point::float(*s, reason(text)));
        vec![
            Metric::gauge(
                "gotap.go.goroutines.by_origin",
                "{goroutine}",
                "Live goroutines by the go statement that started them",
                counts,
            ),
            Metric::gauge(
                "gotap.go.goroutines.suspected",
                "{goroutine}",
                "Goroutines that may leak: their go statement starts ever more, and hardly any of them ends",
                suspects,
            ),
            Metric::gauge(
                "gotap.go.goroutines.waiting",
                "{goroutine}",
                "Goroutines that wait, by reason, those of the runtime included",
                waiting,
            ),
            Metric::counter(
                "gotap.go.goroutines.wait.time",
                "s",
                "How long goroutines waited, all of them together, by looking now and then",
                waited,
            ),
        ]
    }
}

/// The goroutines of each `go` statement that started more since, if hardly any of them has ended.
fn suspected(census: &Census, before: &Before) -> HashMap<u64, u64> {
    let mut out = HashMap::new();
    for (at, origin) in &census.origins {
        let all_known = origin.goids.len() as u64 == origin.count;
        let Some(was) = before.get(at).filter(|_| all_known) else { continue };
        let ended = was.len() - origin.goids.iter().filter(|goid| was.contains(goid)).count();
        let grows = origin.count > was.len() as u64;
        if grows && origin.count >= MANY && !was.is_empty() && ended * 10 <= was.len() {
            out.insert(*at, origin.count);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use goruntime::Origin;

    use super::*;

    fn census(goids: impl Iterator<Item = u64>) -> Census {
        let goids: Vec<u64> = goids.collect();
        let origin = Origin { count: goids.len() as u64, waiting: 0, goids };
        Census { origins: [(0x1000, origin)].into(), ..Census::default() }
    }

    #[test]
    fn what_grows_and_does_not_end_is_suspected() {
        let before: Before = [(0x1000, (1..=20).collect())].into();
        assert_eq!(suspected(&census(1..=30), &before).get(&0x1000), Some(&30));
        // A pool that stays as it is, one that is replaced, and few.
        assert!(suspected(&census(1..=20), &before).is_empty());
        assert!(suspected(&census(15..=60), &before).is_empty());
        let few: Before = [(0x1000, [1].into())].into();
        assert!(suspected(&census(1..=5), &few).is_empty());
        assert!(suspected(&census(1..=50), &Before::new()).is_empty());
    }

    #[test]
    fn time_of_waiting_goes_up_by_how_many_wait() {
        let mut origins = Origins::default();
        let (began, mut now) = (Instant::now(), Instant::now());
        for _ in 0..3 {
            let reasons = [("chan receive".to_owned(), 7)].into();
            origins.add(Census { reasons, ..Census::default() }, now);
            now = began + (now - began) + Duration::from_secs(10);
        }
        let waited = origins.waited["chan receive"];
        assert!((waited - 140.0).abs() < 1.0, "{waited}");
    }

    #[test]
    fn reasons_that_a_process_makes_up_are_counted_together() {
        let mut origins = Origins::default();
        for look in 0..20 {
            let reasons = (0..50).map(|i| (format!("reason {look}.{i}"), 1)).collect();
            origins.add(Census { reasons, ..Census::default() }, Instant::now());
        }
        assert_eq!(origins.waited.len(), REASONS + 1);
        assert_eq!(origins.census.reasons, [(OTHER.to_owned(), 50)].into());
    }

    #[test]
    fn places_beyond_the_bound_are_one() {
        let mut origins = Origins::default();
        let mut names = Names::default();
        for i in 0..30u64 {
            let origin = Origin { count: 100 - i, waiting: 0, goids: Vec::new() };
            origins.census.origins.insert(i, origin);
            let place = Place { function: format!("main.f{i}"), file: "x.go".into(), line: 1 };
            names.0.insert(i, Some(place));
        }
        let metrics = origins.to_metrics(&names);
        assert_eq!((metrics[0].points(), metrics[1].points()), (PLACES + 1, 0));
    }
}
