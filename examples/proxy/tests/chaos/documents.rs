//! What the upstream says, and what has to become of it: pages that carry the request's nonce in every row, and
//! beside them, from the naive oracle, the same pages with their names.
//!
//! The oracle is slow, so it sees each page once: nonce and generation are marks of a fixed width in it, which are
//! filled in for each request.
use std::fmt::Write;
use std::ops::Range;

use crate::random::Random;
use test_support::cases::naive;

/// `--limit` of the proxy: small, so that pages of a few kilobytes more are streamed.
pub(crate) const LIMIT: usize = 64 * 1024;

const NONCE: &str = "@NONCE-MARK@";
const GENERATION: &str = "@GEN-@";

/// The map, but for its generation. The last name is the same in each.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("key_00", "storefront, @GEN-@"),
    ("key_01", "@GEN-@ search"),
    ("key_02", "say \"@GEN-@\" \\ ü 🗝"),
    ("key_03", "@GEN-@"),
    ("key_ü", "Zürich @GEN-@"),
    ("key_const", "constant"),
];

/// Rows of a page; each has the nonce in it, and most of them an id.
const ROWS: &[&str] = &[
    r#"{"request":"@NONCE-MARK@","amount":{"value":0.003627500000000000000000000000000000,"currency":"usd"},"project_id":"proj_PAD","api_key_id":"key_00"}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":"key_01","line_item":"gpt, input PAD","amount":{"value":"0E-6176"}}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":null,"line_item":"PAD","n":1.10}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":"key_nobody","n":[1e2,-0.0,12345678901234567890123],"x":"PAD"}"#,
    r#"{"api_key_name":"native","request":"@NONCE-MARK@","n":1,"api_key_id":"key_02","x":"PAD"}"#,
    r#"{"api_key_id":"key_x","api_key_name":"theirs","request":"@NONCE-MARK@","x":"PAD"}"#,
    r#"{"api\u005fkey_id":"key\u005f03","request":"@NONCE-MARK@","x":"\ud83d\udddd PAD"}"#,
    r#"{"request":"@NONCE-MARK@","x":"PAD","actor":{"type":"api_key","api_key_id":"key_\u00fc"}}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":7,"o":{"api_key_id":"key_const"},"x":"PAD"}"#,
    r#"{"request":"@NONCE-MARK@","note":"\"api_key_id\":\"key_00\" is no member","x":"PAD"}"#,
    "{\n      \"request\": \"@NONCE-MARK@\",\n      \"api_key_id\": \"key_00\",\n      \"x\": \"PAD\"\n    }",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Held, and amended as a whole.
    Small,
    /// Streamed: longer than the limit.
    Large,
    /// Held, and no JSON in the end.
    Broken,
    /// Streamed, and no JSON in the end.
    LateBroken,
    /// JSON without an id.
    Idle,
}

/// Most of the kinds a request meets.
const KINDS: &[(Kind, usize)] =
    &[(Kind::Small, 30), (Kind::Large, 6), (Kind::Broken, 6), (Kind::LateBroken, 3), (Kind::Idle, 3)];

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) kind: Kind,
    raw: Template,
    amended: Template,
    /// Where the name of each row is certain, in the raw bytes and in the amended ones.
    ends: Vec<(usize, usize)>,
}

/// Bytes with marks in them.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    nonces: Vec<usize>,
    generations: Vec<usize>,
}

/// What has to arrive, in whichever generation.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    bytes: Vec<u8>,
    generations: Vec<usize>,
}

impl Template {
    fn new(bytes: Vec<u8>) -> Self {
        let find = |mark: &str| memchr::memmem::find_iter(&bytes, mark).collect();
        let (nonces, generations) = (find(NONCE), find(GENERATION));
        Self { bytes, nonces, generations }
    }

    fn fill(&self, nonce: &str, range: Range<usize>) -> Expected {
        assert_eq!(nonce.len(), NONCE.len());
        let mut bytes = self.bytes[range.clone()].to_vec();
        let within = |at: &&usize| range.contains(at);
        for at in self.nonces.iter().filter(within) {
            let left = nonce.len().min(range.end - at);
            bytes[at - range.start..][..left].copy_from_slice(&nonce.as_bytes()[..left]);
        }
        let generations = self.generations.iter().filter(within).map(|at| at - range.start).collect();
        Expected { bytes, generations }
    }
}

impl Document {
    /// A set of them that has every kind.
    pub(crate) fn all(seed: u64) -> Vec<Self> {
        let kinds = KINDS.iter().flat_map(|(kind, many)| std::iter::repeat_n(*kind, *many));
        kinds.enumerate().map(|(i, kind)| Self::new(kind, &mut Random::new(seed, i as u64))).collect()
    }

    fn new(kind: Kind, random: &mut Random) -> Self {
        let length = match kind {
            Kind::Small | Kind::Broken => *random.pick(&[200, 1_000, 4_000, 4_000, 20_000, 55_000]),
            Kind::Large | Kind::LateBroken => LIMIT + 2_000 + random.below(2 * LIMIT),
            Kind::Idle => 3_000,
        };
        let mut page = Page::new();
        while page.raw.len() < length {
            page.row(random, kind == Kind::Idle);
        }
        let end = match kind {
            // Each of these is one fault, at the byte where it stands; cut off, they are no JSON either.
            Kind::Broken | Kind::LateBroken => *random.pick(&[",]}", "]]}", "],}", ",NaN]}", "]", ""]),
            // No white space behind it: cut anywhere, it is no JSON.
            _ => "],\"has_more\":false,\"end\":\"@NONCE-MARK@\"}",
        };
        page.raw.push_str(end);
        page.amended.push_str(end);

        let rules = naive::Rules { names: NAMES, window: LIMIT, ..naive::Rules::default() };
        let (oracle, _) = naive::amend(page.raw.as_bytes(), rules);
        let amended = match kind {
            Kind::Small | Kind::Large | Kind::Idle => {
                assert!(naive::is_json(page.raw.as_bytes()) && oracle == page.amended.as_bytes());
                oracle
            }
            // As it came, up to the limit; past it, the names stand that were out before the fault.
            Kind::Broken => oracle,
            Kind::LateBroken => page.amended.into_bytes(),
        };
        let raw = Template::new(page.raw.into_bytes());
        Self { kind, raw, amended: Template::new(amended), ends: page.ends }
    }

    pub(crate) fn len(&self) -> usize {
        self.raw.bytes.len()
    }

    pub(crate) fn raw(&self, nonce: &str) -> Vec<u8> {
        self.raw.fill(nonce, 0..self.len()).bytes
    }

    pub(crate) fn amended(&self, nonce: &str) -> Expected {
        self.amended.fill(nonce, 0..self.amended.bytes.len())
    }

    /// What becomes of its first bytes, if they are all that is said: no JSON.
    pub(crate) fn amended_until(&self, nonce: &str, cut: usize) -> Expected {
        if cut <= LIMIT || self.kind == Kind::Broken {
            return self.raw.fill(nonce, 0..cut);
        }
        let whole = self.ends.iter().rev().find(|(raw, _)| *raw <= cut);
        let (raw, amended) = whole.copied().unwrap_or_default();
        let mut expected = self.amended.fill(nonce, 0..amended);
        expected.bytes.extend(self.raw.fill(nonce, raw..cut).bytes);
        expected
    }
}

/// A page as it grows, with and without names.
struct Page {
    raw: String,
    amended: String,
    ends: Vec<(usize, usize)>,
}

impl Page {
    fn new() -> Self {
        let head = format!("{{\"object\":\"page\",\"nonce\":\"{NONCE}\",\"data\":[");
        Self { raw: head.clone(), amended: head, ends: Vec::new() }
    }

    fn row(&mut self, random: &mut Random, idle: bool) {
        if !self.ends.is_empty() {
            self.raw.push(',');
            self.amended.push(',');
        }
        let mut row = ROWS[random.below(ROWS.len())].to_owned();
        if idle {
            row = row.replace("api", "").replace("key", "");
        }
        let mut pad = String::new();
        for _ in 0..10 + random.below(15) {
            let _ = write!(pad, "{:08x}", random.next() as u32);
        }
        row = row.replace("PAD", &pad);
        let rules = naive::Rules { names: NAMES, window: LIMIT, ..naive::Rules::default() };
        let (amended, _) = naive::amend(row.as_bytes(), rules);
        self.raw.push_str(&row);
        self.amended.push_str(std::str::from_utf8(&amended).unwrap());
        // Named as soon as the object that has the id is closed.
        let open = usize::from(row.contains("\"actor\""));
        self.ends.push((self.raw.len() - open, self.amended.len() - open));
    }
}

/// The map file of a generation.
pub(crate) fn map(generation: u32) -> String {
    let names = NAMES.iter().map(|(id, name)| (*id, name.replace(GENERATION, &format!("{generation:06}"))));
    let pairs: Vec<String> = names
        .map(|(id, name)| {
            format!("  {}: {}", serde_json::Value::from(id), serde_json::Value::from(name.as_str()))
        })
        .collect();
    format!("{{\n{}\n}}\n", pairs.join(",\n"))
}

impl Expected {
    /// These bytes, which hold no name of ours.
    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, generations: Vec::new() }
    }

    /// Whether that is all of it, in one generation up to the newest.
    pub(crate) fn is(&self, got: &[u8], newest: u32) -> Result<(), String> {
        let want = self.of_its_generation(got, newest)?;
        if want == got { Ok(()) } else { Err(difference(&want, got)) }
    }

    /// Whether that is how it begins. Of what was cut off, the last row may have gone out without its name.
    pub(crate) fn begins(&self, got: &[u8], newest: u32) -> Result<(), String> {
        const ROW: usize = 1_024;
        let want = self.of_its_generation(got, newest)?;
        let same = want.iter().zip(got).take_while(|(want, got)| want == got).count();
        if same + ROW >= got.len() { Ok(()) } else { Err(difference(&want, got)) }
    }

    fn of_its_generation(&self, got: &[u8], newest: u32) -> Result<Vec<u8>, String> {
        let mut want = self.bytes.clone();
        let Some(first) = self.generations.first() else { return Ok(want) };
        let Some(tag) = got.get(*first..first + GENERATION.len()) else { return Ok(want) };
        let generation = std::str::from_utf8(tag).ok().and_then(|tag| tag.parse::<u32>().ok());
        if !generation.is_some_and(|generation| (1..=newest).contains(&generation)) {
            return Err(format!("no generation up to {newest}: {}", difference(&want, got)));
        }
        for at in &self.generations {
            want[*at..at + GENERATION.len()].copy_from_slice(tag);
        }
        Ok(want)
    }
}

/// The first byte that is another, with what stands around it.
fn difference(want: &[u8], got: &[u8]) -> String {
    let at = want.iter().zip(got).take_while(|(want, got)| want == got).count();
    let around = |bytes: &[u8]| {
        let range = at.saturating_sub(60).min(bytes.len())..(at + 100).min(bytes.len());
        bytes[range].escape_ascii().to_string()
    };
    format!(
        "at byte {at} of {} (got {})\n  want …{}…\n   got …{}…",
        want.len(),
        got.len(),
        around(want),
        around(got)
    )
}
