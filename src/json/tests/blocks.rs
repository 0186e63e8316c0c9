//! Members in no order are judged many bytes at once: in whichever place among them, a token is what it is.

use super::{make, names, rules, single_bytes};
use crate::internal::cases::naive;
use crate::internal::laws::amend::Amended;
use crate::json::scan::Learnt;

#[test]
fn a_token_is_the_same_in_every_place_of_a_block() {
    let values = [
        "0",
        "12",
        "-0.5",
        "1.25",
        "0.0",
        "1e5",
        "0E-0",
        "-0.5e+12",
        "1e5.3",
        "1e5e3",
        "1.e3",
        "1e+",
        "1e+-5",
        "1e1-",
        "e5",
        "1x5",
        "null1e5",
        "-1.5E-07",
        "123456789.123456789",
        "01",
        "-01",
        "1.",
        ".5",
        "1..2",
        "1.2.3",
        "1.5-",
        "--1",
        "1e",
        "+1",
        "null",
        "true",
        "false",
        "nul",
        "nullx",
        "null1",
        "1null",
        "trueé",
        "x",
        "\u{1}",
        "\u{c}",
        r#""""#,
        r#""a""#,
        r#""\\""#,
        r#""\\\"""#,
        r#""\u00e9\n""#,
        r#""\u00e""#,
        r#""\x""#,
        "\"\t\"",
        "\"é田🔑\"",
        r#""a" "b""#,
        r#""a""b""#,
        "1 2",
        "",
        ",",
        ":",
        "}",
        "]",
        "{}",
        "{ }",
        "[]",
        "[\n]",
        "[}",
        "{]",
        "[,]",
        "[1,]",
        "[1:2]",
        r#"["a":1]"#,
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a" 1}"#,
        r#"{"a",1}"#,
        r#"{a:1}"#,
        r#"{1:2}"#,
        r#"{null:1}"#,
        r#"{"a":1:2}"#,
        r#"{"a":"b":2}"#,
        r#"{"a":1 "b":2}"#,
        r#"{,"a":1}"#,
        "{\"\\u0061\":1}",
        r#"[{"a":1},"b"]"#,
        r#"[{"a":1},{"b":2}]"#,
        r#"{"a":{"b":[{"c":[]}]}}"#,
        r#"[[[1],[2]],3]"#,
        r#"{"api_key_id":"key_1"}"#,
        "{ \"api_key_id\"\t:\n\"key_1\" }",
        r#"{"api_key_id":null,"a":2}"#,
        r#"{"api_key_id":"key_1","api_key_name":"y"}"#,
        r#"{"api_key_id":[{"api_key_id":"key_1"}]}"#,
        r#"{"api_key_id","a":1}"#,
        r#"{"api_key_id":"k\u0065y_1"}"#,
        r#"{"\u0061pi_key_id":"key_1"}"#,
        r#"{"xpi_key_id":"key_1"}"#,
        r#"{"api_key_id":12,"b":{"api_key_id":"key_x"}}"#,
        "true1",
        "false1",
        // A backslash that may be a block's last byte, before one without any.
        "\"\\\",1,\"",
        // And one that is escaped, as a block's first byte.
        "\"\\\\\",1,\"",
        // The outermost container ends, and something follows as if it were in one.
        "1],[2",
        r#"1],"b":[2"#,
        r#"1},{"b":2"#,
        r#"1},"b":{"c":2"#,
    ];
    let values = values.map(|value| value.as_bytes().to_vec());
    let not_utf8 =
        [&b"\"\xC3\""[..], b"\"\xF0\x9F\x94\"", b"\"\x80\"", b"\"\xED\xA0\x80\""].map(<[u8]>::to_vec);
    let (x, white, digits) = ("x".repeat(70), " \n".repeat(70), "12".repeat(70));
    let long = [
        format!(r#"{{"{x}":"{x}"}}"#),
        format!(r#"{{"{x}\u00e9":1}}"#),
        format!("[{white}]"),
        format!("[{white},1]"),
        format!("[1{white},{white}2{white}]"),
        format!("[1{white}2]"),
        format!(r#"{{{white}"a"{white}:{white}{{{white}}}{white}}}"#),
        format!("{digits}.{digits}"),
        format!("{digits}.{digits}.5"),
        format!("0{digits}"),
        format!(r#"{{{white}"api_key_id"{white}:{white}"key_1"{white}}}"#),
        format!("{}1{}", "[".repeat(64), "]".repeat(64)),
        // A literal that ends in one block, and in the next one's first bytes what is as long, and none.
        format!("null,\"{}\",1xx", "x".repeat(57)),
        format!("null,\"{}\",1xx", "x".repeat(505)),
        // More brackets than are gone over at once, and one that is wrong behind those.
        format!("[{}{{}}]", "[],".repeat(100)),
        format!("[{}{{]]", "[],".repeat(100)),
        format!("{}{}{}", r#"{"a":"#.repeat(40), r#"{"api_key_id":"key_1"}"#, "}".repeat(40)),
    ];
    let long = long.map(String::into_bytes);
    for value in values.iter().chain(&not_utf8).chain(&long) {
        // Up to eight blocks are judged at once.
        for pad in (0..66).chain(496..514) {
            let (pad, tail) = ("x".repeat(pad), "y".repeat(70));
            let array = [b"[0,\"", pad.as_bytes(), b"\",", value, b",\"", tail.as_bytes(), b"\"]"].concat();
            let object =
                [b"{\"a\":0,\"", pad.as_bytes(), b"\":", value, b",\"z\":\"", tail.as_bytes(), b"\"}"]
                    .concat();
            for body in [array, object] {
                let stepped = make(&single_bytes(&body), rules(), true);
                let swept = Amended::after(&Learnt::disorder(), &[&body], &names(), rules(), true);
                assert_eq!(swept, stepped, "{}", String::from_utf8_lossy(&body));
                assert_eq!(
                    swept.fault.is_none(),
                    naive::is_json(&body),
                    "{}",
                    String::from_utf8_lossy(&body)
                );
            }
        }
    }
}
