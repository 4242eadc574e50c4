//! ejabberd in a lab: mutual TLS with verification in both directions, no dialback, no epmd.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use crate::authority::Identity;
use crate::http;
use crate::lab::{C2S, Host, Lab, S2S, S2S_DIRECT, write};
use crate::process::Launch;
use crate::tls::Versions;
use crate::xmpp_server::{Kind, Options, launch};
use crate::xmpp_user::PASSWORD;

const API: u16 = 5280;

/// Writes the configuration.
pub(crate) fn prepare(lab: &Lab, identity: &Identity, options: &Options) -> Result<Launch> {
    let folder = lab.path("ejabberd");
    let config = folder.join("ejabberd.yml");
    write(&config, &configuration(lab, identity, options))?;
    let spool = format!("\"{}\"", folder.join("spool").display());
    std::fs::create_dir_all(folder.join("spool"))?;
    let command = [
        "erl", "-noinput", "+S", "2:2", "-mnesia", "dir", &spool, "-s", "ejabberd",
    ];
    let mut launch = launch(lab, "ejabberd", &command);
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    launch.variables = vec![
        (
            "EJABBERD_CONFIG_PATH",
            config.to_string_lossy().into_owned(),
        ),
        ("EJABBERD_LOG_PATH", path("ejabberd.log")),
        ("ERL_LIBS", "/usr/lib/x86_64-linux-gnu".to_owned()),
        ("ERL_CRASH_DUMP", path("erl_crash.dump")),
        ("HOME", folder.to_string_lossy().into_owned()),
    ];
    Ok(launch)
}

/// Where ejabberd takes commands, the last of its listeners to come up.
pub(crate) fn api(lab: &Lab) -> SocketAddr {
    lab.at(Host::Ejabberd, API)
}

/// Makes accounts through ejabberd's API.
pub(crate) async fn register(lab: &Lab, users: &[String]) -> Result<()> {
    for user in users {
        command(
            lab,
            "register",
            &format!(
                r#"{{"user":"{user}","host":"{}","password":"{PASSWORD}"}}"#,
                Kind::Ejabberd.domain()
            ),
        )
        .await?;
    }
    Ok(())
}

/// Runs a command through ejabberd's API.
pub async fn command(lab: &Lab, name: &str, json: &str) -> Result<String> {
    let answer = http::post(api(lab), &format!("/api/{name}"), json).await?;
    ensure!(answer.status == 200, "ejabberd refuses {name}: {answer:?}");
    Ok(answer.body)
}

fn configuration(lab: &Lab, identity: &Identity, options: &Options) -> String {
    let ip = lab.ip(Host::Ejabberd);
    let (both, authority) = (identity.both.display(), lab.authority().pem().display());
    let excluded = match options.versions {
        Versions::Any => "",
        Versions::Only12 => r#","no_tlsv1_3""#,
        Versions::Only13 => r#","no_tlsv1_2""#,
    };
    let (domain, extra) = (Kind::Ejabberd.domain(), &options.extra);
    // Without s2s_max_retry_delay one failed dial silences ejabberd for up to five minutes, and
    // with mod_s2s_dialback it would not verify our certificate.
    format!(
        r#"loglevel: info
hosts: ["{domain}"]
certfiles: ["{both}"]
ca_file: "{authority}"
s2s_cafile: "{authority}"
s2s_use_starttls: required
s2s_protocol_options: ["no_sslv3","no_tlsv1","no_tlsv1_1"{excluded}]
s2s_max_retry_delay: 1
s2s_dns_timeout: 3
s2s_dns_retries: 1
outgoing_s2s_families: [ipv4]
outgoing_s2s_ipv4_address: "{ip}"
auth_method: [internal]
auth_password_format: plain
listen:
  - {{port: {C2S}, ip: "{ip}", module: ejabberd_c2s, starttls: true}}
  - {{port: {S2S}, ip: "{ip}", module: ejabberd_s2s_in, max_stanza_size: 524288}}
  - {{port: {S2S_DIRECT}, ip: "{ip}", module: ejabberd_s2s_in, tls: true, max_stanza_size: 524288}}
  - {{port: {API}, ip: "{ip}", module: ejabberd_http, request_handlers: {{/api: mod_http_api}}}}
acl: {{loopback: {{ip: ["127.0.0.0/8"]}}}}
access_rules: {{loopback: [{{allow: loopback}}]}}
api_permissions: {{lab: {{who: [{{access: loopback}}], what: ["*"]}}}}
{extra}
modules:
  mod_admin_extra: {{}}
  mod_http_api: {{}}
  mod_disco: {{}}
  mod_caps: {{}}
  mod_roster: {{}}
  mod_ping: {{}}
  mod_offline: {{}}
  mod_private: {{}}
  mod_vcard: {{}}
  mod_blocking: {{}}
  mod_privacy: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_muc: {{host: "conference.{domain}"}}
"#
    )
}
