//! What must hold: the names of the tests say it, their messages say where to look.

use ai_core::protocol::sse::SseDecoder;
use ex_04_01::Decoder;

/// A comment, an event, one of two lines that end in CR LF, one with letters of two and of four bytes,
/// and one whose lines end in CR.
const BODY: &str =
    ": ping\n\ndata: Hello\n\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata: café 🦀\n\ndata:you\r\r";
const EVENTS: [&str; 4] = ["Hello", "{\"a\":\n1}", "café 🦀", "you"];

/// Pushes the pieces one after another.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut decoder = Decoder::default();
    pieces
        .into_iter()
        .flat_map(|piece| decoder.push(piece))
        .collect()
}

/// The bytes as text, with an escape for what is none.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn a_body_in_one_piece_gives_all_its_events() {
    assert_eq!(
        decode([BODY.as_bytes()]),
        EVENTS,
        "does every whole line go to `take_line`? (The last one ends in CR alone.)"
    );
}

#[test]
fn two_pieces_give_the_same_wherever_the_cut_is() {
    for cut in 1..BODY.len() {
        let (one, two) = BODY.as_bytes().split_at(cut);
        assert_eq!(
            decode([one, two]),
            EVENTS,
            "cut in the middle of \"{}|{}\": what is left of the first piece belongs before the second",
            shown(&one[one.len().saturating_sub(12)..]),
            shown(&two[..two.len().min(12)])
        );
    }
}

#[test]
fn so_do_three_pieces() {
    for first in 0..=BODY.len() {
        for second in first..=BODY.len() {
            let bytes = BODY.as_bytes();
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(
                decode(pieces),
                EVENTS,
                "cut at {first} and {second} of {}",
                BODY.len()
            );
        }
    }
}

#[test]
fn so_do_single_bytes() {
    assert_eq!(
        decode(BODY.as_bytes().chunks(1)),
        EVENTS,
        "one byte at a time: a character or a CR LF may be cut, so make text of whole lines only"
    );
}

#[test]
fn an_event_is_handed_out_with_its_empty_line_and_not_before() {
    let mut decoder = Decoder::default();
    assert_eq!(
        decoder.push(b"data: Hello\n"),
        [""; 0],
        "its empty line has not come yet"
    );
    assert_eq!(decoder.push(b"\n"), ["Hello"]);
}

#[test]
fn a_cr_lf_that_is_cut_in_its_middle_is_one_line_end() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.push(b"data: {\r"), [""; 0]);
    assert_eq!(
        decoder.push(b"\ndata: }\r\n\r\n"),
        ["{\n}"],
        "taken for a second end, the LF is an empty line, and the event ends too early"
    );
}

#[test]
fn an_lf_belongs_to_a_cr_only_right_after_it() {
    assert_eq!(
        decode([&b"data: a\rdata: b\n\n"[..]]),
        ["a\nb"],
        "a letter between the two: then the LF ends a line of its own"
    );
}

#[test]
fn an_event_without_its_empty_line_does_not_count() {
    assert_eq!(
        decode([&b"data: whole\n\ndata: cut\n"[..]]),
        ["whole"],
        "the body ended before the second event did"
    );
}

#[test]
fn the_events_are_those_of_the_clients_own_decoder() {
    let mut own = SseDecoder::new(1 << 20);
    let mut input = BODY.as_bytes();
    let mut events = Vec::new();
    while let Some(event) = own.next(&mut input).expect("it is small") {
        events.push(event.data.into_owned());
    }
    assert_eq!(decode(BODY.as_bytes().chunks(7)), events);
}
