//! The shop of `apps/shop`, as the demonstration starts it: four services, PostgreSQL and Redis.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gotap_testkit::process::Running;

/// Its services are built first, and PostgreSQL takes some seconds.
const STARTED: Duration = Duration::from_secs(300);

/// A running shop, which ends with all its parts when this value is dropped.
#[derive(Debug)]
pub struct Shop {
    /// Process id and address of each service.
    pub services: BTreeMap<String, (u32, String)>,
    script: Running,
    customers: PathBuf,
}

impl Shop {
    /// Starts it.
    ///
    /// # Errors
    /// When a service does not start.
    pub fn start() -> Result<Self> {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let script = Running::start(&repo.join("scripts/shop.sh"), &[] as &[&str], &[])?;
        script.wait_for("ready", STARTED)?;
        let mut services = BTreeMap::new();
        for line in script.stdout() {
            let words: Vec<_> = line.split(' ').collect();
            if let [name, pid, address] = words.as_slice() {
                services.insert((*name).to_owned(), (pid.parse()?, (*address).to_owned()));
            }
        }
        ensure!(services.len() == 4, "{services:?}");
        let home = std::env::var("HOME").unwrap_or_default();
        let cache = std::env::var("GOTAP_CACHE").unwrap_or(format!("{home}/.cache/gotap"));
        Ok(Self { services, script, customers: Path::new(&cache).join("shop/customers") })
    }

    /// The arguments that select its services.
    pub fn selection(&self) -> Vec<String> {
        self.services.values().map(|(pid, _)| format!("--pid={pid}")).collect()
    }

    /// Lets customers come at this rate a second for some seconds; gives how many requests had which status,
    /// such as `order 201`.
    ///
    /// # Errors
    /// When they do not come to an end.
    pub fn open(&self, rate: u32, seconds: u32) -> Result<BTreeMap<String, usize>> {
        let (_, gateway) = self.services.get("gateway").context("there is no gateway")?;
        let (gateway, rate, time) =
            (format!("http://{gateway}"), rate.to_string(), format!("{seconds}s"));
        let arguments = ["-gateway", &gateway, "-rate", &rate, "-for", &time];
        let mut customers = Running::start(&self.customers, &arguments, &[])?;
        ensure!(customers.wait(crate::SOON)?.success(), "{:?}", customers.stderr());
        let counts = customers.stdout().into_iter().map(|line| {
            let (what, count) = line.split_once(": ").context("a count")?;
            Ok((what.to_owned(), count.parse()?))
        });
        counts.collect()
    }

    /// What the script said.
    pub fn said(&self) -> Vec<String> {
        self.script.stderr()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // The script ends its services and databases, and removes their files.
        self.script.stop().ok();
    }
}
