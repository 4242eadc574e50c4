//! Openfire in a lab, set up without its web console from an unpacked distribution.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::authority::Identity;
use crate::lab::{Host, Lab, folder_from_environment, write};
use crate::process::{Launch, output};
use crate::tls::Versions;
use crate::xmpp_server::{Kind, Options, USERS, launch};
use crate::xmpp_user::PASSWORD;

const LIMIT: Duration = Duration::from_secs(60);
const STORE_PASSWORD: &str = "changeit";

/// What a test prints where no distribution is at hand.
pub const SKIPPED: &str = "skipped: set OPENFIRE_HOME to an unpacked Openfire distribution (4.3 or \
    newer, from https://igniterealtime.org/downloads/), with Java 17 installed";

/// Whether a distribution is at hand.
pub fn is_available() -> bool {
    folder_from_environment("OPENFIRE_HOME").is_some()
}

/// Copies the distribution, fills its stores and writes a configuration that sets itself up.
pub(crate) async fn prepare(lab: &Lab, identity: &Identity, options: &Options) -> Result<Launch> {
    let origin = folder_from_environment("OPENFIRE_HOME").context(SKIPPED)?;
    let home = lab.path("openfire");
    let (from, to) = (origin.to_string_lossy(), home.to_string_lossy());
    output("cp", &["-r", &from, &to], LIMIT).await?.success()?;
    let security = home.join("resources/security");
    for leftover in ["keystore", "truststore"] {
        // A distribution ships these, but one that does not is fine as well.
        std::fs::remove_file(security.join(leftover)).ok();
    }
    fill_stores(lab, identity, &security).await?;
    std::fs::create_dir_all(home.join("logs"))?;
    write(
        &home.join("conf/openfire.xml"),
        &configuration(lab, options),
    )?;
    if !home.join("conf/security.xml").exists() {
        write(&home.join("conf/security.xml"), "<security/>")?;
    }
    let property = |name: &str, path: &str| format!("-D{name}={}", home.join(path).display());
    let jar = home.join("lib/startup.jar");
    let command = [
        "java",
        "-Xmx600m",
        &property("openfireHome", ""),
        &property("openfire.lib.dir", "lib"),
        &property("log4j.configurationFile", "lib/log4j2.xml"),
        &property(
            "java.security.properties",
            "resources/security/java.security",
        ),
        "-jar",
        &jar.to_string_lossy(),
    ];
    let mut launch = launch(lab, "openfire", &command);
    launch.folder = home;
    Ok(launch)
}

/// Puts the certificate and the one trusted authority in place before the first start; Openfire
/// would make a self-signed certificate otherwise.
async fn fill_stores(lab: &Lab, identity: &Identity, security: &Path) -> Result<()> {
    let bundle = lab.path("openfire.p12");
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (bundle, authority) = (path(&bundle), path(lab.authority().pem()));
    let (certificate, key) = (path(&identity.certificate), path(&identity.key));
    let alias = format!("{}_ec", Kind::Openfire.domain());
    let password = format!("pass:{STORE_PASSWORD}");
    let export = [
        "pkcs12",
        "-export",
        "-inkey",
        &key,
        "-in",
        &certificate,
        "-certfile",
        &authority,
        "-name",
        &alias,
        "-passout",
        &password,
        "-out",
        &bundle,
    ];
    output("openssl", &export, LIMIT).await?.success()?;
    let (keystore, truststore) = (
        path(&security.join("keystore")),
        path(&security.join("truststore")),
    );
    let import_key = [
        "-importkeystore",
        "-srckeystore",
        &bundle,
        "-srcstoretype",
        "PKCS12",
        "-srcstorepass",
        STORE_PASSWORD,
        "-destkeystore",
        &keystore,
        "-deststoretype",
        "JKS",
        "-deststorepass",
        STORE_PASSWORD,
        "-destkeypass",
        STORE_PASSWORD,
        "-noprompt",
    ];
    output("keytool", &import_key, LIMIT).await?.success()?;
    let import_authority = [
        "-importcert",
        "-noprompt",
        "-alias",
        "labca",
        "-file",
        &authority,
        "-keystore",
        &truststore,
        "-storetype",
        "JKS",
        "-storepass",
        STORE_PASSWORD,
    ];
    output("keytool", &import_authority, LIMIT)
        .await?
        .success()?;
    Ok(())
}

fn configuration(lab: &Lab, options: &Options) -> String {
    let ip = lab.ip(Host::Openfire);
    let protocols = match options.versions {
        Versions::Any => "TLSv1.2,TLSv1.3",
        Versions::Only12 => "TLSv1.2",
        Versions::Only13 => "TLSv1.3",
    };
    let domain = Kind::Openfire.domain();
    let users: String = USERS
        .iter()
        .enumerate()
        .map(|(index, user)| {
            // It counts from 1 and stops at the first number that is missing.
            let index = index + 1;
            format!(
                "<user{index}><username>{user}</username><password>{PASSWORD}</password>\
                 <name>{user}</name><email>{user}@{domain}</email></user{index}>"
            )
        })
        .collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<jive>
  <adminConsole><port>9090</port><securePort>-1</securePort><interface>{ip}</interface></adminConsole>
  <network><interface>{ip}</interface></network>
  <locale>en</locale>
  <connectionProvider><className>org.jivesoftware.database.EmbeddedConnectionProvider</className></connectionProvider>
  <autosetup><run>true</run><locale>en</locale>
    <xmpp><domain>{domain}</domain><fqdn>{domain}</fqdn><auth><anonymous>false</anonymous></auth></xmpp>
    <database><mode>embedded</mode></database>
    <admin><email>admin@{domain}</email><password>admin</password></admin>
    <users>{users}</users></autosetup>
  <xmpp>
    <server><tls><policy>required</policy></tls><dialback><enabled>false</enabled></dialback>
      <cert><policy>wanted</policy></cert></server>
    <socket><ssl><active>false</active><protocols>{protocols}</protocols></ssl></socket>
    <component><socket><active>false</active></socket><ssl><active>false</active></ssl></component>
    <proxy><enabled>false</enabled></proxy>
  </xmpp>
  <httpbind><enabled>false</enabled></httpbind>
  <update><service-enabled>false</service-enabled></update>
  {extra}
</jive>
"#,
        extra = options.extra,
    )
}
