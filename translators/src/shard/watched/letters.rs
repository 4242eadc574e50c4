//! NOTIFYs to SIP users and stanzas to XMPP users.

use rand::RngExt as _;

use crate::documents::presence::Format;
use crate::limits;
use crate::mapping::presence::{self, Document, Occasion};
use crate::model::{Pair, Role, SipProfile, Wall};
use crate::policy::Verdict;
use crate::presence::Notifier;
use crate::presence::notifier::{Asking, Body, Ended, Keep, Show};
use crate::shard::question::Question;
use crate::shard::turn::{Parcel, Turn};
use crate::shard::watched::step::Stage;
use crate::shard::{Asked, Class, Key, Kind, Lane, Shard, Task};
use crate::sip::subscription::SubscriptionState;
use crate::sip::{Block, Branch, Dialog, HeaderName, Method, Tag, write_request};
use crate::text::Line;

/// What identifiers of requests and probes of ours begin with: the errors to them come with it.
pub(super) const ASKING: &str = "ask-";
/// What identifiers of other stanzas of ours begin with.
const ENDING: &str = "end-";

/// A NOTIFY without its dialog.
struct Letter {
    state: SubscriptionState,
    document: Option<Document>,
    etag: Option<Line>,
    class: Class,
    kind: Kind,
}

impl Shard {
    /// Sends the present state in a live dialog. Whether it may be shown is asked here and now.
    pub(super) fn send_presence(
        &mut self,
        notifier: &mut Notifier,
        (tag, show): (Tag, Show),
        stage: &Stage,
        question: Option<&Question>,
        turn: &mut Turn,
    ) -> Keep {
        let scene = &stage.scene;
        let Some(endpoint) = notifier.endpoint_mut(tag) else {
            return Keep::Same;
        };
        let format = endpoint.format();
        let left = scene.seconds_until(endpoint.expires_at());
        let etag = self.etag(notifier, stage);
        let is_new = question.is_some_and(|question| question.request.our_tag().is_none());
        let (state, document, class) =
            self.shown_as((show, left, is_new), format, notifier, stage, turn);
        // "The notifier MUST NOT include a body" if the condition holds (RFC 5839 section 6.3).
        let asked = question.filter(|question| question.request.our_tag().is_none());
        let wanted = asked.and_then(|question| question.request.suppress_if_match());
        let known = etag
            .as_ref()
            .is_some_and(|etag| Some(etag.as_str()) == wanted);
        let letter = Letter {
            state,
            etag: etag.filter(|_| document.is_some()),
            document: document.filter(|_| !known),
            class,
            kind: Kind::Presence(Role::Notifier),
        };
        let Some(endpoint) = notifier.endpoint_mut(tag) else {
            return Keep::Same;
        };
        let (_, keep) = self.send_letter(endpoint.dialog_mut(), letter, stage, turn);
        keep
    }

    /// What a watcher is shown, for so many seconds: state, document and class.
    pub(super) fn shown_as(
        &mut self,
        (show, expires, is_new): (Show, u32, bool),
        format: Format,
        notifier: &mut Notifier,
        stage: &Stage,
        turn: &mut Turn,
    ) -> (SubscriptionState, Option<Document>, Class) {
        let now = turn.now.wall;
        let closed = || closed(stage, format, now);
        let needs_document = stage.scene.closes.is_some();
        match show {
            Show::Pending => {
                let document = if needs_document { closed() } else { None };
                let state = SubscriptionState::pending(expires);
                (state, document, Class::Subscription)
            }
            Show::Closed => {
                let state = SubscriptionState::active(expires);
                (state, closed(), Class::Subscription)
            }
            Show::Current => {
                let known = self.current_document(notifier, format, stage, turn);
                // One who sees nothing yet sees somebody of whom nothing is known as offline.
                let document = match known {
                    None if needs_document && is_new => closed(),
                    known => known,
                };
                (
                    SubscriptionState::active(expires),
                    document,
                    Class::Presence,
                )
            }
        }
    }

    /// Sends the last NOTIFY of a dialog.
    pub(super) fn send_last(
        &mut self,
        mut ended: Ended,
        notifier: &mut Notifier,
        stage: &Stage,
        turn: &mut Turn,
    ) -> Keep {
        let mut state = SubscriptionState::terminated(ended.reason);
        if let Some(seconds) = ended.retry_after {
            state = state.retry_after(seconds);
        }
        let document = match ended.body {
            Body::Empty => None,
            Body::Closed => closed(stage, ended.format, turn.now.wall),
            Body::Current => {
                let known = self.current_document(notifier, ended.format, stage, turn);
                // What ends presence says so where a document is all that is looked at.
                let unknown = || closed(stage, ended.format, turn.now.wall);
                known.or_else(|| stage.scene.closes.and_then(|_| unknown()))
            }
        };
        let shows = ended.body == Body::Current;
        let letter = Letter {
            state,
            document,
            etag: None,
            class: Class::Subscription,
            kind: if shows {
                Kind::Presence(Role::Notifier)
            } else {
                Kind::Subscription(Role::Notifier)
            },
        };
        // The dialog is no more: numbers of its CSeq need no record.
        let (branch, _) = self.send_letter(&mut ended.dialog, letter, stage, turn);
        if let Some(branch) = branch.filter(|_| shows) {
            self.shown.insert(branch, Box::new(ended));
        }
        Keep::Same
    }

    /// Writes the last NOTIFY of a dialog anew that was called back with what it showed.
    pub(super) fn withhold(&mut self, pair: &Pair, branch: Branch, turn: &mut Turn) {
        let Some(mut ended) = self.shown.remove(&branch) else {
            return;
        };
        ended.body = Body::Closed;
        let Some(stage) = self.stage(pair, turn) else {
            return;
        };
        let mut notifier = Notifier::new(Verdict::default());
        self.send_last(*ended, &mut notifier, &stage, turn);
    }

    /// The document that shows what is known; none if nothing is. What he may not see any more looks
    /// as if the user were offline.
    fn current_document(
        &mut self,
        notifier: &mut Notifier,
        format: Format,
        stage: &Stage,
        turn: &mut Turn,
    ) -> Option<Document> {
        let pair = &stage.pair;
        let state = notifier.known(&stage.scene)?;
        let state = self.with_name(pair, state, turn);
        let profile = stage.profile()?;
        let Ok(disclosure) = self.policy.may_see(pair) else {
            return closed(stage, format, turn.now.wall);
        };
        let now = turn.now.wall;
        let last_sent = notifier.stamp(now).or(self.restored_at);
        let occasion = Occasion { now, last_sent };
        presence::document(&disclosure, format, profile, &state, occasion).ok()
    }

    /// The entity tag of what a watcher is shown now, where the peer knows what that is.
    pub(super) fn etag(&self, notifier: &Notifier, stage: &Stage) -> Option<Line> {
        let conditional = stage.profile()?.conditional;
        let number = notifier.show_number(&stage.scene);
        conditional.then(|| Line::fold(&format!("{number:016x}")))
    }

    fn send_letter(
        &mut self,
        dialog: &mut Dialog,
        letter: Letter,
        stage: &Stage,
        turn: &mut Turn,
    ) -> (Option<Branch>, Keep) {
        let pair = &stage.pair;
        let mut headers = Vec::new();
        let (language, content) = match letter.document {
            Some(document) => (
                document.language,
                Some((document.content_type, document.body)),
            ),
            None => (None, None),
        };
        headers.extend(language.map(|language| (HeaderName::ContentLanguage, language)));
        headers.extend(letter.etag.map(|etag| (HeaderName::SipEtag, etag)));
        let tag = dialog.tag();
        // It fails only if the record was damaged: the subscription then runs out.
        let (local, remote) = Self::to_sip_domains(stage);
        let sent_by = self.place.hosts.of(&local);
        let Ok((draft, block)) = dialog.notify(&letter.state, headers, content, &sent_by) else {
            return (None, Keep::Same);
        };
        let asked = Asked::Notify(pair.clone(), tag);
        let peer = stage.sip.clone();
        let branch = self
            .clients
            .start(peer.clone(), Method::Notify, asked, &mut self.rng);
        let transmit = turn.send(Parcel {
            peer,
            local,
            remote,
            link: None,
            elsewhere: false,
            class: letter.class,
            key: Some(Key {
                lane: Lane {
                    pair: pair.clone(),
                    kind: letter.kind,
                },
                item: tag.random(),
            }),
            bytes: write_request(&draft, &sent_by, branch),
            give_up_at: turn.now.mono
                + stage
                    .profile()
                    .map_or(limits::PRESENCE_WAITS, SipProfile::presence_waits),
        });
        self.flights.insert(branch, transmit);
        self.tasks
            .insert(transmit, Task::Notify(pair.clone(), tag, branch));
        let keep = match block {
            Block::New => Keep::Durable,
            Block::Reserved => Keep::Same,
        };
        (Some(branch), keep)
    }

    /// Sends a stanza to the XMPP user, in the name of the SIP user.
    pub(super) fn ask_presentity(
        &mut self,
        asking: Asking,
        name: Option<&str>,
        stage: &Stage,
        turn: &mut Turn,
    ) {
        let pair = &stage.pair;
        let (mut stanza, prefix) = match asking {
            Asking::Probe => (presence::probe(pair), ASKING),
            Asking::Subscribe => (presence::subscribe(pair, name), ASKING),
            Asking::Unavailable => (presence::unavailable(pair), ENDING),
            Asking::Unsubscribe => (presence::unsubscribe(pair), ENDING),
        };
        stanza.id = Some(format!("{prefix}{:016x}", self.rng.random::<u64>()));
        let Ok(bytes) = stanza.write(limits::STANZA) else {
            return;
        };
        let kind = Kind::Subscription(Role::Notifier);
        let transmit = turn.send(Parcel {
            peer: stage.xmpp.clone(),
            local: stage.sip_domain.clone(),
            remote: stage.xmpp_domain.clone(),
            link: None,
            elsewhere: false,
            class: Class::Subscription,
            key: Some(Key::of(pair.clone(), kind)),
            bytes,
            give_up_at: turn.now.mono + limits::PRESENCE_WAITS,
        });
        self.tasks.insert(transmit, Task::Ask(pair.clone(), asking));
    }
}

/// The document that says no more than that the user is offline.
pub(super) fn closed(stage: &Stage, format: Format, now: Wall) -> Option<Document> {
    let profile = stage.profile()?;
    presence::offline_document(&stage.pair, format, profile, now).ok()
}
