//! Which engine answers a client on the SIP side: decided from its first message, since who it is shows only
//! behind the handshake.

use certs::credentials::Identity;
use rustls::crypto::CryptoProvider;
use rustls::{SignatureScheme, SupportedCipherSuite};
use translators::model::Side;

use crate::config::{Config, Engine};
use crate::tls::hello::Hello;
use crate::tls::terms::Version;

/// What answers a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// rustls.
    Rustls,
    /// OpenSSL with TLS 1.2.
    Compat,
    /// OpenSSL below TLS 1.2.
    Legacy,
    /// Nothing: it offers less than TLS 1.2, and its address is none of a peer that gets that.
    TooOld,
}

/// Chooses what answers a client. `may_be_old` says that its address is one of a peer with `legacy_tls`.
pub(super) fn choose(
    hello: &Hello,
    config: &Config,
    provider: &CryptoProvider,
    may_be_old: bool,
) -> Choice {
    if !speaks_compat(config) {
        return Choice::Rustls;
    }
    let identities = config.sip.credentials.all_for(hello.server_name.as_deref());
    match hello.newest() {
        None => Choice::TooOld,
        Some(Version::Tls10 | Version::Tls11) if may_be_old => Choice::Legacy,
        Some(Version::Tls10 | Version::Tls11) => Choice::TooOld,
        Some(Version::Tls12 | Version::Tls13) if fits(hello, provider, &identities) => {
            Choice::Rustls
        }
        Some(Version::Tls12 | Version::Tls13) => Choice::Compat,
    }
}

/// Whether some SIP peer gets another engine than rustls.
pub(super) fn speaks_compat(config: &Config) -> bool {
    let mut peers = config.peers_on(Side::Sip);
    peers.any(|peer| peer.tls.engine == Engine::Compat)
}

/// Whether rustls can agree with a client on everything, with one of our certificates for the name it asks for.
fn fits(hello: &Hello, provider: &CryptoProvider, identities: &[&Identity]) -> bool {
    let newest = hello.newest();
    let schemes = hello.schemes.as_deref().unwrap_or_default();
    let has_group = hello.groups.as_ref().is_some_and(|groups| {
        let mut ours = provider.kx_groups.iter();
        ours.any(|group| groups.contains(&group.name()))
    });
    let offered = |suite: &&SupportedCipherSuite| hello.suites.contains(&suite.suite().into());
    let mut common = provider.cipher_suites.iter().filter(offered);
    has_group
        && common.any(|suite| match suite {
            SupportedCipherSuite::Tls13(_) => {
                newest == Some(Version::Tls13) && identities.iter().any(|own| own.can_sign(schemes))
            }
            SupportedCipherSuite::Tls12(suite) => identities.iter().any(|own| {
                let usable = |scheme: &&SignatureScheme| suite.sign.contains(scheme);
                let usable: Vec<SignatureScheme> = schemes.iter().filter(usable).copied().collect();
                own.can_sign(&usable)
            }),
        })
}

#[cfg(test)]
mod tests;
