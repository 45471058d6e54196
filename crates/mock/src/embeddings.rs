//! Embeddings without a model: texts that share words and letter triples get near vectors.
//!
//! Each feature of a text (a word, a triple of letters) stands for one fixed random direction, and the
//! text for the sum of its features: a random projection, which keeps the angles between texts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use serde::Serialize;
use serde_json::Value;

use crate::chat;
use crate::dice::Dice;
use crate::errors::ApiError;
use crate::http::json_bytes;
use crate::tokens;

/// The longest vector, as of OpenAI's largest model.
const MOST_DIMENSIONS: usize = 3072;

/// The body of the reply to a request, and the tokens it used.
///
/// # Errors
/// What is wrong with the request.
pub(crate) fn reply(body: &Value) -> Result<(Vec<u8>, u32), ApiError> {
    let model = chat::model(body)?;
    let wrong = || {
        let why = "Invalid 'input': expected a string, an array of strings, or arrays of token numbers, none of them empty.";
        ApiError::field("input", why)
    };
    // Token numbers mean nothing here; written out they are a text like any other.
    let text_of = |input: &Value| match input {
        Value::String(text) if !text.is_empty() => Some((text.clone(), tokens::count(text))),
        Value::Array(numbers) if !numbers.is_empty() && numbers.iter().all(Value::is_u64) => {
            Some((input.to_string(), numbers.len() as u32))
        }
        _ => None,
    };
    let texts: Vec<(String, u32)> = match &body["input"] {
        Value::Array(list) if !list.is_empty() && !list[0].is_u64() => list
            .iter()
            .map(text_of)
            .collect::<Option<_>>()
            .ok_or_else(wrong)?,
        one => vec![text_of(one).ok_or_else(wrong)?],
    };
    if texts.len() > 2048 {
        return Err(ApiError::field(
            "input",
            "Invalid 'input': at most 2048 inputs are allowed.",
        ));
    }
    let most = MOST_DIMENSIONS;
    let dimensions = match &body["dimensions"] {
        Value::Null if model.contains("large") => most,
        Value::Null => 1536,
        n => n
            .as_u64()
            .map(|n| n as usize)
            .filter(|n| (1..=most).contains(n))
            .ok_or_else(|| {
                ApiError::field(
                    "dimensions",
                    format!("Invalid 'dimensions': expected a whole number from 1 to {most}."),
                )
            })?,
    };
    let base64 = match &body["encoding_format"] {
        Value::Null => false,
        Value::String(format) if format == "float" => false,
        Value::String(format) if format == "base64" => true,
        _ => {
            let why = "Invalid 'encoding_format': expected 'float' or 'base64'.";
            return Err(ApiError::field("encoding_format", why));
        }
    };
    let used: u32 = texts.iter().map(|(_, tokens)| tokens).sum();
    let vector = |text: &str| {
        let vector = embed(text, dimensions);
        if base64 {
            Embedding::Base64(to_base64(&vector))
        } else {
            Embedding::Float(vector)
        }
    };
    let data = texts.iter().enumerate().map(|(index, (text, _))| Item {
        object: "embedding",
        index,
        embedding: vector(text),
    });
    let reply = Reply {
        object: "list",
        data: data.collect(),
        model: &model,
        usage: Usage {
            prompt_tokens: used,
            total_tokens: used,
        },
    };
    Ok((json_bytes(&reply), used))
}

#[derive(Serialize)]
struct Reply<'a> {
    object: &'static str,
    data: Vec<Item>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Embedding,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Embedding {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u32,
    total_tokens: u32,
}

/// The unit vector of a text; the same text always gets the same one, whatever the seed.
fn embed(text: &str, dimensions: usize) -> Vec<f32> {
    let text = text.to_lowercase();
    // The text as a whole is a feature too, so that no text is without one and no two texts are quite equal.
    let mut sum = vec![0.0; dimensions.next_multiple_of(64)];
    add(&mut sum, &format!("text:{text}"), 0.3);
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        // Short words are mostly grammar and say little about the subject.
        add(
            &mut sum,
            &format!("word:{word}"),
            if word.chars().count() > 3 { 1.0 } else { 0.3 },
        );
        let letters: Vec<char> = word.chars().collect();
        for triple in letters.windows(3) {
            add(
                &mut sum,
                &format!("triple:{}", triple.iter().collect::<String>()),
                0.3,
            );
        }
    }
    sum.truncate(dimensions);
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length == 0.0 {
        sum[0] = 1.0;
        return sum;
    }
    sum.iter().map(|x| x / length).collect()
}

/// Adds the direction of a feature, whose signs are the bits that the dice roll.
// In whole parts, which the compiler does several numbers at a time: four times as fast, and this is
// most of the work where a request has a hundred texts.
fn add(sum: &mut [f32], feature: &str, weight: f32) {
    let mut dice = Dice::new(0, &[feature]);
    let (parts, rest) = sum.as_chunks_mut::<64>();
    debug_assert!(rest.is_empty(), "there is a roll for each 64 numbers");
    for part in parts {
        let signs = dice.roll();
        for (bit, x) in part.iter_mut().enumerate() {
            *x += if signs >> bit & 1 == 1 {
                weight
            } else {
                -weight
            };
        }
    }
}

/// The vector as OpenAI's `encoding_format: base64` sends it: 32-bit floats, little endian.
fn to_base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        embed(a, 1536)
            .iter()
            .zip(embed(b, 1536))
            .map(|(x, y)| x * y)
            .sum()
    }

    #[test]
    fn vectors_have_length_one_in_any_dimension() {
        for dimensions in [1, 2, 63, 64, 65, 256, 1536, MOST_DIMENSIONS] {
            for text in ["", "a", "The quick brown fox", "\u{4f60}\u{597d}"] {
                let vector = embed(text, dimensions);
                assert_eq!(vector.len(), dimensions);
                let length: f32 = vector.iter().map(|x| x * x).sum();
                assert!((length - 1.0).abs() < 1e-3, "{text} {dimensions}: {length}");
            }
        }
    }

    #[test]
    fn near_texts_are_nearer() {
        let base = "Rust is a systems programming language focused on safety";
        let near = cosine(base, "Rust is a programming language that cares for safety");
        let far = cosine(base, "My grandmother bakes bread with walnuts every Sunday");
        assert!(
            near > 0.5 && far < 0.3 && near > far + 0.3,
            "near {near}, far {far}"
        );
    }
}
