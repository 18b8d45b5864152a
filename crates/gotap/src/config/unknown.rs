//! Variables of the environment that would have no effect, which are refused by name. Not here: those that are
//! settings (`variables`).

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::variables::{INSECURE, VARIABLES};
use super::{Config, Invalid};

/// gotap's own variables that are no settings.
const OTHERS: [&str; 2] = ["GOTAP_CONFIG", "GOTAP_DEBUG"];
/// What all of them begin with.
const OWN: &str = "GOTAP_";
/// More edits than these make another name.
const MAX_EDITS: usize = 3;

/// Variables that are set; what is empty counts as unset.
type Set = BTreeMap<String, String>;

/// Refuses variables that look like settings and have no effect.
///
/// # Errors
/// [`Invalid`] with the first one's name.
pub(super) fn check(
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(), Invalid> {
    let set = environment.filter(|(_, value)| !value.is_empty()).filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    let set: Set = set.collect();
    for (name, value) in &set {
        check_exporter(name, value)?;
        check_own(name, value)?;
    }
    check_standard(&set)
}

/// Whether log records are sent though a variable says that none are.
///
/// # Errors
/// [`Invalid`] if so.
pub(super) fn check_logs(config: &Config) -> Result<(), Invalid> {
    let none = std::env::var("OTEL_LOGS_EXPORTER").is_ok_and(|value| value == "none");
    if none && (config.logs.is_on() || config.host.program_logs) {
        let why = "OTEL_LOGS_EXPORTER: is none, and logs.streams or host.program_logs ask for log records";
        return Err(Invalid(why.into()));
    }
    Ok(())
}

fn is_setting(name: &str) -> bool {
    VARIABLES.iter().any(|(variable, ..)| *variable == name)
}

/// Variables of OTLP's exporter.
fn check_exporter(name: &str, value: &str) -> Result<(), Invalid> {
    let Some(option) = name.strip_prefix("OTEL_EXPORTER_OTLP_") else { return Ok(()) };
    if INSECURE.contains(&name) {
        if value.to_lowercase().parse::<bool>().is_err() {
            return Err(Invalid(format!("{name}: {value:?} is neither true nor false")));
        }
        return Ok(());
    }
    if is_setting(name) {
        return Ok(());
    }
    let signals = [("METRICS_", "metrics"), ("LOGS_", "log records"), ("PROFILES_", "profiles")];
    let signal = signals.iter().find(|(prefix, _)| option.starts_with(prefix));
    let why = signal.map_or("gotap has no such setting".to_owned(), |(_, items)| {
        format!("{items} are sent in the same way as traces")
    });
    Err(Invalid(format!("{name}: {why}; unset it for gotap")))
}

/// Others of OpenTelemetry, as far as they say what an exporter does.
fn check_standard(set: &Set) -> Result<(), Invalid> {
    let get = |name: &str| set.get(name).map(String::as_str);
    let why = if !matches!(get("OTEL_TRACES_EXPORTER"), None | Some("otlp")) {
        "OTEL_TRACES_EXPORTER: gotap sends traces by otlp alone; for no traces, set sampling.ratio to 0 and \
         sampling.errors to false"
    } else if !matches!(get("OTEL_LOGS_EXPORTER"), None | Some("otlp" | "none")) {
        "OTEL_LOGS_EXPORTER: want otlp or none"
    } else if get("OTEL_METRIC_EXPORT_TIMEOUT").is_some() {
        "OTEL_METRIC_EXPORT_TIMEOUT: gotap has one time for all requests, otlp.timeout; unset it for gotap"
    } else if get("OTEL_TRACES_SAMPLER_ARG").is_some() && get("OTEL_TRACES_SAMPLER").is_none() {
        "OTEL_TRACES_SAMPLER_ARG: it needs a sampler; set OTEL_TRACES_SAMPLER, too"
    } else if get("OTEL_PROPAGATORS").is_some_and(|all| all.split(',').any(|p| p.trim() == "none"))
    {
        "OTEL_PROPAGATORS: gotap can't do with none: it always reads traceparent"
    } else {
        return Ok(());
    };
    Err(Invalid(why.into()))
}

/// A variable of gotap's own that resembles a setting and is none. Others are left alone: Kubernetes and tests set
/// variables with gotap's name, too.
fn check_own(name: &str, value: &str) -> Result<(), Invalid> {
    let Some(rest) = name.strip_prefix(OWN) else { return Ok(()) };
    if is_setting(name) || OTHERS.contains(&name) || is_service_link(name, value) {
        return Ok(());
    }
    let known = VARIABLES.iter().map(|(variable, ..)| *variable).chain(OTHERS);
    let known = known.filter_map(|variable| variable.strip_prefix(OWN));
    let Some((edits, closest)) = known.map(|known| (distance(rest, known), known)).min() else {
        return Ok(());
    };
    let ending = format!("_{rest}");
    let mut settings = VARIABLES.iter().map(|(variable, ..)| *variable);
    let longer = settings.find(|variable| variable.starts_with(OWN) && variable.ends_with(&ending));
    let section = rest.split_once('_').map(|(section, _)| format!("{OWN}{section}_"));
    let in_section = section.is_some_and(|section| {
        VARIABLES
            .iter()
            .any(|(variable, path, _)| path.contains('.') && variable.starts_with(&section))
    });
    // Short names are close to many.
    let is_close = edits <= MAX_EDITS && edits * 3 < rest.len();
    if !is_close && longer.is_none() && !in_section {
        return Ok(());
    }
    let meant = match longer {
        Some(longer) if !is_close => longer.to_owned(),
        _ => format!("{OWN}{closest}"),
    };
    Err(Invalid(format!("{name}: gotap has no such setting; is {meant} meant?")))
}

/// What Kubernetes sets for a Service whose name begins with gotap.
fn is_service_link(name: &str, value: &str) -> bool {
    let of_address = value.starts_with("tcp://") || value.starts_with("udp://");
    let of_port = ["_TCP", "_UDP"].iter().any(|protocol| {
        name.split_once(protocol).is_some_and(|(port, _)| {
            port.rsplit_once("_PORT_")
                .is_some_and(|(_, number)| number.bytes().all(|b| b.is_ascii_digit()))
        })
    });
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || of_port
        || name.ends_with("_PORT") && of_address
}

/// How many letters must be changed, added or removed to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let (b, mut row) = (b.as_bytes(), (0..=b.len()).collect::<Vec<_>>());
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(set: &[(&str, &str)]) -> Result<(), String> {
        check(set.iter().map(|(name, value)| (name.into(), value.into()))).map_err(|e| e.0)
    }

    /// Each option of the specification, for all signals and for each.
    #[test]
    fn every_standard_variable_is_known_or_refused_by_name() {
        let options = [
            "ENDPOINT",
            "INSECURE",
            "CERTIFICATE",
            "CLIENT_KEY",
            "CLIENT_CERTIFICATE",
            "HEADERS",
            "COMPRESSION",
            "TIMEOUT",
            "PROTOCOL",
        ];
        for option in options {
            for name in ["", "TRACES_"].map(|s| format!("OTEL_EXPORTER_OTLP_{s}{option}")) {
                assert!(is_setting(&name) || INSECURE.contains(&name.as_str()), "{name}");
                assert_eq!(checked(&[(&name, "true")]), Ok(()), "{name}");
            }
            for (signal, has_endpoint) in [("METRICS", true), ("LOGS", true), ("PROFILES", false)] {
                let name = format!("OTEL_EXPORTER_OTLP_{signal}_{option}");
                let said = checked(&[(&name, "x")]);
                assert_eq!(said.is_ok(), has_endpoint && option == "ENDPOINT", "{name}: {said:?}");
                assert!(said.is_ok_or_names(&name), "{name}");
                assert_eq!(checked(&[(&name, "")]), Ok(()), "{name}");
            }
        }
        assert!(checked(&[("OTEL_EXPORTER_OTLP_INSECURE", "maybe")]).is_err());
    }

    trait Names {
        fn is_ok_or_names(&self, name: &str) -> bool;
    }

    impl Names for Result<(), String> {
        fn is_ok_or_names(&self, name: &str) -> bool {
            self.as_ref().err().is_none_or(|said| said.starts_with(&format!("{name}: ")))
        }
    }

    #[test]
    fn others_that_have_no_effect_are_refused_by_name() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_NOVELTY", "x"),
            ("OTEL_EXPORTER_OTLP_TRACES_NOVELTY", "x"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_LOGS_EXPORTER", "console"),
            ("OTEL_METRIC_EXPORT_TIMEOUT", "1000"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
            ("OTEL_PROPAGATORS", "b3, none"),
        ] {
            let said = checked(&[(name, value)]);
            assert!(said.is_err() && said.is_ok_or_names(name), "{name}={value}: {said:?}");
            assert_eq!(checked(&[(name, "")]), Ok(()), "{name}");
        }
        for set in [
            &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_LOGS_EXPORTER", "none")][..],
            &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.1")],
            &[("OTEL_SDK_DISABLED", "true"), ("OTEL_BSP_SCHEDULE_DELAY", "1")],
            &[("OTEL_PROPAGATORS", "tracecontext,b3")],
        ] {
            assert_eq!(checked(set), Ok(()), "{set:?}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_refused_with_the_one_that_is_meant() {
        for (name, meant) in [
            ("GOTAP_OLTP_ENDPOINT", "GOTAP_OTLP_ENDPOINT"),
            ("GOTAP_OTLP_ENDPOINTS", "GOTAP_OTLP_ENDPOINT"),
            ("GOTAP_SELECT_PORT", "GOTAP_SELECT_PORTS"),
            ("GOTAP_ENDPOINT", "GOTAP_OTLP_ENDPOINT"),
            ("GOTAP_SERVICENAME", "GOTAP_SERVICE_NAME"),
            ("GOTAP_OTLP_CERT", "GOTAP_OTLP_"),
            ("GOTAP_CONFIGS", "GOTAP_CONFIG"),
        ] {
            let said = checked(&[(name, "8080")]).unwrap_err();
            assert!(said.starts_with(&format!("{name}: ")) && said.contains(meant), "{said}");
        }
    }

    /// Kubernetes sets these in each pod beside a Service named gotap or gotap-metrics.
    #[test]
    fn variables_of_others_with_the_same_beginning_are_left_alone() {
        for (name, value) in [
            ("GOTAP_SERVICE_HOST", "10.0.0.1"),
            ("GOTAP_SERVICE_PORT", "9464"),
            ("GOTAP_SERVICE_PORT_METRICS", "9464"),
            ("GOTAP_PORT", "tcp://10.0.0.1:9464"),
            ("GOTAP_PORT_9464_TCP", "tcp://10.0.0.1:9464"),
            ("GOTAP_METRICS_SERVICE_HOST", "10.0.0.1"),
            ("GOTAP_METRICS_PORT", "tcp://10.0.0.1:9464"),
            ("GOTAP_METRICS_PORT_9464_TCP_ADDR", "10.0.0.1"),
            ("GOTAP_METRICS_PORT_9464_TCP_PROTO", "tcp"),
            ("GOTAP_BINARY", "/usr/bin/gotap"),
            ("GOTAP_CACHE", "/cache"),
            ("GOTAP_SEED", "1"),
            ("GOTAP_TEST_SEED", "1"),
            ("GOTAP_WRITE_DOCS", "1"),
            ("GOTAP_PACKAGE", "gotap.deb"),
            ("GOTAP_DEBUG", "1"),
        ] {
            assert_eq!(checked(&[(name, value)]), Ok(()), "{name}");
        }
    }
}
