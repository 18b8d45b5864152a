//! Certificates and keys, read from PEM files and given to the two clients in their types.

use std::fs;
use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use ureq::tls::{ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

use crate::{Config, Error};

/// What the files hold.
pub(crate) struct Files {
    /// Authorities to trust instead of the usual ones.
    authorities: Option<Pem>,
    /// Certificates of this client, and their key.
    identity: Option<(Pem, Vec<u8>)>,
}

/// Certificates of a file, for either client: authorities come in bundles, and those of clients in chains.
struct Pem {
    text: Vec<u8>,
    all: Vec<ureq::tls::Certificate<'static>>,
}

impl Files {
    /// Whether no certificate is given without its key, and no key without its certificate.
    pub(crate) fn are_whole(config: &Config) -> Result<(), Error> {
        let is_half = config.client_certificate.is_some() != config.client_key.is_some();
        if is_half { Err(Error::HalfIdentity) } else { Ok(()) }
    }

    pub(crate) fn read(config: &Config) -> Result<Self, Error> {
        Self::are_whole(config)?;
        let authorities = config.ca_certificate.as_deref().map(Pem::read).transpose()?;
        let identity = match (&config.client_certificate, &config.client_key) {
            (Some(certificate), Some(key)) => Some((Pem::read(certificate)?, read(key)?)),
            _ => None,
        };
        Ok(Self { authorities, identity })
    }

    pub(crate) fn for_grpc(self) -> ClientTlsConfig {
        let tls = match self.authorities {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem.text)),
            None => ClientTlsConfig::new().with_webpki_roots(),
        };
        match self.identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate.text, key)),
            None => tls,
        }
    }

    pub(crate) fn for_http(self) -> Result<TlsConfig, Error> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &self.authorities {
            tls = tls.root_certs(RootCerts::new_with_certs(&pem.all));
        }
        if let Some((pem, key)) = &self.identity {
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&pem.all, private_key(key)?)));
        }
        Ok(tls.build())
    }
}

impl Pem {
    fn read(path: &Path) -> Result<Self, Error> {
        let text = read(path)?;
        let mut all = Vec::new();
        for item in ureq::tls::parse_pem(&text) {
            let item = item.map_err(|e| Error::Tls(format!("{}: {e}", path.display())))?;
            if let PemItem::Certificate(certificate) = item {
                all.push(certificate);
            }
        }
        if all.is_empty() {
            return Err(Error::NoCertificate { path: path.display().to_string() });
        }
        Ok(Self { text, all })
    }
}

/// Looks at each file by itself, as some may be on another machine; gives an error for each that can't be read.
pub(crate) fn check_files(config: &Config) -> Result<Vec<Error>, Error> {
    let mut unread = Vec::new();
    let mut note = |result: Result<(), Error>| match result {
        Err(error @ Error::Certificate { .. }) => {
            unread.push(error);
            Ok(())
        }
        other => other,
    };
    let given = |file: &Option<PathBuf>| file.clone().into_iter();
    for path in given(&config.ca_certificate).chain(given(&config.client_certificate)) {
        note(Pem::read(&path).map(drop))?;
    }
    for path in given(&config.client_key) {
        note(read(&path).and_then(|key| private_key(&key).map(drop)))?;
    }
    Ok(unread)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Certificate { path: path.display().to_string(), source })
}

fn private_key(pem: &[u8]) -> Result<PrivateKey<'static>, Error> {
    PrivateKey::from_pem(pem).map_err(|e| Error::Tls(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exporter, Protocol};

    /// A file that is here and holds no certificate.
    const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

    #[test]
    fn a_file_without_a_certificate_is_refused_by_both_protocols() {
        for protocol in [Protocol::Grpc, Protocol::Http] {
            let config = Config {
                endpoint: "https://127.0.0.1:1".into(),
                protocol,
                ca_certificate: Some(OTHER.into()),
                ..Config::default()
            };
            let error = Exporter::start(&config, |_| ()).err();
            assert!(matches!(error, Some(Error::NoCertificate { .. })), "{protocol:?}: {error:?}");
            assert!(matches!(config.check_files(), Err(Error::NoCertificate { .. })));
            config.check().unwrap();
        }
    }

    #[test]
    fn files_that_are_not_here_are_told_apart() {
        let pair = Config {
            client_certificate: Some("/no/such.pem".into()),
            client_key: Some("/no/such.key".into()),
            ..Config::default()
        };
        pair.check().unwrap();
        assert_eq!(pair.check_files().unwrap().len(), 2);
        let half = Config { client_key: None, ..pair };
        assert!(matches!(half.check(), Err(Error::HalfIdentity)));
        assert!(matches!(Exporter::start(&half, |_| ()).err(), Some(Error::HalfIdentity)));
    }
}
