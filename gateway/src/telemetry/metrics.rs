//! Counters, gauges and histograms in Prometheus form.

use metrics::Label;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::names::names;

/// Bounds in seconds: a message takes milliseconds, a slow far side up to a minute.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 8.0, 30.0, 60.0,
];
/// Bounds of records in one commit.
const RECORDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// The metrics that are histograms, with their bounds.
const HISTOGRAMS: [(Metric, &[f64]); 3] = [
    (Metric::ImSeconds, SECONDS),
    (Metric::StoreCommitRecords, RECORDS),
    (Metric::StoreCommitSeconds, SECONDS),
];

names! {
    /// Every metric; docs/reference/metrics.md has a line for each.
    pub enum Metric {
        /// Changes of decisions on pairs and users, by verdict.
        AclChanges = "isthmus_acl_changes_total",
        /// Decisions on pairs and users.
        AclDecisions = "isthmus_acl_decisions",
        /// Alarms that are raised, by alarm.
        Alarms = "isthmus_alarms",
        /// Verdicts on the identity of peers, by side, direction and result.
        Auth = "isthmus_auth_total",
        /// Always 1; version in its label.
        BuildInfo = "isthmus_build_info",
        /// Seconds until a certificate of ours expires, by side and certificate.
        CertificateExpiry = "isthmus_certificate_expiry_seconds",
        /// Reloads of the configuration, by result.
        ConfigReloads = "isthmus_config_reloads_total",
        /// Presence documents that could not be read, by peer.
        DocumentsUnreadable = "isthmus_documents_unreadable_total",
        /// Granted authorizations that their SIP peer refuses for good, by peer.
        GrantsRefused = "isthmus_grants_refused_total",
        /// Messages accepted, by direction.
        ImAccepted = "isthmus_im_accepted_total",
        /// Messages whose sender got an error, by direction and condition.
        ImBounced = "isthmus_im_bounced_total",
        /// Messages delivered, by direction.
        ImDelivered = "isthmus_im_delivered_total",
        /// Messages dropped on purpose, by direction and reason.
        ImDropped = "isthmus_im_dropped_total",
        /// Errors that came after the answer was given.
        ImLateErrors = "isthmus_im_late_errors_total",
        /// Time from a message's arrival to its fate, by direction.
        ImSeconds = "isthmus_im_seconds",
        /// Limits that stopped something, by limit.
        LimitHits = "isthmus_limit_hits_total",
        /// Attempts to connect, by peer, side and result: `up`, or the step that failed.
        LinkAttempts = "isthmus_link_attempts_total",
        /// Live links, by peer, side and direction.
        Links = "isthmus_links",
        /// Connections that became no link, by side, direction and reason.
        LinksRefused = "isthmus_links_refused_total",
        /// Log lines lost because nobody read them fast enough.
        LogLinesLost = "isthmus_log_lines_lost_total",
        /// Input that could not be read, by side.
        ParserRejects = "isthmus_parser_rejects_total",
        /// Presence stanzas dropped, by peer.
        PresenceDropped = "isthmus_presence_dropped_total",
        /// What waits for a peer or is sent and not confirmed, by peer and kind.
        QueueDepth = "isthmus_queue_depth",
        /// Records of relations that cannot be read, by role.
        RecordsDamaged = "isthmus_records_damaged_total",
        /// Inputs refused before they reached a conversation, by side and condition.
        Refused = "isthmus_refused_total",
        /// Whether the peer answers barriers (1) or not (0), by peer.
        ReturnPath = "isthmus_return_path_up",
        /// What went out, by side and class.
        Sent = "isthmus_sent_total",
        /// Reasons that Microsoft peers gave for a refusal, by peer and number.
        SipDiagnostics = "isthmus_sip_diagnostics_total",
        /// SIP requests that came in, by method.
        SipRequests = "isthmus_sip_requests_total",
        /// SIP responses that came in, by class of their status.
        SipResponses = "isthmus_sip_responses_total",
        /// Stanzas that came in, by kind.
        Stanzas = "isthmus_stanzas_total",
        /// Time of one commit of the journal.
        StoreCommitSeconds = "isthmus_store_commit_seconds",
        /// Records in one commit of the journal.
        StoreCommitRecords = "isthmus_store_commit_records",
        /// Rows written to the journal, by table.
        StoreRows = "isthmus_store_rows_total",
        /// Responses that nothing waits for, by peer.
        StrayResponses = "isthmus_stray_responses_total",
        /// Subscriptions that a peer refused for a fault of configuration, by peer.
        SubscribeFaults = "isthmus_subscribe_faults_total",
        /// Subscriptions, by role and state.
        Subscriptions = "isthmus_subscriptions",
        /// TLS handshakes that led to a link, by side, direction and version.
        TlsHandshakes = "isthmus_tls_handshakes_total",
    }
}

/// Names and values of labels.
type Labels<'a> = &'a [(&'static str, &'a str)];

fn owned(labels: Labels<'_>) -> Vec<Label> {
    let pairs = labels.iter();
    pairs
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect()
}

impl Metric {
    /// Counts one.
    pub fn count(self, labels: Labels<'_>) {
        metrics::counter!(self.as_str(), owned(labels)).increment(1);
    }

    /// Counts several.
    pub fn add(self, many: u64, labels: Labels<'_>) {
        metrics::counter!(self.as_str(), owned(labels)).increment(many);
    }

    /// Sets a gauge.
    pub fn set(self, value: f64, labels: Labels<'_>) {
        metrics::gauge!(self.as_str(), owned(labels)).set(value);
    }

    /// Moves a gauge.
    pub fn shift(self, by: f64, labels: Labels<'_>) {
        metrics::gauge!(self.as_str(), owned(labels)).increment(by);
    }

    /// Notes one measurement of a histogram.
    pub fn observe(self, value: f64, labels: Labels<'_>) {
        metrics::histogram!(self.as_str(), owned(labels)).record(value);
    }

    /// The bounds, if it is a histogram.
    fn buckets(self) -> Option<&'static [f64]> {
        let row = HISTOGRAMS.iter().find(|(metric, _)| *metric == self)?;
        Some(row.1)
    }

    /// Tells the recorder what the metric is.
    fn describe(self) {
        let (name, meaning) = (self.as_str(), self.meaning());
        if name.ends_with("_total") {
            metrics::describe_counter!(name, meaning);
        } else if self.buckets().is_some() {
            metrics::describe_histogram!(name, meaning);
        } else {
            metrics::describe_gauge!(name, meaning);
        }
    }
}

/// Why metrics cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// A histogram has no bounds.
    #[error("a histogram has no bounds")]
    Bounds(#[from] BuildError),
    /// The process records metrics already.
    #[error("the process records metrics already")]
    Installed,
}

/// Starts to record; the handle writes out what was recorded.
pub fn install() -> Result<PrometheusHandle, Unavailable> {
    let mut builder = PrometheusBuilder::new();
    for (metric, bounds) in HISTOGRAMS {
        let name = Matcher::Full(metric.as_str().to_owned());
        builder = builder.set_buckets_for_metric(name, bounds)?;
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| Unavailable::Installed)?;
    for metric in Metric::ALL {
        metric.describe();
    }
    Metric::BuildInfo.set(1.0, &[("version", env!("CARGO_PKG_VERSION"))]);
    Ok(handle)
}
