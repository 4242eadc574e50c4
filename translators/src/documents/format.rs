//! The formats of presence documents, and how one is chosen.

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::documents::mime::ContentType;
use crate::documents::{categories, msrtc, pidf, xpidf};
use crate::model::Microsoft;
use crate::model::microsoft::Documents;

/// The formats of presence documents that are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `application/msrtc-event-categories+xml` ([MS-PRES] section 2.2.2.2): the native format of
    /// Office Communications Server 2007 and later. Only in it an update may be partial.
    Categories,
    /// `text/xml+msrtc.pidf` ([MS-SIP] section 2.2.1): numbers, notes and states of Live
    /// Communications Server, which all later servers speak with other organisations.
    Msrtc,
    /// PIDF (RFC 3863) with RPID.
    Pidf,
    /// XPIDF, a draft before PIDF, with Microsoft's extension: the least that can be said.
    Xpidf,
}

impl Format {
    /// What generic peers are asked for and written.
    pub const GENERIC: &'static [Self] = &[Self::Pidf];

    /// Every format in the order of preference towards Microsoft peers: what tells more stands
    /// first, but what has to be asked for in a way of its own stands behind.
    pub const ALL: &'static [Self] = &[Self::Msrtc, Self::Pidf, Self::Categories, Self::Xpidf];

    /// Every format where the operator prefers PIDF.
    const PIDF_FIRST: &'static [Self] = &[Self::Pidf, Self::Msrtc, Self::Categories, Self::Xpidf];

    /// The formats that a watcher of a peer with these switches may be written, the preferred one
    /// first; `None` stands for a generic peer.
    pub const fn preferred(microsoft: Option<&Microsoft>) -> &'static [Self] {
        match microsoft {
            None => Self::GENERIC,
            Some(switches) => match switches.documents {
                Documents::Msrtc => Self::ALL,
                Documents::Pidf => Self::PIDF_FIRST,
            },
        }
    }

    /// The value of Accept in our SUBSCRIBE to a peer with these switches; `None` stands for a
    /// generic peer. A Microsoft server chooses by an order of its own, in which PIDF is the last,
    /// so where PIDF is preferred nothing else is offered.
    pub const fn accept(microsoft: Option<&Microsoft>) -> &'static str {
        match microsoft {
            None => pidf::CONTENT_TYPE,
            Some(switches) => match switches.documents {
                Documents::Msrtc => "text/xml+msrtc.pidf, application/pidf+xml",
                Documents::Pidf => pidf::CONTENT_TYPE,
            },
        }
    }

    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Categories => categories::CONTENT_TYPE,
            Self::Msrtc => msrtc::CONTENT_TYPE,
            Self::Pidf => pidf::CONTENT_TYPE,
            Self::Xpidf => xpidf::CONTENT_TYPE,
        }
    }

    /// The format of a value of Content-Type.
    pub fn of(content_type: &str) -> Option<Self> {
        Self::of_essence(&ContentType::parse(content_type)?.essence)
    }

    /// Whether a body of this type may say no more than what has changed: categories, by themselves
    /// or as a part.
    pub fn may_be_partial(content_type: &str) -> bool {
        let kind = ContentType::parse(content_type);
        kind.is_some_and(|kind| {
            kind.essence == categories::CONTENT_TYPE || kind.essence.starts_with("multipart/")
        })
    }

    /// The format of a content type without parameters, in lower case.
    pub fn of_essence(essence: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|format| format.content_type() == essence)
    }

    /// The format that a document is in by its root.
    pub fn of_root(root: &Element) -> Option<Self> {
        match root.name() {
            "categories" => Some(Self::Categories),
            "presence" if root.is("presence", pidf::NS) => Some(Self::Pidf),
            "presence" => {
                let mut children = root.children().map(Element::name);
                let known = children.any(|name| matches!(name, "atom" | "presentity"));
                known.then_some(Self::Xpidf)
            }
            "presentity" => Some(Self::Msrtc),
            _ => None,
        }
    }

    /// The first of `preference` that an Accept header lets through; PIDF where there is no header
    /// (RFC 3856 section 6.7). None means 406.
    pub fn choose(accept: Option<&str>, preference: &[Self]) -> Option<Self> {
        let Some(accept) = accept else {
            return preference.iter().copied().find(|it| *it == Self::Pidf);
        };
        let ranges: Vec<ContentType> = accept.split(',').filter_map(ContentType::parse).collect();
        let taken = |format: &Self| {
            let range = |pattern: &str| ranges.iter().find(|range| range.essence == pattern);
            let kind = format.content_type();
            let (group, _) = kind.split_once('/').unwrap_or((kind, ""));
            let found = range(kind).or_else(|| range(&format!("{group}/*")));
            found.or_else(|| range("*/*")).is_some_and(is_wanted)
        };
        preference.iter().copied().find(taken)
    }

    /// Whether an Accept header offers categories and nothing else that is read here, so that they
    /// have to be asked for by a body ([`super::adrl`]).
    pub fn is_only_categories(accept: Option<&str>) -> bool {
        Self::choose(accept, Self::ALL) == Some(Self::Categories)
    }
}

/// Whether a media range has a quality above zero.
fn is_wanted(range: &ContentType) -> bool {
    let quality = range.parameter("q").unwrap_or("1");
    quality.contains(|c: char| matches!(c, '1'..='9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Office Communications Server 2007 offers.
    const OCS: &str = "application/msrtc-event-categories+xml, application/xpidf+xml, \
        text/xml+msrtc.pidf, application/pidf+xml, application/rlmi+xml, multipart/related";

    #[test]
    fn a_generic_peer_is_written_pidf_only() {
        let choose = |accept| Format::choose(accept, Format::preferred(None));
        for accept in [
            "application/pidf+xml",
            "text/plain, Application/PIDF+XML;q=0.3",
            "application/*",
            "*/*;q=0.1",
            "application/pidf+xml, */*;q=0",
            OCS,
        ] {
            assert_eq!(choose(Some(accept)), Some(Format::Pidf), "{accept}");
        }
        for accept in [
            "",
            "text/plain",
            "application/xpidf+xml",
            "text/*",
            "application/pidf+xml;q=0.0, */*",
            "application/*;q=0, */*",
        ] {
            assert_eq!(choose(Some(accept)), None, "{accept}");
        }
        assert_eq!(choose(None), Some(Format::Pidf));
        assert_eq!(Format::choose(None, &[]), None);
        assert_eq!(Format::accept(None), "application/pidf+xml");
    }

    #[test]
    fn a_microsoft_peer_is_written_what_tells_most() {
        let msrtc = Microsoft::default();
        let pidf = Microsoft {
            documents: Documents::Pidf,
            ..msrtc
        };
        let rows = [
            (OCS, Some(Format::Msrtc), Some(Format::Pidf)),
            (
                "application/xpidf+xml, text/xml+msrtc.pidf, application/pidf+xml",
                Some(Format::Msrtc),
                Some(Format::Pidf),
            ),
            (
                "application/msrtc-event-categories+xml, application/pidf+xml",
                Some(Format::Pidf),
                Some(Format::Pidf),
            ),
            (
                "application/msrtc-event-categories+xml,application/rlmi+xml,multipart/related",
                Some(Format::Categories),
                Some(Format::Categories),
            ),
            (
                "application/xpidf+xml, application/msrtc-event-categories+xml",
                Some(Format::Categories),
                Some(Format::Categories),
            ),
            (
                "application/xpidf+xml",
                Some(Format::Xpidf),
                Some(Format::Xpidf),
            ),
            (
                "Text/XML+MSRTC.PIDF;q=0.1, */*",
                Some(Format::Msrtc),
                Some(Format::Pidf),
            ),
            ("text/xml+msrtc.pidf;q=0, text/*", None, None),
            ("application/rlmi+xml", None, None),
        ];
        for (accept, by_default, with_pidf) in rows {
            let choose = |switches| Format::choose(Some(accept), Format::preferred(Some(switches)));
            assert_eq!(choose(&msrtc), by_default, "{accept}");
            assert_eq!(choose(&pidf), with_pidf, "{accept}");
        }
        let choose = |switches| Format::choose(None, Format::preferred(Some(switches)));
        assert_eq!([choose(&msrtc), choose(&pidf)], [Some(Format::Pidf); 2]);
        let accepts = [&msrtc, &pidf].map(|it| Format::accept(Some(it)));
        assert_eq!(
            accepts,
            [
                "text/xml+msrtc.pidf, application/pidf+xml",
                "application/pidf+xml"
            ]
        );
    }

    #[test]
    fn categories_alone_have_to_be_asked_for() {
        let only = |accept| Format::is_only_categories(Some(accept));
        assert!(only(
            "application/msrtc-event-categories+xml, application/rlmi+xml"
        ));
        assert!(!only(OCS) && !only("") && !only("application/xpidf+xml"));
        assert!(!Format::is_only_categories(None));
    }

    #[test]
    fn a_format_is_known_by_its_type_and_its_name() {
        for format in Format::ALL {
            let kind = format!("{};charset=utf-8", format.content_type().to_uppercase());
            assert_eq!(Format::of(&kind), Some(*format));
            let name = serde_json::to_string(format).unwrap();
            assert_eq!(serde_json::from_str::<Format>(&name).unwrap(), *format);
        }
        assert_eq!(serde_json::to_string(&Format::Pidf).unwrap(), "\"pidf\"");
        assert_eq!(Format::of("text/xml"), None);
        for (kind, partial) in [
            ("application/msrtc-event-categories+xml;charset=utf-8", true),
            ("Multipart/related;boundary=b", true),
            ("text/xml+msrtc.pidf", false),
            ("", false),
        ] {
            assert_eq!(Format::may_be_partial(kind), partial, "{kind}");
        }
        for (document, format) in [
            (
                "<presence xmlns='urn:ietf:params:xml:ns:pidf'/>",
                Some(Format::Pidf),
            ),
            (
                "<presence><presentity uri='sip:a@b'/></presence>",
                Some(Format::Xpidf),
            ),
            ("<presence><show>away</show></presence>", None),
            ("<presentity xmlns='urn:x'/>", Some(Format::Msrtc)),
            ("<categories/>", Some(Format::Categories)),
            ("<batchSub/>", None),
        ] {
            let root = crate::documents::xml::read(document.as_bytes()).unwrap();
            assert_eq!(Format::of_root(&root), format, "{document}");
        }
        assert_eq!(Format::of("odd"), None);
    }
}
