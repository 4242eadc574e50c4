//! Prosody in a lab: mutual TLS with verification in both directions, no dialback.

use anyhow::Result;

use crate::authority::Identity;
use crate::lab::{C2S, Host, Lab, S2S, S2S_DIRECT, write};
use crate::process::Launch;
use crate::tls::Versions;
use crate::xmpp_server::{Kind, Options, launch};
use crate::xmpp_user::PASSWORD;

/// Writes configuration, certificate and accounts.
pub(crate) fn prepare(lab: &Lab, identity: &Identity, options: &Options) -> Result<Launch> {
    let domain = Kind::Prosody.domain();
    let folder = lab.path("prosody");
    // Prosody looks for certificates by name and serves whatever matches, so this folder holds
    // nothing but the one it is to present.
    for name in [domain.to_owned(), format!("conference.{domain}")] {
        let chain = std::fs::read_to_string(&identity.certificate)?;
        let key = std::fs::read_to_string(&identity.key)?;
        write(&folder.join("certs").join(format!("{name}.crt")), &chain)?;
        write(&folder.join("certs").join(format!("{name}.key")), &key)?;
    }
    for user in options.accounts() {
        let host = domain.replace('.', "%2e");
        let account = folder.join(format!("data/{host}/accounts/{user}.dat"));
        write(
            &account,
            &format!("return {{ [\"password\"] = \"{PASSWORD}\"; }};\n"),
        )?;
    }
    let config = folder.join("prosody.cfg.lua");
    write(&config, &configuration(lab, options))?;
    let config = config.to_string_lossy();
    Ok(launch(
        lab,
        "prosody",
        &["prosody", "--config", &config, "-F"],
    ))
}

fn configuration(lab: &Lab, options: &Options) -> String {
    let folder = lab.path("prosody");
    let (folder, ip) = (folder.display(), lab.ip(Host::Prosody));
    let authority = lab.authority().pem().display();
    let protocol = match options.versions {
        Versions::Any => "tlsv1_2+",
        Versions::Only12 => "tlsv1_2",
        Versions::Only13 => "tlsv1_3",
    };
    let (domain, extra) = (Kind::Prosody.domain(), &options.extra);
    format!(
        r#"run_as_root = true
pidfile = "{folder}/prosody.pid"; data_path = "{folder}/data"; admin_socket = "{folder}/prosody.sock"
interfaces = {{ "{ip}" }}; local_interfaces = {{ "{ip}" }}; use_ipv6 = false
c2s_ports = {{ {C2S} }}; s2s_ports = {{ {S2S} }}; s2s_direct_tls_ports = {{ {S2S_DIRECT} }}
c2s_direct_tls_ports = {{}}; component_ports = {{}}; http_ports = {{}}; https_ports = {{}}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "disco"; "presence"; "message"; "iq"; "ping";
  "offline"; "private"; "vcard_legacy"; "pep"; "blocklist"; "admin_shell"; "stanza_debug"; "smacks";
  "s2s"; "s2s_auth_certs" }}
modules_disabled = {{ "dialback" }}
authentication = "internal_plain"; c2s_require_encryption = false; allow_unencrypted_plain_auth = true
s2s_require_encryption = true; s2s_secure_auth = true
ssl = {{ cafile = "{authority}"; capath = "/nonexistent" }}
certificates = "{folder}/certs"
s2s_ssl = {{ protocol = "{protocol}" }}
log = {{ {{ levels = {{ min = "debug" }}; to = "file"; filename = "{folder}/prosody.log";
  timestamps = "%H:%M:%S" }} }}
{extra}
VirtualHost "{domain}"
Component "conference.{domain}" "muc"
"#
    )
}
