//! One request and its response, computed from the seed and a nonce.
use crate::fixtures::Fixtures;
use crate::random::Random;
use crate::script::{Behavior, Script, ScriptBuilder};

/// The first character of a nonce: the kind of its request.
pub(crate) mod kind {
    /// A valid request with a plan.
    pub(crate) const PLANNED: char = 'q';
    /// An unusual request, which may be forwarded or rejected.
    pub(crate) const ODD: char = 'o';
    /// A malformed request, which must not arrive complete.
    pub(crate) const BROKEN: char = 'b';
    /// A request inside the body of another, which must not arrive.
    pub(crate) const SMUGGLED: char = 's';
}

pub(crate) const NONCE_LENGTH: usize = 12;

pub(crate) fn nonce(kind: char, place: u64) -> String {
    format!("{kind}{place:011x}")
}

/// The maximum number of requests on one connection.
pub(crate) const MAX_REQUESTS: usize = 8;

/// Returns the connection that a nonce belongs to.
pub(crate) fn episode_of(nonce: &str) -> u64 {
    u64::from_str_radix(&nonce[1..], 16).unwrap_or_default() / MAX_REQUESTS as u64
}

pub(crate) struct Plan {
    pub(crate) nonce: String,
    pub(crate) behavior: &'static Behavior,
    pub(crate) script: Script,
    pub(crate) method: &'static str,
    path: &'static str,
    /// The query as it is sent, and as the upstream has to receive it.
    query: (&'static str, &'static str),
    pub(crate) upload: Option<Upload>,
    /// The client's Accept-Encoding.
    pub(crate) accept: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(crate) struct Upload {
    length: usize,
    chunked: bool,
}

const PATHS: &[&str] = &[
    "/v1/organization/costs",
    "/v1/organization/usage/completions",
    "/v1/organizations/usage_report/messages",
];

const QUERIES: &[(&str, &str)] = &[
    ("", ""),
    ("&group_by=api_key_name", "&group_by=api_key_id"),
    ("&group_by[]=model&group_by[]=api_key_name&limit=7", "&group_by[]=model&group_by[]=api_key_id&limit=7"),
    ("&group_by%5B%5D=api_key_name", "&group_by%5B%5D=api_key_id"),
    ("&x=%zz&y=%00&&=&%&+a+=b&group_by=api_key_id", "&x=%zz&y=%00&&=&%&+a+=b&group_by=api_key_id"),
    ("&api_key_names[]=constant&limit=1", "&api_key_ids[]=idx_const&limit=1"),
];

impl Plan {
    /// Makes the plan of a nonce.
    pub(crate) fn new(fixtures: &Fixtures, nonce: &str) -> Self {
        let place = u64::from_str_radix(&nonce[1..], 16).unwrap();
        let mut random = Random::new(fixtures.seed, place);
        let path = *random.pick(PATHS);
        let query = *random.pick(QUERIES);
        let accept = random.chance(15).then(|| *random.pick(&["gzip", "br", "br;q=0.5, gzip", "identity"]));
        let uploads = random.chance(15);
        let upload = Upload { length: random.below(20_000), chunked: random.chance(50) };

        let mut builder = ScriptBuilder::new(fixtures, random, nonce.to_owned());
        let behavior = builder.behavior();
        let script = (behavior.script)(&mut builder);
        let upload = (!script.to_head && (script.early || uploads)).then_some(upload);
        let method = match (script.to_head, upload) {
            (true, _) => "HEAD",
            (_, Some(_)) => "POST",
            _ => "GET",
        };
        // Compressed, an endless response would have to reach a gigabyte before the client stops.
        let accept = accept.filter(|_| script.read_limit == usize::MAX);
        Self { nonce: nonce.to_owned(), behavior, script, method, path, query, upload, accept }
    }

    pub(crate) fn target(&self) -> String {
        format!("{}?nonce={}{}", self.path, self.nonce, self.query.0)
    }

    /// The target as the upstream has to receive it.
    pub(crate) fn target_at_upstream(&self) -> String {
        format!("{}?nonce={}{}", self.path, self.nonce, self.query.1)
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        let length = self.upload.map_or(0, |upload| upload.length);
        self.nonce.bytes().cycle().take(length).collect()
    }

    /// Returns headers and body, and the offset of the body.
    pub(crate) fn request(&self) -> (Vec<u8>, usize) {
        let mut headers = format!(
            "{} {} HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer {}\r\n",
            self.method,
            self.target(),
            self.nonce
        );
        if let Some(accept) = self.accept {
            headers += &format!("accept-encoding: {accept}\r\n");
        }
        let content = self.content();
        let mut body = Vec::new();
        match self.upload {
            Some(Upload { chunked: true, .. }) => {
                headers += "transfer-encoding: chunked\r\n";
                for chunk in content.chunks(3_001) {
                    body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    body.extend_from_slice(chunk);
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(b"0\r\n\r\n");
            }
            Some(_) => {
                headers += &format!("content-length: {}\r\nexpect: 100-continue\r\n", content.len());
                body = content;
            }
            None => {}
        }
        let begin = headers.len() + 2;
        (ScriptBuilder::message(headers, &body), begin)
    }
}
