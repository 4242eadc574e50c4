//! Certificate revocation lists (RFC 5280 section 5).

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::certificate::X509Certificate;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::dates;
use crate::finding::Finding;
use crate::inspect::printable;

/// The revocation lists of one peer.
#[derive(Debug, Default)]
pub(super) struct Crls(Vec<Crl>);

/// One revocation list.
#[derive(Debug)]
struct Crl {
    /// What webpki looks serial numbers up in.
    list: CertRevocationList<'static>,
    /// The CA it is from, as text.
    issuer: String,
    /// When the CA promised the next one.
    next_update: Option<UnixTime>,
}

impl Crls {
    /// Reads revocation lists, PEM or one in DER, and compares them with the anchors.
    pub(super) fn load(
        subject: &str,
        bytes: &[u8],
        anchors: &[CertificateDer<'_>],
        findings: &mut Vec<Finding>,
    ) -> Self {
        let ders = split(bytes);
        let anchors: Vec<X509Certificate<'_>> = anchors
            .iter()
            .filter_map(|der| x509_parser::parse_x509_certificate(der).ok())
            .map(|(_, anchor)| anchor)
            .collect();
        let parsed: Vec<_> = ders.iter().filter_map(|der| parse(der)).collect();
        if parsed.is_empty() || parsed.len() < ders.len() {
            findings.push(Finding::error(
                "crl-unreadable",
                subject,
                "The CRL cannot be read, or it is a delta or indirect CRL.",
                "Fetch the complete CRL of the peer's CA again, as PEM or DER.",
            ));
        }
        for anchor in &anchors {
            findings.extend(covered(subject, anchor, &parsed));
        }
        Self(parsed.into_iter().map(|(_, crl)| crl).collect())
    }

    /// The lists in the form that webpki wants.
    pub(super) fn lists(&self) -> Vec<&CertRevocationList<'static>> {
        self.0.iter().map(|crl| &crl.list).collect()
    }

    /// The lists past their nextUpdate. They stay in use: an old list still names what it named.
    pub(super) fn stale(&self, subject: &str, now: UnixTime) -> Vec<Finding> {
        let stale = |crl: &Crl| crl.next_update.filter(|next| *next < now);
        self.0
            .iter()
            .filter_map(|crl| stale(crl).map(|next| (crl, next)))
            .map(|(crl, next)| {
                Finding::warning(
                    "crl-stale",
                    subject,
                    format!(
                        "The CRL of \"{}\" should have been replaced by {}; it is still used.",
                        crl.issuer,
                        dates::shown(next)
                    ),
                    "Fetch the current CRL, and check the job that does so.",
                )
            })
            .collect()
    }
}

/// Splits what was read into lists.
fn split(bytes: &[u8]) -> Vec<CertificateRevocationListDer<'_>> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return vec![CertificateRevocationListDer::from(bytes)];
    }
    CertificateRevocationListDer::pem_slice_iter(bytes)
        .map(|list| list.unwrap_or_else(|_| CertificateRevocationListDer::from(Vec::new())))
        .collect()
}

/// Reads one list with both parsers.
fn parse<'a>(
    der: &'a CertificateRevocationListDer<'_>,
) -> Option<(CertificateRevocationList<'a>, Crl)> {
    let list = OwnedCertRevocationList::from_der(der).ok()?;
    let (_, parsed) = x509_parser::parse_x509_crl(der).ok()?;
    let crl = Crl {
        list: list.into(),
        issuer: printable(&parsed.issuer().to_string()),
        next_update: parsed.next_update().map(|next| dates::at(next.timestamp())),
    };
    Some((parsed, crl))
}

/// What is wrong between one anchor and the lists.
fn covered(
    subject: &str,
    anchor: &X509Certificate<'_>,
    lists: &[(CertificateRevocationList<'_>, Crl)],
) -> Option<Finding> {
    let name = printable(&anchor.subject().to_string());
    let mut own = lists
        .iter()
        .filter(|(list, _)| list.issuer().as_raw() == anchor.subject().as_raw())
        .peekable();
    if own.peek().is_none() {
        return Some(Finding::warning(
            "crl-missing",
            subject,
            format!("No CRL is from \"{name}\", so all certificates of this CA will be refused."),
            "Add the CRL of this CA, or leave crl out to do without revocation.",
        ));
    }
    let signed = own.any(|(list, _)| list.verify_signature(anchor.public_key()).is_ok());
    (!signed).then(|| {
        Finding::error(
            "crl-signature",
            subject,
            format!("The CRL that claims to be from \"{name}\" was not signed by it."),
            "Fetch the CRL of the peer's CA again.",
        )
    })
}
