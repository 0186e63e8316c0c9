use super::{Agrees, AgreesByBlocks, BASE, each, plain, white_space};

#[test]
fn all_know_every_byte_at_every_place() {
    for fill in [b'a', b'0', b' ', b'"', 0x80, 0xFF, 0] {
        for at in 0..32 {
            for byte in 0..=255 {
                let mut block = [fill; 32];
                block[at] = byte;
                each(|| Agrees(&block));
            }
        }
    }
}

#[test]
fn all_know_every_byte_at_every_place_of_blocks() {
    for fill in *b"0 " {
        for byte in 0..=255 {
            // Seven is prime to all sizes of blocks.
            let bytes = std::array::from_fn(|at| if at % 7 == usize::from(byte) % 7 { byte } else { fill });
            each(|| AgreesByBlocks { bytes: &bytes, hint: byte & 0x7F });
        }
    }
}

/// Runs of one kind and then of another, from around the edges of blocks to around others.
#[test]
fn what_is_carried_arrives() {
    let kinds = [&b"7"[..], b" ", b"\"", b"{", b"}]", b"x"];
    let from = [63, 64, 65, 511, 512, 513];
    for (from, len) in from.into_iter().flat_map(|from| [1, 63, 65, 447].map(|len| (from, len))) {
        for (nth, kind) in kinds.iter().enumerate() {
            for then in kinds.iter().cycle().skip(nth + 1).take(2) {
                let bytes = std::array::from_fn(|at| match at.checked_sub(from) {
                    Some(n) if n < len => kind[n % kind.len()],
                    Some(n) if n > 0 && n < len + 130 => then[n % then.len()],
                    _ => b'5',
                });
                each(|| AgreesByBlocks { bytes: &bytes, hint: b'x' });
            }
        }
    }
}

#[test]
fn runs_end_where_they_end() {
    for len in 0..100 {
        let mut text = vec![b'7'; len];
        assert_eq!(plain(BASE, &text), len);
        text.push(b'"');
        assert_eq!(plain(BASE, &text), len);
        text.fill(b'\t');
        assert_eq!(white_space(BASE, &text), len + 1);
        text.push(0x0b);
        assert_eq!(white_space(BASE, &text), len + 1);
    }
    let text = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop\u{e9}";
    assert_eq!(plain(BASE, text.as_bytes()), 42);
}
