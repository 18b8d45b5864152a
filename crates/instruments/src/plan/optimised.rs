//! What the compiler's optimisation has to do with what is not seen: builds without any, for a debugger,
//! and builds that are guided by a profile, in which what a probe would stand in may be inlined.

use std::collections::BTreeSet;

use wire::Probe;

use super::{Ability, Context, Plan};
use crate::instrument::INSTRUMENTS;

/// Said of what is missing in a build for a debugger.
const UNOPTIMISED: &str =
    "built without optimisation (-gcflags with -N or -l): build without that to see it";

pub(super) fn explain(context: &Context<'_, '_>, plan: &mut Plan) {
    if context.binary.is_unoptimised() {
        for missing in plan.missing.iter_mut().filter(|missing| !missing.is_absent()) {
            missing.why = format!("{}; {UNOPTIMISED}", missing.why);
        }
    }
    // Only hot functions of such builds are inlined that are as large as those that probes stand in.
    if context.binary.build_info().setting("-pgo").is_some() {
        name_inlined(context, plan);
    }
}

fn name_inlined(context: &Context<'_, '_>, plan: &mut Plan) {
    let own =
        plan.sites.iter().filter(|site| site.hot).map(|site| (site.function.clone(), site.probe));
    let own: Vec<(String, Probe)> = own.collect();
    let absent: Vec<String> =
        plan.missing.iter().filter_map(|missing| Some(missing.function()?.to_owned())).collect();
    let names: BTreeSet<&str> = own
        .iter()
        .map(|(function, _)| function.as_str())
        .chain(absent.iter().map(String::as_str))
        .collect();
    let inlined = context.binary.inlined(&names);
    for missing in &mut plan.missing {
        if let Some(into) = missing.function().and_then(|function| inlined.get(function)) {
            missing.is_inlined(into);
        }
    }
    let mut said = BTreeSet::new();
    for (function, probe) in &own {
        let Some(into) = inlined.get(function.as_str()) else { continue };
        if said.insert(function) {
            let why =
                format!("a part, as {function} is inlined into {into} and perhaps others (-pgo)");
            let Some(ability) = ability(*probe) else { continue };
            plan.miss(ability, why);
        }
    }
}

/// What is seen by a probe.
fn ability(probe: Probe) -> Option<Ability> {
    use Probe as P;
    let own = INSTRUMENTS.iter().find_map(|instrument| (instrument.ability)(probe));
    if own.is_some() {
        return own;
    }
    Some(match probe {
        P::NewGoroutine => Ability::Lineage,
        P::HttpClientStart
        | P::HttpClientDone
        | P::HttpClientNoConn
        | P::HttpClientCtxDone
        | P::HttpClientRefused => Ability::HttpClient,
        P::HttpClientAlternate | P::XnetClientStart | P::XnetClientDone => Ability::Http2Client,
        P::Http2ServerFinish
        | P::Http2ServerPanic
        | P::Http2StreamStart
        | P::XnetServerStart
        | P::XnetServerFinish
        | P::XnetServerPanic => Ability::Http2Server,
        P::HttpClientJoin | P::Http2ClientJoin | P::XnetClientJoin => Ability::Join,
        P::HttpServerStart | P::HttpServerFinish | P::HttpServerHijack | P::HttpConnClose => {
            Ability::HttpServer
        }
        // An instrument's, which says itself what it sees.
        _ => return None,
    })
}
