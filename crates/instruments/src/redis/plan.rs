//! Clients of Redis: go-redis 8 (from 8.8 on) and 9 here, redigo beside it. Commands that set up a connection are
//! known by the type of their pool: what the program asks has another one.

mod cluster;
mod redigo;

use gobin::{Function, Site, Type};
use wire::Probe;
use wire::raw::{self, NONE, TypeRole};

use super::ABILITY;
use super::contract::{GoRedis, RedisSite};
use crate::plan::{Context, Plan, types};

/// Where go-redis 8 and 9 are imported from.
const GO_REDIS: [&str; 2] = ["github.com/go-redis/redis/v8", "github.com/redis/go-redis/v9"];
const REDIGO: &str = "github.com/gomodule/redigo/redis";

/// What runs a pipeline with all its attempts, the newest first, …
const PIPELINES: [&str; 3] =
    ["generalProcessPipelineFrom", "_generalProcessPipeline", "generalProcessPipeline"];
/// … and what calls it and has its error then.
const CALLERS: [&str; 4] = [
    "processPipeline",
    "processTxPipeline",
    "processPipelineRetriesAfter",
    "generalProcessPipeline",
];

/// AX, BX, CX, DI and SI by x86's numbers.
const AX_BX: [u8; 2] = [0, 3];
const BX_CX: [u8; 2] = [3, 1];
const DI_SI: [u8; 2] = [7, 6];

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let before = plan.sites.len();
    for (library, package) in (0u8..).zip(GO_REDIS) {
        if context.binary.function(&format!("{package}.(*baseClient).withConn")).is_some()
            && let Err(why) = go_redis(context, plan, library, package)
        {
            plan.miss(ABILITY, format!("{why} in {package}"));
        }
    }
    if context.binary.function(&format!("{REDIGO}.(*conn).DoWithTimeout")).is_some()
        && redigo::plan(context, plan).is_none()
    {
        plan.miss(ABILITY, format!("no site found for {REDIGO}"));
    }
    if plan.sites.len() > before {
        plan.abilities.push(ABILITY);
    }
}

fn described(site: RedisSite, library: u8, error: Option<[u8; 2]>) -> raw::Site {
    let error = error.unwrap_or(raw::Site::ABSENT.error);
    raw::Site { operation: site as u8, library, error, ..raw::Site::ABSENT }
}

fn go_redis(
    context: &Context<'_, '_>,
    plan: &mut Plan,
    library: u8,
    package: &str,
) -> Result<(), String> {
    let binary = context.binary;
    let method = |name: &str| format!("{package}.(*baseClient).{name}");
    let name = method("_process");
    let process = binary.function(&name).ok_or("commands have no function of their own")?;
    let after = |callee: String| binary.branch_site(&process, Some(&binary.function(&callee)?), 2);
    let end = after(method("withConn")).ok_or("no site found for the end of commands")?;
    let offsets = offsets(context, package);
    let fields = [offsets.client_pool, offsets.client_opt, offsets.opt_addr, offsets.opt_db];
    let types = [offsets.set_up_pool, offsets.string];
    if fields.contains(&NONE) || offsets.cmd_args == NONE || types.contains(&raw::Address::NONE) {
        return Err("a field or type was not found".to_owned());
    }
    if let Some(slot) = plan.own.redis.go_redis.get_mut(usize::from(library)) {
        *slot = offsets;
    }
    let site = |site, error| described(site, library, error);
    let asked = |operation| raw::Site { context: BX_CX, text: DI_SI, ..site(operation, None) };
    let start = context.entry(&name).map_err(|why| why.to_string())?;
    plan.add_described(Probe::RedisStart, &name, start, asked(RedisSite::Command));
    plan.add_described(Probe::RedisEnd, &name, end, site(RedisSite::Command, Some(AX_BX)));
    if let Some(retry) = after(format!("{package}/internal.Sleep")) {
        let found = site(RedisSite::Retry, Some(AX_BX));
        plan.add_rare(Probe::RedisEnd, &name, retry, found);
    }
    let pipelines = pipelines(context, &method).ok_or("no site found for pipelines")?;
    let (name, start) = pipelines.start;
    plan.add_described(Probe::RedisStart, &name, start, asked(RedisSite::Pipeline));
    for (name, end) in pipelines.ends {
        plan.add_described(Probe::RedisEnd, &name, end, site(RedisSite::Pipeline, Some(AX_BX)));
    }
    cluster::plan(context, plan, library, package)
}

/// Functions and sites in them.
struct Pipelines {
    start: (String, Site),
    ends: Vec<(String, Site)>,
}

fn pipelines(context: &Context<'_, '_>, method: &dyn Fn(&str) -> String) -> Option<Pipelines> {
    let binary = context.binary;
    let name = PIPELINES.map(method).into_iter().find(|name| binary.function(name).is_some())?;
    let callee = binary.function(&name)?;
    let callers = CALLERS.map(method).into_iter().filter_map(|caller| {
        let function: Function<'_> = binary.function(&caller)?;
        binary.call_site(&function, &callee)?;
        Some((caller, binary.branch_site(&function, Some(&callee), 2)))
    });
    let ends = callers.map(|(caller, site)| Some((caller, site?))).collect::<Option<Vec<_>>>()?;
    (!ends.is_empty()).then_some(())?;
    Some(Pipelines { start: (name.clone(), context.entry(&name).ok()?), ends })
}

fn offsets(context: &Context<'_, '_>, package: &str) -> GoRedis {
    let field = |name: &str, field| context.offset(&format!("{package}.{name}"), &[field]);
    let options = format!("{package}.Options");
    let pool = format!("{package}/internal/pool.SingleConnPool");
    GoRedis {
        set_up_pool: context.pointer_to(&pool).into(),
        string: context.types.field_type(&options, "Addr").map_or(0, |typ| typ.vaddr).into(),
        client_pool: field("baseClient", "connPool"),
        client_opt: field("baseClient", "opt"),
        opt_addr: field("Options", "Addr"),
        opt_db: field("Options", "DB"),
        cmd_args: field("baseCmd", "args"),
        cmd_err: field("baseCmd", "err"),
        node_client: field("clusterNode", "Client"),
        client_base: field("Client", "baseClient"),
    }
}

/// What Redis servers answer: a string, or, since go-redis 9.17, a struct that starts with one.
pub(super) fn error(context: &Context<'_, '_>, _: &Type<'_>, typ: &Type<'_>) -> Option<raw::Type> {
    let package = context.types.package(typ)?;
    let known = match typ.name.split_once('.')? {
        ("redis", "Error") => package == REDIGO,
        ("proto", name) => {
            let library = package.strip_suffix("/internal/proto");
            let ours = library.is_some_and(|library| GO_REDIS.contains(&library));
            let first = || context.types.fields(typ).into_iter().next();
            ours && (name == "RedisError" || first().is_some_and(|f| f.name == "msg"))
        }
        _ => false,
    };
    if known { types::role(TypeRole::Answer, 0, 0) } else { None }
}
