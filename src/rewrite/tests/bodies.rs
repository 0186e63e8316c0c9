//! Bodies to feed: JSON of every kind, and what is none any more.

use proptest::prelude::*;

/// JSON as hostile as it comes, in which ids are frequent.
fn json() -> impl Strategy<Value = String> {
    let white = || prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n  "), 1 => Just("\t\r\n")];
    let text = || {
        prop_oneof![
            Just("\"key_1\"".to_owned()),
            Just("\"key_a\"".to_owned()),
            Just("\"k\\u0065y_1\"".to_owned()),
            Just("\"key_ü\"".to_owned()),
            Just("\"key_x\"".to_owned()),
            Just("\"x\"".to_owned()),
            Just("\"\\ud800\"".to_owned()),
            Just("\"\\ud83d\\udddd\\\\\\\"\"".to_owned()),
            "[a-z €🗝]{0,12}".prop_map(|text| format!("\"{text}\"")),
        ]
    };
    let leaf = prop_oneof![
        4 => text(),
        1 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("-0.10e+05".to_owned()),
        1 => Just("0".to_owned()),
        1 => "[1-9][0-9]{0,30}(\\.[0-9]{1,30})?(E-[0-9]{1,4})?",
    ];
    let name = move || {
        prop_oneof![
            5 => Just("\"api_key_id\"".to_owned()),
            3 => Just("\"api_key_name\"".to_owned()),
            1 => Just("\"api\\u005Fkey_id\"".to_owned()),
            1 => Just("\"api_key_ids\"".to_owned()),
            2 => text(),
        ]
    };
    let value = leaf.prop_recursive(6, 60, 5, move |inner| {
        let element = (white(), inner.clone(), white()).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let member = (white(), name(), white(), white(), inner, white())
            .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
        prop_oneof![
            1 => prop::collection::vec(element, 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            3 => prop::collection::vec(member, 0..4).prop_map(|v| format!("{{{}}}", v.join(","))),
        ]
    });
    (white(), value, white()).prop_map(|(a, v, b)| format!("{a}{v}{b}"))
}

/// Rows that repeat, as pages have them: what the scanner learns from one it must not believe of another.
fn rows() -> impl Strategy<Value = String> {
    let rows =
        (prop::collection::vec(json(), 1..4), prop::collection::vec(any::<prop::sample::Index>(), 0..12));
    (rows, any::<bool>()).prop_map(|((kinds, order), in_array)| {
        let rows: Vec<_> = order.iter().map(|nth| nth.get(&kinds).as_str()).collect();
        if in_array {
            return format!("[{}]", rows.join(","));
        }
        let members: Vec<_> = rows.iter().map(|row| format!("\"row\":{row}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// Rows of few members over and over, with names and white space about as long as the scanner may keep, in
/// arrays and in objects, deep and shallow: joints that are almost those it knows.
fn alike() -> impl Strategy<Value = String> {
    let long = || prop_oneof![Just(0), Just(1), 40..70_usize, 85..100_usize, 240..262_usize];
    let name = prop_oneof![
        3 => Just("api_key_id".to_owned()),
        1 => Just("api_key_name".to_owned()),
        3 => long().prop_map(|len| "n".repeat(len)),
        1 => Just("},{".to_owned()),
    ];
    let value =
        prop::sample::select(vec!["1", "\"key_1\"", "\"key_x\"", "null", "-1.50", "1e5", "\"\\u0041\""]);
    let member = (name, prop_oneof![3 => Just(0), 1 => long()], 0..3_usize, value);
    let index = any::<prop::sample::Index>;
    let row = prop::collection::vec((index(), 0..4_usize), 1..6);
    let rows = prop::collection::vec((row, 0..3_usize), 1..10);
    (prop::collection::vec(member, 1..6), rows, any::<bool>()).prop_map(|(members, rows, in_array)| {
        let rows = rows.iter().map(|(row, depth)| {
            let row = row.iter().map(|(nth, at)| {
                let (name, gap, place, value) = nth.get(&members);
                let gaps: [String; 3] =
                    std::array::from_fn(|n| " ".repeat(if n == *place { *gap } else { 0 }));
                let [before, colon, after] = gaps;
                // Now and then the value is an object, or in an array.
                let (open, close) = [("", ""), ("", ""), ("{\"o\":", "}"), ("[", "]")][*at];
                format!("{before}\"{name}\"{colon}:{after}{open}{value}{close}")
            });
            let row = row.collect::<Vec<_>>().join(",");
            let row = format!("{}{{{row}}}{}", "{\"d\":".repeat(*depth), "}".repeat(*depth));
            if in_array { row } else { format!("\"row\":{row}") }
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        if in_array { format!("[{rows}]") } else { format!("{{{rows}}}") }
    })
}

/// Members of a few names in no order, long enough for the scanner to give up expecting one.
fn unordered() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "1",
        "0",
        "12.50",
        "1e5",
        "-7",
        "null",
        "false",
        "\"\"",
        "\"key_1\"",
        "\"key_x\"",
        "\"a \\\"b\\\" \\u00e9 – 田中\"",
        "\"a text that is longer than what is looked at in one go, which is sixty-four bytes\"",
        "[]",
        "{}",
        "[\"a\", 1,\"\\u0062\" ,null]",
        "[1,[2]]",
        "{\"api_key_id\":\"key_a\"}",
        "[{\"api_key_id\":\"key_1\"}]",
    ]);
    let name = prop::sample::select(vec!["a", "count", "api_key_id", "a_name_of_some_length", "é", "x\\n"]);
    let members = prop::collection::vec((name, value, 0..12_u8, any::<bool>()), 0..120);
    members.prop_map(|members| {
        let mut page = "[{\"first\":1".to_owned();
        for (name, value, gap, ends_row) in members {
            let gap = if gap == 0 { " " } else { "" };
            page += &format!(",{gap}\"{name}\":{gap}{value}");
            if ends_row {
                page += "},{\"first\":1";
            }
        }
        page + "}]"
    })
}

/// JSON, or JSON with a byte changed, taken out or put in.
pub(super) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let whole = || prop_oneof![json(), rows(), alike(), unordered()];
    let broken =
        (whole(), any::<prop::sample::Index>(), any::<u8>(), 0..3).prop_map(|(json, at, byte, how)| {
            let mut bytes = json.into_bytes();
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
            bytes
        });
    prop_oneof![2 => whole().prop_map(String::into_bytes), 2 => broken, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}
