//! One text for equal JSON, whatever the order of its fields: pure.
//!
//! The idea is RFC 8785's (JSON Canonicalization Scheme), but it is not that scheme, which knows no
//! numbers but doubles: there the seeds 2^53 and 2^53 + 1 are one text, and so would be one answer.

use serde::Serialize;
use serde_json::Value;

/// Writes `value` to `out` with sorted fields and without spaces.
pub(crate) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            // Sorted here, although `Map` is sorted already: it is not if any crate of the program
            // turns on serde_json's feature `preserve_order`.
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in fields {
                plain(name, out);
                out.push(b':');
                write(value, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            for value in list {
                write(value, out);
                out.push(b',');
            }
            out.push(b']');
        }
        // 1.0 is the number 1, and -0.0 is 0.
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < EXACT => {
                plain(&(whole as i64), out);
            }
            _ => plain(value, out),
        },
        _ => plain(value, out),
    }
}

/// 2^53: up to here every whole number has a double of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn plain(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("it is part of a `Value`, and a `Vec` takes it");
}
