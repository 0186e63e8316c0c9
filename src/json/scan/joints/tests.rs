use super::*;
use crate::KeyNames;
use crate::json::amend::Amender;
use crate::json::rules::{Rules, Unmatched};
use crate::naming::settings::MEMBERS;

fn window(text: &str) -> [u8; WINDOW] {
    let mut window = [b' '; WINDOW];
    window[..text.len()].copy_from_slice(text.as_bytes());
    window
}

/// A joint of one part, or of two: up to where its name begins it was read before.
fn joint(text: &str) -> Joint {
    let [len, from] = [text.len(), text.rfind(",\"").unwrap()].map(|at| at as u8);
    Joint { len, name: (from + 2, len - 2), colon: len - 1, around: 1, part: from, ..Joint::default() }
}

/// An object in an array.
fn object() -> Nest {
    let mut nest = Nest::default();
    assert!(nest.push(false) && nest.push(true));
    nest
}

#[test]
fn what_came_twice_comes_again() {
    let mut joints = Joints::default();
    let first = joint(r#","project_id":"#);
    let row = |value: &str| window(&format!(r#","project_id":{value},"user_id":"#));
    let (null, other) = (row("null"), row("\"x\""));
    assert_eq!(joints.again(&first, &null), None, "nothing is known");
    joints.learn(first, &null, &object(), false);
    joints.lose();
    assert_eq!([&null, &other].map(|row| joints.again(&first, row)), [Some(4), None]);
    joints.learn(first, &other, &object(), false);
    joints.lose();
    assert_eq!([&null, &other].map(|row| joints.again(&first, row)), [None, Some(3)]);
}

#[test]
fn what_came_twice_is_expected() {
    let mut joints = Joints::default();
    let [first, part, whole] = [r#","project_id":"#, r#","user_id":"#, r#","user_id":null,"model":"#];
    let learn = |joints: &mut Joints, text| {
        joints.learn(joint(text), &window(if text == part { whole } else { text }), &object(), false);
    };
    let after_first = |joints: &Joints| joints.known[0].then;
    learn(&mut joints, first);
    learn(&mut joints, part);
    assert_eq!(after_first(&joints), [NONE; 3], "its value may come again");
    joints.lose();
    learn(&mut joints, first);
    assert_eq!(joints.again(&Joint { part: 0, ..joint(part) }, &window(whole)), Some(4));
    learn(&mut joints, part);
    assert_eq!(after_first(&joints), [1, NONE, NONE]);
    // Another is, once it is there; and what goes on behind it is asked for first.
    for text in [whole, part, whole] {
        joints.lose();
        learn(&mut joints, first);
        assert_eq!(
            joints.again(&Joint { part: 0, ..joint(part) }, &window(whole)),
            None,
            "one is expected, and did not come"
        );
        learn(&mut joints, text);
    }
    assert_eq!(after_first(&joints), [2, 1, NONE]);
    joints.lose();
    learn(&mut joints, first);
    learn(&mut joints, part);
    assert_eq!(after_first(&joints), [2, 1, NONE]);
}

#[test]
fn a_body_is_expected_to_begin_as_the_one_before() {
    let mut joints = Joints::default();
    let [first, second, other] = [r#","data":"#, r#","object":"#, r#","id":"#];
    for text in [first, second] {
        joints.begin();
        joints.learn(joint(text), &window(text), &object(), false);
        joints.learn(joint(other), &window(other), &object(), false);
        joints.lose();
        // Not where a body begins.
        joints.learn(joint(other), &window(other), &object(), false);
        joints.begin();
        assert!(joints.known[usize::from(joints.next)].begins(BASE, &window(text)), "{text}");
    }
}

#[test]
fn what_a_chunk_ends_in_is_whole_if_its_end_is_seen_and_nothing_goes_on() {
    let mut joints = Joints::default();
    let (text, after) = (r#","has_more":"#, r#","has_more":true,"next_page":null}"#);
    let is_whole = |joints: &Joints, seen| {
        let mut window = [0; WINDOW];
        window[..seen].copy_from_slice(&after.as_bytes()[..seen]);
        joints.is_whole(&joint(text), &window, 1)
    };
    let end = text.len() + "true".len();
    assert_eq!(
        [end - 1, end, end + 1, after.len()].map(|seen| is_whole(&joints, seen)),
        [false, false, true, true]
    );
    joints.learn(joint(text), &window(after), &object(), false);
    joints.lose();
    assert!(!is_whole(&joints, after.len()), "the value came before, and the joint goes on behind it");
    // One that goes on is expected, and was cut.
    let mut joints = Joints::default();
    for _ in 0..2 {
        joints.lose();
        joints.learn(joint(r#","a":"#), &window(r#","a":1,"#), &object(), false);
        joints.learn(joint(r#","has_more":true,"next_page":"#), &window(after), &object(), false);
    }
    joints.lose();
    joints.learn(joint(r#","a":"#), &window(r#","a":1,"#), &object(), false);
    assert!(!is_whole(&joints, after.len()));
}

#[test]
fn behind_a_document_s_last_value_nothing_goes_on() {
    let text = r#","next_page":"#;
    for (after, expected) in [("null}", true), ("null\n} ", true), ("null,", false), ("null", false)] {
        let mut window = [0; WINDOW];
        let seen = [text, after].concat();
        window[..seen.len()].copy_from_slice(seen.as_bytes());
        let mut joints = Joints::default();
        joints.learn(joint(text), &window, &object(), false);
        joints.lose();
        let is_whole = |depth| joints.is_whole(&joint(text), &window, depth);
        assert_eq!([is_whole(1), is_whole(2)], [expected, false], "{after}, the value came before");
    }
}

#[test]
fn too_many_are_forgotten() {
    let mut joints = Joints { patience: 1000, ..Joints::default() };
    for nth in 0..3 * MAX_JOINTS {
        let text = format!(",\"m{nth}\":");
        for _ in 0..2 {
            joints.learn(joint(&text), &window(&text), &object(), false);
            assert_eq!(joints.known.len(), nth % MAX_JOINTS + 1);
            assert!(joints.known[usize::from(joints.last)].begins(BASE, &window(&text)));
        }
    }
}

#[test]
fn one_body_leaves_its_joints_to_the_next() {
    let learnt = TemplateCache::default();
    let window = window(",\"a\":");
    let joint = joint(",\"a\":");
    let mut first = Joints::default();
    first.learn(joint, &window, &object(), false);
    learnt.trade(&mut first);

    let (mut second, mut third) = (Joints::default(), Joints::default());
    {
        let _somebody_is_at_it = learnt.0.lock().unwrap();
        learnt.trade(&mut second);
        assert!(second.known.is_empty(), "nobody waits");
    }
    learnt.trade(&mut second);
    learnt.trade(&mut third);
    assert!(second.known[0].begins(BASE, &window), "what the first body taught");
    assert!(third.known.is_empty(), "one body at a time");
}

#[test]
fn rows_buckets_and_the_page_s_end_are_expected_side_by_side() {
    let learnt = TemplateCache::default();
    let bucket = |nth: usize| {
        let row = |row: usize| {
            let number = 10 * nth + row;
            format!(r#"{{"object":"row","tokens":{number},"api_key_id":"key_{number}","model":"m{number}"}}"#)
        };
        format!(r#"{{"start_time":{nth},"results":[{}]}}"#, [1, 2, 3].map(row).join(","))
    };
    for nth in 0..4 {
        let buckets = [1, 2, 3].map(bucket).join(",");
        let body =
            format!(r#"{{"object":"page","data":[{buckets}],"has_more":{},"next_page":null}}"#, nth % 2 == 0);
        let rules = Rules {
            members: MEMBERS,
            unmatched: Unmatched::Unknown,
            null_as_unmatched: false,
            window: 1 << 20,
        };
        let mut amender = Amender::new(rules);
        amender.take_templates(&learnt);
        amender.feed(body.as_bytes(), &KeyNames::default());
        amender.finish();
        assert_eq!(amender.fault(), None);
        amender.store_templates(&learnt);
        let joints = learnt.0.lock().unwrap();
        let text = |nth: u8| joints.known.get(usize::from(nth)).map_or(&b""[..], Known::text);
        let last = joints.known.iter().find(|known| known.text() == br#","model":"#).unwrap();
        if nth > 0 {
            let then: [&[u8]; 3] =
                [br#"}]}],"has_more":"#, br#"},{"object":"row","tokens":"#, br#"}]},{"start_time":"#];
            assert_eq!(last.then.map(text), then, "the row as a whole, whatever else came: body {nth}");
        }
    }
}
