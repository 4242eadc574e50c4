//! Route sets, octet by octet.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::sip::cursor::{Cursor, unfold};
use crate::sip::name_addr::RawAddr;
use crate::sip::{Defect, Head, HeaderName, Malformed, NameAddr};
use crate::text::Line;

/// Stands between routes; no route holds it.
const BETWEEN: char = '\n';

/// The proxies of a dialog, first one first, exactly as Record-Route named them: Lync signs its
/// routes and takes nothing back that was changed. Equal sets that went through one
/// [`RoutePool`] are kept once.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct RouteSet(Option<Arc<String>>);

impl RouteSet {
    /// The route set that a request makes at its receiver: Record-Route in order (RFC 3261 section
    /// 12.1.1).
    pub fn of_request(head: &Head) -> Result<Self, Malformed> {
        Self::new(head, head.record_routes()?)
    }

    /// The route set that a response makes at its receiver: Record-Route in reverse order (RFC 3261
    /// section 12.1.2).
    pub fn of_response(head: &Head) -> Result<Self, Malformed> {
        let mut routes = head.record_routes()?;
        routes.reverse();
        Self::new(head, routes)
    }

    fn new(head: &Head, routes: Vec<&str>) -> Result<Self, Malformed> {
        let lines = routes.iter().map(|route| {
            // White space that folds a line cannot be signed.
            if route.contains(['\r', '\n']) {
                unfold(route)
            } else {
                (*route).to_owned()
            }
        });
        let lines: Vec<_> = lines.collect();
        let text = lines.join("\n");
        if lines.len() > limits::ROUTES || text.len() > limits::ROUTE_SET {
            let bad = Defect::Header(HeaderName::RecordRoute);
            return Err(Malformed::new(bad, head.bytes().len()));
        }
        Ok(text.into())
    }

    /// Whether requests go without Route.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The routes, first one first.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        let text = self.0.as_deref().map_or("", String::as_str);
        text.split(BETWEEN).filter(|route| !route.is_empty())
    }

    /// Request-URI and Route of a request to `target` (RFC 3261 section 12.2.1.1).
    pub(super) fn apply(&self, target: &str) -> (String, Vec<(HeaderName, Line)>) {
        let header = |route: &str| Some((HeaderName::Route, Line::parse(route)?));
        let first = self.routes().next();
        match first.and_then(|first| NameAddr::parse(first).ok()) {
            // "If the route set is not empty, and its first URI does not contain the lr
            // parameter, the UAC MUST place the first URI from the route set into the
            // Request-URI", and the remote target into Route as the last value.
            Some(strict) if strict.uri().param("lr").is_none() => {
                let last = format!("<{target}>");
                let rest = self.routes().skip(1).chain([last.as_str()]);
                let rest = rest.filter_map(header).collect();
                (strict.uri().without_headers().as_str().to_owned(), rest)
            }
            Some(_) | None => (
                target.to_owned(),
                self.routes().filter_map(header).collect(),
            ),
        }
    }
}

impl fmt::Debug for RouteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes()).finish()
    }
}

impl From<String> for RouteSet {
    fn from(text: String) -> Self {
        Self((!text.is_empty()).then(|| Arc::new(text)))
    }
}

impl From<RouteSet> for String {
    fn from(routes: RouteSet) -> Self {
        routes.0.map(Arc::unwrap_or_clone).unwrap_or_default()
    }
}

/// The route sets of one shard, each once.
#[derive(Debug, Default)]
pub struct RoutePool {
    known: BTreeSet<Arc<String>>,
    /// How many may be known before those that no dialog has are forgotten.
    sweep_at: usize,
}

impl RoutePool {
    /// Returns the one copy of these routes.
    pub fn share(&mut self, routes: &RouteSet) -> RouteSet {
        let Some(text) = &routes.0 else {
            return RouteSet::default();
        };
        if let Some(known) = self.known.get(text) {
            return RouteSet(Some(Arc::clone(known)));
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_at = self.known.len().saturating_mul(2).max(64);
        }
        self.known.insert(Arc::clone(text));
        routes.clone()
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl Head {
    /// Every value of Record-Route as it was written, in order.
    pub fn record_routes(&self) -> Result<Vec<&str>, Malformed> {
        let mut found = Vec::new();
        for header in self.all(HeaderName::RecordRoute) {
            let mut value = header.cursor();
            found.extend(header.raw.get(route(&mut value)?));
            while value.eat(b',') {
                found.extend(header.raw.get(route(&mut value)?));
            }
            value.end()?;
        }
        Ok(found)
    }
}

/// Reads one route and says where it stands in the value.
fn route(value: &mut Cursor<'_>) -> Result<Range<usize>, Malformed> {
    value.skip_space();
    let start = value.pos();
    match RawAddr::read(value)? {
        route if route.bracketed => Ok(start..value.pos()),
        _ => Err(value.error()),
    }
}
