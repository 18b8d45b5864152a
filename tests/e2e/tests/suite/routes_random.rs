//! Routers with routes and settings by chance are asked for paths by chance: what gotap tells is the
//! route that the router itself took, or nothing; never another one.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use gotap_e2e::{App, Gotap, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::http::Connection;

/// Requests for each router.
const REQUESTS: usize = 80;
/// Of the requests that took a route, so many of a hundred may have none with any kind of router.
const MAX_NONES: usize = 30;

/// Numbers that look as if they came by chance: splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap_or(0)
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Mostly what the routes consist of, now and then something odd.
    fn path(&mut self) -> String {
        let mut path = String::new();
        for _ in 0..self.below(4) + self.below(2) {
            let odd = self.below(8) == 0;
            let segment = if odd {
                self.one_of(&["", ".", "..", "a%2Fb", "%61", "a%20b", "new.json", "(b)", "a%2F"])
            } else {
                self.one_of(&["a", "b", "ab", "users", "a", "users", "7", "x-y", "xb"])
            };
            path = format!("{path}/{segment}");
        }
        if path.is_empty() || self.below(6) == 0 {
            path.push('/');
        }
        path
    }
}

/// One request, and what the program said of it.
struct Asked {
    router: String,
    method: &'static str,
    path: String,
    status: u16,
    took: Option<String>,
}

#[test]
fn a_route_is_the_one_that_the_router_took_or_none() -> Result<()> {
    if !can_trace("a_route_is_the_one_that_the_router_took_or_none") {
        return Ok(());
    }
    let seed = std::env::var("GOTAP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    println!("GOTAP_SEED={seed}");
    let program = go::build("routerapp", Version::NEWEST, Mode::Stripped)?;
    let app = App::start_with(&program, &["-random", &seed.to_string()], &[])?;
    let gotap = Gotap::trace_pid(app.pid())?;
    let asked = ask_all(&app, &mut Chance(seed))?;
    let mut spans = gotap.finish(asked.len())?;
    spans.sort_by_key(|span| span.start);
    let (mut wrong, mut counts) = (Vec::new(), BTreeMap::<&str, (usize, usize)>::new());
    for (asked, span) in asked.iter().zip(&spans) {
        let told = span.text("http.route");
        let is_wrong = told.is_some() && told != asked.took.as_deref();
        // What is redirected took a route, too, but no handler ran that could say so.
        if is_wrong && !(300..400).contains(&asked.status) {
            wrong.push(format!(
                "{} {} {}: {} took {:?}, told {told:?}",
                asked.router, asked.method, asked.path, asked.status, asked.took
            ));
        }
        let for_all =
            |route: &str| route == "/" || (route.rfind('/') == Some(0) && route.ends_with(":.*}"));
        if asked.took.as_deref().is_some_and(|route| !for_all(route)) {
            let kind = asked.router.split('-').next().unwrap_or_default();
            let (took, nones) = counts.entry(kind).or_default();
            *took += 1;
            *nones += usize::from(told.is_none());
        }
    }
    println!("requests with a route, and those of them that none is told of: {counts:?}");
    ensure!(wrong.is_empty(), "seed {seed}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(counts.len() == 6, "seed {seed}: {counts:?}");
    for (kind, (took, nones)) in &counts {
        ensure!(*took >= 40, "seed {seed}: {kind} took {took} routes only");
        ensure!(
            nones * 100 <= took * MAX_NONES,
            "seed {seed}: {kind}: {nones} of {took} have none"
        );
    }
    Ok(())
}

fn ask_all(app: &App, chance: &mut Chance) -> Result<Vec<Asked>> {
    let mut out = Vec::new();
    for line in app.process.stdout() {
        let (router, address) = line.split_once(' ').context("a name and an address")?;
        if router == "listening" {
            continue;
        }
        let mut connection = Connection::open(address)?;
        for _ in 0..REQUESTS {
            let method = chance.one_of(&["GET", "GET", "GET", "GET", "GET", "POST", "PUT", "HEAD"]);
            let path = chance.path();
            let response = connection.request(method, &path, &[], None)?;
            let took = response.headers.iter().find(|(name, _)| name == "Took");
            let took = took.map(|(_, route)| route.clone());
            out.push(Asked { router: router.into(), method, path, status: response.status, took });
        }
    }
    ensure!(out.len() == 6 * 8 * REQUESTS, "{}", out.len());
    Ok(out)
}
