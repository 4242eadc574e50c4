//! Every numeric limit, one constant each, with its reason.
//!
//! Most are defaults that the configuration may change per peer; those that are not configurable
//! say so. Limits are checked before parsing.

use std::time::Duration;

/// Size of one stanza in octets. Both real servers take 512 KiB; users never need it, and parsed
/// XML costs up to a hundred times its size in memory.
pub const STANZA: usize = 64 * 1024;
/// Size above which a stanza is no longer skipped but ends the stream: a peer that sends this much
/// as one stanza does not stop by itself. Room for ejabberd, which echoes 512 KiB payloads in errors.
pub const STANZA_FATAL: usize = 768 * 1024;
/// Nesting of a stanza, also of what is sent on. Parsers of the field overflow their stack at a few
/// thousand levels; no extension in use needs more than twenty.
pub const STANZA_DEPTH: usize = 64;
/// Attributes of one element.
pub const STANZA_ATTRIBUTES: usize = 64;
/// Child elements of one stanza in all.
pub const STANZA_CHILDREN: usize = 1_000;
/// Namespace declarations in force at one place of a stanza. A call offer of a usual client makes
/// more in all, one behind the other; nested ones cost look-up time.
pub const STANZA_NAMESPACES: usize = 32;
/// One XML name, attribute value or reference in octets; longer text is read in pieces.
pub const XML_TOKEN: usize = 8 * 1024;
/// Text of a peer's stream error that is kept for the operator, in characters.
pub const PEER_TEXT: usize = 256;
/// Octets an XMPP peer may send before it is authenticated.
pub const BEFORE_AUTHENTICATION: usize = 10 * 1024;
/// Time an XMPP peer has to authenticate.
pub const AUTHENTICATION_TIME: Duration = Duration::from_secs(10);
/// Time an XMPP peer has for its first stream header.
pub const FIRST_HEADER_TIME: Duration = Duration::from_secs(5);
/// SASL attempts on one stream.
pub const SASL_ATTEMPTS: u8 = 3;
/// Time to wait for the peer's closing tag (RFC 6120 section 4.4).
pub const CLOSE_TIME: Duration = Duration::from_secs(5);
/// White space keep-alive. Less than half of the 30 minutes after which Openfire closes.
pub const XMPP_KEEPALIVE: Duration = Duration::from_secs(300);
/// Time without a stanza of ours after which a ping is sent instead of white space: ejabberd closes
/// after an hour without a stanza and does not count spaces.
pub const XMPP_PING: Duration = Duration::from_secs(900);
/// Time an XMPP server has for each answer while we set up a stream to it.
pub const SETUP_STEP_TIME: Duration = Duration::from_secs(10);
/// Time for the header behind a TLS 1.3 handshake; old Openfire servers stay silent there for ever.
pub const HEADER_AFTER_TLS13_TIME: Duration = Duration::from_secs(5);
/// Time for a TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Octets of a TLS client's first message that are read before an engine is chosen for it. Those of Schannel have some
/// hundred; post-quantum key shares bring others to 2 KB.
pub const CLIENT_HELLO: usize = 16 * 1_024;
/// Time for a TCP connection to be established.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Connections of one address before authentication.
pub const CONNECTIONS_BEFORE_AUTHENTICATION: usize = 16;
/// Connections of one peer after authentication.
pub const CONNECTIONS_PER_PEER: usize = 64;

/// Start line and headers of a SIP message in octets.
pub const SIP_HEAD: usize = 32 * 1024;
/// Headers of one SIP message.
pub const SIP_HEADERS: usize = 256;
/// One SIP header in octets.
pub const SIP_HEADER: usize = 8 * 1024;
/// The same of a Microsoft server, whose INVITEs carry the first message as text, HTML and RTF in headers
/// of their own: RTF takes seven octets for a character outside Latin, and base64 a third more. The
/// text of such a message is held to the bounds of every other.
pub const SIP_HEAD_MICROSOFT: usize = 60 * 1024;
/// One header of such a message in octets.
pub const SIP_HEADER_MICROSOFT: usize = 48 * 1024;
/// Body of a SIP message in octets.
pub const SIP_BODY: usize = 256 * 1024;
/// Messages a second, of any kind, to a Microsoft peer that does not have us on its list of allowed
/// partners: its edge takes 20 of such a partner.
pub const MICROSOFT_CAP: u32 = 15;
/// Body of a SIP message that is refused, but read over so that the connection lives on. Lync
/// servers send up to 5,000 KB.
pub const SIP_BODY_SKIPPED: usize = 8 * 1024 * 1024;
/// Max-Forwards of a request of ours (RFC 3261 section 8.1.1.6).
pub const MAX_FORWARDS: u8 = 70;
/// Server transactions remembered per shard, so that a repetition gets the same answer. The oldest
/// answered one makes room: over TLS nothing is repeated in the ordinary course of things, and each
/// takes half a kilobyte. Sixteen shards keep those of 32 seconds at 1,800 requests a second. Seven
/// eighths of a power of two fill a table.
pub const SERVER_TRANSACTIONS: usize = 3_584;
/// 64*T1: Timers B and F (RFC 3261 section 17.1), memory of answered server transactions.
pub const TIMER_F: Duration = Duration::from_secs(32);
/// T1: first pause before a 2xx to an INVITE is sent again (RFC 3261 section 17.1.1.1).
pub const TIMER_T1: Duration = Duration::from_millis(500);
/// T2: longest such pause.
pub const TIMER_T2: Duration = Duration::from_secs(4);
/// Media of one session description. A call with pictures and a shared screen has five.
pub const SDP_MEDIA: usize = 16;
/// New subscriptions that one user may ask for at once: a client that comes back asks for those of
/// all its contacts, on each of its devices.
pub const USER_SUBSCRIPTIONS: u32 = 1_000;
/// Time after which a user who asked for so many may ask for one more.
pub const USER_SUBSCRIPTION_TIME: Duration = Duration::from_millis(20);
/// New subscriptions that all users of a peer may ask for at once, as after its restart.
pub const PEER_SUBSCRIPTIONS: u32 = 10_000;
/// Time after which a peer that asked for so many may ask for one more: twice what a gateway sets up.
pub const PEER_SUBSCRIPTION_TIME: Duration = Duration::from_micros(200);
/// Users whose subscriptions are counted at one time; those who have asked for few are forgotten first.
pub const USERS_COUNTED: usize = 65_536;
/// Call-ID, tag, address or remote target of a dialog in octets: with all of them a dialog of three
/// million still has its bounds. Those of Lync take up to 300.
pub const DIALOG_TEXT: usize = 2 * 1024;
/// Route set of a dialog in octets. Signed routes of three Lync servers take about 1,500.
pub const ROUTE_SET: usize = 8 * 1024;
/// Routes of one dialog.
pub const ROUTES: usize = 32;
/// CSeq numbers that one record reserves: a crash costs the rest of the block, and every hundredth
/// request costs a commit.
pub const CSEQ_BLOCK: u32 = 100;
/// What Retry-After says to a request that was overtaken (RFC 3261 section 12.2.2). Peers that
/// follow RFC 3265 end a subscription whose NOTIFY fails without it.
pub const OVERTAKEN_RETRY: Duration = Duration::from_secs(5);
/// Time for which a subscription is asked and granted where nothing else is said (RFC 3856 section
/// 6.4).
pub const SUBSCRIPTION_TIME: Duration = Duration::from_secs(3_600);
/// Shortest time for which a subscription is granted; a shorter wish is answered 423.
pub const SUBSCRIPTION_TIME_MIN: Duration = Duration::from_secs(60);
/// Time after which a polite block refuses a message where no answer of the peer was seen yet: what
/// a server in another network usually takes.
pub const POLITE_REFUSAL: Duration = Duration::from_millis(300);
/// Longest time that is imitated for it; no 100 has to go out before.
pub const POLITE_REFUSAL_MAX: Duration = Duration::from_millis(2_500);
/// The same in seconds, for Expires.
pub const SUBSCRIPTION_SECONDS: u32 = SUBSCRIPTION_TIME.as_secs() as u32;
/// Seconds that Microsoft peers are asked for: their servers' default, so that they need not shorten
/// it, and eight times less traffic than with an hour.
pub const SUBSCRIPTION_SECONDS_MICROSOFT: u32 = 8 * 3_600;
/// Longest time, in seconds, that a peer may make us ask for by Min-Expires.
pub const SUBSCRIPTION_SECONDS_MAX: u32 = 24 * 3_600;
/// Time before its end at which a subscription is refreshed at the latest; of longer ones it is a
/// tenth of what is left.
pub const REFRESH_BEFORE: Duration = Duration::from_secs(60);
/// A subscription with less time left is refreshed at half of it.
pub const REFRESH_HALF_BELOW: Duration = Duration::from_secs(120);
/// An end that a NOTIFY names this little before the known one changes nothing.
pub const EXPIRY_SLACK: Duration = Duration::from_secs(2);
/// Pauses after a SUBSCRIBE failed; the last one is repeated.
pub const SUBSCRIBE_PAUSES: [Duration; 7] = [
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(1_800),
    Duration::from_secs(3_600),
];
/// Longest time that a peer may make us wait by Retry-After.
pub const SUBSCRIBE_WAIT: Duration = Duration::from_secs(6 * 3_600);
/// Time between two new dialogs of a pair that nobody asks for: a peer that ends each at once would
/// be asked without end.
pub const SUBSCRIBE_REST: Duration = Duration::from_secs(30);
/// Pause after 404 to a new subscription.
pub const UNKNOWN_USER: Duration = Duration::from_secs(3_600);
/// Pause after a subscription was ended with `probation` (RFC 6665 section 4.1.3 leaves it open).
pub const PROBATION: Duration = Duration::from_secs(300);
/// Pause after a subscription was ended with `giveup`.
pub const GIVEN_UP: Duration = Duration::from_secs(3_600);
/// Presence older than this is asked for anew when a contact is added again.
pub const FRESH_FOR: Duration = Duration::from_secs(60);
/// Time within which a presentity who has said no is not asked again.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Time for which the refusal of a grant is not believed yet: a peer that refuses everything is
/// found out meanwhile.
pub const REFUSAL_HELD: Duration = Duration::from_secs(1);
/// Devices of one contact that are remembered because their end did not reach the watcher; as many
/// as a document may have.
pub const GHOSTS: usize = 32;
/// Pause before a stanza about a subscription that got lost is sent again.
pub const TELL_AGAIN: Duration = Duration::from_secs(60);
/// A request without a final answer gets 100 after this time (RFC 4320 section 4.1: not before T2).
pub const TRYING_AFTER: Duration = Duration::from_millis(3_500);
/// A request is answered 504 after this time, while its sender still waits.
pub const ANSWER_TIME: Duration = Duration::from_secs(8);

/// Size of a whole page-mode MESSAGE in octets (RFC 3428 section 8).
pub const PAGE: usize = 1_300;
/// Time an accepted message of an XMPP user has to reach the SIP peer.
pub const DELIVERY_TIME: Duration = Duration::from_secs(60);
/// Time for which an address of a SIP peer that answered 503 is passed over when that message is
/// sent again (RFC 3263 section 4.3): the next one begins at it again.
pub const REFUSING_ADDRESS: Duration = Duration::from_secs(10);
/// Longest Retry-After for which such an address gets nothing while the peer has another one: an
/// address that was taken out of service for hours is asked now and then whether it is back.
pub const RESTING_ADDRESS: Duration = Duration::from_secs(300);
/// Messages waiting for one pair and direction.
pub const WAITING_PER_PAIR: usize = 50;
/// Octets of text waiting for one pair and direction.
pub const WAITING_OCTETS_PER_PAIR: usize = 64 * 1024;
/// Messages, answers and errors waiting for one peer.
pub const WAITING_PER_PEER: usize = 10_000;
/// Answers that may be owed to a peer with a cap, in seconds' worth of it, before more of its requests
/// are read: a quarter of the time for which it waits for an answer. What stands in the buffers of both
/// ends, of each connection, waits behind them.
pub const ANSWERS_OWED: Duration = Duration::from_secs(8);
/// Presence and requests of subscriptions waiting for one peer: 40 seconds of the default pace, ten
/// times what all shards together keep under way while a peer recovers.
pub const PRESENCE_PER_PEER: usize = 20_000;
/// Typing waiting for one peer; the oldest makes room.
pub const TYPING_PER_PEER: usize = 1_000;
/// Refusals of what was granted within [`REFUSALS_WITHIN`] from which on it may be the peer that is
/// broken (peer fault guard).
pub const REFUSALS: usize = 5;
/// It is the peer if they are more than this part of all that it granted: a twentieth.
pub const REFUSALS_SHARE: usize = 20;
/// See [`REFUSALS`].
pub const REFUSALS_WITHIN: Duration = Duration::from_secs(60);
/// What one shard has under way of all that becomes due when a peer has a link again. Sixteen shards
/// keep the peer's budget in use between two looks of its queue, up to 20,000 a second, and put no
/// more than a few seconds of the default budget before what comes meanwhile.
pub const RECOVERY_UNDER_WAY: usize = 128;
/// Relations looked at for that in one go, about a millisecond's work.
pub const RECOVERY_STEP: usize = 1_000;
/// Pause before the next go, in which other inputs have their turn.
pub const RECOVERY_PAUSE: Duration = Duration::from_millis(1);
/// Inputs waiting for one shard; a full channel stops the reading of the link that wants more.
pub const SHARD_INPUTS: usize = 256;
/// Age from which a message carries the time it was sent (XEP-0203).
pub const DELAY_SHOWN_AFTER: Duration = Duration::from_secs(30);
/// Silence after which a pair starts a new page-mode thread and unlocks its full JID.
pub const CONVERSATION_IDLE: Duration = Duration::from_secs(600);
/// Conversations remembered per shard; the one that is silent for the longest time is forgotten.
pub const CONVERSATIONS: usize = 8_192;
/// Threads remembered per pair.
pub const THREADS_PER_PAIR: usize = 16;
/// Delivered messages per pair for which a late error is recognised.
pub const LATE_ERRORS: usize = 16;
/// Time within which two invitations to one room are one (XEP-0249 section 3).
pub const INVITATION_ONCE: Duration = Duration::from_secs(60);
/// Typing of a SIP user lapses after this time without a `refresh` (RFC 3994 section 3.3).
pub const COMPOSING_LAPSE: Duration = Duration::from_secs(120);
/// Longest `refresh` that is believed.
pub const COMPOSING_LAPSE_MAX: Duration = Duration::from_secs(600);
/// Time for which the sender of a failed message is tried to be told.
pub const BOUNCE_TIME: Duration = Duration::from_secs(3_600);
/// Pause before an error that came back is sent again.
pub const BOUNCE_PAUSE: Duration = Duration::from_secs(10);
/// Pause before an accepted message is sent to the XMPP side again.
pub const RESEND_PAUSE: Duration = Duration::from_secs(2);
/// Pause before effects that could not be stored are tried again.
pub const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Messages per shard that are recognised when they come again after a broken stream.
pub const DUPLICATES: usize = 4_096;
/// Display name in characters.
pub const DISPLAY_NAME: usize = 64;
/// Reasons of one refusal that are read: a request passes a handful of servers.
pub const DIAGNOSTICS: usize = 8;
/// Parameters of one such reason beside text and source; servers write up to six.
pub const DIAGNOSTIC_PARAMETERS: usize = 16;
/// Words about a failure that are told on the other side, in characters.
pub const REMARK: usize = 200;
/// Time after which a peer that was refused for lack of room may come again.
pub const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Call-ID made from a thread, in octets.
pub const CALL_ID: usize = 256;
/// Time that Message-IDs of receipts are remembered.
pub const RECEIPT_MEMORY: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Receipts remembered per shard.
pub const RECEIPTS: usize = 100_000;
/// Ping barrier: time after which its answer is missing.
pub const BARRIER_TIME: Duration = Duration::from_secs(8);
/// Time for which the name on a vCard is kept.
pub const NAME_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Users of one shard whose names are kept, each some hundred octets; the first that came makes room.
pub const NAMES: usize = 8_192;
/// vCards that one shard waits for at one time: their pictures are large, and no name is urgent.
pub const CARDS_UNDER_WAY: usize = 32;
/// Time after which a vCard is not waited for any more.
pub const CARD_WAITS: Duration = Duration::from_secs(60);
/// Depth of an XML document inside a SIP body.
pub const DOCUMENT_DEPTH: usize = 32;
/// Size of an XML document inside a SIP body in octets.
pub const DOCUMENT: usize = 64 * 1024;
/// Elements of an XML document inside a SIP body: those of 32 devices with all that is known of them
/// are a third of it.
pub const DOCUMENT_ELEMENTS: usize = 2_000;
/// `userInfo` of Microsoft's presence document in UTF-16 units, markup included ([MS-SIP] section
/// 2.2.1); servers refuse more.
pub const USER_INFO: usize = 1_024;
/// Resources of one batched SUBSCRIBE that are looked at: a gateway is asked for one, servers split
/// longer lists.
pub const BATCH_RESOURCES: usize = 64;
/// Tuples of a presence document that are taken. A user has a handful of devices; each costs a stanza
/// to every watcher.
pub const TUPLES: usize = 32;
/// Notes of one tuple: languages of one status. Clients write one.
pub const NOTES: usize = 8;
/// Characters of a note that are carried; clients show a line or two.
pub const NOTE: usize = 1_024;
/// Depth of nested MIME parts.
pub const MIME_DEPTH: usize = 4;
/// Parts of one MIME multipart.
pub const MIME_PARTS: usize = 16;
/// Subscriptions of one SIP user to one XMPP user, one for each of his endpoints. One more ends the
/// one that would end first.
pub const ENDPOINTS_PER_WATCHER: usize = 16;
/// XMPP users that one endpoint of a Lync user may watch at once: as many subscriptions as his own
/// server lets him have (`MaxSubscriptions`). All his endpoints together may watch
/// [`ENDPOINTS_PER_WATCHER`] times as many.
pub const SUBSCRIPTIONS_PER_ENDPOINT: usize = 200;
/// Least time between two words of one shard about it.
pub const LIMIT_TOLD: Duration = Duration::from_secs(60);
/// Relations whose dialogs a shard ends at a time when the gateway goes away for good: what 16 shards
/// send then, also to watchers with two devices, is less than the queue of one peer takes.
pub const LEAVE_STEP: usize = 500;
/// Questions of one SIP user for the state of one XMPP user that wait for the answer to a probe.
pub const FETCHES_PER_WATCHER: usize = 4;
/// Time for which such a question waits (RFC 8048 section 7.2 lets the gateway ask first).
pub const FETCH_WAITS: Duration = Duration::from_secs(1);
/// Time in which changes of presence gather before a watcher is told: devices of one user come in
/// one burst, and an approval has presence behind it.
pub const NOTIFY_GATHERS: Duration = Duration::from_millis(250);
/// Least time between two NOTIFYs about changes (RFC 3856 section 6.10).
pub const NOTIFY_INTERVAL: Duration = Duration::from_secs(5);
/// Pause before a NOTIFY that was refused for now is sent again, once.
pub const NOTIFY_AGAIN: Duration = Duration::from_secs(30);
/// Longest such pause that a peer may ask for.
pub const NOTIFY_AGAIN_LAST: Duration = Duration::from_secs(3_600);
/// Time for the answer to a probe from its hand-over: silence then means offline, and a refusal before
/// it answers the probe.
pub const PROBE_ANSWER_TIME: Duration = Duration::from_secs(5);
/// An approval that comes so soon was given by the server, since it was given before.
pub const GRANTED_BY_HAND: Duration = Duration::from_secs(10);
/// Time in which presence follows an approval.
pub const PRESENCE_FOLLOWS: Duration = Duration::from_secs(2);
/// Time after which an approval is asked for again when a watcher comes back.
pub const GRANT_CONFIRMED: Duration = Duration::from_secs(24 * 3_600);
/// Least time between two requests to one XMPP user: servers store one only (RFC 6121 section 3.1.3).
pub const ASK_SPACING: Duration = Duration::from_secs(600);
/// First pause before a request or probe that the XMPP side could not take is sent again; doubled.
pub const ASK_AGAIN_FIRST: Duration = Duration::from_secs(60);
/// Last such pause.
pub const ASK_AGAIN_LAST: Duration = Duration::from_secs(3_600);
/// Time after which the SIP user is told that it is no use for now.
pub const ASK_GIVES_UP: Duration = Duration::from_secs(24 * 3_600);
/// Seconds after which he may try again.
pub const RETRY_AFTER_GIVE_UP: u32 = 3_600;
/// Time for which an XMPP user who said no to a SIP user is not asked again by himself.
pub const DENY_HOLD: Duration = Duration::from_secs(24 * 3_600);
/// Time after which a subscription that only looks at an XMPP user asks him.
pub const ASK_AFTER: Duration = Duration::from_secs(60);
/// Age at which presence may be out of date.
pub const PRESENCE_STALE: Duration = Duration::from_secs(3_600);
/// Time without a link to a peer after which its users are shown as offline.
pub const STALE_GRACE: Duration = Duration::from_secs(90);
/// Time for refreshes from when a peer can be reached again.
pub const REFRESH_AFTER_RETURN: Duration = Duration::from_secs(60);
/// Contacts and watchers of one XMPP user together: more than people have, and few enough to look
/// at all of them at once.
pub const CONTACTS_AND_WATCHERS: usize = 150;
/// Time that a NOTIFY or a request to an XMPP user may wait for its peer.
pub const PRESENCE_WAITS: Duration = Duration::from_secs(60);
/// Time that NOTIFY and SUBSCRIBE may wait for a Microsoft peer: at [`MICROSOFT_CAP`] a restart has
/// 2,500 of them behind each other for 170 seconds, and for twice that with what else goes out.
pub const CAPPED_WAITS: Duration = Duration::from_secs(360);
/// New subscriptions whose records may be on their way to the disk at one time, per shard; of an
/// older one the answer waits until it can be stored.
pub const ADMISSIONS: usize = 4_096;
/// Silence after which a conversation of the Microsoft profile is ended: clients end theirs after 10
/// to 15 minutes.
pub const IDLE_BYE: Duration = Duration::from_secs(20 * 60);
/// Time for which a call to a SIP user rings: an untouched toast of Lync opens after 30 seconds, and
/// an endpoint may hold its answer back for 10 more.
pub const RING_TIME: Duration = Duration::from_secs(90);
/// Time for which the text inside an INVITE waits for the MESSAGE that may repeat it.
pub const EMBEDDED_WAITS: Duration = Duration::from_secs(4);
/// Time within which the first MESSAGE of a dialog may be a repetition of the text inside its INVITE.
pub const EMBEDDED_REPEATS: Duration = Duration::from_secs(60);
/// Silence after which a conversation with a generic peer is ended (RFC 7573 section 6.1).
pub const SESSION_IDLE: Duration = Duration::from_secs(10 * 60);
/// INVITE dialogs of one shard: as many as conversations are remembered.
pub const SESSIONS: usize = 8_192;
/// Least time between two words about typing by INFO: each counts against what a Lync edge takes.
pub const KEYBOARD_SPACING: Duration = Duration::from_secs(5);
/// Time after which typing by INFO is told again while it lasts, so that it does not lapse there.
pub const KEYBOARD_REFRESH: Duration = Duration::from_secs(20);
/// Typing by INFO lapses after this time without another word.
pub const KEYBOARD_LAPSE: Duration = Duration::from_secs(30);
