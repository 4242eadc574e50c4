//! Kamailio in a lab: registrar and proxy of a SIP domain, mutual TLS towards the gateway.

use anyhow::Result;

use crate::authority::Wish;
use crate::lab::{Host, Lab, SIP, SIPS, write};
use crate::process::{Launch, Process};
use crate::sip_agent::{Place, SipAgent, Transport};

/// The domain Kamailio serves.
pub const DOMAIN: &str = "kamailio.example";
/// The users it knows; anyone else is 404, and who of them has not registered is 480.
pub const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
}

impl Kamailio {
    /// Starts it; what its users send to other domains goes to `gateway`.
    pub async fn start(lab: &Lab, gateway: Host) -> Result<Self> {
        let identity = lab.issue(&Wish::sip(DOMAIN, &[DOMAIN]))?;
        let folder = lab.path("kamailio");
        let (key, certificate) = (identity.key.display(), identity.certificate.display());
        let authority = lab.authority().pem().display();
        let tls: String = ["server", "client"]
            .iter()
            .map(|role| {
                format!(
                    "[{role}:default]\nmethod = TLSv1.2+\nverify_certificate = yes\n\
                     require_certificate = yes\nprivate_key = {key}\ncertificate = {certificate}\n\
                     ca_list = {authority}\n"
                )
            })
            .collect();
        write(&folder.join("tls.cfg"), &tls)?;
        write(&folder.join("kamailio.cfg"), &configuration(lab, gateway))?;
        let config = folder.join("kamailio.cfg");
        let (config, folder) = (config.to_string_lossy(), folder.to_string_lossy());
        let command = [
            "kamailio", "-DD", "-E", "-f", &config, "-Y", &folder, "-w", &folder,
        ];
        let mut process = Process::start(Launch {
            name: "kamailio".to_owned(),
            command: lab.inside(&command),
            variables: Vec::new(),
            folder: lab.folder().to_owned(),
            log: lab.path("kamailio.log"),
        })?;
        process.listens(lab.at(Host::Kamailio, SIPS)).await?;
        Ok(Self { process })
    }

    /// A user agent of Kamailio's own users, connected over TCP; registers those named.
    pub async fn agent(&self, lab: &Lab, users: &[&str]) -> Result<SipAgent> {
        let place = Place {
            domain: DOMAIN.to_owned(),
            local: lab.at(Host::SecondAgent, SIP),
            route: lab.at(Host::Kamailio, SIP),
            route_name: DOMAIN.to_owned(),
            transport: Transport::Tcp,
        };
        let agent = SipAgent::start(place).await?;
        for user in users {
            agent.register(user).await?;
        }
        Ok(agent)
    }

    /// The process, for its log and for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it; registrations are lost.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again.
    pub async fn start_again(&mut self, lab: &Lab) -> Result<()> {
        self.process.start_again()?;
        self.process.listens(lab.at(Host::Kamailio, SIPS)).await
    }
}

fn configuration(lab: &Lab, gateway: Host) -> String {
    include_str!("kamailio.cfg")
        .replace("@IP@", &lab.ip(Host::Kamailio).to_string())
        .replace("@GATEWAY@", &lab.at(gateway, SIPS).to_string())
        .replace("@FOLDER@", &lab.path("kamailio").to_string_lossy())
        .replace("@DOMAIN@", DOMAIN)
        .replace("@USERS@", &USERS.join("|"))
}
