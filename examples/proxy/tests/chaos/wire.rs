//! A strict HTTP/1.1 reader for both sides of the proxy.
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Larger headers are an error. No valid headers of this test come near it.
const MAX_HEADERS: usize = 256 * 1024;

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// The number of reads that are still small and delayed.
    pub(crate) slow_reads: usize,
}

/// A first line, and headers with names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Debug)]
pub(crate) enum WireError {
    /// The connection ended.
    Ended,
    /// The bytes are not valid HTTP.
    Invalid(String),
}

/// The position that the reader of a body reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    End,
    /// The limit of the read was reached first.
    Enough,
}

impl Headers {
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
    }

    fn parse(text: &[u8]) -> Result<Self, WireError> {
        let bad = |error: &str| WireError::Invalid(format!("{error}: {}", text.escape_ascii()));
        let text = std::str::from_utf8(text).map_err(|_| bad("headers are not UTF-8"))?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for field in lines.filter(|line| !line.is_empty()) {
            let (name, value) = field.split_once(':').ok_or_else(|| bad("header without a colon"))?;
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n', '\0']) {
                return Err(bad("invalid header"));
            }
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { line, fields })
    }

    /// RFC 9112 §6.3, but stricter: two lengths are an error, and so is a length beside chunks.
    pub(crate) fn framing(&self) -> Result<Option<Framing>, WireError> {
        let lengths: Vec<&str> = self.all("content-length").collect();
        let codings: Vec<&str> = self.all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Ok(None),
            ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
            ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => length
                .parse()
                .map(|n| Some(Framing::Length(n)))
                .map_err(|_| WireError::Invalid(format!("{self:?}"))),
            _ => Err(WireError::Invalid(format!("lengths {lengths:?}, codings {codings:?}"))),
        }
    }
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new(), slow_reads: 0 }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Closes with RST, so that no port stays in TIME-WAIT.
    pub(crate) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Discards everything until the peer closes.
    pub(crate) async fn discard_until_end(&mut self) {
        self.buffer.clear();
        let mut scratch = vec![0; 16 * 1024];
        while !matches!(self.stream.read(&mut scratch).await, Ok(0) | Err(_)) {}
    }

    async fn read_more(&mut self) -> Result<(), WireError> {
        let read = if self.slow_reads > 0 {
            self.slow_reads -= 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut few = [0; 7];
            let n = self.stream.read(&mut few).await;
            self.buffer.extend_from_slice(&few[..*n.as_ref().unwrap_or(&0)]);
            n
        } else {
            self.buffer.reserve(16 * 1024);
            self.stream.read_buf(&mut self.buffer).await
        };
        match read {
            Ok(0) | Err(_) => Err(WireError::Ended),
            Ok(_) => Ok(()),
        }
    }

    /// Reads to the next CRLF and removes it.
    async fn read_line(&mut self) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.buffer.len() > MAX_HEADERS {
                return Err(WireError::Invalid("a line without an end".into()));
            }
            self.read_more().await?;
        }
    }

    pub(crate) async fn read_headers(&mut self) -> Result<Headers, WireError> {
        let mut from = 0;
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer[from..], b"\r\n\r\n") {
                let headers: Vec<u8> = self.buffer.drain(..from + end + 4).collect();
                return Headers::parse(&headers);
            }
            from = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEADERS {
                return Err(WireError::Invalid("headers without an end".into()));
            }
            self.read_more().await?;
        }
    }

    /// Reads a body. After an error `body` contains the bytes before it.
    pub(crate) async fn read_body(
        &mut self,
        framing: Framing,
        body: &mut Vec<u8>,
        read_limit: usize,
    ) -> Result<Reached, WireError> {
        match framing {
            Framing::Length(length) => self.read_exact(length, body, read_limit).await,
            Framing::Chunked => loop {
                let line = self.read_line().await?;
                let size = std::str::from_utf8(&line).ok().and_then(|line| line.split(';').next());
                let Some(size) = size.and_then(|size| u64::from_str_radix(size, 16).ok()) else {
                    return Err(WireError::Invalid(format!("invalid chunk size {}", line.escape_ascii())));
                };
                if size == 0 {
                    while !self.read_line().await?.is_empty() {}
                    return Ok(Reached::End);
                }
                if self.read_exact(size, body, read_limit).await? == Reached::Enough
                    || body.len() >= read_limit
                {
                    return Ok(Reached::Enough);
                }
                let end = self.read_line().await?;
                if !end.is_empty() {
                    return Err(WireError::Invalid(format!(
                        "chunk longer than its size: {}",
                        end.escape_ascii()
                    )));
                }
            },
        }
    }

    async fn read_exact(
        &mut self,
        mut length: u64,
        body: &mut Vec<u8>,
        read_limit: usize,
    ) -> Result<Reached, WireError> {
        loop {
            let now = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            body.extend(self.buffer.drain(..now));
            length -= now as u64;
            if length == 0 {
                return Ok(Reached::End);
            }
            if body.len() >= read_limit {
                return Ok(Reached::Enough);
            }
            self.read_more().await?;
        }
    }

    /// The bytes that are received but not yet read.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer
    }
}
