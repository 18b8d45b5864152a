//! Certificates and keys, read from PEM files and given to the two clients in their types.

use std::fs;
use std::path::Path;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use ureq::tls::{ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

use crate::{Config, Error};

/// What the files hold.
pub(crate) struct Files {
    /// Authorities to trust instead of the usual ones.
    authorities: Option<Vec<u8>>,
    /// Certificates of this client, and their key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    pub(crate) fn read(config: &Config) -> Result<Self, Error> {
        let authorities = config.ca_certificate.as_deref().map(read).transpose()?;
        let identity = match (&config.client_certificate, &config.client_key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            (None, None) => None,
            _ => return Err(Error::HalfIdentity),
        };
        Ok(Self { authorities, identity })
    }

    pub(crate) fn for_grpc(self) -> ClientTlsConfig {
        let tls = match self.authorities {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_webpki_roots(),
        };
        match self.identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        }
    }

    pub(crate) fn for_http(self) -> Result<TlsConfig, Error> {
        let mut tls = TlsConfig::builder();
        if let Some(pem) = &self.authorities {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(pem)?));
        }
        if let Some((pem, key)) = &self.identity {
            let key = PrivateKey::from_pem(key).map_err(|e| Error::Tls(e.to_string()))?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates(pem)?, key)));
        }
        Ok(tls.build())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Certificate { path: path.display().to_string(), source })
}

/// All certificates of a file: authorities come in bundles, and those of clients in chains.
fn certificates(pem: &[u8]) -> Result<Vec<ureq::tls::Certificate<'static>>, Error> {
    let mut all = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| Error::Tls(e.to_string()))? {
            all.push(certificate);
        }
    }
    if all.is_empty() {
        return Err(Error::Tls("a certificate file holds no certificate in PEM".into()));
    }
    Ok(all)
}
