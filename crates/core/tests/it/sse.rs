//! The grammar of server-sent events, case by case, in any cut, against a bound, and against an
//! independent decoder.

use std::time::Duration;

use ai_core::Error;
use ai_core::protocol::sse::SseDecoder;
use proptest::prelude::*;

/// Name, data and last id of one event.
type Seen = (String, String, String);

const NO_LIMIT: usize = usize::MAX;

fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> (Vec<Seen>, Option<Error>) {
    let mut decoder = SseDecoder::new(limit);
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(event)) => events.push((
                    event.name.into_owned(),
                    event.data.into_owned(),
                    event.id.to_owned(),
                )),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

/// The events of an input that arrives at once, and of it in two pieces, and byte by byte.
fn events(input: &[u8]) -> Vec<Seen> {
    let whole = decode([input], NO_LIMIT);
    for at in 0..input.len() {
        let (head, tail) = input.split_at(at);
        assert_eq!(decode([head, tail], NO_LIMIT), whole, "cut at {at}");
    }
    assert_eq!(decode(input.chunks(1), NO_LIMIT), whole, "byte by byte");
    let (events, error) = whole;
    assert_eq!(error, None);
    events
}

/// Events named `message` without an id, of which only the data is of interest.
fn messages(data: &[&str]) -> Vec<Seen> {
    data.iter().map(|data| seen("message", data, "")).collect()
}

fn seen(name: &str, data: &str, id: &str) -> Seen {
    (name.to_owned(), data.to_owned(), id.to_owned())
}

#[test]
fn every_rule_of_the_grammar_holds() {
    // What the rule is, the input, the data of its events.
    let cases: &[(&str, &[u8], &[&str])] = &[
        // Line ends.
        ("LF ends a line", b"data: a\n\n", &["a"]),
        ("CRLF ends a line", b"data: a\r\n\r\n", &["a"]),
        ("CR ends a line", b"data: a\r\r", &["a"]),
        (
            "CR at once, without waiting for an LF",
            b"data: a\r\rdata: b\r\r",
            &["a", "b"],
        ),
        ("line ends mix: CR LF is one", b"data: a\n\r\n", &["a"]),
        (
            "line ends mix: LF CR is two",
            b"data: a\n\rdata: b\r\n\n",
            &["a", "b"],
        ),
        (
            "line ends mix: CR CR LF is two",
            b"data: a\r\r\ndata: b\n\n",
            &["a", "b"],
        ),
        (
            "line ends mix: CRLF LF is two",
            b"data: a\r\n\ndata: b\r\n\r",
            &["a", "b"],
        ),
        (
            "other line separators are text",
            "data: a\u{2028}b\u{85}c\x0bd\x0c\n\n".as_bytes(),
            &["a\u{2028}b\u{85}c\x0bd\x0c"],
        ),
        // Byte order mark.
        (
            "one mark at the start is skipped",
            b"\xEF\xBB\xBFdata: a\n\n",
            &["a"],
        ),
        (
            "a second one belongs to the field's name",
            b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n",
            &[],
        ),
        (
            "one in front of a later line belongs to the field's name",
            b"data: a\n\xEF\xBB\xBFdata: b\n\n",
            &["a"],
        ),
        (
            "one in front of a later event as well",
            b"data: a\n\n\xEF\xBB\xBFdata: b\n\n",
            &["a"],
        ),
        (
            "one within data is text",
            b"data: \xEF\xBB\xBFa\n\n",
            &["\u{FEFF}a"],
        ),
        (
            "one alone on the first line is an empty line",
            b"\xEF\xBB\xBF\ndata: a\n\n",
            &["a"],
        ),
        (
            "half a mark is no mark",
            b"\xEF\xBBdata: a\n\ndata: b\n\n",
            &["b"],
        ),
        // Comments.
        ("a comment is skipped", b": hello\ndata: a\n\n", &["a"]),
        (
            "a comment between data lines as well",
            b"data: a\n:\ndata: b\n\n",
            &["a\nb"],
        ),
        (
            "comments alone make no event",
            b":\n\n: ping\n\n:::\n\n",
            &[],
        ),
        // Fields.
        (
            "the space after the colon may be missing",
            b"data:a\n\n",
            &["a"],
        ),
        ("only one space is dropped", b"data:  a \n\n", &[" a "]),
        ("a tab is no space", b"data:\ta\n\n", &["\ta"]),
        ("later colons are text", b"data: a: b:c\n\n", &["a: b:c"]),
        (
            "data lines are joined by LF",
            b"data: a\ndata:\ndata: b\r\ndata: c\r\r",
            &["a\n\nb\nc"],
        ),
        ("empty data is an event", b"data:\n\n", &[""]),
        ("so is data without a colon", b"data\n\n", &[""]),
        ("two of them are one LF", b"data\ndata\n\n", &["\n"]),
        (
            "an unknown field is skipped",
            b"foo: bar\ndata: a\nfoo\n\n",
            &["a"],
        ),
        (
            "names are told apart by case",
            b"Data: a\nDATA: b\n\ndata: c\n\n",
            &["c"],
        ),
        (
            "names are not trimmed",
            b" data: a\ndata : b\n\ndata: c\n\n",
            &["c"],
        ),
        (
            "names are not prefixes",
            b"dat: a\ndatas: b\n\ndata: c\n\n",
            &["c"],
        ),
        ("no data, no event", b"event: x\nid: 1\nretry: 1\n\n", &[]),
        ("NUL in data is text", b"data: a\0b\n\n", &["a\0b"]),
        // Blank lines and the end.
        (
            "further blank lines mean nothing",
            b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n",
            &["a", "b"],
        ),
        (
            "the end of the input is no blank line",
            b"data: a\n\ndata: b\n",
            &["a"],
        ),
        ("nor is it a line end", b"data: a\n\ndata: b", &["a"]),
        ("nothing is nothing", b"", &[]),
        // UTF-8.
        (
            "text is UTF-8",
            "data: Grüße, 世界 🦀\n\n".as_bytes(),
            &["Grüße, 世界 🦀"],
        ),
        (
            "a stray byte is replaced",
            b"data: a\xFFb\n\n",
            &["a\u{FFFD}b"],
        ),
        (
            "a character that lacks its end is replaced once",
            b"data: \xF0\x9F\xA6\n\n",
            &["\u{FFFD}"],
        ),
        (
            "and eats nothing that follows",
            b"data: \xE4\xB8\ndata: b\n\n",
            &["\u{FFFD}\nb"],
        ),
        (
            "a surrogate is three bytes, each replaced",
            b"data: \xED\xA0\x80\n\n",
            &["\u{FFFD}\u{FFFD}\u{FFFD}"],
        ),
        (
            "an overlong NUL is two",
            b"data: \xC0\x80\n\n",
            &["\u{FFFD}\u{FFFD}"],
        ),
        (
            "a field whose name is broken is unknown",
            b"da\xFFta: a\n\ndata: b\n\n",
            &["b"],
        ),
    ];
    for (rule, input, data) in cases {
        assert_eq!(events(input), messages(data), "{rule}");
    }
}

#[test]
fn names_and_ids_live_as_long_as_the_standard_says() {
    type Events = &'static [(&'static str, &'static str, &'static str)];
    let cases: &[(&str, &[u8], Events)] = &[
        (
            "a name is its event's",
            b"event: add\ndata: a\n\ndata: b\n\n",
            &[("add", "a", ""), ("message", "b", "")],
        ),
        (
            "the last name of an event counts",
            b"event: x\nevent: y\ndata: a\n\n",
            &[("y", "a", "")],
        ),
        (
            "an empty name is the default",
            b"event: x\nevent:\ndata: a\n\n",
            &[("message", "a", "")],
        ),
        (
            "a name may follow its data",
            b"data: a\nevent: x\n\n",
            &[("x", "a", "")],
        ),
        (
            "a block without data loses its name",
            b"event: x\n\ndata: a\n\n",
            &[("message", "a", "")],
        ),
        (
            "a broken name is replaced",
            b"event: \xFF\ndata: a\n\n",
            &[("\u{FFFD}", "a", "")],
        ),
        (
            "an id stays",
            b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n",
            &[
                ("message", "a", "1"),
                ("message", "b", "1"),
                ("message", "c", "2"),
            ],
        ),
        (
            "an id counts without an event",
            b"id: 1\n\ndata: a\n\n",
            &[("message", "a", "1")],
        ),
        (
            "an empty id resets it",
            b"id: 1\ndata: a\n\nid\ndata: b\n\n",
            &[("message", "a", "1"), ("message", "b", "")],
        ),
        (
            "an id with NUL is ignored",
            b"id: 1\nid: 2\0\ndata: a\n\n",
            &[("message", "a", "1")],
        ),
        (
            "an id keeps its further spaces",
            b"id:  1 \ndata: a\n\n",
            &[("message", "a", " 1 ")],
        ),
        (
            "an id that is no UTF-8 is replaced",
            b"id: \xFF\ndata: a\n\n",
            &[("message", "a", "\u{FFFD}")],
        ),
    ];
    for (rule, input, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(n, d, i)| seen(n, d, i)).collect();
        assert_eq!(events(input), expected, "{rule}");
    }
}

#[test]
fn retry_is_read_if_it_is_digits_only() {
    let cases: &[(&str, &[u8], Option<u64>)] = &[
        ("digits are milliseconds", b"retry: 3000\n\n", Some(3000)),
        ("without a space", b"retry:3000\n", Some(3000)),
        (
            "without an event, without even a blank line",
            b"retry: 1\n",
            Some(1),
        ),
        ("but not without a line end", b"retry: 1", None),
        ("zero and leading zeros", b"retry: 00\n", Some(0)),
        ("the last one counts", b"retry: 1\nretry: 2\n", Some(2)),
        ("empty is ignored", b"retry: 1\nretry:\n", Some(1)),
        ("a sign is ignored", b"retry: 1\nretry: +5\n", Some(1)),
        ("so is minus", b"retry: -5\n", None),
        (
            "so are spaces",
            b"retry: 1\nretry:  5\nretry: 5 \n",
            Some(1),
        ),
        ("so is a fraction", b"retry: 1\nretry: 5.0\n", Some(1)),
        (
            "so are digits of other scripts",
            "retry: 1\nretry: ٣\n".as_bytes(),
            Some(1),
        ),
        (
            "the largest",
            b"retry: 18446744073709551615\n",
            Some(u64::MAX),
        ),
        (
            "what overflows is ignored",
            b"retry: 1\nretry: 18446744073709551616\n",
            Some(1),
        ),
    ];
    for (rule, input, expected) in cases {
        let mut decoder = SseDecoder::new(NO_LIMIT);
        assert_eq!(decoder.next(&mut &input[..]), Ok(None), "{rule}");
        assert_eq!(
            decoder.retry(),
            expected.map(Duration::from_millis),
            "{rule}"
        );
    }
}

/// Bytes that look like a stream, made of what the grammar cares about.
fn streamlike() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(vec![&b"\n"[..], b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]),
        4 => prop::sample::select(vec![&b"data:"[..], b"data: ", b"data", b"event: ", b"id: ", b"retry: ", b": "]),
        2 => prop::sample::select(vec![&b"a"[..], b"bc", b" ", b":", b"0", b"42", b"\0", b"\t"]),
        1 => prop::sample::select(vec![&b"\xEF\xBB\xBF"[..], b"\xEF", b"\xBB", "ü".as_bytes(), "🦀".as_bytes(), b"\xF0\x9F", b"\xFF", b"\xC0\x80", b"\xED\xA0\x80"]),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

/// Cuts `bytes` at `places`, which may lie anywhere.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places
        .iter()
        .map(|place| place.index(bytes.len() + 1))
        .collect();
    places.sort_unstable();
    let mut rest = bytes;
    let mut start = 0;
    let mut pieces = Vec::new();
    for place in places {
        let (piece, next) = rest.split_at(place - start);
        pieces.push(piece);
        (rest, start) = (next, place);
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same_events(
        bytes in streamlike(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = decode([&bytes[..]], NO_LIMIT);
        prop_assert_eq!(&decode(cut(&bytes, &places), NO_LIMIT), &whole);
        prop_assert_eq!(&decode(bytes.chunks(1), NO_LIMIT), &whole);
    }

    #[test]
    fn any_cut_meets_the_size_limit_at_the_same_event(
        bytes in streamlike(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        limit in 0..40_usize,
    ) {
        let whole = decode([&bytes[..]], limit);
        prop_assert_eq!(&decode(cut(&bytes, &places), limit), &whole);
        prop_assert_eq!(&decode(bytes.chunks(1), limit), &whole);
    }

    #[test]
    fn any_bytes_at_all_are_read_as_the_independent_decoder_reads_them(
        bytes in prop_oneof![4 => streamlike(), 1 => prop::collection::vec(any::<u8>(), 0..200)],
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        // sse-parse deviates from us in nothing that is compared here, so nothing is excluded.
        let mut peer = sse_parse::SseParser::new();
        for piece in cut(&bytes, &places) {
            peer.feed(piece);
        }
        peer.finish();
        let theirs: Vec<_> =
            std::iter::from_fn(|| peer.next_event()).map(|e| (e.event, e.data, e.id)).collect();
        prop_assert_eq!(events(&bytes), theirs);
    }
}

#[test]
fn each_byte_is_searched_once_however_long_the_event_and_however_small_the_pieces() {
    let event = [b"data: ", &vec![b'x'; 4 << 20][..], b"\n\n"].concat();
    let scanned = |size: usize| {
        let mut decoder = SseDecoder::new(NO_LIMIT);
        let mut events = 0;
        for mut piece in event.chunks(size) {
            while decoder
                .next(&mut piece)
                .expect("there is no limit")
                .is_some()
            {
                events += 1;
            }
        }
        assert_eq!(events, 1);
        decoder.scanned()
    };
    let (small, large) = (scanned(1 << 10), scanned(64 << 10));
    assert!(
        small <= 2 * large,
        "{small} bytes in small pieces, {large} in large ones"
    );
    for scanned in [small, large] {
        assert!(
            scanned > 4 << 20 && scanned <= event.len() as u64,
            "{scanned} of {}",
            event.len()
        );
    }
}

#[test]
fn an_event_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let limit = 100;
    // The line is held together with its field name while it is read.
    let line = |length: usize| format!("data: {}\n\n", "x".repeat(length - "data: ".len()));
    for size in [1, 7, 1000] {
        let fits = line(limit);
        assert_eq!(decode(fits.as_bytes().chunks(size), limit).1, None);
        let too_large = line(limit + 1);
        let (events, error) = decode(too_large.as_bytes().chunks(size), limit);
        assert_eq!((events.len(), error), (0, Some(Error::TooLarge { limit })));
    }
}

#[test]
fn no_input_makes_the_decoder_hold_more_than_its_limit() {
    // What is repeated without end after the beginning.
    let cases = [
        ("one endless line", "data: ", "x"),
        ("an endless comment", ":", "x"),
        ("an endless field name", "", "x"),
        ("an endless name", "event: ", "x"),
        ("an endless id", "id: ", "x"),
        ("data lines without end", "", "data: some text\n"),
        ("empty data lines without end", "", "data\n"),
        (
            "a long name, then data lines without end",
            &format!("event: {}\n", "x".repeat(900)),
            "data: x\n",
        ),
        (
            "a long id, then data lines without end",
            &format!("id: {}\n", "x".repeat(900)),
            "data: x\n",
        ),
    ];
    let limit = 1_000;
    for (case, beginning, repeated) in cases {
        for size in [1, 64, 4096] {
            let input = format!("{beginning}{}", repeated.repeat(4096));
            let mut decoder = SseDecoder::new(limit);
            let mut taken = 0;
            let error = input.as_bytes().chunks(size).find_map(|mut piece| {
                let before = piece.len();
                let error = decoder.next(&mut piece).err();
                taken += before - piece.len();
                error
            });
            assert_eq!(
                error,
                Some(Error::TooLarge { limit }),
                "{case} in pieces of {size}"
            );
            // What is held was taken; an empty data line is held as one byte of its five.
            assert!(
                taken <= 5 * limit + size,
                "{case}: took {taken} bytes in pieces of {size}"
            );
        }
    }
}

#[test]
fn the_limit_is_on_name_id_and_data_together() {
    let limit = 1_000;
    for field in ["event", "id", "data"] {
        let input = format!("{field}: {0}\ndata: {0}\n\n", "x".repeat(600));
        for size in [1, 64, 4096] {
            let error = decode(input.as_bytes().chunks(size), limit).1;
            assert_eq!(error, Some(Error::TooLarge { limit }), "{field}");
        }
    }
}

#[test]
fn a_stream_may_be_longer_than_the_limit_if_no_event_is() {
    let stream = "id: 7\nevent: e\ndata: some text\n\n: comment\n\n".repeat(1_000);
    let (events, error) = decode(stream.as_bytes().chunks(13), 64);
    assert_eq!((events.len(), error), (1_000, None));
}
