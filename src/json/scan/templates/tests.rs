use super::super::{MemberValue, ScanError, Scanner, Sink, WhiteSpace};
use super::*;

/// A sink that wants the member `id`, and records where its values end.
#[derive(Default)]
struct Recorder(Vec<u64>);

impl Sink for Recorder {
    type Member = &'static str;

    fn match_member(&mut self, raw: &[u8], _has_escapes: bool) -> Option<&'static str> {
        (raw == b"id").then_some("id")
    }

    fn member_start(&mut self, _member: &'static str, _depth: usize) {}

    fn value_start(&mut self, at: u64, _white_space: WhiteSpace<'_>) {
        self.0.push(at);
    }

    fn is_value_awaited(&self, _depth: usize) -> bool {
        false
    }

    fn value_end(&mut self, _at: u64, _value: MemberValue<'_>) {}

    fn object_end(&mut self, _at: u64, _depth: usize) {}
}

fn scan(body: &str, cache: &TemplateCache<&'static str>) -> (Vec<u64>, Result<(), ScanError>) {
    // Behind the body there is enough white space for templates up to its end.
    let body = format!("{body}{}", " ".repeat(WINDOW));
    let (mut scanner, mut recorder) = (Scanner::new(), Recorder::default());
    scanner.take_templates(cache);
    let result = scanner.feed(body.as_bytes(), &mut recorder).and_then(|()| scanner.finish());
    scanner.store_templates(cache);
    (recorder.0, result)
}

fn page(rows: &[String]) -> String {
    format!(r#"{{"object":"page","data":[{{"start":1,"results":[{}]}}],"more":true}}"#, rows.join(","))
}

fn row(nth: usize) -> String {
    format!(r#"{{"object":"usage.result","tokens":{},"user":null,"id":"key_{nth}"}}"#, 10 + nth)
}

/// The texts of the cached templates, with the texts that are predicted after each.
fn cached(cache: &TemplateCache<&'static str>) -> Vec<(String, Vec<String>)> {
    let templates = cache.templates.lock().unwrap();
    let known = &templates.as_ref().unwrap().known;
    let text = |template: &Template<&'static str>| String::from_utf8(template.text().to_vec()).unwrap();
    let followers = |template: &Template<&'static str>| {
        let followers = template.followers.iter().filter_map(|index| known.get(usize::from(*index)));
        followers.map(text).collect()
    };
    known.iter().map(|template| (text(template), followers(template))).collect()
}

fn followers(cache: &TemplateCache<&'static str>, text: &str) -> Vec<String> {
    let all = cached(cache);
    all.into_iter().find(|(known, _)| known == text).map(|(_, followers)| followers).unwrap_or_default()
}

#[test]
fn constants_of_rows_become_part_of_templates() {
    if !HAS_SIMD {
        return;
    }
    let cache = TemplateCache::default();
    let rows: Vec<_> = (0..9).map(row).collect();
    assert_eq!(scan(&page(&rows), &cache).1, Ok(()));
    let next_row = r#"},{"object":"usage.result","tokens":"#;
    let id = r#","user":null,"id":"#;
    assert_eq!(followers(&cache, next_row), [id]);
    assert_eq!(followers(&cache, id)[0], next_row);
}

#[test]
fn templates_of_a_body_predict_the_next_one() {
    if !HAS_SIMD {
        return;
    }
    let cache = TemplateCache::default();
    let rows: Vec<_> = (0..9).map(row).collect();
    for _ in 0..4 {
        assert_eq!(scan(&page(&rows), &cache).1, Ok(()));
    }
    let before = cached(&cache);
    assert_eq!(scan(&page(&rows), &cache), scan(&page(&rows), &TemplateCache::disabled()));
    assert_eq!(cached(&cache), before, "no template is new");
}

#[test]
fn templates_are_empty_while_another_body_uses_the_cache() {
    let cache = TemplateCache::default();
    assert_eq!(scan(&page(&[row(1), row(2)]), &cache).1, Ok(()));
    let in_use = cache.take();
    assert_eq!(in_use.known.is_empty(), !HAS_SIMD);
    assert!(cache.take().known.is_empty());
}

#[test]
fn templates_contain_no_value_besides_constants() {
    let cache = TemplateCache::default();
    let secret = r#"{"object":"key","value":"sk-svcacct-Secret1","amount":12.5,"n":12345,"name":"Zoe"}"#;
    // The second row repeats all values.
    assert_eq!(scan(&page(&vec![secret.to_owned(); 5]), &cache).1, Ok(()));
    let templates = cache.templates.lock().unwrap();
    for template in &templates.as_ref().unwrap().known {
        let text = String::from_utf8_lossy(&template.bytes).into_owned();
        for value in ["Secret1", "12.5", "12345", "Zoe"] {
            assert!(!text.contains(value), "{text}");
        }
    }
}

#[test]
fn templates_pause_if_members_have_no_order() {
    let cache = TemplateCache::default();
    let member = |nth: usize| format!(r#""member_{nth}":{nth}"#);
    let rows: Vec<_> = (0..100).map(|nth| format!("{{{},\"id\":1}}", member(nth))).collect();
    let (events, result) = scan(&page(&rows), &cache);
    assert_eq!((events.len(), result), (100, Ok(())));
    assert!(cached(&cache).len() <= BUDGET as usize);
}

#[test]
fn text_of_a_template_is_judged_again_in_other_containers() {
    let alike = r#"{"a":1,"xd":"key_1"},{"a":1,"id":"key_1"}"#;
    let rows = format!("[{alike},{alike},{alike}]");
    let bodies = [
        rows.as_str(),
        // Behind a comma, an object contains a name, and an array contains an object.
        r#"{"r":{"a":1},"id":"key_1","s":[{"a":1},"id":"key_1"]}"#,
        r#"[{"a":1},{"id":"key_1"},{"r":{"a":1},{"id":"key_1"}}]"#,
        r#"[{"a":1},{"id":"key_1","r":{"a":1},"id":2},{"id":"key_1"}]"#,
        r#"{"a":1,"b":{"a":2}},"b":{"a":3}}"#,
        // Several containers end, in others or as others.
        r#"{"r":{"s":[{"x":0,"a":1}]},"id":"key_1","t":{"s":{"x":0,"a":1}]},"id":"key_1"}"#,
        r#"{"r":{"s":[{"x":0,"a":1}]},"id":"key_1","t":[{"s":[{"x":0,"a":1}]},"id":"key_1"]}"#,
        r#"[{"s":[{"x":0,"a":1}]},{"id":"key_1","t":{"s":[{"x":0,"a":1}]},{"id":"key_1"}}]"#,
        // Several start.
        r#"{"x":0,"s":[{"a":1}],"r":{"x":0,"s":[{"a":1,"id":"key_1"}],"id":"key_1"}}"#,
        r#"[[{"x":0,"s":[{"a":1},{"a":1}]},{"x":0,"s":[{"a":1},{"a":1}}],{"id":"key_1"}]"#,
        // A number and a literal go on behind a known text.
        r#"[{"a":1,"id":1},{"a":1,"id":1},{"a":1,"id":1e5},{"a":1,"id":01},{"a":1,"id":nulls}]"#,
    ];
    for body in bodies {
        let cache = TemplateCache::default();
        let plain = scan(body, &TemplateCache::disabled());
        assert_eq!([scan(body, &cache), scan(body, &cache)], [plain.clone(), plain], "{body}");
    }
}

#[test]
fn templates_beyond_the_shallow_depth_change_nothing() {
    let row = r#"{"x":0,"s":[{"a":1,"id":"key_1"},{"a":1,"id":"key_1"}],"id":"key_1"}"#;
    for (open, close) in [(r#"{"a":"#, "}"), (r#"{"x":0,"a":"#, "}"), (r#"{"x":0,"a":[{"y":1,"b":"#, "}]}")] {
        for depth in 10..90 {
            let body = format!("{}{row}{}", open.repeat(depth), close.repeat(depth));
            let plain = scan(&body, &TemplateCache::disabled());
            assert_eq!(scan(&body, &TemplateCache::default()), plain, "depth {depth}");
        }
    }
}
