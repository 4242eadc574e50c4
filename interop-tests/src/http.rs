//! Just enough HTTP to ask ejabberd's API and the gateway's health endpoints.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::inbox::PATIENCE;

/// An answer: status and body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Everything behind the headers.
    pub body: String,
}

/// Gets a path.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    exchange(address, &format!("GET {path}"), "").await
}

/// Posts a JSON text to a path.
pub async fn post(address: SocketAddr, path: &str, json: &str) -> Result<Answer> {
    exchange(address, &format!("POST {path}"), json).await
}

async fn exchange(address: SocketAddr, target: &str, body: &str) -> Result<Answer> {
    let request = format!(
        "{target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let talk = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = timeout(PATIENCE, talk)
        .await
        .context("HTTP server is silent")??;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("HTTP answer without an end")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("HTTP answer without a status")?
        .parse()?;
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}
