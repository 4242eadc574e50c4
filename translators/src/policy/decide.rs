//! The levels put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Domain, Pair};
use crate::policy::{
    Acl, Admitted, Decision, Denied, Disclosure, Federation, Level, Ruling, Subject, Verdict,
};

/// What the configuration decides where nothing is decided on a pair or its users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    system: Verdict,
    /// By XMPP and SIP domain; none stands for any domain of that side, but never on both.
    domains: BTreeMap<(Option<Domain>, Option<Domain>), Verdict>,
}

impl Defaults {
    /// One verdict for everybody.
    pub const fn new(system: Verdict) -> Self {
        Self {
            system,
            domains: BTreeMap::new(),
        }
    }

    /// Decides on a pair of domains; none stands for any domain of that side. Nothing changes if
    /// both are missing, since that is the system's verdict, or if this pair of domains has one.
    #[must_use]
    pub fn with_domains(
        mut self,
        xmpp: Option<Domain>,
        sip: Option<Domain>,
        verdict: Verdict,
    ) -> Self {
        if xmpp.is_some() || sip.is_some() {
            self.domains.entry((xmpp, sip)).or_insert(verdict);
        }
        self
    }

    /// What holds for everybody.
    pub(super) const fn system(&self) -> Verdict {
        self.system
    }

    /// The decisions on the domains of a pair.
    pub(super) fn about(
        &self,
        pair: &Pair,
    ) -> impl Iterator<Item = (&Option<Domain>, &Option<Domain>, Verdict)> {
        let domains = (!self.domains.is_empty()).then(|| {
            let xmpp = Domain::parse(pair.jid.domain().as_str());
            (xmpp, pair.aor.domain())
        });
        let keys =
            domains.map(|(xmpp, sip)| [(xmpp.clone(), sip.clone()), (xmpp, None), (None, sip)]);
        keys.into_iter().flatten().filter_map(|key| {
            let ((xmpp, sip), verdict) = self.domains.get_key_value(&key)?;
            Some((xmpp, sip, *verdict))
        })
    }
}

/// Federation policy and the decisions below it. Copies are cheap.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    federation: Arc<Federation>,
    defaults: Arc<Defaults>,
    acl: Acl,
}

impl Policy {
    /// The policy of a configuration, without decisions on pairs and users.
    pub fn new(federation: Federation, defaults: Defaults) -> Self {
        Self {
            federation: Arc::new(federation),
            defaults: Arc::new(defaults),
            acl: Acl::default(),
        }
    }

    /// The same configuration with these decisions on pairs and users.
    #[must_use]
    pub fn with_acl(&self, acl: Acl) -> Self {
        Self {
            acl,
            ..self.clone()
        }
    }

    /// The same policy with one decision more.
    #[must_use]
    pub fn with(&self, subject: Subject, verdict: Verdict) -> Self {
        let mut acl = self.acl.clone();
        acl.set(subject, verdict);
        self.with_acl(acl)
    }

    /// The decisions on pairs and users.
    pub const fn acl(&self) -> &Acl {
        &self.acl
    }

    pub(super) fn federation(&self) -> &Federation {
        &self.federation
    }

    pub(super) fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Decides on a pair.
    pub fn decide(&self, pair: &Pair) -> Decision {
        let (verdict, level) = if self.federation.ruling(pair) == Ruling::Deny {
            (Verdict::Block, Level::Federation)
        } else if let Some(verdict) = self.acl.pair(pair) {
            (verdict, Level::Pair)
        } else if let Some(verdict) = self.acl.xmpp(&pair.jid).max(self.acl.sip(&pair.aor)) {
            (verdict, Level::User)
        } else if let Some(verdict) = self
            .defaults
            .about(pair)
            .map(|(_, _, verdict)| verdict)
            .max()
        {
            (verdict, Level::DomainPair)
        } else {
            (self.defaults.system(), Level::System)
        };
        Decision { verdict, level }
    }

    /// Lets `thing` of `pair` through, or says that the two may not exchange messages: nothing but
    /// allow lets any pass.
    pub fn admit<T>(&self, pair: Pair, thing: T) -> Result<Admitted<T>, Denied> {
        match self.refusal(&pair) {
            None => Ok(Admitted { pair, thing }),
            Some(denied) => Err(denied),
        }
    }

    /// Why the two may not exchange messages, if they may not.
    pub fn refusal(&self, pair: &Pair) -> Option<Denied> {
        let decision = self.decide(pair);
        (!decision.allows()).then_some(Denied(decision))
    }

    /// Says whether presence of one of the two may be shown to the other now: nothing but allow
    /// shows any. That he authorized it is asked elsewhere.
    pub fn may_see(&self, pair: &Pair) -> Result<Disclosure, Decision> {
        let decision = self.decide(pair);
        if decision.allows() {
            Ok(Disclosure { pair: pair.clone() })
        } else {
            Err(decision)
        }
    }
}
