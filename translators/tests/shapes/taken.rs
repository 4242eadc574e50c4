//! What becomes of each request: a gateway with a Microsoft peer takes it, or refuses it for what it
//! asks; nothing is a bad request, an error of ours or left without an answer.

use std::time::Duration;

use crate::runner::gateway::{Gateway, Output};
use crate::runner::meta::Setup;
use crate::{Raw, files, variants};

/// Our tag in the messages; a dialog of the test has another one.
const OURS: &str = "aefbbe00c4b5e8c40000000000000007";

/// The answers to our own messages; 0 stands for none.
const ANSWERS: [(&str, u16); 26] = [
    ("ack-through-two-servers", 0),
    ("benotify", 0),
    ("bye", 200),
    ("bye-with-reasons", 200),
    // There is no such INVITE any more.
    ("cancel", 481),
    ("conversation-info", 200),
    ("invite-of-2007-with-much-to-say", 200),
    ("invite-to-a-call", 488),
    ("invite-to-a-meeting", 420),
    ("invite-with-first-message", 200),
    ("message-from-a-telephone", 200),
    ("message-in-a-conversation", 200),
    ("message-in-html", 200),
    ("negotiate", 405),
    ("notify-of-an-end", 200),
    ("notify-of-categories", 200),
    ("notify-xpidf", 200),
    ("options-of-an-edge", 200),
    ("prack", 481),
    ("refer-to-a-meeting", 405),
    ("service", 405),
    ("subscribe-behind-maddr", 200),
    ("subscribe-through-an-edge", 200),
    ("subscribe-to-a-list", 420),
    ("subscribe-to-something-else", 489),
    ("typing", 200),
];

struct Lab(Gateway);

impl Lab {
    /// A gateway between the domains of sender and addressee; none where they are the same.
    fn between(raw: &Raw) -> Option<Self> {
        let host = |value: &str| {
            let address = value.split_once("sip:")?.1;
            let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
            let ends = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-');
            Some(host.split(ends).next()?.to_ascii_lowercase())
        };
        let theirs = host(&raw.values("from").remove(0))?;
        let ours = host(&raw.values("to").remove(0))?;
        let setup = Setup {
            sip_domains: vec![theirs.clone()],
            xmpp_domains: vec![ours.clone()],
            switches: vec!["microsoft".to_owned()],
            ..Setup::default()
        };
        (theirs != ours).then(|| Self(Gateway::new(&setup).unwrap()))
    }

    fn feed(&mut self, raw: &Raw) -> Vec<Output> {
        self.0.feed_sip(&raw.bytes()).unwrap();
        self.0.run(Duration::from_secs(9), |_| false);
        self.0.take()
    }

    /// The final answer to a request, 0 if there is none.
    fn answer(&mut self, raw: &Raw) -> (u16, Raw) {
        let cseq = raw.values("cseq").remove(0);
        let texts = self
            .feed(raw)
            .into_iter()
            .filter_map(|output| match output {
                Output::Sip(bytes) => Some(Raw::parse(&String::from_utf8(bytes).unwrap())),
                Output::Xmpp(_) => None,
            });
        let answers = texts.filter(|text| text.line.starts_with("SIP/2.0 "));
        let mut own = answers.filter(|answer| answer.values("cseq") == [cseq.clone()]);
        let found = own.find_map(|answer| {
            let status = answer.line.get(8..11)?.parse().ok()?;
            (status >= 200).then_some((status, answer))
        });
        found.unwrap_or_else(|| (0, raw.clone()))
    }

    /// Opens the dialog that a request says it is in, and returns the request as it is in there.
    fn inside(&mut self, raw: &Raw) -> Raw {
        if raw.line.contains("NOTIFY ") {
            return self.watching(raw);
        }
        let invite = raw.map(|(name, value)| match crate::long(name).as_str() {
            "to" => vec![(name.clone(), value.replace(&format!(";tag={OURS}"), ""))],
            "cseq" => vec![(name.clone(), "1 INVITE".to_owned())],
            "content-type" | "content-length" | "require" | "refer-to" => Vec::new(),
            _ => vec![(name.clone(), value.clone())],
        });
        let body = "v=0\r\nm=message 5060 sip null\r\n";
        let contact = "<sip:romeo@sip.example;opaque=user:epid:hYns;gruu>";
        let mut headers = invite.headers;
        headers.retain(|(name, _)| crate::long(name) != "contact");
        for (name, value) in [
            ("Contact", contact),
            ("Content-Type", "application/sdp"),
            ("Content-Length", &body.len().to_string()),
        ] {
            headers.push((name.to_owned(), value.to_owned()));
        }
        let invite = Raw {
            line: "INVITE sip:juliet@xmpp.example SIP/2.0".to_owned(),
            headers,
            body: body.to_owned(),
        };
        let mut invite = invite.map(|(name, value)| {
            vec![(
                name.clone(),
                value.replace("branch=z9hG4bK", "branch=z9hG4bKi"),
            )]
        });
        invite
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("rack"));
        let (status, answer) = self.answer(&invite);
        assert_eq!(status, 200, "{}", answer.line);
        let tag = tag_of(&answer.values("to").remove(0));
        let mut ack = renamed(&invite, "nothing", "");
        ack.line = ack.line.replace("INVITE", "ACK");
        ack.body.clear();
        let ack = ack.map(|(name, value)| {
            vec![match crate::long(name).as_str() {
                "cseq" => (name.clone(), "1 ACK".to_owned()),
                "content-length" => (name.clone(), "0".to_owned()),
                "to" => (name.clone(), format!("{value};tag={tag}")),
                _ => (name.clone(), value.clone()),
            }]
        });
        self.feed(&ack);
        renamed(raw, OURS, &tag)
    }

    /// Has Juliet subscribe, and puts a NOTIFY into that dialog.
    fn watching(&mut self, raw: &Raw) -> Raw {
        let subscribe = "<presence from='juliet@xmpp.example' to='romeo@sip.example' \
                         type='subscribe' id='s1'/>";
        self.0.feed_xmpp(subscribe).unwrap();
        self.0.run(Duration::from_secs(9), |_| false);
        let asked = self.0.take().into_iter().find_map(|output| match output {
            Output::Sip(bytes) => Some(Raw::parse(&String::from_utf8(bytes).unwrap())),
            Output::Xmpp(_) => None,
        });
        let asked = asked.unwrap();
        assert!(asked.line.starts_with("SUBSCRIBE "), "{}", asked.line);
        let call_id = asked.values("call-id").remove(0);
        let tag = tag_of(&asked.values("from").remove(0));
        let raw = renamed(raw, OURS, &tag);
        raw.map(|(name, value)| match crate::long(name).as_str() {
            "call-id" => vec![(name.clone(), call_id.clone())],
            _ => vec![(name.clone(), value.clone())],
        })
    }
}

fn tag_of(value: &str) -> String {
    let tag = value.split_once(";tag=").unwrap().1;
    tag.split(';').next().unwrap().to_owned()
}

/// The same with another word wherever one stands.
fn renamed(raw: &Raw, old: &str, new: &str) -> Raw {
    let mut renamed = raw.map(|(name, value)| vec![(name.clone(), value.replace(old, new))]);
    renamed.line = renamed.line.replace(old, new);
    renamed
}

#[test]
fn nothing_is_a_bad_request_or_an_error_of_ours() {
    let mut seen = 0;
    for (file, raw) in files() {
        if raw.line.starts_with("SIP/2.0 ") {
            continue;
        }
        let name = file.rsplit('/').next().unwrap().trim_end_matches(".sip");
        let known = ANSWERS.iter().find(|(known, _)| *known == name);
        for (way, variant) in variants(&raw) {
            let Some(mut lab) = Lab::between(&raw) else {
                continue;
            };
            let is_inside = known.is_some() && raw.values("to").concat().contains(OURS);
            let request = if is_inside {
                lab.inside(&variant)
            } else {
                variant
            };
            let (status, _) = lab.answer(&request);
            match known {
                Some((_, wanted)) => assert_eq!(status, *wanted, "{file}, {way}"),
                None => assert!(
                    ![400, 500, 501, 503, 504].contains(&status),
                    "{file}, {way}: {status}"
                ),
            }
        }
        seen += usize::from(known.is_some());
    }
    assert_eq!(seen, ANSWERS.len());
}
