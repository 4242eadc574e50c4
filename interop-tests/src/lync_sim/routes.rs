//! Record-Route as Microsoft's proxies write it: signed over its exact bytes, and refused when it
//! does not come back as it went out (W 09, MS-OCER 1004).

use std::sync::Mutex;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

use crate::inbox::locked;

/// The key of one simulator.
#[derive(Debug)]
pub(super) struct Seal {
    key: Mutex<PKey<Private>>,
    /// The one before, if there was one.
    old: Mutex<Option<PKey<Private>>>,
    edge: String,
    pool: String,
}

impl Seal {
    /// For an Edge of that name in front of a pool in that domain.
    pub(super) fn new(edge: &str, domain: &str) -> Result<Self> {
        Ok(Self {
            key: Mutex::new(fresh()?),
            old: Mutex::default(),
            edge: edge.to_owned(),
            pool: format!("POOL01.{domain}"),
        })
    }

    /// Signs with another key from now on.
    pub(super) fn renew(&self) -> Result<()> {
        let old = std::mem::replace(&mut *locked(&self.key), fresh()?);
        *locked(&self.old) = Some(old);
        Ok(())
    }

    /// The two entries of a dialog, the Edge's first: the order in which a request of the other
    /// side has to name them.
    pub(super) fn routes(&self, call_id: &str) -> [String; 2] {
        self.routes_by(&locked(&self.key), call_id)
    }

    /// Whether these are the routes that were signed with the key before.
    pub(super) fn is_outdated(&self, call_id: &str, found: &[&str]) -> bool {
        let old = locked(&self.old);
        let old = old.as_ref();
        old.is_some_and(|old| self.routes_by(old, call_id) == found)
    }

    fn routes_by(&self, key: &PKey<Private>, call_id: &str) -> [String; 2] {
        let Self { edge, pool, .. } = self;
        let long = URL_SAFE_NO_PAD.encode(call_id.repeat(6));
        let connection = URL_SAFE_NO_PAD.encode(call_id).to_lowercase();
        let connection: String = connection.chars().take(6).collect();
        let edge = format!("<sip:{edge}:5061;transport=tls;lr;ms-key-info=jAC{long}");
        let pool = format!(
            "<sip:{pool}:5061;transport=tls;ms-fe=FE01.{pool};opaque=state:F:T:Eu:Ci.R{connection};lr"
        );
        let tag = URL_SAFE_NO_PAD.encode(call_id).to_uppercase();
        [
            seal(key, &edge, ">", call_id),
            seal(key, &pool, &format!(">;tag={tag}"), call_id),
        ]
    }

    /// Tells what is wrong with the Route of a request in a dialog of this simulator's.
    pub(super) fn verify(&self, call_id: &str, found: &[&str]) -> Result<(), String> {
        for entry in found {
            let Some((before, rest)) = entry.split_once(";ms-route-sig=") else {
                return Err(format!("Route without a signature: {entry}"));
            };
            let at = rest.find('>').unwrap_or(rest.len());
            let (signature, behind) = rest.split_at(at);
            let wanted = signed(&locked(&self.key), before, behind, call_id);
            let wanted = wanted.unwrap_or_default();
            if signature != wanted {
                return Err(format!("a Route that is not as it was signed: {entry}"));
            }
        }
        let wanted = self.routes(call_id);
        if found != wanted {
            return Err(format!("Route {found:?} instead of {wanted:?}"));
        }
        Ok(())
    }
}

fn fresh() -> Result<PKey<Private>> {
    let secret: [u8; 20] = rand::random();
    Ok(PKey::hmac(&secret)?)
}

fn seal(key: &PKey<Private>, before: &str, behind: &str, call_id: &str) -> String {
    let signature = signed(key, before, behind, call_id).unwrap_or_default();
    format!("{before};ms-route-sig={signature}{behind}")
}

fn signed(key: &PKey<Private>, before: &str, behind: &str, call_id: &str) -> Result<String> {
    let mut signer = Signer::new(MessageDigest::sha1(), key)?;
    for part in [before, "|", behind, "|", call_id] {
        signer.update(part.as_bytes())?;
    }
    let mut signature = URL_SAFE_NO_PAD.encode(signer.sign_to_vec()?);
    // Microsoft's end so.
    signature.push_str("AA");
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_shows() -> Result<()> {
        let seal = Seal::new("sip.lync.example", "lync.example")?;
        let routes = seal.routes("call-1");
        let [edge, pool] = &routes;
        assert_eq!(seal.verify("call-1", &[edge, pool]), Ok(()));
        assert!(seal.verify("call-1", &[pool, edge]).is_err());
        assert!(seal.verify("call-2", &[edge, pool]).is_err());
        assert!(seal.verify("call-1", &[edge]).is_err());
        assert!(!seal.is_outdated("call-1", &[edge, pool]));
        seal.renew()?;
        assert!(seal.verify("call-1", &[edge, pool]).is_err());
        assert!(seal.is_outdated("call-1", &[edge, pool]));
        let routes = seal.routes("call-1");
        let [edge, pool] = &routes;
        for (from, to) in [("transport=tls", "transport=TLS"), (";tag=", ";Tag=")] {
            assert!(
                seal.verify("call-1", &[edge, &pool.replace(from, to)])
                    .is_err()
            );
        }
        Ok(())
    }
}
