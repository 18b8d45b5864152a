//! Whether a configuration can work, as far as that can be said without sending anything.

use crate::endpoint::checked;
use crate::signal::Signal;
use crate::{Config, Error, tls, transport};

impl Config {
    /// Finds what can never work, on any machine. An exporter that is started with it finds the same.
    ///
    /// # Errors
    /// [`Error`] for the first such thing.
    pub fn check(&self) -> Result<(), Error> {
        for signal in Signal::ALL.into_iter().filter(|signal| signal.is_sent(self)) {
            let (url, _) = signal.endpoint(self);
            let (_, credentials) = checked(url)?;
            transport::check_headers(self, credentials)?;
        }
        tls::Files::are_whole(self)
    }

    /// Looks at the files that are on this machine; gives an error for each that can't be read.
    ///
    /// # Errors
    /// [`Error`] for files that can be read, but not be used.
    pub fn check_files(&self) -> Result<Vec<Error>, Error> {
        tls::check_files(self)
    }
}
