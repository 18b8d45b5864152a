//! Struct layouts from type descriptors against DWARF, against reflection in the running program,
//! and stripped builds against plain ones.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use gobin::{Type, Types};
use gotap_testkit::go::Mode;
use serde_json::Value;

use crate::dwarf::{self, Layout};
use crate::fixture::{Differences, Fixture, beside_plain, each, stripped_beside_plain};
use crate::truth::{Truth, elements, number, text};

/// How many structs each program has at least in common with its DWARF.
const LEAST: usize = 400;

fn layout(types: &Types<'_, '_>, typ: &Type<'_>) -> Layout {
    let fields = types.fields(typ).into_iter().map(|f| (f.name.to_owned(), f.offset));
    Layout { size: typ.size, fields: fields.collect() }
}

#[test]
fn structs_are_those_of_dwarf() {
    for app in ["oracle", "httpapp"] {
        each(app, |_, mode| mode != Mode::Stripped, compare_with_dwarf);
    }
}

fn compare_with_dwarf(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let types = binary.types();
    let truth = dwarf::structs(&fixture.data)?;
    let mut differences = Differences::default();
    let mut compared = 0;
    for (name, typ) in types.structs() {
        let Some(wanted) = truth.get(name) else { continue };
        compared += 1;
        let got = layout(&types, &typ);
        if !wanted.contains(&got) {
            differences.add(format!("{name}: gobin says {got:?}, DWARF {wanted:?}"));
        }
    }
    ensure!(compared > LEAST, "only {compared} structs were compared");
    differences.finish()
}

#[test]
fn structs_survive_stripping() {
    each("httpapp", stripped_beside_plain, |fixture| {
        let plain = fixture.sibling(Mode::Plain)?;
        let (got, want) = (all_layouts(fixture)?, all_layouts(&plain)?);
        ensure!(want.len() > LEAST, "only {} structs", want.len());
        let mut differences = Differences::default();
        for name in want.keys().chain(got.keys()) {
            differences.compare(name, got.get(name), want.get(name));
        }
        differences.finish()
    });
}

fn all_layouts(fixture: &Fixture) -> Result<BTreeMap<String, Layout>> {
    let binary = fixture.parse()?;
    let types = binary.types();
    Ok(types.structs().map(|(name, typ)| (name.to_owned(), layout(&types, &typ))).collect())
}

/// What gotap reads of a process: each must be there in every build.
const NEEDED: [(&str, &[&str]); 13] = [
    ("runtime.g", &["goid", "m", "stack", "sched"]),
    ("runtime.m", &["curg", "p", "procid"]),
    ("runtime.p", &["goidcache", "goidcacheend", "status"]),
    ("net/http.Request", &["Method", "URL", "Header", "Host", "RemoteAddr", "TLS", "ctx"]),
    ("net/http.Response", &["StatusCode", "ContentLength", "ProtoMajor"]),
    ("net/http.response", &["conn", "req", "status", "written"]),
    ("net/http.conn", &["server", "rwc"]),
    ("net/http.Server", &["Addr", "Handler"]),
    ("net/http.Transport", &["idleConn", "DialContext"]),
    ("net/http.persistConn", &["t", "conn", "tlsState"]),
    ("net/url.URL", &["Scheme", "Host", "Path", "RawPath", "RawQuery"]),
    ("context.cancelCtx", &["Context", "mu", "done", "err"]),
    ("context.valueCtx", &["Context", "key", "val"]),
];

#[test]
fn what_gotap_reads_is_there_and_the_same_in_every_mode() {
    each("httpapp", beside_plain, |fixture| {
        let plain = fixture.sibling(Mode::Plain)?;
        let (binary, plain) = (fixture.parse()?, plain.parse()?);
        let (types, plain_types) = (binary.types(), plain.types());
        let mut differences = Differences::default();
        for (name, fields) in NEEDED {
            let got = types.find_struct(name).with_context(|| format!("no {name}"))?;
            for field in fields {
                let offset = types.offset(name, &[field]);
                ensure!(offset.is_some_and(|o| o < got.size), "{name}.{field} at {offset:?}");
            }
            if fixture.mode == Mode::Arm64 {
                continue; // some structures differ at their end, and DWARF is compared above
            }
            let want = plain_types.find_struct(name).with_context(|| format!("no {name}"))?;
            differences.compare(name, layout(&types, &got), layout(&plain_types, &want));
        }
        differences.finish()
    });
}

#[test]
fn types_are_those_of_reflection() {
    each("oracle", |_, mode| mode.runs_here(), compare_with_reflection);
}

fn compare_with_reflection(fixture: &Fixture) -> Result<()> {
    let binary = fixture.parse()?;
    let types = binary.types();
    let truth = Truth::of(fixture)?;
    let slide = truth.slide(&binary)?;
    let mut differences = Differences::default();
    for value in truth.list("layouts", 30)? {
        let name = text(value, "type")?;
        let typ = types.at(number(value, "rtype")?.wrapping_sub(slide));
        let typ = typ.with_context(|| format!("no type {name} at its address"))?;
        differences.compare(name, typ.size, number(value, "size")?);
        let kind = text(value, "kind")?;
        differences.compare(name, format!("{:?}", typ.kind).to_lowercase(), kind.to_owned());
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        if !name.contains('[') {
            differences.compare(name, typ.name.to_owned(), last(name));
        }
        if kind == "struct" {
            compare_fields(&types, &typ, value, &mut differences)?;
        }
    }
    differences.finish()
}

/// Name, offset, type, size and embedding of each field.
fn compare_fields(
    types: &Types<'_, '_>,
    typ: &Type<'_>,
    value: &Value,
    differences: &mut Differences,
) -> Result<()> {
    let got: Vec<_> = types
        .fields(typ)
        .into_iter()
        .map(|field| {
            let of = types.at(field.typ);
            let (of_name, size) = of.map_or((String::new(), 0), |t| (t.name.to_owned(), t.size));
            (field.name.to_owned(), field.offset, of_name, size, field.embedded)
        })
        .collect();
    let want: Vec<_> = elements(value, "fields")?
        .iter()
        .map(|field| {
            Ok((
                text(field, "name")?.to_owned(),
                number(field, "offset")?,
                text(field, "type")?.to_owned(),
                number(field, "size")?,
                field["embedded"].as_bool().unwrap_or(false),
            ))
        })
        .collect::<Result<_>>()?;
    differences.compare(text(value, "type")?, got, want);
    Ok(())
}
