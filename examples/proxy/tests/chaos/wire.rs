//! HTTP/1.1 as its strictest reader takes it: for both ends of the proxy, which has to satisfy it at both.
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No head that is right comes near it.
const MOST_HEAD: usize = 256 * 1024;

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// So many reads are still to be small, with a wait before each.
    pub(crate) slow_reads: usize,
}

/// A first line, and fields with names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection ended, before or after a byte had come.
    Ended,
    /// That is no HTTP.
    Bad(String),
}

/// How far a body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    End,
    /// There may be more, but that was enough.
    Enough,
}

impl Head {
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub(crate) fn says(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
    }

    fn parse(text: &[u8]) -> Result<Self, Fault> {
        let bad = |why: &str| Fault::Bad(format!("{why}: {}", text.escape_ascii()));
        let text = std::str::from_utf8(text).map_err(|_| bad("a head that is no text"))?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for field in lines.filter(|line| !line.is_empty()) {
            let (name, value) = field.split_once(':').ok_or_else(|| bad("a field without a colon"))?;
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n', '\0']) {
                return Err(bad("a bad field"));
            }
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { line, fields })
    }

    /// RFC 9112 §6.3, where it is not strict enough as well: never two lengths, nor a length beside chunks.
    pub(crate) fn framing(&self) -> Result<Option<Framing>, Fault> {
        let lengths: Vec<&str> = self.all("content-length").collect();
        let codings: Vec<&str> = self.all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Ok(None),
            ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
            ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().map(|n| Some(Framing::Length(n))).map_err(|_| Fault::Bad(format!("{self:?}")))
            }
            _ => Err(Fault::Bad(format!("lengths {lengths:?}, codings {codings:?}"))),
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

    /// Ends with RST, which leaves no port behind that waits.
    pub(crate) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Reads until the other side ends, and keeps nothing.
    pub(crate) async fn until_it_ends(&mut self) {
        self.buffer.clear();
        let mut scratch = vec![0; 16 * 1024];
        while !matches!(self.stream.read(&mut scratch).await, Ok(0) | Err(_)) {}
    }

    async fn more(&mut self) -> Result<(), Fault> {
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
            Ok(0) | Err(_) => Err(Fault::Ended),
            Ok(_) => Ok(()),
        }
    }

    /// Up to the next CRLF, which is taken too.
    async fn line(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.buffer.len() > MOST_HEAD {
                return Err(Fault::Bad("a line without an end".into()));
            }
            self.more().await?;
        }
    }

    pub(crate) async fn head(&mut self) -> Result<Head, Fault> {
        let mut from = 0;
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer[from..], b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..from + end + 4).collect();
                return Head::parse(&head);
            }
            from = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MOST_HEAD {
                return Err(Fault::Bad("a head without an end".into()));
            }
            self.more().await?;
        }
    }

    /// What could be read stays in `body`, also where it is not all.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        body: &mut Vec<u8>,
        enough: usize,
    ) -> Result<Reached, Fault> {
        match framing {
            Framing::Length(length) => self.take(length, body, enough).await,
            Framing::Chunked => loop {
                let line = self.line().await?;
                let size = std::str::from_utf8(&line).ok().and_then(|line| line.split(';').next());
                let Some(size) = size.and_then(|size| u64::from_str_radix(size, 16).ok()) else {
                    return Err(Fault::Bad(format!("a chunk of {}", line.escape_ascii())));
                };
                if size == 0 {
                    // Trailers.
                    while !self.line().await?.is_empty() {}
                    return Ok(Reached::End);
                }
                if self.take(size, body, enough).await? == Reached::Enough || body.len() >= enough {
                    return Ok(Reached::Enough);
                }
                let end = self.line().await?;
                if !end.is_empty() {
                    return Err(Fault::Bad(format!("a chunk that is longer: {}", end.escape_ascii())));
                }
            },
        }
    }

    async fn take(&mut self, mut length: u64, body: &mut Vec<u8>, enough: usize) -> Result<Reached, Fault> {
        loop {
            let now = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            body.extend(self.buffer.drain(..now));
            length -= now as u64;
            if length == 0 {
                return Ok(Reached::End);
            }
            if body.len() >= enough {
                return Ok(Reached::Enough);
            }
            self.more().await?;
        }
    }

    /// What came and was not read yet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer
    }
}
