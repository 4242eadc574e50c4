//! The steps of each release. They follow the reference pages of the cmdlets; a release before Lync
//! has console pages instead.

use std::collections::BTreeSet;

use serde::Serialize;
use translators::model::Domain;
use translators::sip::lies_in;

use crate::config::{Engine, SIPS, TlsTerms};
use crate::ctl::args::Release;

/// What the steps are filled in with.
#[derive(Debug)]
pub(super) struct Facts {
    /// The domains of the other side.
    pub(super) theirs: Vec<String>,
    /// Our domains and the host of each.
    pub(super) ours: Vec<(String, String)>,
    /// Where we listen.
    pub(super) port: u16,
    /// How the configuration speaks TLS with the peer.
    pub(super) tls: TlsTerms,
    /// Whether the configuration says where to connect.
    pub(super) has_route: bool,
    /// Whether the configuration gives the peer the Microsoft profile.
    pub(super) is_microsoft: bool,
}

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// In one line.
    pub(super) title: String,
    /// What to do, in this order.
    pub(super) lines: Vec<Line>,
}

/// A line of a step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// What it is about.
    Text(String),
    /// A command, record, setting or console page.
    Command(String),
}

impl Step {
    fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            lines: Vec::new(),
        }
    }

    fn says(mut self, text: impl Into<String>) -> Self {
        self.lines.push(Line::Text(text.into()));
        self
    }

    fn types(mut self, command: impl Into<String>) -> Self {
        self.lines.push(Line::Command(command.into()));
        self
    }

    fn types_all(mut self, commands: impl IntoIterator<Item = String>) -> Self {
        self.lines.extend(commands.into_iter().map(Line::Command));
        self
    }
}

/// Every step for a release, in the order to take them.
pub(super) fn steps(release: Release, facts: &Facts) -> Vec<Step> {
    let mut steps = vec![records(facts), trust(release, facts)];
    if release == Release::Ocs2007R2 {
        steps.extend([
            console_federation(),
            console_partner(facts),
            console_users(),
            console_certificate(),
        ]);
    } else {
        steps.extend([
            federation(),
            partner(release, facts),
            users(facts),
            certificate(facts),
        ]);
    }
    steps.push(gateway(release, facts));
    steps.push(test(release, facts));
    steps
}

/// DNS of both sides.
fn records(facts: &Facts) -> Step {
    let mut step = Step::new("DNS records of this gateway").says(
        "An edge that goes by DNS takes a host only if it lies exactly in the domain of the user.",
    );
    for (domain, host) in &facts.ours {
        let port = facts.port;
        step = step.types(format!(
            "_sipfederationtls._tcp.{domain}. 3600 IN SRV 0 0 {port} {host}."
        ));
        let inside = Domain::parse(host).zip(Domain::parse(domain));
        if !inside.is_some_and(|(host, domain)| lies_in(&host, &domain)) {
            step = step.says(format!(
                "{host} does not lie in {domain}: DNS alone will not do, the other side has to enter it as ProxyFqdn (below), or [sip] hosts names another."
            ));
        }
    }
    let hosts: BTreeSet<&String> = facts.ours.iter().map(|(_, host)| host).collect();
    step = step.types_all(
        hosts
            .into_iter()
            .map(|host| format!("{host}. 3600 IN A <address of this gateway>")),
    );
    step = step.says(format!(
        "Each Edge Server has to resolve them and to reach port {} here; this gateway has to reach port {SIPS} there.",
        facts.port
    ));
    if !facts.has_route {
        step = step
            .says("The gateway finds the edge by these records of the other side; [peer] route can say it instead.")
            .types_all(facts.theirs.iter().map(|domain| {
                format!("_sipfederationtls._tcp.{domain}. IN SRV ... (other side)")
            }));
    }
    step
}

/// Each side trusts the root of the other.
fn trust(release: Release, facts: &Facts) -> Step {
    let hosts: BTreeSet<&String> = facts.ours.iter().map(|(_, host)| host).collect();
    let hosts: Vec<&str> = hosts.into_iter().map(String::as_str).collect();
    let edge = if release == Release::Ocs2007R2 {
        "Access Edge Server"
    } else {
        "Edge Server"
    };
    Step::new("Trust in certificates")
        .says(format!(
            "Our certificate names {}. On each {edge}, as administrator, import the root above it (not the certificate itself):",
            hosts.join(", ")
        ))
        .types(r"certutil -addstore -f Root C:\isthmus-root.cer")
        .says("Intermediate CAs belong into the store CA: certutil -addstore -f CA FILE. The edge must reach the revocation list that our certificate names.")
        .says("In return, put the root above the external certificate of the edge into the file that ca of this peer names.")
}

fn federation() -> Step {
    Step::new("Federation switched on")
        .says("In the management shell. First look at what there is:")
        .types("Get-CsAccessEdgeConfiguration")
        .says("Where RoutingMethod is UseDnsSrvRouting. This gateway becomes a listed partner, so discovery may be on or off: write $true at the end where EnablePartnerDiscovery is True today, or partners that are only discovered are lost.")
        .types("Set-CsAccessEdgeConfiguration -AllowFederatedUsers $true -UseDnsSrvRouting -EnablePartnerDiscovery $false")
        .says("Where it is UseDefaultRouting, all that is not listed goes through another server, and that stays so:")
        .types("Set-CsAccessEdgeConfiguration -AllowFederatedUsers $true")
        .says("In the Topology Builder the Edge pool has federation enabled (port 5061), and the site has it as its federation route.")
}

/// Our domains as allowed domains with a fixed proxy: no records needed, no limit on messages.
fn partner(release: Release, facts: &Facts) -> Step {
    let verified = match release {
        Release::SfB2015 | Release::SfB2019 => " -VerificationLevel AlwaysVerifiable",
        Release::Ocs2007R2 | Release::Lync2010 | Release::Lync2013 => "",
    };
    let mut step = Step::new("This gateway as allowed partner")
        .says("With ProxyFqdn the edge asks no DNS and sets no limit of 20 messages a second.");
    if !verified.is_empty() {
        step = step.says("Without AlwaysVerifiable messages that carry no verification information are refused, and ours carry none.");
    }
    if facts.port != SIPS {
        step = step.says(format!(
            "ProxyFqdn takes no port: the edge dials {SIPS}, and this gateway listens on {}. Forward the port.",
            facts.port
        ));
    }
    step =
        step.says("A domain that is listed already is changed with Set-CsAllowedDomain instead.");
    step.types_all(facts.ours.iter().map(|(domain, host)| {
        format!("New-CsAllowedDomain -Identity \"{domain}\" -ProxyFqdn \"{host}\"{verified} -Comment \"XMPP, by isthmus\"")
    }))
    .says("None of them may stand on the other list:")
    .types("Get-CsBlockedDomain")
}

fn users(facts: &Facts) -> Step {
    let user = facts.theirs.first().map_or("", String::as_str);
    Step::new("Users who may")
        .says("The policy that is there from the start does not let anybody talk to federated partners. A policy of a site or a user goes before the global one:")
        .types("Get-CsExternalAccessPolicy")
        .says("For everybody:")
        .types("Set-CsExternalAccessPolicy -Identity Global -EnableFederationAccess $true")
        .says("Or for some, by a policy and its grant:")
        .types("New-CsExternalAccessPolicy -Identity \"Federation\" -EnableFederationAccess $true")
        .types(format!(
            "Grant-CsExternalAccessPolicy -Identity \"sip:user@{user}\" -PolicyName \"Federation\""
        ))
}

/// Only where the edge needs another certificate.
fn certificate(facts: &Facts) -> Step {
    let step = Step::new("Certificate of the edge, where it needs a new one")
        .says("It names the host that _sipfederationtls._tcp leads to. An RSA certificate serves every release; the gateway then needs tls = { engine = \"compat\" } with edges on Windows Server 2012 R2 and older. With an elliptic key (-KeyAlg ECDH_P256 instead of -KeyAlg RSA -KeySize 2048) TLS 1.2 does without it.")
        .types("Request-CsCertificate -New -Type AccessEdgeExternal -KeyAlg RSA -KeySize 2048 -ClientEKU $true -PrivateKeyExportable $true -Output \"C:\\edge-external.req\"")
        .says("When the CA has answered, with the thumbprint that the first command shows; then restart the service of the Access Edge:")
        .types("Import-CsCertificate -Path \"C:\\edge-external.p7b\" -PrivateKeyExportable $true")
        .types("Set-CsCertificate -Type AccessEdgeExternal -Thumbprint \"<thumbprint>\"");
    match facts.tls.engine {
        Engine::Compat => step.says("This configuration has that engine for the peer."),
        Engine::Rustls => step.says("This configuration does not have that engine for the peer."),
    }
}

fn console_federation() -> Step {
    Step::new("Federation switched on")
        .says("On a server with the administrative tools:")
        .types("Office Communications Server 2007 R2 > Forest > Properties > Global Properties > Federation: Enable Federation and Public IM Connectivity; FQDN of the Access Edge Server, port 5061")
        .says("On each Access Edge Server:")
        .types("Computer Management > Services and Applications > Office Communications Server 2007 R2 > Properties > Access Methods: Federate with other domains")
}

fn console_partner(facts: &Facts) -> Step {
    Step::new("This gateway as allowed partner")
        .says("On each Access Edge Server; with the FQDN of the partner's Access Edge the edge asks no DNS and sets no limit of 20 messages a second.")
        .types("Computer Management > Services and Applications > Office Communications Server 2007 R2 > Properties > Allow > Add:")
        .types_all(facts.ours.iter().map(|(domain, host)| {
            format!("Federated partner domain name: {domain}   Federated partner Access Edge Server: {host}")
        }))
}

/// Only where the edge needs another certificate.
fn console_certificate() -> Step {
    Step::new("Certificate of the edge, where it needs a new one")
        .says("It names the host that _sipfederationtls._tcp leads to; RSA with 2048 bits. On each Access Edge Server, once to ask the CA and once with its answer:")
        .types("Setup of Office Communications Server 2007 R2 > Deploy Other Server Roles > Deploy Edge Server > Configure Certificates for the Edge Server > Access Edge Server public interface; Include client EKU in the certificate request")
}

fn console_users() -> Step {
    Step::new("Users who may")
        .says("For each user, or for several selected ones:")
        .types("Active Directory Users and Computers > user > Properties > Communications > Configure: Enable federation")
}

/// Why a release needs TLS 1.0.
const OLD: &str = "An untouched server of this release speaks TLS 1.0, which has to be allowed for it alone; an alarm stands as long as it is.";
/// Why a release needs the other engine.
const CBC: &str = "With an RSA certificate on Windows Server 2012 R2 and older this release shares no cipher suite with the usual engine.";

/// What our own configuration has to say about this release.
fn gateway(release: Release, facts: &Facts) -> Step {
    let mut step = Step::new("Settings of this gateway for the peer");
    if !facts.is_microsoft {
        step = step
            .says("MISSING: this peer is not treated as a Microsoft server.")
            .types("profile = \"microsoft\"");
    }
    let compat = facts.tls.engine == Engine::Compat;
    let (engine, legacy, why) = match release {
        Release::Ocs2007R2 | Release::Lync2010 => (true, true, OLD),
        Release::Lync2013 | Release::SfB2015 => (true, false, CBC),
        Release::SfB2019 => (false, false, CBC),
    };
    if (engine && !compat) || (legacy && !facts.tls.legacy) {
        step = step.says(why);
    }
    if engine && !compat {
        step = step.types(match legacy {
            true => "tls = { engine = \"compat\" }",
            false => "tls = { engine = \"compat\" }    # not needed on Windows Server 2016 or with an elliptic key",
        });
    }
    if engine && !facts.tls.legacy {
        step = match release {
            Release::Ocs2007R2 => step.types("legacy_tls = true"),
            Release::Lync2010 => step.types("legacy_tls = true    # unless TLS 1.2 was switched on in its Windows"),
            Release::Lync2013 | Release::SfB2015 | Release::SfB2019 => step
                .says("Only where it runs on Windows Server 2008 R2 without TLS 1.2, as that is installed; an alarm stands as long as it is:")
                .types("legacy_tls = true"),
        };
    }
    step.says("When the steps above are done, lift the limit of 15 messages a second that protects a gateway that is not listed:")
        .types("allow_listed = true")
}

fn test(release: Release, facts: &Facts) -> Step {
    let mut step = Step::new("Test");
    let peer = facts.theirs.first().map_or("", String::as_str);
    if release != Release::Ocs2007R2 {
        step = step
            .says("In the management shell, when each Edge Server has the changes (UpToDate), of each listed domain:")
            .types("Get-CsManagementStoreReplicationStatus")
            .types_all(facts.ours.iter().map(|(domain, _)| {
                format!("Test-CsFederatedPartner -TargetFqdn \"<internal FQDN of the edge>\" -Domain \"{domain}\"")
            }))
            .says("So that the edge tells this gateway why it refuses something, instead of a bare 504:")
            .types("Set-CsDiagnosticHeaderConfiguration -Identity Global -SendToExternalNetworks $true");
    }
    step.says("On this machine: records, host names, certificate and clock as the edge will see them, and what it said:")
        .types(format!("isthmusctl peer why {peer}"))
}
