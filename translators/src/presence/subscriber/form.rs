//! How a peer is asked: for how long, in which formats, and with what about the watcher.

use bytes::Bytes;

use crate::documents::adrl;
use crate::documents::presence::Format;
use crate::limits;
use crate::presence::subscriber::Outfit;
use crate::presence::subscriber::notify::seconds;
use crate::sip::piggyback::PIGGYBACK;
use crate::sip::subscription::Wish;
use crate::sip::{HeaderName, Response};
use crate::text::Line;

/// The form in which a presentity is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// By his `sip:` URI, for documents that say all at once.
    #[default]
    Usual,
    /// For categories, of a Microsoft peer that offers nothing else.
    Categories,
    /// By his `pres:` URI, since the peer does not take `sip:`.
    Pres,
}

impl Outfit<'_> {
    /// What a SUBSCRIBE asks for. `introduces` says that the presentity does not know of the watcher
    /// yet: with context in the body, a Microsoft server asks him whether he wants him as a contact.
    pub(super) fn wish(&self, expires: u32, form: Form, introduces: bool) -> Wish {
        let microsoft = self.microsoft;
        let usual = Format::accept(microsoft);
        let wish = match form {
            Form::Usual | Form::Pres => Wish::new(expires, usual),
            Form::Categories => {
                let categories = Format::Categories.content_type();
                Wish::new(expires, &format!("{categories}, {usual}"))
            }
        };
        let Some(microsoft) = microsoft.filter(|_| expires > 0) else {
            return wish;
        };
        let wish = if microsoft.piggyback {
            wish.supporting(PIGGYBACK)
        } else {
            wish
        };
        if introduces || form == Form::Categories {
            return wish.with(self.batch(introduces));
        }
        wish
    }

    fn batch(&self, context: bool) -> (Line, Bytes) {
        let (watcher, presentity) = (self.from.uri(), &self.to);
        let body = adrl::write(watcher.as_str(), presentity.as_str(), context);
        (Line::fold(adrl::CONTENT_TYPE), body)
    }

    /// Seconds that are usually asked for.
    pub(super) const fn usual_expires(&self) -> u32 {
        match self.microsoft {
            None => limits::SUBSCRIPTION_SECONDS,
            Some(_) => limits::SUBSCRIPTION_SECONDS_MICROSOFT,
        }
    }
}

/// Whether a refusal says that a peer has nothing but categories.
pub(super) fn has_only_categories(refusal: &Response) -> bool {
    let accept: Vec<&str> = refusal.values(HeaderName::Accept).collect();
    let accept = (!accept.is_empty()).then(|| accept.join(", "));
    refusal.status() == 406 && Format::is_only_categories(accept.as_deref())
}

/// The seconds for which an answer grants a subscription: "MAY be shorter", never longer than asked
/// for. Some peers say it in Subscription-State alone.
pub(super) fn granted_of(response: &Response, asked: u32) -> u32 {
    let state = response.subscription_state().ok();
    let granted = response.expires().ok().flatten();
    let granted = granted.or_else(|| state?.expires);
    granted.unwrap_or(asked).min(asked)
}

/// The longest time after which a lost dialog is asked for anew: what was lost together does not come
/// back in one moment.
pub(super) const JITTER: std::time::Duration = seconds(5);
