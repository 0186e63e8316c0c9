//! The memory of the layer is bounded, however long a response is.

use allocation_counter::measure;

use super::*;

/// A body of this number of equal chunks, between two others.
#[derive(Clone)]
struct LongBody {
    chunks: VecDeque<(usize, Bytes)>,
}

impl LongBody {
    fn new(start: &'static str, middle: &'static [u8], count: usize, end: &'static str) -> Self {
        let start = Bytes::from_static(start.as_bytes());
        let end = Bytes::from_static(end.as_bytes());
        Self { chunks: VecDeque::from([(1, start), (count, Bytes::from_static(middle)), (1, end)]) }
    }
}

impl Body for LongBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((count, chunk)) = self.chunks.front_mut() else { return Poll::Ready(None) };
        let chunk = chunk.clone();
        *count -= 1;
        if *count == 0 {
            self.chunks.pop_front();
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

/// A service with this response to each request.
#[derive(Clone)]
struct LongUpstream {
    content_type: &'static str,
    body: LongBody,
}

impl Service<Request<Full<Bytes>>> for LongUpstream {
    type Response = Response<LongBody>;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let response = Response::builder().header("content-type", self.content_type);
        std::future::ready(Ok(response.body(self.body.clone()).unwrap()))
    }
}

const CHUNK: usize = 16 * 1024;
static MIDDLE: [u8; CHUNK] = [b'x'; CHUNK];

/// Returns the bytes that pass, and the peak of the memory. The middle of the response has this number of chunks.
fn peak(content_type: &'static str, start: &'static str, count: usize, end: &'static str) -> (usize, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let gate = Gate::new(RecordedUpstream::json(200, "{}"));
    let mut passed_len = 0;
    let info = measure(|| {
        let upstream = LongUpstream { content_type, body: LongBody::new(start, &MIDDLE, count, end) };
        let request = gate.post(CHAT, full(r#"{"model":"gpt-5","messages":[],"stream":true}"#));
        runtime.block_on(async {
            let response = gate.layer.layer(upstream).oneshot(request).await.unwrap();
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                passed_len += frame.unwrap().into_data().unwrap().len();
            }
        });
    });
    (passed_len, info.bytes_max)
}

#[test]
fn event_of_100_mb_takes_no_more_memory_than_a_short_one() {
    const COUNT: usize = 100_000_000 / CHUNK;
    let start = "data: {\"choices\":[],\"usage\":{\"x\":\"";
    let end = "\"}}\n\ndata: [DONE]\n\n";
    let (short_len, short_peak) = peak("text/event-stream", start, 10, end);
    let (long_len, long_peak) = peak("text/event-stream", start, COUNT, end);
    assert_eq!(short_len, start.len() + 10 * CHUNK + end.len());
    assert_eq!(long_len, start.len() + COUNT * CHUNK + end.len());
    assert!(long_peak <= short_peak + 4 * 1024, "{long_peak} bytes, {short_peak} for a short event");
    // The meter copies a usage object up to 256 KiB.
    assert!(long_peak < 1024 * 1024, "{long_peak} bytes");
}

#[test]
fn json_of_100_mb_takes_no_more_memory_than_a_short_one() {
    const COUNT: usize = 100_000_000 / CHUNK;
    let start = "{\"data\":[{\"b64_json\":\"";
    let end = "\"}],\"usage\":{\"input_tokens\":1}}";
    let (_, short_peak) = peak("application/json", start, 10, end);
    let (long_len, long_peak) = peak("application/json", start, COUNT, end);
    assert_eq!(long_len, start.len() + COUNT * CHUNK + end.len());
    assert!(long_peak <= short_peak + 4 * 1024, "{long_peak} bytes, {short_peak} for a short body");
}
