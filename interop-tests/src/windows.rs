//! The TLS of a Windows server, as far as OpenSSL can play it: its cipher suites in their order, its curves and
//! its versions. RC4, 3DES and the habits of Schannel itself take a real one.

use std::path::PathBuf;
use std::pin::Pin;

use anyhow::Result;
use openssl::ssl::{
    Ssl, SslContext, SslFiletype, SslMethod, SslOptions, SslVerifyMode, SslVersion,
};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::authority::{Authority, Identity};

/// A release of Windows Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 2008 and 2008 R2, where TLS 1.2 is missing or switched off.
    Server2008,
    /// 2012 R2: no authenticated encryption with forward secrecy for an RSA certificate.
    Server2012R2,
    /// 2016 and newer.
    Server2016,
}

impl Release {
    fn versions(self) -> (SslVersion, SslVersion) {
        match self {
            Self::Server2008 => (SslVersion::TLS1, SslVersion::TLS1),
            Self::Server2012R2 | Self::Server2016 => (SslVersion::TLS1, SslVersion::TLS1_2),
        }
    }

    fn suites(self) -> String {
        match self {
            Self::Server2008 => format!("{SUITES_2008}:@SECLEVEL=0"),
            Self::Server2012R2 => format!("{SUITES_2012}:@SECLEVEL=0"),
            Self::Server2016 => format!("{SUITES_2016}:{SUITES_2012}:@SECLEVEL=0"),
        }
    }
}

/// TLS as such a server speaks it, in both roles.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Which one.
    pub release: Release,
    /// What it presents; nothing without it.
    pub identity: Option<Identity>,
    /// File with the authorities that it trusts.
    pub trust: PathBuf,
}

impl Windows {
    /// Presents the identity, and trusts the authority.
    pub fn new(release: Release, identity: &Identity, authority: &Authority) -> Self {
        Self {
            release,
            identity: Some(identity.clone()),
            trust: authority.pem().to_owned(),
        }
    }

    /// Plays the server.
    pub async fn accept(&self, socket: TcpStream) -> Result<SslStream<TcpStream>> {
        let mut stream = SslStream::new(self.prepared()?, socket)?;
        Pin::new(&mut stream).accept().await?;
        Ok(stream)
    }

    /// Plays the client, for a server that must prove `name`.
    pub async fn connect(&self, socket: TcpStream, name: &str) -> Result<SslStream<TcpStream>> {
        let mut ssl = self.prepared()?;
        ssl.set_hostname(name)?;
        ssl.param_mut().set_host(name)?;
        let mut stream = SslStream::new(ssl, socket)?;
        Pin::new(&mut stream).connect().await?;
        Ok(stream)
    }

    fn prepared(&self) -> Result<Ssl> {
        let mut context = SslContext::builder(SslMethod::tls())?;
        let (oldest, newest) = self.release.versions();
        context.set_min_proto_version(Some(oldest))?;
        context.set_max_proto_version(Some(newest))?;
        context.set_cipher_list(&self.release.suites())?;
        context.set_groups_list("P-256:P-384")?;
        context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE | SslOptions::NO_TICKET);
        context.set_ca_file(&self.trust)?;
        context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        if let Some(identity) = &self.identity {
            context.set_certificate_chain_file(&identity.certificate)?;
            context.set_private_key_file(&identity.key, SslFiletype::PEM)?;
        }
        Ok(Ssl::new(&context.build())?)
    }
}

const SUITES_2008: &str = "ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:AES256-SHA:AES128-SHA:\
    ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA";
const SUITES_2012: &str = "ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA:\
    ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA:\
    DHE-RSA-AES128-SHA:AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256:AES256-SHA:\
    AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:\
    ECDHE-ECDSA-AES128-SHA";
const SUITES_2016: &str = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256";
