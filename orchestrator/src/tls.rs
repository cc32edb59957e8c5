//! The certificate of the service's own doors, and its key: read and looked at before anybody is served with them.

use flight_common::Fault;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tonic::transport::Identity;

/// A certificate, with those between it and a root, and its private key.
pub struct Tls {
    certificate: Vec<u8>,
    key: Vec<u8>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads both from their PEM files. That the certificate is not valid now is logged: who calls will say no.
    ///
    /// # Errors
    /// That a file cannot be read or does not hold what it should, or that the two do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, Fault> {
        // Another part of the process may have chosen it already: it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let text = |path: &Path| std::fs::read(path).map_err(|error| Fault::io(path.display(), &error));
        let (certificate_text, key_text) = (text(certificate)?, text(key)?);
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&certificate_text).collect::<Result<_, _>>().unwrap_or_default();
        if chain.is_empty() {
            return Err(not_held(certificate, "certificate", "--tls-cert"));
        }
        let private =
            PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| not_held(key, "private key", "--tls-key"))?;
        if let Some(why) = invalid_now(&chain, &provider) {
            tracing::warn!("the certificate {} {why}: callers will not believe it", certificate.display());
        }
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
        let mut config = config.map_err(|error| {
            let files = format!("{} and {}", certificate.display(), key.display());
            Fault::bad_params(format!("no TLS with {files}: {error}")).help("the key must be that of the certificate")
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { certificate: certificate_text, key: key_text, config: Arc::new(config) })
    }

    /// As the REST API takes it.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// As the front door takes it.
    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key)
    }
}

fn not_held(file: &Path, what: &str, option: &str) -> Fault {
    Fault::bad_params(format!("{} holds no {what}", file.display()))
        .help(format!("{option} names a PEM file: text with a line `-----BEGIN …-----` in it"))
}

/// Why a certificate is not valid at this moment, whoever has signed it.
fn invalid_now(chain: &[CertificateDer<'static>], provider: &Arc<CryptoProvider>) -> Option<&'static str> {
    let (own, between) = chain.split_first()?;
    // Its time is looked at before who has signed it. That only wants some root.
    let mut roots = RootCertStore::empty();
    roots.add(own.clone()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    match verifier.verify_server_cert(own, between, &name, &[], UnixTime::now()) {
        Err(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            Some("has expired")
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })) => {
            Some("is not valid yet")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use std::path::PathBuf;

    /// A certificate that is valid in these years, and the files of it and of its key.
    fn made(folder: &Path, years: (i32, i32)) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let pair = KeyPair::generate().expect("a key");
        let files = ["pem", "key"].map(|end| folder.join(format!("{}-{}.{end}", years.0, years.1)));
        std::fs::write(&files[0], params.self_signed(&pair).expect("signed").pem()).expect("written");
        std::fs::write(&files[1], pair.serialize_pem()).expect("written");
        let [certificate, key] = files;
        (certificate, key)
    }

    #[test]
    fn whether_a_certificate_is_valid_now_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        for (years, why) in
            [((2000, 2001), Some("has expired")), ((2000, 3000), None), ((2900, 3000), Some("is not valid yet"))]
        {
            let (certificate, key) = made(folder.path(), years);
            assert!(Tls::read(&certificate, &key).is_ok());
            let chain = CertificateDer::pem_file_iter(certificate).expect("open").collect::<Result<Vec<_>, _>>();
            assert_eq!(invalid_now(&chain.expect("certificates"), &provider), why, "{years:?}");
        }
    }

    #[test]
    fn files_that_hold_something_else_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = made(folder.path(), (2000, 3000));
        let (_, other) = made(folder.path(), (2001, 3000));
        let why = |certificate: &Path, key: &Path| match Tls::read(certificate, key) {
            Err(fault) => fault.to_string(),
            Ok(_) => panic!("it was taken"),
        };
        assert!(why(&key, &key).contains("holds no certificate"));
        assert!(why(&certificate, &certificate).contains("holds no private key"));
        let swapped = why(&certificate, &other);
        assert!(swapped.contains("no TLS with") && swapped.contains(&*other.to_string_lossy()), "{swapped}");
        assert!(why(&folder.path().join("none.pem"), &key).contains("none.pem"));
    }
}
