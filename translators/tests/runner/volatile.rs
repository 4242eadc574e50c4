//! Names of `volatile`: what a vector wants ignored.

/// The known and the unknown names of one vector.
#[derive(Debug, Default)]
pub(crate) struct Volatile {
    known: Vec<String>,
    pub(crate) unknown: Vec<String>,
}

impl Volatile {
    pub(crate) fn new(names: &[String]) -> Self {
        let (known, unknown) = names.iter().cloned().partition(|name| is_known(name));
        Self { known, unknown }
    }

    /// Whether a whole thing is ignored.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.known
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether a part of a thing is ignored.
    pub(crate) fn part(&self, whole: &str, part: &str) -> bool {
        self.is(&format!("{whole}.{part}"))
    }

    /// Whether white space between elements is ignored.
    pub(crate) fn whitespace(&self) -> bool {
        self.known
            .iter()
            .any(|name| name.starts_with("whitespace "))
    }

    /// The status codes that stand for each other: "status 200 or 202".
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let lists = self
            .known
            .iter()
            .filter_map(|name| name.strip_prefix("status "));
        lists
            .flat_map(|list| list.split(" or "))
            .filter_map(|code| code.parse().ok())
            .collect()
    }
}

fn is_known(name: &str) -> bool {
    if let Some((whole, part)) = name.split_once('.') {
        return match whole {
            "message" => matches!(part, "id" | "type" | "nick" | "delay" | "from.resource"),
            "presence" => matches!(part, "status" | "delay" | "from.resource"),
            "tuple" => matches!(part, "id" | "contact"),
            "error" => part == "text",
            "body" => part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "CPIM" => part.split('.').all(is_token),
            "MSRP" => matches!(part, "Message-ID" | "transaction-id"),
            header => is_header(header) && PARTS.contains(&part),
        };
    }
    let codes = |list: &str| list.split(" or ").all(|code| code.parse::<u16>().is_ok());
    matches!(name, "body" | "body text" | "tuple order" | "user order")
        || name.starts_with("whitespace ")
        || name.strip_prefix("status ").is_some_and(codes)
        || is_header(name)
}

fn is_header(name: &str) -> bool {
    HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name))
        || ["P-", "X-", "ms-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            && is_token(name)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

const PARTS: [&str; 9] = [
    "agent",
    "charset",
    "display",
    "expires",
    "method",
    "number",
    "reason",
    "retry-after",
    "tag",
];

const HEADERS: [&str; 50] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Authorization",
    "Call-ID",
    "Call-Info",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "CSeq",
    "Date",
    "Error-Info",
    "Event",
    "Expires",
    "From",
    "Identity",
    "In-Reply-To",
    "Max-Forwards",
    "MIME-Version",
    "Min-Expires",
    "Organization",
    "Priority",
    "Proxy-Authenticate",
    "Proxy-Require",
    "Reason",
    "Record-Route",
    "Refer-To",
    "Referred-By",
    "Reply-To",
    "Require",
    "Retry-After",
    "Route",
    "Server",
    "SIP-ETag",
    "SIP-If-Match",
    "Subject",
    "Subscription-State",
    "Supported",
    "To",
    "Unsupported",
    "User-Agent",
    "Via",
    "Warning",
    "WWW-Authenticate",
];
