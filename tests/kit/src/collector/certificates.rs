//! Certificates of a day, for a collector that wants to know its clients.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// PEM files of an authority, and of a server and a client that it vouches for.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them, for servers on 127.0.0.1.
    pub fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("gotap-certificates-").context("create a folder")?;
        let key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = authority.self_signed(&key)?;
        fs::write(folder.path().join("authority.pem"), own.pem())?;
        let issuer = Issuer::new(authority, key);
        for (name, host) in [("server", "127.0.0.1"), ("client", "gotap")] {
            let key = KeyPair::generate()?;
            let certificate =
                CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &issuer)?;
            fs::write(folder.path().join(format!("{name}.pem")), certificate.pem())?;
            fs::write(folder.path().join(format!("{name}.key")), key.serialize_pem())?;
        }
        Ok(Self { folder })
    }

    /// One of the files: `authority.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings of a receiver of the collector.
    pub(super) fn settings(&self) -> String {
        let file = |name: &str| quoted(&self.file(name));
        format!(
            ", tls: {{cert_file: {}, key_file: {}, client_ca_file: {}}}",
            file("server.pem"),
            file("server.key"),
            file("authority.pem")
        )
    }
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}
