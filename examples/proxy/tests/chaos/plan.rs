//! One request and its answer, from nothing but the seed and a nonce.
use crate::random::Random;
use crate::script::{Act, Script, Teller};
use crate::world::World;

/// What a nonce begins with says what the upstream may think of it.
pub(crate) mod kind {
    /// A request as it should be, with a plan.
    pub(crate) const PLANNED: char = 'q';
    /// Unusual, and still one request: it may arrive or be refused.
    pub(crate) const ODD: char = 'o';
    /// Broken: it must not arrive whole.
    pub(crate) const BROKEN: char = 'b';
    /// Inside the body of another: it must not arrive as one.
    pub(crate) const SMUGGLED: char = 's';
}

pub(crate) const NONCE_LENGTH: usize = 12;

pub(crate) fn nonce(kind: char, place: u64) -> String {
    format!("{kind}{place:011x}")
}

/// The most requests of one connection.
pub(crate) const MOST: usize = 8;

/// Which connection it is of.
pub(crate) fn episode_of(nonce: &str) -> u64 {
    u64::from_str_radix(&nonce[1..], 16).unwrap_or_default() / MOST as u64
}

pub(crate) struct Plan {
    pub(crate) nonce: String,
    pub(crate) act: &'static Act,
    pub(crate) script: Script,
    pub(crate) method: &'static str,
    path: &'static str,
    /// As it is asked, and as it has to arrive.
    query: (&'static str, &'static str),
    pub(crate) upload: Option<Upload>,
    /// What the client says it can decode.
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
    ("&api_key_names[]=constant&limit=1", "&api_key_ids[]=key_const&limit=1"),
];

impl Plan {
    /// Of a planned request.
    pub(crate) fn new(world: &World, nonce: &str) -> Self {
        let place = u64::from_str_radix(&nonce[1..], 16).unwrap();
        let mut random = Random::new(world.seed, place);
        let path = *random.pick(PATHS);
        let query = *random.pick(QUERIES);
        let accept = random.in_100(15).then(|| *random.pick(&["gzip", "br", "br;q=0.5, gzip", "identity"]));
        let uploads = random.in_100(15);
        let upload = Upload { length: random.below(20_000), chunked: random.in_100(50) };

        let mut teller = Teller::new(world, random, nonce.to_owned());
        let act = teller.act();
        let script = (act.script)(&mut teller);
        let upload = (!script.to_head && (script.early || uploads)).then_some(upload);
        let method = match (script.to_head, upload) {
            (true, _) => "HEAD",
            (_, Some(_)) => "POST",
            _ => "GET",
        };
        // Of what has no end, a client that takes it coded would have to wait for a gigabyte.
        let accept = accept.filter(|_| script.enough == usize::MAX);
        Self { nonce: nonce.to_owned(), act, script, method, path, query, upload, accept }
    }

    pub(crate) fn target(&self) -> String {
        format!("{}?nonce={}{}", self.path, self.nonce, self.query.0)
    }

    /// The target as the upstream has to see it.
    pub(crate) fn arrives_as(&self) -> String {
        format!("{}?nonce={}{}", self.path, self.nonce, self.query.1)
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        let length = self.upload.map_or(0, |upload| upload.length);
        self.nonce.bytes().cycle().take(length).collect()
    }

    /// Head and content as they are sent, and where the content begins.
    pub(crate) fn request(&self) -> (Vec<u8>, usize) {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer {}\r\n",
            self.method,
            self.target(),
            self.nonce
        );
        if let Some(accept) = self.accept {
            head += &format!("accept-encoding: {accept}\r\n");
        }
        let content = self.content();
        let mut body = Vec::new();
        match self.upload {
            Some(Upload { chunked: true, .. }) => {
                head += "transfer-encoding: chunked\r\n";
                for chunk in content.chunks(3_001) {
                    body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    body.extend_from_slice(chunk);
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(b"0\r\n\r\n");
            }
            Some(_) => {
                head += &format!("content-length: {}\r\nexpect: 100-continue\r\n", content.len());
                body = content;
            }
            None => {}
        }
        let begin = head.len() + 2;
        (Teller::message(head, &body), begin)
    }
}
