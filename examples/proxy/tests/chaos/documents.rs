//! Response bodies and the expected results: pages with the request's nonce in every row, and the same pages with names
//! from the naive oracle.
//!
//! The oracle is slow, so it processes each page once, with placeholders of fixed width for nonce and generation. The
//! placeholders are filled in for each request.
use std::fmt::Write;
use std::ops::Range;

use crate::random::Random;
use test_support::cases::naive;

/// The proxy's `--limit`, small enough that pages of this test exceed it.
pub(crate) const LIMIT: usize = 64 * 1024;

const NONCE: &str = "@NONCE-MARK@";
const GENERATION: &str = "@GEN-@";

/// The names, with a placeholder for the generation. The last one is the same in each generation.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("key_00", "storefront, @GEN-@"),
    ("key_01", "@GEN-@ search"),
    ("key_02", "say \"@GEN-@\" \\ ü 🗝"),
    ("key_03", "@GEN-@"),
    ("key_ü", "Zürich @GEN-@"),
    ("idx_const", "constant"),
];

/// Rows of a page. Each has the nonce, and most have an id.
const ROWS: &[&str] = &[
    r#"{"request":"@NONCE-MARK@","amount":{"value":0.003627500000000000000000000000000000,"currency":"usd"},"project_id":"proj_PAD","api_key_id":"key_00"}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":"key_01","line_item":"gpt, input PAD","amount":{"value":"0E-6176"}}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":null,"line_item":"PAD","n":1.10}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":"key_nobody","n":[1e2,-0.0,12345678901234567890123],"x":"PAD"}"#,
    r#"{"api_key_name":"native","request":"@NONCE-MARK@","n":1,"api_key_id":"key_02","x":"PAD"}"#,
    r#"{"api_key_id":"key_x","api_key_name":"theirs","request":"@NONCE-MARK@","x":"PAD"}"#,
    r#"{"api\u005fkey_id":"key\u005f03","request":"@NONCE-MARK@","x":"\ud83d\udddd PAD"}"#,
    r#"{"request":"@NONCE-MARK@","x":"PAD","actor":{"type":"api_key","api_key_id":"key_\u00fc"}}"#,
    r#"{"request":"@NONCE-MARK@","api_key_id":7,"o":{"api_key_id":"idx_const"},"x":"PAD"}"#,
    r#"{"request":"@NONCE-MARK@","note":"\"api_key_id\":\"key_00\" is no member","x":"PAD"}"#,
    "{\n      \"request\": \"@NONCE-MARK@\",\n      \"api_key_id\": \"key_00\",\n      \"x\": \"PAD\"\n    }",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Fits in the limit, and is amended as a whole.
    Small,
    /// Exceeds the limit, and is streamed.
    Large,
    /// Fits in the limit, and is not valid JSON at its end.
    Broken,
    /// Exceeds the limit, and is not valid JSON at its end.
    LateBroken,
    /// Valid JSON without an id.
    Idle,
}

/// The number of documents of each kind.
const KINDS: &[(Kind, usize)] =
    &[(Kind::Small, 30), (Kind::Large, 6), (Kind::Broken, 6), (Kind::LateBroken, 3), (Kind::Idle, 3)];

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) kind: Kind,
    raw: Template,
    amended: Template,
    /// Offsets after each row, in the raw and in the amended bytes. The name of the row is certain there.
    ends: Vec<(usize, usize)>,
}

/// Bytes with placeholders.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    nonces: Vec<usize>,
    generations: Vec<usize>,
}

/// An expected body, for any generation.
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
    /// Documents of every kind.
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
            // Each ending is one fault at a known byte. A truncated document is not valid JSON either.
            Kind::Broken | Kind::LateBroken => *random.pick(&[",]}", "]]}", "],}", ",NaN]}", "]", ""]),
            // Without trailing white space, so that each truncation is invalid JSON.
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
            // Unchanged within the limit. Beyond it, the names before the fault remain.
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

    /// The expected result if only the first `cut` bytes arrive, which are not valid JSON.
    pub(crate) fn amended_until(&self, nonce: &str, cut: usize) -> Expected {
        let charge = naive::edit_charge(naive::edits(&self.raw.bytes, cut));
        if cut + charge <= LIMIT || self.kind == Kind::Broken {
            return self.raw.fill(nonce, 0..cut);
        }
        let whole = self.ends.iter().rev().find(|(raw, _)| *raw <= cut);
        let (raw, amended) = whole.copied().unwrap_or_default();
        let mut expected = self.amended.fill(nonce, 0..amended);
        expected.bytes.extend(self.raw.fill(nonce, raw..cut).bytes);
        expected
    }
}

/// A page under construction, with and without names.
struct Page {
    raw: String,
    amended: String,
    ends: Vec<(usize, usize)>,
}

impl Page {
    fn new() -> Self {
        let headers = format!("{{\"object\":\"page\",\"nonce\":\"{NONCE}\",\"data\":[");
        Self { raw: headers.clone(), amended: headers, ends: Vec::new() }
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
        // The name is certain at the end of the object with the id.
        let open = usize::from(row.contains("\"actor\""));
        self.ends.push((self.raw.len() - open, self.amended.len() - open));
    }
}

/// Returns the names file of a generation.
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
    /// Bytes without a name of a generation.
    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, generations: Vec::new() }
    }

    /// Checks that the body is complete, with names of one generation up to `newest`.
    pub(crate) fn check_complete(&self, received: &[u8], newest: u32) -> Result<(), String> {
        let want = self.of_its_generation(received, newest)?;
        if want == received { Ok(()) } else { Err(difference(&want, received)) }
    }

    /// Checks the beginning of a body. The last row of a truncated body may have no name.
    pub(crate) fn check_prefix(&self, received: &[u8], newest: u32) -> Result<(), String> {
        const ROW: usize = 1_024;
        let want = self.of_its_generation(received, newest)?;
        let same = want.iter().zip(received).take_while(|(want, received)| want == received).count();
        if same + ROW >= received.len() { Ok(()) } else { Err(difference(&want, received)) }
    }

    fn of_its_generation(&self, received: &[u8], newest: u32) -> Result<Vec<u8>, String> {
        let mut want = self.bytes.clone();
        let Some(first) = self.generations.first() else { return Ok(want) };
        let Some(tag) = received.get(*first..first + GENERATION.len()) else { return Ok(want) };
        let generation = std::str::from_utf8(tag).ok().and_then(|tag| tag.parse::<u32>().ok());
        if !generation.is_some_and(|generation| (1..=newest).contains(&generation)) {
            return Err(format!("no generation up to {newest}: {}", difference(&want, received)));
        }
        for at in &self.generations {
            want[*at..at + GENERATION.len()].copy_from_slice(tag);
        }
        Ok(want)
    }
}

/// Describes the first difference and the bytes around it.
fn difference(want: &[u8], received: &[u8]) -> String {
    let at = want.iter().zip(received).take_while(|(want, received)| want == received).count();
    let around = |bytes: &[u8]| {
        let range = at.saturating_sub(60).min(bytes.len())..(at + 100).min(bytes.len());
        bytes[range].escape_ascii().to_string()
    };
    format!(
        "at byte {at} of {} (got {})\n  want …{}…\n   got …{}…",
        want.len(),
        received.len(),
        around(want),
        around(received)
    )
}
