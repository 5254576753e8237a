//! The certificate that the ingress shows, and its key: read at start, and again when their files change.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error as TlsError, ServerConfig};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::secrets::{self, Stamp};

const ADVICE: &str = "put the key of ingress.cert_file there, PEM, mode 0600";

/// Why a certificate cannot be used, in one line: which file, what, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateError(String);

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateError {}

/// A certificate with its key, and the files they come from.
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    /// The files when they were last looked at, whether they could be used or not.
    stamps: [Stamp; 2],
    /// Ends TLS with it.
    pub acceptor: TlsAcceptor,
    /// When it ends, Unix s.
    pub expires: u64,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.cert).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// One cannot be read, is not what it should be, others may read the key, or they do not belong together.
    pub fn read(cert: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let stamps = stamps(cert, key);
        let (acceptor, expires) = read(cert, key)?;
        Ok(Certificate { cert: cert.to_owned(), key: key.to_owned(), stamps, acceptor, expires })
    }

    /// Reads them again if one has changed; whether that gave another certificate. Files that cannot be used leave the one
    /// before in use: of two that are replaced, the first comes alone.
    ///
    /// # Errors
    /// As [`Certificate::read`], once for each change.
    pub fn again(&mut self) -> Result<bool, CertificateError> {
        let now = stamps(&self.cert, &self.key);
        if now == self.stamps {
            return Ok(false);
        }
        self.stamps = now;
        (self.acceptor, self.expires) = read(&self.cert, &self.key)?;
        Ok(true)
    }
}

fn stamps(cert: &Path, key: &Path) -> [Stamp; 2] {
    [cert, key].map(secrets::stamp)
}

fn read(cert: &Path, key: &Path) -> Result<(TlsAcceptor, u64), CertificateError> {
    let fail = |path: &Path, what: &dyn fmt::Display| Err(CertificateError(format!("{}: {what}", path.display())));
    let pem = match fs::read(cert) {
        Ok(pem) => pem,
        Err(error) => return fail(cert, &format_args!("cannot read the certificate: {error}")),
    };
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let Some((chain, ours)) = chain.ok().and_then(|chain| Some((chain.clone(), chain.first()?.clone()))) else {
        return fail(cert, &"no certificate in it: PEM is wanted, ours first, then those that sign it");
    };
    let Ok(expires) = not_after(&ours) else {
        return fail(cert, &"the first certificate in it cannot be read");
    };

    let text = Zeroizing::new(secrets::read(key, ADVICE).map_err(|error| CertificateError(error.to_string()))?);
    let Ok(secret) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
        return fail(key, &format_args!("not a key: {ADVICE}"));
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    match config {
        Ok(Ok(mut config)) => {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok((TlsAcceptor::from(Arc::new(config)), expires))
        }
        Ok(Err(TlsError::InconsistentKeys(_))) => {
            fail(key, &format_args!("this is not the key of the certificate in {}", cert.display()))
        }
        Ok(Err(error)) | Err(error) => fail(cert, &format_args!("cannot be used with {}: {error}", key.display())),
    }
}

/// `Certificate.tbsCertificate.validity.notAfter` (RFC 5280, 4.1), Unix s.
fn not_after(certificate: &[u8]) -> der::Result<u64> {
    SliceReader::new(certificate)?.sequence(|certificate| {
        let body = AnyRef::decode(certificate)?;
        // The algorithm and the signature, which TLS checks.
        AnyRef::decode(certificate)?;
        AnyRef::decode(certificate)?;
        body.sequence(|body| {
            // The version may be left out; then the serial number comes first.
            let first = AnyRef::decode(body)?;
            let before_validity = if first.tag() == Tag::Integer { 2 } else { 3 };
            for _ in 0..before_validity {
                AnyRef::decode(body)?;
            }
            let ends = AnyRef::decode(body)?.sequence(|validity| {
                AnyRef::decode(validity)?;
                let ends = AnyRef::decode(validity)?;
                match ends.tag() {
                    Tag::UtcTime => Ok(ends.decode_as::<UtcTime>()?.to_unix_duration()),
                    _ => Ok(ends.decode_as::<GeneralizedTime>()?.to_unix_duration()),
                }
            })?;
            while !body.is_finished() {
                AnyRef::decode(body)?;
            }
            Ok(ends.as_secs())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use std::os::unix::fs::PermissionsExt;

    /// A certificate and its key, PEM.
    fn made(end: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["bid.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(end, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn only_what_belongs_together_and_is_secret_is_taken_up() {
        let dir = std::env::temp_dir().join(format!("corebid-ingress-certificate-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (cert, key) = (dir.join("tls.pem"), dir.join("tls.key"));
        let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let said = |cert: &Path, key: &Path| Certificate::read(cert, key).unwrap_err().to_string();
        let (ours, secret) = made(2040);
        assert!(said(&cert, &key).contains("tls.pem: cannot read the certificate"));
        fs::write(&cert, "none").unwrap();
        assert!(said(&cert, &key).contains("tls.pem: no certificate in it"));
        fs::write(&cert, &ours).unwrap();
        assert!(said(&cert, &key).contains("tls.key: cannot read the key"));
        fs::write(&key, &secret).unwrap();
        mode(0o640);
        assert!(said(&cert, &key).contains("chmod 600"));
        mode(0o600);
        let mut certificate = Certificate::read(&cert, &key).unwrap();
        assert_eq!(certificate.expires, 2_208_988_800, "2040-01-01");
        assert_eq!(certificate.again(), Ok(false));

        // Replaced one after the other: in between they do not belong together.
        let (other, other_secret) = made(2041);
        fs::write(&cert, other).unwrap();
        assert!(certificate.again().unwrap_err().to_string().contains("not the key of the certificate"));
        assert_eq!((certificate.again(), certificate.expires), (Ok(false), 2_208_988_800), "said once");
        fs::write(&key, other_secret).unwrap();
        assert_eq!((certificate.again(), certificate.expires), (Ok(true), 2_240_611_200));

        fs::write(&key, "none").unwrap();
        assert!(certificate.again().unwrap_err().to_string().contains("tls.key: not a key"));
        fs::remove_dir_all(&dir).unwrap();
        assert!(certificate.again().is_err());
        assert_eq!(certificate.expires, 2_240_611_200);
    }
}
