//! The names of events in the log.

use crate::names::names;

names! {
    /// The field `what` of every log line; docs/reference/events.md has a line for each.
    pub enum What {
        /// A listener could not take a connection, mostly because too many files are open.
        AcceptFailed = "accept_failed",
        /// The operator decided on a pair or a user.
        AclChanged = "acl_changed",
        /// An address of a SIP peer answers 503.
        AddressRefuses = "address_refuses",
        /// An operator changes something through the admin socket.
        AdminCommand = "admin_command",
        /// An alarm was cleared.
        AlarmCleared = "alarm_cleared",
        /// An alarm was raised.
        AlarmRaised = "alarm_raised",
        /// A peer could not prove who it is.
        AuthFailed = "auth_failed",
        /// A peer tried dialback: it failed SASL EXTERNAL.
        DialbackRefused = "dialback_refused",
        /// The document of a peer could not be read; the last state is kept.
        DocumentUnreadable = "document_unreadable",
        /// The daemon stops accepting and finishes what it has.
        Draining = "draining",
        /// A SIP peer refuses for good what it had granted.
        GrantRefused = "grant_refused",
        /// A message was accepted.
        ImAccepted = "im_accepted",
        /// An error came after the sender was told that all is well.
        ImLateError = "im_late_error",
        /// The fate of a message is known.
        ImSettled = "im_settled",
        /// Something that is no message was dropped on purpose.
        InputDropped = "input_dropped",
        /// A peer sent what cannot be read.
        InputMalformed = "input_malformed",
        /// Something was refused before it reached a conversation.
        InputRefused = "input_refused",
        /// The journal of the last run was read.
        JournalReplayed = "journal_replayed",
        /// A limit stopped something.
        LimitHit = "limit_hit",
        /// An attempt to connect to a peer failed.
        LinkAttemptFailed = "link_attempt_failed",
        /// A link ended.
        LinkDown = "link_down",
        /// A connection was refused before it was known whose it is.
        LinkRefused = "link_refused",
        /// A link is established and its peer is proven.
        LinkUp = "link_up",
        /// A listener takes connections.
        Listening = "listening",
        /// A defect of the daemon showed itself.
        OurFault = "our_fault",
        /// The configuration in use has a weakness.
        ConfigFinding = "config_finding",
        /// No link to a peer can be made.
        PeerDown = "peer_down",
        /// A Microsoft peer says why it refuses.
        PeerDiagnosed = "peer_diagnosed",
        /// A SIP peer refuses a large part of what it granted, and is not believed.
        PeerRefusesGrants = "peer_refuses_grants",
        /// An operator lets a peer be believed again.
        PeerReleased = "peer_released",
        /// A link to the peer could be made again.
        PeerUp = "peer_up",
        /// A presence stanza came and was dropped.
        PresenceDropped = "presence_dropped",
        /// Everything is started.
        Ready = "ready",
        /// The record of a relation cannot be read.
        RecordDamaged = "record_damaged",
        /// A new configuration was refused; the old one stays.
        ReloadRejected = "reload_rejected",
        /// A new configuration is in use.
        Reloaded = "reloaded",
        /// A name could not be resolved.
        ResolveFailed = "resolve_failed",
        /// The peer hears us and its answers do not reach us.
        ReturnPathDown = "return_path_down",
        /// The peer answers barriers again.
        ReturnPathUp = "return_path_up",
        /// A peer sent something in a name that it has not proven.
        SenderSpoofed = "sender_spoofed",
        /// The daemon starts.
        Starting = "starting",
        /// The daemon has ended.
        Stopped = "stopped",
        /// The journal could not be written.
        StoreFailed = "store_failed",
        /// The journal takes records again.
        StoreRecovered = "store_recovered",
        /// A response came that nothing waits for.
        StrayResponse = "stray_response",
        /// A stream ended with a stream error.
        StreamError = "stream_error",
        /// A peer refuses subscriptions for a fault of configuration.
        SubscribeFault = "subscribe_fault",
    }
}
