//! What `gotap run` and `gotap trace` ask of the agent, by their settings. Not here: observing.

use std::sync::Arc;

use anyhow::Result;
use instruments::{Options, Verb};
use pipeline::{SharedMeter, Sink};
use probes::Features;
use trace::Assembler;

use super::recorded::RecordingFile;
use super::{Agent, Setup, admin, debug, own, placing, profiling, say, sinks, tree};
use crate::cli::{Format, PrintArgs, RunArgs, TraceCommand};
use crate::config;
use crate::opened::unix_nanoseconds;
use crate::output::text;
use crate::rights;
use crate::select::{self, Selection};

/// `gotap run`.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    crate::writes::restore_left();
    let config = config::load(args)?;
    let kubernetes = placing::Asked::new(&config)?;
    goproc::check_pids()?;
    let features = features(!config.probes.uprobe_multi);
    let profiles = config.profiles != config::Profiles::default();
    rights::keep_needed(&features, config.prometheus_listen, profiles)?;
    let bounds = config.bounds()?;
    let export =
        export::Config { logs: config.logs_to()?, ..config.otlp.to_export(bounds.export_bytes)? };
    let exporter = export::Exporter::start(&export, |sentence| say(&sentence))
        .map_err(|e| config::Invalid(e.to_string()))?;
    say(&format!("sending traces to {}", export::masked(&export.endpoint)));
    let node = kubernetes.as_ref().map(|asked| asked.node.as_str());
    let resource = own::resource(node);
    let (listen, native) = (config.prometheus_listen, config.metrics.native_histograms);
    let (to, xray) = (config.profiles.serve, config.xray.settings()?);
    let overhead = config.overhead_budget()?;
    let metrics_interval =
        export.metrics.is_some().then(|| config.metrics_interval()).transpose()?;
    let sink = sinks::Otlp::new(exporter, resource.clone());
    let profiling = profiling::Wanted::new(&config, &bounds, &sink.stats())?;
    let setup = Setup {
        profiling,
        resource,
        export: Some(sink.stats()),
        sinks: vec![Box::new(sink)],
        metrics_interval,
        kubernetes,
        xray: xray.clone(),
        overhead: Some(overhead),
        ..observing(args, config, features, &bounds)?
    };
    let agent = Agent::start(setup)?;
    if let Some(listen) = listen {
        let profiles = (to != config::Serve::Off).then(|| debug::routes(agent.targets.clone(), to));
        let address = admin::start(listen, agent.figures.clone(), native, profiles)?;
        say(&format!("metrics at http://{address}/metrics"));
    }
    agent.observe()?.lines(Format::Text).iter().for_each(|line| say(line));
    xray.iter().for_each(|slow| say(&slow.line()));
    Ok(())
}

/// What the configuration says of observing, and sends nothing.
fn observing(
    args: &RunArgs,
    config: config::Config,
    features: Features,
    bounds: &config::Bounds,
) -> Result<Setup> {
    let measured = config.meter(bounds);
    let counts_active = measured.is_some() && config.metrics.http;
    let selection = Selection::new(&config.select)?
        .with_sdk_programs(config.sdk_programs)
        .measuring(measured.is_some());
    let sampling = config.sampling(measured.is_some(), bounds.tail_bytes)?;
    let options = Options {
        exact_lineage: config.probes.exact_lineage,
        leaves_sdk_traces: config.sdk_programs == config::SdkPrograms::Off,
        b3: config.reads_b3(),
        sampling: sampling.head,
        no_connection_join: !config.probes.connection_join,
        query_strings: config.http.query_strings,
        headers: config.http.wanted_headers()?,
        empty_probes: args.probes.empty_probes,
        ..Options::default()
    };
    let mut assembler = assembler(&config.http, config.errors.messages);
    assembler.hold_at_most(bounds.pending_spans);
    let now = unix_nanoseconds();
    Ok(Setup {
        max_queued: bounds.queued_spans,
        meter: measured.map(|settings| Arc::new(SharedMeter::new(&settings, now))),
        sampling,
        counts_active,
        service_name: config.service_name,
        host: config.host,
        logs: config.logs,
        aloud: args.verbose,
        ..Setup::new(selection, options, features, assembler)
    })
}

/// `gotap trace`. All is observed, as parents may be of another sort; what is asked for is printed.
pub(crate) fn trace(what: &TraceCommand) -> Result<()> {
    let (args, wanted) = match what {
        TraceCommand::Sort(sort) => (&sort.args, Some(sort.verb)),
        TraceCommand::All(args) => (args, None),
        TraceCommand::Goroutines(args) => return crate::tracked::run(args),
        TraceCommand::Exec(args) => return crate::exec::run(args),
        TraceCommand::Tcp(args) => return crate::tcp::run(args),
    };
    let sdk_programs = args.sdk.sdk_programs.unwrap_or_default();
    check_print(&args.print)?;
    let selection = select::from_args(&args.select)?.with_sdk_programs(sdk_programs);
    goproc::check_pids()?;
    let http = args.http.settings();
    let setup = Setup::of_flags(selection, &http, &args.probes, args.texts.error_messages)?;
    rights::keep_needed(&setup.features, None, false)?;
    let settings = recording::Settings {
        request_headers: http.request_headers.clone(),
        cluster_paths: http.cluster_paths,
        query_strings: http.query_strings,
        error_messages: args.texts.error_messages,
        sort: wanted.map(|verb| verb.name.to_owned()),
    };
    let recording =
        args.record.as_deref().map(|to| RecordingFile::create(to, settings)).transpose()?;
    let agent = Agent::start(Setup {
        sinks: vec![printer(&args.print, wanted)],
        logs: if args.logs { config::Logs::shown() } else { config::Logs::default() },
        recording,
        aloud: args.print.verbose,
        ..setup
    })?;
    agent.observe()?.lines(args.print.format).iter().for_each(|line| say(line));
    Ok(())
}

/// Whether what is asked for can be printed.
pub(super) fn check_print(args: &PrintArgs) -> Result<()> {
    if args.tree && args.format == Format::Json {
        return Err(config::Invalid("--tree is for text, not for --format json".into()).into());
    }
    Ok(())
}

/// What prints the spans that are asked for.
pub(super) fn printer(args: &PrintArgs, verb: Option<Verb>) -> Box<dyn Sink> {
    let style = text::Style { colours: text::colours(), whole: args.verbose };
    let slower_than = args.slower_than.map(Into::into);
    let filter = sinks::Filter { verb, errors: args.errors, slower_than };
    let lines: Box<dyn Sink> = match args.format {
        Format::Text if args.tree => return Box::new(tree::Trees::new(style, filter)),
        Format::Text => Box::new(sinks::TextLines::new(style)),
        Format::Json => Box::new(sinks::JsonLines::new()),
    };
    Box::new(sinks::Only::new(filter, lines))
}

pub(super) fn assembler(http: &config::Http, error_messages: bool) -> Assembler {
    let mut assembler = Assembler::new();
    assembler.add_makers(instruments::makers());
    if error_messages {
        assembler.error_messages();
    }
    if http.cluster_paths {
        assembler.cluster_paths();
    }
    if http.query_strings {
        assembler.query_strings();
    }
    assembler.request_headers(&http.request_headers);
    assembler
}

pub(super) fn features(no_uprobe_multi: bool) -> Features {
    let features = Features::probe();
    if no_uprobe_multi { features.without_uprobe_multi() } else { features }
}
