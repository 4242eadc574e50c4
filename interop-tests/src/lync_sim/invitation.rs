//! The INVITE that opens a conversation, with its first text as each release sends it (W 21).

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::conversation::{ALLOW, Conversation};
use super::message::Message;
use super::profile::FirstMessage;
use super::user::User;
use crate::inbox::locked;

/// What a client of the release says it can do (W 21); Supported lines one by one.
const SUPPORTED: [&str; 10] = [
    "ms-delayed-accept",
    "ms-renders-isf",
    "ms-renders-gif",
    "ms-renders-mime-alternative",
    "timer",
    "histinfo",
    "ms-safe-transfer",
    "ms-sender",
    "ms-early-media",
    "com.microsoft.rtc-multiparty",
];

impl User {
    /// Sends an INVITE of a test's own and takes the conversation that comes of it, without a text.
    pub async fn accepted(&self, request: Message, contact: &str) -> Result<Conversation> {
        let answers = self.shared.ask(request.clone()).await?;
        let answer = answers.last().await?;
        ensure!(answer.status() == Some(200), "{}", answer.start);
        self.shared
            .established(&self.name, contact, &request, &answer)
            .await
    }

    /// An INVITE to a conversation, with the first text as the release sends it (W 21).
    pub fn invitation(&self, endpoint: usize, contact: &str, text: &str) -> Result<Message> {
        let mut request = self.request(endpoint, "INVITE", contact)?;
        let profile = self.shared.setup.profile;
        request.put("User-Agent", profile.agent());
        request.put("Supported", "ms-dialog-route-set-update");
        let plain = BASE64.encode(text);
        let form = if text.is_empty() {
            FirstMessage::Message
        } else {
            profile.first_message()
        };
        let in_rtf = locked(&self.shared.conduct).writes_rtf;
        match (form, in_rtf) {
            (FirstMessage::Message, _) => {}
            (FirstMessage::Plain, true) => {
                let body = BASE64.encode(rtf(text));
                let value = format!("text/rtf; charset=UTF-8; ms-body={body}");
                request.put("ms-text-format", value);
            }
            (FirstMessage::Rtf | FirstMessage::Html, true) => {}
            (_, false) => request.put(
                "ms-text-format",
                format!("text/plain; charset=UTF-8; ms-body={plain}"),
            ),
        }
        if form == FirstMessage::Html && !in_rtf {
            let html = format!("<SPAN style=\"color:#000000; font-size:10pt;\">{text}</SPAN>");
            let html = BASE64.encode(html);
            request.put(
                "ms-im-format",
                format!("text/html; charset=UTF-8; ms-body={html}"),
            );
        }
        if matches!(form, FirstMessage::Html | FirstMessage::Rtf) {
            let body = BASE64.encode(rtf(text));
            request.put(
                "ms-im-format",
                format!("text/rtf; charset=UTF-8; ms-body={body}"),
            );
        }
        if form != FirstMessage::Message {
            request.put("Supported", "ms-embedded-first-message");
        }
        for tag in SUPPORTED {
            request.put("Supported", tag);
        }
        let id: [u8; 22] = rand::random();
        request.put("Ms-Conversation-ID", BASE64.encode(id));
        let own = self.aor();
        request.put("Roster-Manager", format!("sip:{own}"));
        request.put("EndPoints", format!("<sip:{own}>, <sip:{contact}>"));
        request.put("ms-keep-alive", "UAC;hop-hop=yes");
        // W 36: two values, and a name without blank.
        request.put(
            "P-Asserted-Identity",
            format!("\"{}\"<sip:{own}>, <tel:+15551234567>", self.name()),
        );
        request.put("Allow", ALLOW);
        request.put("ms-subnet", "192.168.66.0");
        request.put("Supported", "ms-conf-invite");
        request.put("history-info", format!("<sip:{contact}>;index=1"));
        request.carry("application/sdp", self.shared.sdp("null"));
        Ok(request)
    }
}

/// Text as a client writes it in RTF.
pub(super) fn rtf(text: &str) -> String {
    format!("{{\\rtf1\\ansi\\f0\\fs20 {text}\\par}}\r\n")
}
