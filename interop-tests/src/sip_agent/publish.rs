//! The agent's users publish their state at a presence server of their own (RFC 3903).

use anyhow::{Context, Result, ensure};

use super::agent::SipAgent;
use crate::pidf::{Document, PIDF_TYPE};
use crate::sip::token;

/// What a user has published, to be changed later.
#[derive(Clone, Debug)]
pub struct Publication {
    user: String,
    etag: String,
}

impl SipAgent {
    /// Publishes a state for the first time.
    pub async fn publish(&self, user: &str, document: &Document) -> Result<Publication> {
        let mut publication = Publication {
            user: user.to_owned(),
            etag: String::new(),
        };
        publication.update(self, document).await?;
        Ok(publication)
    }
}

impl Publication {
    /// Changes what is published.
    pub async fn update(&mut self, agent: &SipAgent, document: &Document) -> Result<()> {
        self.send(agent, Some(document), 3600).await
    }

    /// Takes it back: the user has no state any more.
    pub async fn end(mut self, agent: &SipAgent) -> Result<()> {
        self.send(agent, None, 0).await
    }

    async fn send(
        &mut self,
        agent: &SipAgent,
        document: Option<&Document>,
        expires: u32,
    ) -> Result<()> {
        let aor = format!("{}@{}", self.user, agent.shared.place.domain);
        let from = format!("<sip:{aor}>;tag={}", token());
        let mut request = agent.request("PUBLISH", &from, &aor);
        request.add("Event", "presence");
        request.add("Expires", expires.to_string());
        if !self.etag.is_empty() {
            request.add("SIP-If-Match", self.etag.clone());
        }
        if let Some(document) = document {
            request.add("Content-Type", PIDF_TYPE);
            request.body = document.write();
        }
        let response = agent.send(&request).await?;
        ensure!(
            response.status() == Some(200),
            "{aor} cannot publish: {}",
            response.start
        );
        let etag = response.header("SIP-ETag");
        self.etag = etag
            .context("an answer to PUBLISH names its tag")?
            .to_owned();
        Ok(())
    }
}
