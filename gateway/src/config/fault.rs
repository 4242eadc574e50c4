//! Stable names of what can be wrong with a configuration.

use crate::names::names;

names! {
    /// Every defect; docs/reference/errors.md has a line for each.
    pub enum Fault {
        /// A value cannot be used.
        BadValue = "config-bad-value",
        /// An address or HOST:PORT cannot be read.
        BadAddress = "config-bad-address",
        /// A domain name cannot be used.
        BadDomain = "config-bad-domain",
        /// A duration cannot be read or is out of range.
        BadDuration = "config-bad-duration",
        /// A certificate names no revocation list that an edge could fetch.
        CertificateWithoutCrl = "config-certificate-without-crl",
        /// A name is written with capitals.
        Capitals = "config-capitals",
        /// A domain of one side contains a domain of the other.
        DomainInside = "config-domain-inside",
        /// A domain is on both sides.
        DomainOnBothSides = "config-domain-on-both-sides",
        /// A domain belongs to two peers, or twice to one.
        DuplicateDomain = "config-duplicate-domain",
        /// A name or address is used twice.
        Duplicate = "config-duplicate",
        /// An engine of TLS that was left out when the program was built.
        EngineMissing = "config-engine-missing",
        /// A file cannot be read.
        FileUnreadable = "config-file-unreadable",
        /// No certificate of ours names the host that peers are told.
        HostNotInCertificate = "config-host-not-in-certificate",
        /// Our host does not lie in the domain that it stands for.
        HostOutside = "config-host-outside",
        /// Peers cannot reach us under the host that they are told.
        HostUnreachable = "config-host-unreachable",
        /// The metrics port is open to others.
        HttpNotLoopback = "config-http-not-loopback",
        /// A key file may be read by others.
        KeyExposed = "config-key-exposed",
        /// A peer gets TLS below 1.2.
        LegacyTls = "config-legacy-tls",
        /// A setting that has no default is missing.
        MissingKey = "config-missing-key",
        /// There is no certificate of ours.
        NoIdentity = "config-no-identity",
        /// There is nobody to talk to.
        NoPeers = "config-no-peers",
        /// A side has no peers.
        SideWithoutPeers = "config-side-without-peers",
        /// No way to a peer is known.
        NoRoute = "config-no-route",
        /// Policy lets nobody through.
        NobodyAllowed = "config-nobody-allowed",
        /// A rule speaks of a domain that no peer has.
        RuleWithoutPeer = "config-rule-without-peer",
        /// The file is not TOML.
        Syntax = "config-syntax",
        /// A change that is not taken up while the daemon runs.
        TakesARestart = "config-takes-a-restart",
        /// Two settings of TLS exclude each other.
        TlsContradiction = "config-tls-contradiction",
        /// The schema has no such setting.
        UnknownKey = "config-unknown-key",
        /// A setting of the Microsoft profile for another peer.
        WrongProfile = "config-wrong-profile",
        /// A setting of the other side.
        WrongSide = "config-wrong-side",
        /// A value has the wrong type.
        WrongType = "config-wrong-type",
    }
}
