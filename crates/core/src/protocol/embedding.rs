//! Embeddings: texts in, vectors out.

use std::fmt;

use base64::Engine;
use http::HeaderMap;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::{check_extra, decode, encode};
use super::error::Error;
use super::usage::{self, Usage};

/// A request to `POST /embeddings`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingRequest {
    /// The model's name.
    pub model: String,
    /// The texts. Many in one request cost as many tokens as in many, but one slot of a rate limit and
    /// one round trip.
    pub input: Vec<String>,
    /// How many numbers a vector shall have; the model's own number where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// `float` or `base64`, which is a quarter of the size. Both are understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<String>,
    /// Every other field of the API, sent as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl EmbeddingRequest {
    /// Where it is posted to, below the base URL.
    pub const PATH: &'static str = "/embeddings";

    /// Asks for the vectors of some texts.
    pub fn new(
        model: impl Into<String>,
        input: impl IntoIterator<Item = impl Into<String>>,
    ) -> EmbeddingRequest {
        EmbeddingRequest {
            model: model.into(),
            input: input.into_iter().map(Into::into).collect(),
            ..EmbeddingRequest::default()
        }
    }

    pub(crate) fn body(&self) -> Result<Vec<u8>, Error> {
        if self.input.is_empty() {
            return Err(Error::Config("there is no text to embed".into()));
        }
        check_extra(
            &self.extra,
            &["model", "input", "dimensions", "encoding_format"],
        )?;
        encode(self)
    }
}

/// The answer to an [`EmbeddingRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingResponse {
    /// The model that answered.
    pub model: String,
    /// A vector a text, in the order of the request.
    pub embeddings: Vec<Vec<f32>>,
    /// The tokens used; `None` where the server does not tell.
    pub usage: Option<Usage>,
}

impl EmbeddingResponse {
    /// Reads a whole answer to a request with `texts` inputs: the status first, then the body.
    ///
    /// # Errors
    /// As [`ChatResponse::decode`](super::chat::ChatResponse::decode), and [`Error::Malformed`]
    /// when there is not exactly one vector a text: pairing them up by guess would be worse.
    pub fn decode(
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        texts: usize,
    ) -> Result<EmbeddingResponse, Error> {
        #[derive(Deserialize)]
        struct OnTheWire {
            #[serde(default)]
            model: String,
            data: Vec<Item>,
            #[serde(default, deserialize_with = "usage::lenient")]
            usage: Option<Usage>,
        }
        #[derive(Deserialize)]
        struct Item {
            index: Option<usize>,
            #[serde(deserialize_with = "vector")]
            embedding: Vec<f32>,
        }
        let wire: OnTheWire = decode(status, headers, body)?;
        let mut embeddings: Vec<Option<Vec<f32>>> = vec![None; texts];
        for (position, item) in wire.data.into_iter().enumerate() {
            // Servers may answer in any order; the index is what counts.
            match embeddings.get_mut(item.index.unwrap_or(position)) {
                Some(place @ None) => *place = Some(item.embedding),
                _ => return Err(Error::malformed("an index is out of place", body)),
            }
        }
        let embeddings: Option<Vec<_>> = embeddings.into_iter().collect();
        let embeddings =
            embeddings.ok_or_else(|| Error::malformed("a text has no embedding", body))?;
        Ok(EmbeddingResponse {
            model: wire.model,
            embeddings,
            usage: wire.usage,
        })
    }
}

/// A list of numbers, or base64 of little-endian f32.
fn vector<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<f32>, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Vec<f32>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of numbers or base64")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<f32>, A::Error> {
            let mut vector = Vec::new();
            while let Some(number) = list.next_element()? {
                vector.push(number);
            }
            Ok(vector)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<f32>, E> {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(E::custom)?;
            let (numbers, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(E::custom("the base64 does not hold whole numbers"));
            }
            Ok(numbers
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect())
        }
    }
    input.deserialize_any(Either)
}
