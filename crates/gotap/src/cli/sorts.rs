//! `gotap trace http` and the like: a subcommand for each verb of the registry of instruments. Not here: the flags.

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};
use instruments::{Verb, verbs};

use super::TraceArgs;

/// Operations of one sort.
#[derive(Debug)]
pub(crate) struct Sort {
    pub(crate) verb: Verb,
    pub(crate) args: TraceArgs,
}

fn verb(name: &str) -> Option<Verb> {
    verbs().into_iter().find(|verb| verb.name == name)
}

impl FromArgMatches for Sort {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let found = matches.subcommand().and_then(|(name, of)| Some((verb(name)?, of)));
        let (verb, of) = found.ok_or_else(|| Error::new(ErrorKind::InvalidSubcommand))?;
        Ok(Self { verb, args: TraceArgs::from_arg_matches(of)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Sort {
    fn augment_subcommands(command: Command) -> Command {
        let one = |verb: Verb| TraceArgs::augment_args(Command::new(verb.name)).about(verb.about);
        verbs().into_iter().fold(command, |command, verb| command.subcommand(one(verb)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        verb(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, TraceCommand};

    #[test]
    fn each_verb_of_the_registry_is_a_subcommand() {
        for verb in verbs() {
            let given = ["gotap", "trace", verb.name, "--pid", "7"];
            let parsed = Cli::try_parse_from(given).unwrap();
            let crate::cli::Command::Trace { what: TraceCommand::Sort(sort) } = parsed.command
            else {
                panic!("{}", verb.name)
            };
            assert_eq!((sort.verb, sort.args.select.pids), (verb, vec![7]));
        }
        assert!(Cli::try_parse_from(["gotap", "trace", "kafka"]).is_err());
        let help = Cli::try_parse_from(["gotap", "trace", "--help"]).unwrap_err().to_string();
        for verb in verbs() {
            assert!(help.contains(verb.about), "{help}");
        }
    }
}
