//! The resolver against a name server that answers, denies, fails and keeps silent.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway::resolve::{Hickory, Naptr, Resolve, Srv, Unresolved};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

const TIMEOUT: Duration = Duration::from_millis(300);

/// A name server, and how often it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicU32>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        tokio::spawn(serve(socket, Arc::clone(&asked)));
        Self { address, asked }
    }

    fn resolver(&self) -> Hickory {
        Hickory::new(&[self.address], TIMEOUT).unwrap()
    }
}

async fn serve(socket: UdpSocket, asked: Arc<AtomicU32>) {
    let mut buffer = [0; 4_096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        asked.fetch_add(1, Ordering::SeqCst);
        let question = Message::from_vec(buffer.get(..length).unwrap()).unwrap();
        if let Some(answer) = answer(&question) {
            let answer = answer.to_vec().unwrap();
            socket.send_to(&answer, client).await.unwrap();
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// What the server says: the first label of the name tells.
fn answer(question: &Message) -> Option<Message> {
    let query = question.queries.first().unwrap().clone();
    let asked = query.name().to_ascii().to_lowercase();
    let records = match (asked.as_str(), query.query_type()) {
        ("silent.example.net.", _) => return None,
        ("_sips._tcp.two.example.net.", RecordType::SRV) => vec![
            RData::SRV(SRV::new(1, 2, 5061, name("Sip.Two.example.net."))),
            RData::SRV(SRV::new(9, 0, 0, Name::root())),
        ],
        ("two.example.net.", RecordType::NAPTR) => vec![RData::NAPTR(NAPTR::new(
            1,
            2,
            (*b"S").into(),
            (*b"sips+d2t").into(),
            Box::default(),
            name("_sips._tcp.two.example.net."),
        ))],
        ("sip.two.example.net.", RecordType::A) => vec![RData::A(A::new(192, 0, 2, 7))],
        _ => Vec::new(),
    };
    let code = match asked.as_str() {
        "broken.example.net." => ResponseCode::ServFail,
        "nobody.example.net." => ResponseCode::NXDomain,
        _ => ResponseCode::NoError,
    };
    let mut answer = question.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    let records = records.into_iter();
    answer.answers = records
        .map(|data| Record::from_rdata(query.name().clone(), 60, data))
        .collect();
    Some(answer)
}

#[tokio::test]
async fn records_come_with_names_in_lower_case_and_without_final_dot() {
    let server = Server::start().await;
    let resolver = server.resolver();

    let srv = resolver.srv("_sips._tcp.two.example.net").await.unwrap();
    assert!(srv.contains(&Srv {
        priority: 1,
        weight: 2,
        target: "sip.two.example.net".to_owned(),
        port: 5061,
    }));
    assert!(srv.iter().any(|record| record.target.is_empty()), "{srv:?}");
    let naptr = resolver.naptr("two.example.net.").await.unwrap();
    let expected = Naptr {
        order: 1,
        preference: 2,
        flags: "s".to_owned(),
        service: "SIPS+D2T".to_owned(),
        replacement: "_sips._tcp.two.example.net".to_owned(),
    };
    assert_eq!(naptr, [expected]);
    let addresses = resolver.addresses("sip.two.example.net").await.unwrap();
    assert_eq!(addresses, [Ipv4Addr::new(192, 0, 2, 7)]);
}

#[tokio::test]
async fn that_there_is_none_is_an_answer() {
    let server = Server::start().await;
    let resolver = server.resolver();

    assert_eq!(
        resolver.srv("_sips._tcp.one.example.net").await,
        Ok(Vec::new())
    );
    assert_eq!(
        resolver.addresses("nobody.example.net").await,
        Ok(Vec::new())
    );
}

#[tokio::test]
async fn that_nobody_knows_is_an_error() {
    let server = Server::start().await;
    let resolver = server.resolver();

    assert_eq!(
        resolver.srv("broken.example.net").await,
        Err(Unresolved::Failed)
    );
    assert_eq!(
        resolver.srv("silent.example.net").await,
        Err(Unresolved::Timeout)
    );
    assert_eq!(resolver.srv("a..b").await, Err(Unresolved::BadName));
}

#[tokio::test]
async fn answers_are_remembered() {
    let server = Server::start().await;
    let resolver = server.resolver();

    for _ in 0..3 {
        resolver.srv("_sips._tcp.two.example.net").await.unwrap();
    }

    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
}
