//! What is remembered of one pair while it is not idle.

use std::collections::VecDeque;

use crate::conversation::session::{Phase, Session};
use crate::conversation::{Composer, Indicator, Pages, Queue};
use crate::limits;
use crate::model::Mono;

/// The conversation of one pair; `T` is what waits for the SIP user.
#[derive(Debug)]
pub struct Conversation<T> {
    /// Messages to the SIP user.
    pub queue: Queue<T>,
    /// Threads and Call-IDs.
    pub pages: Pages,
    /// Its dialogs.
    pub session: Session,
    /// Typing of the XMPP user.
    pub composer: Composer,
    /// Typing of the SIP user.
    pub indicator: Indicator,
    /// Messages and octets on their way to the XMPP user.
    pub inbound: (usize, usize),
    /// When something was said last.
    pub used_at: Mono,
    resource: Option<Box<str>>,
    device: Option<Box<str>>,
    answered: bool,
    open: bool,
    invited: Option<Box<(String, Mono)>>,
    remarked: Option<Box<(u8, Mono)>>,
    delivered: VecDeque<Delivered>,
}

/// A message that the XMPP user's server took, in case an error comes late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Identifier of the stanza.
    pub stanza_id: Box<str>,
    /// The SIP sender's identifier.
    pub sender_id: Option<Box<str>>,
}

impl<T> Conversation<T> {
    /// Creates a conversation in which nothing was said.
    pub fn new() -> Self {
        Self {
            queue: Queue::new(),
            pages: Pages::default(),
            session: Session::default(),
            composer: Composer::default(),
            indicator: Indicator::default(),
            inbound: (0, 0),
            used_at: Mono::default(),
            resource: None,
            device: None,
            answered: false,
            open: false,
            invited: None,
            remarked: None,
            delivered: VecDeque::new(),
        }
    }

    /// Takes note of a content message of the XMPP user: answers go to the resource it came from
    /// (RFC 6121 section 5.1).
    pub fn on_xmpp_content(&mut self, resource: Option<&str>, has_state: bool) {
        self.resource = resource.map(Into::into);
        self.answered = true;
        self.open = true;
        self.indicator.on_client_message(has_state);
        self.composer.on_content();
    }

    /// Takes note of a content message of the SIP user, sent from the device that he names.
    pub fn on_sip_content(&mut self, device: Option<&str>) {
        self.device = device.map(Into::into);
        self.open = true;
    }

    /// Whether a message may be for that device of the SIP user: only for one that he named
    /// himself, else it is for all of his.
    pub fn may_address(&self, device: Option<&str>) -> bool {
        device.is_none() || self.device.as_deref() == device
    }

    /// Takes note that the XMPP user left the conversation: the next message goes to the bare JID.
    pub fn on_gone(&mut self) {
        self.unlock();
        self.open = false;
    }

    /// Goes back to the bare JID.
    pub fn unlock(&mut self) {
        self.resource = None;
    }

    /// The resource that a message from the SIP user goes to, which may name one itself: only one
    /// that was heard of counts, else the user's server decides.
    pub fn resource(&self, named: Option<&str>) -> Option<&str> {
        let known = self.resource.as_deref();
        match named {
            None => known,
            Some(named) => known.filter(|known| *known == named),
        }
    }

    /// Whether a content message went either way: only then is typing told.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the XMPP user has written to the SIP user, who then may learn what he received.
    pub const fn has_answered(&self) -> bool {
        self.answered
    }

    /// Takes note of an invitation; returns whether it is the first to `room`, since a room and the
    /// inviter may both send one (XEP-0249 section 3).
    pub fn on_invitation(&mut self, room: &str, now: Mono) -> bool {
        let again = self.invited.as_deref();
        let again = again
            .is_some_and(|(known, at)| known == room && now.since(*at) < limits::INVITATION_ONCE);
        if !again {
            self.invited = Some(Box::new((room.to_owned(), now)));
        }
        !again
    }

    /// Remembers a message that was taken by the XMPP side.
    pub fn on_delivered(&mut self, delivered: Delivered) {
        if self.delivered.len() >= limits::LATE_ERRORS {
            self.delivered.pop_front();
        }
        self.delivered.reserve_exact(1);
        self.delivered.push_back(delivered);
    }

    /// Finds, once, the delivered message that a late error is about.
    pub fn take_delivered(&mut self, stanza_id: &str) -> Option<Delivered> {
        let found = |one: &Delivered| *one.stanza_id == *stanza_id;
        let at = self.delivered.iter().position(found)?;
        self.delivered.remove(at)
    }

    /// Takes note that the XMPP user is told of something that was refused, which `what` names;
    /// returns whether it is the first of it for a while.
    pub fn on_remark(&mut self, what: u8, now: Mono) -> bool {
        let again = self.remarked.as_deref();
        let again = again
            .is_some_and(|(known, at)| *known == what && now.since(*at) < limits::INVITATION_ONCE);
        if !again {
            self.remarked = Some(Box::new((what, now)));
        }
        !again
    }

    /// Whether nothing is on its way either way, and no dialog stands.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.inbound.0 == 0 && self.session.phase() == Phase::Idle
    }
}

impl<T> Default for Conversation<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn thousands_of_them_are_small() {
        assert!(size_of::<Conversation<Box<()>>>() <= 272);
    }

    #[test]
    fn messages_go_to_the_resource_that_answered() {
        let mut conversation = Conversation::<()>::new();
        assert_eq!(conversation.resource(None), None);
        assert_eq!(conversation.resource(Some("balcony")), None);

        conversation.on_xmpp_content(Some("balcony"), false);
        assert_eq!(conversation.resource(None), Some("balcony"));
        assert_eq!(conversation.resource(Some("balcony")), Some("balcony"));
        assert_eq!(conversation.resource(Some("chamber")), None);

        conversation.on_gone();
        assert_eq!(conversation.resource(None), None);
    }

    #[test]
    fn two_invitations_to_one_room_are_one() {
        let mut conversation = Conversation::<()>::new();

        assert!(conversation.on_invitation("cave@rooms.example", at(1)));
        assert!(!conversation.on_invitation("cave@rooms.example", at(2)));
        assert!(conversation.on_invitation("hall@rooms.example", at(3)));
        assert!(conversation.on_invitation("hall@rooms.example", at(100)));
    }

    #[test]
    fn a_late_error_is_found_once_and_only_for_recent_messages() {
        let mut conversation = Conversation::<()>::new();
        for number in 0..=limits::LATE_ERRORS {
            conversation.on_delivered(Delivered {
                stanza_id: number.to_string().into(),
                sender_id: None,
            });
        }

        assert_eq!(conversation.take_delivered("0"), None);
        assert!(conversation.take_delivered("1").is_some());
        assert_eq!(conversation.take_delivered("1"), None);
    }
}
