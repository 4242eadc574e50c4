//! Moving from one administrative watcher, whom an older gateway had for everybody, to watchers who
//! are themselves.

use crate::limits;
use crate::mapping::presence;
use crate::model::{Pair, Role, Side};
use crate::shard::journal::domains;
use crate::shard::to_sip::lane;
use crate::shard::turn::{Parcel, Turn};
use crate::shard::{Answered, Class, CommandId, Kind, Shard, Task};

impl Shard {
    /// Takes leave of an XMPP user under an old address of the SIP side: the address watches him no
    /// longer, and lets him watch it no longer. Both are ignored where they change nothing (RFC 6121
    /// tables 4 and 5). The operator hears when the user's server has taken it.
    pub(super) fn give_up_address(&mut self, id: CommandId, pair: &Pair, turn: &mut Turn) {
        if self.send_leave(id, pair, turn).is_none() {
            turn.answer(id, Answered::Changed(0));
        }
    }

    /// Lets an XMPP user watch a SIP user whom an older gateway showed him, as his server does by a
    /// probe (mapping 5.2 row 4). False if he does already, or may have no more contacts.
    pub(super) fn let_in(&mut self, pair: &Pair, turn: &mut Turn) -> bool {
        if self.is_watching(pair) || self.why_no_contact(pair).is_some() {
            return false;
        }
        self.make_room(pair, turn);
        self.watch(pair, turn, |machine, moment| machine.on_probe(None, moment));
        self.is_watching(pair)
    }

    fn send_leave(&mut self, id: CommandId, pair: &Pair, turn: &mut Turn) -> Option<()> {
        let (remote, local) = domains(pair)?;
        let owner = self.directory.owner_on(Side::Xmpp, &remote)?;
        let (peer, limit) = (owner.id.clone(), owner.xmpp()?.max_stanza);
        let stanzas = [presence::unsubscribe(pair), presence::unsubscribed(pair)];
        let written = stanzas.map(|stanza| stanza.write(limit).ok());
        let [Some(first), Some(last)] = written else {
            return None;
        };
        let mut send = |bytes| {
            turn.send(Parcel {
                peer: peer.clone(),
                local: local.clone(),
                remote: remote.clone(),
                link: None,
                elsewhere: false,
                class: Class::Subscription,
                key: Some(lane(pair, Kind::Subscription(Role::Notifier))),
                bytes,
                give_up_at: turn.now.mono + limits::ANSWER_TIME,
            })
        };
        send(first);
        // They go over one stream in this order, so what is true of the last is true of both.
        let last = send(last);
        self.tasks.insert(last, Task::GiveUp(id));
        Some(())
    }
}
