//! Answers that mean what they say, in all the forms that HTTP/1.1 has for them.
use crate::coding;
use crate::documents::Expected;
use crate::script::{Act, End, Script, Step, Teller, Usual};

pub(crate) const HONEST: &[Act] = &[
    Act { name: "with a length", weight: 40, usual: Usual::Whole, script: with_a_length },
    Act { name: "in chunks", weight: 25, usual: Usual::Whole, script: in_chunks },
    Act { name: "until it closes", weight: 5, usual: Usual::Whole, script: until_it_closes },
    Act { name: "as HTTP/1.0", weight: 4, usual: Usual::Whole, script: as_1_0 },
    Act { name: "then it closes", weight: 5, usual: Usual::Whole, script: then_it_closes },
    Act { name: "then it resets", weight: 2, usual: Usual::Varies, script: then_it_resets },
    Act { name: "after 1xx", weight: 4, usual: Usual::Whole, script: after_1xx },
    Act { name: "with trailers", weight: 4, usual: Usual::Whole, script: with_trailers },
    Act { name: "coded", weight: 6, usual: Usual::Whole, script: coded },
    Act { name: "coded in two members", weight: 1, usual: Usual::Error(502), script: in_two_members },
    Act { name: "an error of the API's", weight: 4, usual: Usual::Whole, script: an_error },
    Act { name: "no content", weight: 3, usual: Usual::Whole, script: no_content },
    Act { name: "to HEAD", weight: 3, usual: Usual::Whole, script: to_head },
    Act { name: "before the request's end", weight: 3, usual: Usual::Varies, script: early },
];

fn with_a_length(teller: &mut Teller<'_>) -> Script {
    let message = teller.whole();
    Script::new(teller.pieces(message)).is(200, teller.amended())
}

fn in_chunks(teller: &mut Teller<'_>) -> Script {
    let message = teller.chunked("", "");
    Script::new(teller.pieces(message)).is(200, teller.amended())
}

fn until_it_closes(teller: &mut Teller<'_>) -> Script {
    let message = teller.unmeasured();
    Script::new(teller.pieces(message)).then(End::Close).is(200, teller.amended())
}

fn as_1_0(teller: &mut Teller<'_>) -> Script {
    let head = teller.head("HTTP/1.0 200 OK");
    let script = match teller.random.below(3) {
        0 => Script::send(Teller::message(head, &teller.raw())).then(End::Close),
        1 => Script::send(Teller::measured(head, &teller.raw())).then(End::Close),
        _ => {
            let head = format!("{head}connection: keep-alive\r\n");
            Script::send(Teller::measured(head, &teller.raw()))
        }
    };
    script.is(200, teller.amended())
}

fn then_it_closes(teller: &mut Teller<'_>) -> Script {
    with_a_length(teller).then(End::Close)
}

/// What was not read by then is lost.
fn then_it_resets(teller: &mut Teller<'_>) -> Script {
    in_chunks(teller).then(End::Reset).begins(teller.amended())
}

fn after_1xx(teller: &mut Teller<'_>) -> Script {
    let mut said = Vec::new();
    for _ in 0..1 + teller.random.below(5) {
        let line = *teller.random.pick(&[
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 102 Processing\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\nx-nonce: of-the-hints\r\n\r\n",
            "HTTP/1.1 199 Whatever\r\ncontent-length: 5\r\n\r\n",
        ]);
        said.extend_from_slice(line.as_bytes());
    }
    let mut script = with_a_length(teller);
    script.steps.insert(0, Step::Send(said));
    script
}

fn with_trailers(teller: &mut Teller<'_>) -> Script {
    let fields = "trailer: x-trailer, content-digest\r\n";
    let message = teller.chunked(fields, "x-trailer: 1\r\ncontent-digest: sha-256=:AAAA:\r\n");
    Script::new(teller.pieces(message)).is(200, teller.amended())
}

fn coded(teller: &mut Teller<'_>) -> Script {
    let coding = *teller.random.pick(&["gzip", "br"]);
    let body = coding::encode(coding, &teller.raw());
    // In any case of letters (RFC 9110 §8.4.1).
    let said = if teller.random.below(4) == 0 { coding.to_uppercase() } else { coding.into() };
    let head = format!("{}content-encoding: {said}\r\n", teller.ok());
    let message = Teller::measured(head, &body);
    Script::new(teller.pieces(message)).is(200, teller.amended())
}

/// RFC 1952 §2.2: members follow each other, and are one file. The proxy's decoder reads one, and must say so.
fn in_two_members(teller: &mut Teller<'_>) -> Script {
    let raw = teller.raw();
    let (first, second) = raw.split_at(teller.random.below(raw.len()));
    let body = [coding::encode("gzip", first), coding::encode("gzip", second)].concat();
    let head = format!("{}content-encoding: gzip\r\n", teller.ok());
    Script::send(Teller::measured(head, &body)).begins(teller.amended())
}

fn an_error(teller: &mut Teller<'_>) -> Script {
    let (status, reason) = *teller.random.pick(&[
        (400, "Bad Request"),
        (401, ""),
        (429, "Too Many Requests"),
        (500, "Oh"),
        (503, "No"),
    ]);
    let head = teller.head(&format!("HTTP/1.1 {status} {reason}"));
    Script::send(Teller::measured(head, &teller.raw())).is(status, teller.amended())
}

fn no_content(teller: &mut Teller<'_>) -> Script {
    let status = *teller.random.pick(&[204, 304]);
    let head = teller.head(&format!("HTTP/1.1 {status} Nothing"));
    Script::send(Teller::message(head, b"")).is(status, Expected::bytes(Vec::new()))
}

fn to_head(teller: &mut Teller<'_>) -> Script {
    let head = format!("{}content-length: {}\r\n", teller.ok(), teller.document.len());
    let mut script = Script::send(Teller::message(head, b"")).is(200, Expected::bytes(Vec::new()));
    script.to_head = true;
    script
}

/// With the rest of the request still on its way: it may be read, or be cut off.
fn early(teller: &mut Teller<'_>) -> Script {
    let end = *teller.random.pick(&[End::Stay, End::Close, End::Reset]);
    let mut script = with_a_length(teller).then(end).begins(teller.amended());
    script.early = true;
    script
}
