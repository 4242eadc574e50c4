//! Records as somebody else finds them: asked of a name server over its socket, or listed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::dns::{CLASS_IN, HEADER, Srv, TYPE_A, TYPE_SRV, put_name};

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most labels and pointers of a name.
const LONGEST_NAME: usize = 64;

/// Where records are read.
#[derive(Clone, Debug)]
pub enum Directory {
    /// The records of some services, without a server.
    Listed(BTreeMap<String, Vec<Srv>>),
    /// A name server, asked anew each time.
    Server(SocketAddr),
}

impl Directory {
    /// A directory with the targets of some services, for use without a server.
    pub fn of(services: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut listed = BTreeMap::<String, Vec<Srv>>::new();
        for (name, target) in services {
            let srv = Srv {
                priority: 0,
                port: 5061,
                target,
            };
            listed.entry(name).or_default().push(srv);
        }
        Self::Listed(listed)
    }

    /// The locations of a service, those to be asked first in front; none where there is no record.
    pub async fn services(&self, name: &str) -> Result<Vec<Srv>> {
        let mut found = match self {
            Self::Listed(listed) => listed.get(name).cloned().unwrap_or_default(),
            Self::Server(server) => {
                let answers = ask(*server, name, TYPE_SRV).await?;
                answers.iter().filter_map(Answer::srv).collect()
            }
        };
        found.sort_by_key(|srv: &Srv| srv.priority);
        Ok(found)
    }

    /// The addresses of a host; none without a server.
    pub async fn addresses(&self, host: &str) -> Result<Vec<Ipv4Addr>> {
        let Self::Server(server) = self else {
            return Ok(Vec::new());
        };
        let answers = ask(*server, host, TYPE_A).await?;
        Ok(answers.iter().filter_map(Answer::address).collect())
    }
}

/// A record of an answer.
struct Answer {
    kind: u16,
    data: Vec<u8>,
    /// Where in the message the data begins, for names that point back.
    at: usize,
    message: Vec<u8>,
}

impl Answer {
    fn address(&self) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = self.data.as_slice().try_into().ok()?;
        (self.kind == TYPE_A).then(|| Ipv4Addr::from(octets))
    }

    /// Priority, weight, port, target (RFC 2782).
    fn srv(&self) -> Option<Srv> {
        let number = |at: usize| {
            let octets = self.data.get(at..at + 2)?.try_into().ok()?;
            Some(u16::from_be_bytes(octets))
        };
        let (target, _) = name_at(&self.message, self.at + 6)?;
        (self.kind == TYPE_SRV).then_some(Srv {
            priority: number(0)?,
            port: number(4)?,
            target,
        })
    }
}

/// Asks one question (RFC 1035 section 4.1). A name that does not exist has no records.
async fn ask(server: SocketAddr, name: &str, kind: u16) -> Result<Vec<Answer>> {
    let id: [u8; 2] = rand::random();
    let mut query = id.to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    put_name(&mut query, name);
    query.extend(kind.to_be_bytes());
    query.extend(CLASS_IN.to_be_bytes());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.send_to(&query, server).await?;
    let mut buffer = vec![0; 1500];
    let received = timeout(PATIENCE, socket.recv(&mut buffer)).await;
    let length = received.with_context(|| format!("{server} says nothing about {name}"))??;
    buffer.truncate(length);
    ensure!(
        buffer.get(..2) == Some(&id[..]),
        "an answer to something else"
    );
    match buffer.get(3).map(|flags| flags & 0x0f) {
        Some(0) => {}
        Some(3) => return Ok(Vec::new()),
        code => bail!("{server} answers {code:?} about {name}"),
    }
    read(&buffer).with_context(|| format!("{server} answers nonsense about {name}"))
}

/// The records of an answer behind its question.
fn read(message: &[u8]) -> Option<Vec<Answer>> {
    let count = u16::from_be_bytes(message.get(6..8)?.try_into().ok()?);
    let (_, mut at) = name_at(message, HEADER)?;
    at += 4;
    let mut answers = Vec::new();
    for _ in 0..count {
        let (_, behind) = name_at(message, at)?;
        let kind = u16::from_be_bytes(message.get(behind..behind + 2)?.try_into().ok()?);
        let length = message.get(behind + 8..behind + 10)?.try_into().ok()?;
        let length = usize::from(u16::from_be_bytes(length));
        let data_at = behind + 10;
        answers.push(Answer {
            kind,
            data: message.get(data_at..data_at + length)?.to_vec(),
            at: data_at,
            message: message.to_vec(),
        });
        at = data_at + length;
    }
    Some(answers)
}

/// A name, and where what follows it begins.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut behind = None;
    for _ in 0..LONGEST_NAME {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some((labels.join("."), behind.unwrap_or(at + 1))),
            0xC0.. => {
                let low = usize::from(*message.get(at + 1)?);
                behind = behind.or(Some(at + 2));
                at = ((length & 0x3f) << 8) | low;
            }
            _ => {
                let label = message.get(at + 1..at + 1 + length)?;
                labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                at += 1 + length;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Dns;

    #[tokio::test]
    async fn what_the_server_knows_is_found() -> Result<()> {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await?
            .local_addr()?;
        let dns = Dns::start(free).await?;
        let service = "_sipfederationtls._tcp.one.example";
        for (priority, target) in [(20, "second.one.example"), (10, "first.one.example")] {
            let srv = Srv {
                priority,
                port: 5061,
                target: target.to_owned(),
            };
            dns.service(service, srv);
        }
        let address = Ipv4Addr::new(127, 0, 0, 9);
        dns.host("first.one.example", &[address, Ipv4Addr::LOCALHOST]);
        let directory = Directory::Server(dns.address());

        let found = directory.services(service).await?;

        let found: Vec<(&str, u16)> = found
            .iter()
            .map(|srv| (srv.target.as_str(), srv.port))
            .collect();
        let wanted = [("first.one.example", 5061), ("second.one.example", 5061)];
        assert_eq!(found, wanted);
        let addresses = directory.addresses("first.one.example").await?;
        assert_eq!(addresses, [address, Ipv4Addr::LOCALHOST]);
        assert!(
            directory
                .services("_sip._tcp.one.example")
                .await?
                .is_empty()
        );
        dns.set_mood(crate::dns::Mood::Failing);
        assert!(directory.services(service).await.is_err());
        Ok(())
    }
}
