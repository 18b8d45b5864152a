//! Whether a configuration can be used: the same for `gotap run` and `gotap config check`. Not here: what the types
//! and the reader of the file find.

use anyhow::Result;

use super::file::from_file;
use super::{Config, Invalid, Use};
use crate::cli::ConfigArgs;
use crate::output::{line, note};
use crate::select::Selection;

/// `gotap config check`. The file may be for another machine: what depends on this one is a note.
pub(crate) fn check(args: &ConfigArgs) -> Result<()> {
    let config = from_file(&args.file)?;
    validate(&config)?;
    for sentence in notes(&config)? {
        note(format_args!("note: on this machine gotap run fails: {sentence}"));
    }
    Ok(line(format_args!("{} is a valid configuration", args.file.display()))?)
}

/// Finds what the types can't, as far as it is alike on all machines.
pub(super) fn validate(config: &Config) -> Result<()> {
    config.otlp.validate()?;
    for (of, export) in exports(config)? {
        export.check().map_err(|e| Invalid(format!("{of}{e}")))?;
    }
    config.kubernetes.validate(!config.select.kubernetes.is_empty())?;
    config.metrics_interval()?;
    config.http.wanted_headers()?;
    config.sampling.validate()?;
    config.metrics.validate()?;
    config.host.validate()?;
    config.profiles.validate(config)?;
    config.xray.settings()?;
    config.overhead_budget()?;
    Selection::new(&config.select).map(|_| ())
}

/// What is sent where, and how messages about it begin.
fn exports(config: &Config) -> Result<Vec<(String, export::Config)>> {
    let otlp = config.otlp.to_export(config.bounds()?.export_bytes)?;
    let mut all = vec![(String::new(), export::Config { logs: config.logs_to()?, ..otlp })];
    for (backend, export) in config.profile_backends(0)? {
        all.push((format!("profiles.{}: ", backend.name()), export));
    }
    Ok(all)
}

/// What is wrong on this machine: files that are not here, and Kubernetes where there is none.
///
/// # Errors
/// [`Invalid`] for files that are here and can't be used.
fn notes(config: &Config) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (of, export) in exports(config)? {
        let unread = export.check_files().map_err(|e| Invalid(format!("{of}{e}")))?;
        notes.extend(unread.iter().map(|e| format!("{of}{e}")));
    }
    let chooses = !config.select.kubernetes.is_empty();
    if chooses || config.kubernetes.enabled == Use::On {
        notes.extend(config.kubernetes.server(chooses).err().map(|e| e.to_string()));
    }
    notes.dedup();
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> Option<String> {
        let mut config = Config::default();
        change(&mut config);
        validate(&config).err().map(|e| e.to_string())
    }

    #[test]
    fn what_can_not_be_sent_to_is_refused() {
        for url in ["ftp://x", "http://", "http://a b:4317", "http://127.0.0.1:99999", "h:x"] {
            for protocol in ["grpc", "http/protobuf"] {
                let set = |config: &mut Config| {
                    config.otlp.protocol =
                        serde_json::from_value(serde_json::json!(protocol)).unwrap();
                };
                let base = refused(|c| {
                    set(c);
                    c.otlp.endpoint = Some(url.into());
                });
                assert!(base.is_some_and(|why| why.contains("OTLP endpoint")), "{url}");
                let traces = refused(|c| {
                    set(c);
                    c.otlp.traces_endpoint = Some(url.into());
                });
                assert!(traces.is_some(), "{protocol} {url}");
            }
            let parca = refused(|c| c.profiles.parca.endpoint = Some(url.into()));
            assert!(parca.is_some_and(|why| why.starts_with("profiles.parca: ")), "{url}");
        }
        assert_eq!(refused(|c| c.otlp.endpoint = Some("collector:4317".into())), None);
        assert_eq!(refused(|c| c.otlp.endpoint = Some("https://u:p@[::1]:4317/p".into())), None);
    }

    #[test]
    fn headers_and_pairs_are_those_that_run_takes() {
        for (name, value) in [("a b", "c"), ("a", "c\nd"), ("", "c")] {
            let why = refused(|c| {
                c.otlp.headers.insert(name.into(), value.into());
            });
            assert!(why.is_some_and(|why| why.contains("header")), "{name:?}: {value:?}");
        }
        let half = refused(|c| c.otlp.client_certificate = Some("/no/such".into()));
        assert!(half.is_some_and(|why| why.contains("key")));
        let pod = || vec![crate::config::PodChoice::default()];
        let why = refused(|c| {
            c.select.kubernetes = pod();
            c.kubernetes.enabled = Use::Off;
        });
        assert!(why.is_some_and(|why| why.contains("kubernetes.enabled")));
        assert!(refused(|c| c.metrics_interval = "99999999999h".into()).is_some());
        assert!(refused(|c| c.metrics_interval = "25h".into()).is_some());
    }

    #[test]
    fn what_is_on_another_machine_is_a_note() {
        let mut config = Config::default();
        config.otlp.ca_certificate = Some("/no/such.pem".into());
        config.select.kubernetes = vec![crate::config::PodChoice::default()];
        config.kubernetes.kubeconfig = Some("/no/such".into());
        validate(&config).unwrap();
        let said = notes(&config).unwrap();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("/no/such.pem"), "{said:?}");
        // What is here must be usable.
        config.otlp.ca_certificate =
            Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into());
        let why = notes(&config).unwrap_err().to_string();
        assert!(why.contains("Cargo.toml") && why.contains("no certificate"), "{why}");
    }
}
