//! A small authoritative name server on a loopback address, with a table that tests may change.
//! Who asks it is [`crate::lookup`].

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::inbox::locked;

pub(crate) const TYPE_A: u16 = 1;
pub(crate) const TYPE_SRV: u16 = 33;
const TYPE_NAPTR: u16 = 35;
pub(crate) const CLASS_IN: u16 = 1;
/// Octets of the head of a message.
pub(crate) const HEADER: usize = 12;
const TTL: u32 = 1;

/// One service location (RFC 2782).
#[derive(Clone, Debug)]
pub struct Srv {
    /// Lower is asked first.
    pub priority: u16,
    /// Port of the service.
    pub port: u16,
    /// Host name; `.` refuses the service.
    pub target: String,
}

/// A pointer from a domain to the name of a service (RFC 3403, as RFC 3263 uses it).
#[derive(Clone, Debug)]
pub struct Naptr {
    /// Lower is asked first.
    pub order: u16,
    /// The service, for example `SIPS+D2T`.
    pub service: String,
    /// Where its SRV records are.
    pub replacement: String,
}

/// What the server does with questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Answers from the table.
    #[default]
    Answering,
    /// Answers SERVFAIL.
    Failing,
    /// Says nothing.
    Silent,
}

#[derive(Debug, Default)]
struct Zone {
    hosts: BTreeMap<String, Vec<Ipv4Addr>>,
    services: BTreeMap<String, Vec<Srv>>,
    pointers: BTreeMap<String, Vec<Naptr>>,
    mood: Mood,
    asked: Vec<String>,
}

/// The running server.
#[derive(Debug)]
pub struct Dns {
    zone: Arc<Mutex<Zone>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Dns {
    /// Starts answering on the address.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(address)
            .await
            .with_context(|| format!("cannot serve names on {address} (port 53 needs root)"))?;
        let zone = Arc::<Mutex<Zone>>::default();
        let task = tokio::spawn(serve(socket, Arc::clone(&zone)));
        Ok(Self {
            zone,
            address,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the addresses of a host.
    pub fn host(&self, name: &str, addresses: &[Ipv4Addr]) {
        locked(&self.zone)
            .hosts
            .insert(name.to_owned(), addresses.to_vec());
    }

    /// Adds a service location, for example of `_xmpp-server._tcp.prosody.example`.
    pub fn service(&self, name: &str, srv: Srv) {
        locked(&self.zone)
            .services
            .entry(name.to_owned())
            .or_default()
            .push(srv);
    }

    /// Adds a pointer from a domain to a service.
    pub fn pointer(&self, domain: &str, naptr: Naptr) {
        locked(&self.zone)
            .pointers
            .entry(domain.to_owned())
            .or_default()
            .push(naptr);
    }

    /// Forgets the locations of a service.
    pub fn forget_service(&self, name: &str) {
        locked(&self.zone).services.remove(name);
    }

    /// Changes how questions are answered.
    pub fn set_mood(&self, mood: Mood) {
        locked(&self.zone).mood = mood;
    }

    /// The names asked for so far.
    pub fn asked(&self) -> Vec<String> {
        locked(&self.zone).asked.clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 1500];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let query = buffer.get(..length).unwrap_or_default();
        let answer = Question::read(query).and_then(|question| question.answer(&zone));
        if let Some(answer) = answer {
            // A lost answer is what the resolver's own retry is for.
            socket.send_to(&answer, client).await.ok();
        }
    }
}

/// The one question of a query (RFC 1035 section 4.1.2).
struct Question<'a> {
    id: [u8; 2],
    recursion_desired: bool,
    name: String,
    kind: u16,
    bytes: &'a [u8],
}

impl<'a> Question<'a> {
    fn read(query: &'a [u8]) -> Option<Self> {
        let mut name = Vec::new();
        let mut at = HEADER;
        loop {
            let length = usize::from(*query.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = query.get(at..at + length)?;
            name.push(String::from_utf8_lossy(label).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
        Some(Self {
            id: query.get(..2)?.try_into().ok()?,
            recursion_desired: query.get(2)? & 1 == 1,
            name: name.join("."),
            kind,
            bytes: query.get(HEADER..at + 4)?,
        })
    }

    fn answer(&self, zone: &Mutex<Zone>) -> Option<Vec<u8>> {
        let mut zone = locked(zone);
        zone.asked.push(self.name.clone());
        match zone.mood {
            Mood::Answering => {}
            Mood::Failing => return Some(self.response(2, &[])),
            Mood::Silent => return None,
        }
        let known = zone.hosts.contains_key(&self.name)
            || zone.services.contains_key(&self.name)
            || zone.pointers.contains_key(&self.name);
        let records: Vec<Vec<u8>> = match self.kind {
            TYPE_A => zone
                .hosts
                .get(&self.name)
                .into_iter()
                .flatten()
                .map(a_record)
                .collect(),
            TYPE_SRV => zone
                .services
                .get(&self.name)
                .into_iter()
                .flatten()
                .map(srv_record)
                .collect(),
            TYPE_NAPTR => zone
                .pointers
                .get(&self.name)
                .into_iter()
                .flatten()
                .map(naptr_record)
                .collect(),
            _ => Vec::new(),
        };
        let code = if known { 0 } else { 3 };
        Some(self.response(code, &records))
    }

    /// An authoritative answer with the given response code and answer records.
    fn response(&self, code: u8, records: &[Vec<u8>]) -> Vec<u8> {
        let count = u16::try_from(records.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        let mut out = self.id.to_vec();
        let flags = 0x84 | u8::from(self.recursion_desired);
        out.extend([flags, 0x80 | code, 0, 1]);
        out.extend(count);
        out.extend([0; 4]);
        out.extend(self.bytes);
        for record in records {
            out.extend(record);
        }
        out
    }
}

fn a_record(address: &Ipv4Addr) -> Vec<u8> {
    record(TYPE_A, &address.octets())
}

fn srv_record(srv: &Srv) -> Vec<u8> {
    let mut data = Vec::new();
    data.extend(srv.priority.to_be_bytes());
    data.extend(0_u16.to_be_bytes());
    data.extend(srv.port.to_be_bytes());
    put_name(&mut data, &srv.target);
    record(TYPE_SRV, &data)
}

fn naptr_record(naptr: &Naptr) -> Vec<u8> {
    let mut data = Vec::new();
    data.extend(naptr.order.to_be_bytes());
    data.extend(0_u16.to_be_bytes());
    for text in ["s", &naptr.service, ""] {
        put_text(&mut data, text);
    }
    put_name(&mut data, &naptr.replacement);
    record(TYPE_NAPTR, &data)
}

pub(crate) fn put_name(data: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        put_text(data, label);
    }
    data.push(0);
}

fn put_text(data: &mut Vec<u8>, text: &str) {
    data.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    data.extend(text.as_bytes());
}

/// A record whose owner is the question's name (a pointer to offset 12).
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0xC0, 12];
    out.extend(kind.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out.extend(TTL.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(data);
    out
}
