//! Compression and decompression in memory, and decompression bombs.
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_compression::Level;
use async_compression::tokio::{bufread, write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Minimum size of a decompressed bomb.
const GIGABYTE: usize = 1 << 30;

/// Polls once, since input and output in memory are always ready.
fn at_once<T>(it: impl Future<Output = T>) -> T {
    match pin!(it).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(it) => it,
        Poll::Pending => unreachable!("memory is always ready"),
    }
}

pub(crate) fn encode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    at_once(async {
        if coding == "br" {
            let mut encoder = write::BrotliEncoder::with_quality(Vec::new(), Level::Fastest);
            encoder.write_all(bytes).await?;
            encoder.shutdown().await?;
            return Ok::<_, io::Error>(encoder.into_inner());
        }
        let mut encoder = write::GzipEncoder::with_quality(Vec::new(), Level::Fastest);
        encoder.write_all(bytes).await?;
        encoder.shutdown().await?;
        Ok(encoder.into_inner())
    })
    .unwrap()
}

/// Decodes as much as possible. The second value is an error if the input is not complete.
pub(crate) fn decode(coding: &str, bytes: &[u8]) -> (Vec<u8>, io::Result<()>) {
    let mut decoded = Vec::new();
    let whole = at_once(async {
        if coding == "br" {
            bufread::BrotliDecoder::new(bytes).read_to_end(&mut decoded).await
        } else {
            bufread::GzipDecoder::new(bytes).read_to_end(&mut decoded).await
        }
    });
    (decoded, whole.map(drop))
}

/// A gigabyte from less than 16 KiB with brotli, and from a megabyte with gzip, whose ratio is 1,000 at most.
pub(crate) fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    vec![("gzip", bomb("gzip")), ("br", bomb("br"))]
}

/// Compresses an object without an end. After a flush the compressed block can be repeated.
fn bomb(coding: &str) -> Vec<u8> {
    const BLOCK: usize = 1 << 20;
    let begun = br#"{"api_key_id":"idx_const","x":""#;
    let block = vec![b'x'; BLOCK];
    at_once(async {
        macro_rules! packed {
            ($encoder:expr) => {{
                let mut encoder = $encoder;
                encoder.write_all(begun).await?;
                let mut ends = Vec::new();
                for _ in 0..2 {
                    encoder.write_all(&block).await?;
                    encoder.flush().await?;
                    ends.push(encoder.get_ref().len());
                }
                let mut packed = encoder.into_inner();
                packed.truncate(ends[1]);
                let again = packed.split_off(ends[0]);
                packed.extend(again.repeat(GIGABYTE / BLOCK));
                Ok::<_, io::Error>(packed)
            }};
        }
        if coding == "br" {
            packed!(write::BrotliEncoder::with_quality(Vec::new(), Level::Precise(5)))
        } else {
            packed!(write::GzipEncoder::with_quality(Vec::new(), Level::Best))
        }
    })
    .unwrap()
}

/// Decompresses the first sixteenth only, because the whole takes as long as a run.
#[test]
fn bombs_decompress_to_a_gigabyte() {
    for (coding, packed) in bombs() {
        let most = if coding == "br" { 16 * 1024 } else { GIGABYTE / 1_000 };
        assert!(packed.len() <= most, "{coding}: {}", packed.len());
        let (unpacked, _) = decode(coding, &packed[..packed.len() / 16]);
        assert!(unpacked.len() >= GIGABYTE / 17, "{coding}: {}", unpacked.len());
    }
}
