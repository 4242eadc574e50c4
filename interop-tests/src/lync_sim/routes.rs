//! Record-Route as Microsoft's proxies write it: signed over its exact bytes, and refused when it
//! does not come back as it went out (W 09, MS-OCER 1004).

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

/// The key of one simulator.
#[derive(Debug)]
pub(super) struct Seal {
    key: PKey<Private>,
    edge: String,
    pool: String,
}

impl Seal {
    /// For an Edge of that name in front of a pool in that domain.
    pub(super) fn new(edge: &str, domain: &str) -> Result<Self> {
        let secret: [u8; 20] = rand::random();
        Ok(Self {
            key: PKey::hmac(&secret)?,
            edge: edge.to_owned(),
            pool: format!("POOL01.{domain}"),
        })
    }

    /// The two entries of a dialog, the Edge's first: the order in which a request of the other
    /// side has to name them.
    pub(super) fn routes(&self, call_id: &str) -> [String; 2] {
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
            self.seal(&edge, ">", call_id),
            self.seal(&pool, &format!(">;tag={tag}"), call_id),
        ]
    }

    fn seal(&self, before: &str, behind: &str, call_id: &str) -> String {
        let signature = self.signature(before, behind, call_id).unwrap_or_default();
        format!("{before};ms-route-sig={signature}{behind}")
    }

    fn signature(&self, before: &str, behind: &str, call_id: &str) -> Result<String> {
        let mut signer = Signer::new(MessageDigest::sha1(), &self.key)?;
        for part in [before, "|", behind, "|", call_id] {
            signer.update(part.as_bytes())?;
        }
        let mut signature = URL_SAFE_NO_PAD.encode(signer.sign_to_vec()?);
        // Microsoft's end so.
        signature.push_str("AA");
        Ok(signature)
    }

    /// Tells what is wrong with the Route of a request in a dialog of this simulator's.
    pub(super) fn verify(&self, call_id: &str, found: &[&str]) -> Result<(), String> {
        for entry in found {
            let Some((before, rest)) = entry.split_once(";ms-route-sig=") else {
                return Err(format!("Route without a signature: {entry}"));
            };
            let at = rest.find('>').unwrap_or(rest.len());
            let (signature, behind) = rest.split_at(at);
            let wanted = self.signature(before, behind, call_id).unwrap_or_default();
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
        for (from, to) in [("transport=tls", "transport=TLS"), (";tag=", ";Tag=")] {
            assert!(
                seal.verify("call-1", &[edge, &pool.replace(from, to)])
                    .is_err()
            );
        }
        Ok(())
    }
}
