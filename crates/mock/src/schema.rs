//! Values that fit a JSON schema: for `response_format: json_schema` and the arguments of tool calls.
//!
//! It knows what OpenAI's structured outputs know (types, enum, const, anyOf, local $ref, bounds); a schema
//! word beyond those is ignored.

use serde_json::{Map, Value, json};

use crate::answers;
use crate::settings::Service;

/// What the values are taken from.
pub(crate) struct Source<'a> {
    /// The text that was asked about.
    pub(crate) text: &'a str,
    /// The text answer, for the string properties that ask for one.
    pub(crate) answer: &'a str,
    pub(crate) service: Service,
}

/// A value that fits the schema, with meaning where the names of the properties give one.
pub(crate) fn fill(schema: &Value, source: &Source<'_>) -> Value {
    value(schema, schema, "", source, 0)
}

fn value(schema: &Value, root: &Value, name: &str, source: &Source<'_>, depth: usize) -> Value {
    // A recursive schema has to allow an end somewhere; this is where we take it.
    const DEEPEST: usize = 12;
    let deep = depth > DEEPEST;
    if let Some(target) = schema["$ref"].as_str() {
        let target = target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
            .unwrap_or(&Value::Null);
        return if deep {
            Value::Null
        } else {
            value(target, root, name, source, depth + 1)
        };
    }
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return choose(allowed, source);
    }
    for any in ["anyOf", "oneOf"] {
        if let Some(ways) = schema[any].as_array() {
            let is_null = |way: &&Value| way["type"] == "null";
            let way = if deep {
                ways.iter().find(is_null)
            } else {
                ways.iter().find(|way| !is_null(way))
            };
            return way
                .or(ways.first())
                .map_or(Value::Null, |way| value(way, root, name, source, depth + 1));
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ if schema.get("items").is_some() => vec!["array"],
        _ => vec!["string"],
    };
    let kind = if deep && kinds.contains(&"null") {
        "null"
    } else {
        kinds
            .iter()
            .copied()
            .find(|kind| *kind != "null")
            .unwrap_or("null")
    };
    match kind {
        "object" => {
            let mut object = Map::new();
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                let required = schema["required"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one == key));
                if required || !deep {
                    object.insert(key.clone(), value(property, root, key, source, depth + 1));
                }
            }
            Value::Object(object)
        }
        "array" => array(schema, root, name, source, depth),
        "integer" => json!(number(schema).round() as i64),
        "number" => json!(number(schema)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(string(schema, name, source)),
    }
}

/// The allowed value that the text speaks of, else the first.
fn choose(allowed: &[Value], source: &Source<'_>) -> Value {
    let said = |text: &str| {
        let text = text.to_lowercase();
        allowed.iter().find(|one| {
            one.as_str()
                .is_some_and(|word| text.contains(&word.to_lowercase()))
        })
    };
    let feeling = answers::sentiment(source.text);
    let by_feeling = allowed.iter().find(|one| {
        one.as_str()
            .is_some_and(|word| word.eq_ignore_ascii_case(feeling))
    });
    by_feeling
        .or_else(|| said(source.text))
        .or(allowed.first())
        .cloned()
        .unwrap_or_default()
}

fn array(schema: &Value, root: &Value, name: &str, source: &Source<'_>, depth: usize) -> Value {
    let least = schema["minItems"].as_u64().unwrap_or(0).min(100) as usize;
    let most = schema["maxItems"]
        .as_u64()
        .map_or(usize::MAX, |n| n as usize);
    let items = &schema["items"];
    let mut values: Vec<Value> = Vec::new();
    let of_names = ["entit", "name", "people", "places"]
        .iter()
        .any(|word| name.to_lowercase().contains(word));
    if of_names && items["type"].as_str().unwrap_or("string") == "string" {
        values.extend(answers::entities(source.text).into_iter().map(Value::from));
    }
    let wanted = least.max(usize::from(values.is_empty() && !of_names && depth < 8));
    while values.len() < wanted {
        values.push(value(items, root, name, source, depth + 1));
    }
    values.truncate(most);
    Value::Array(values)
}

fn number(schema: &Value) -> f64 {
    let low = schema["minimum"]
        .as_f64()
        .or_else(|| schema["exclusiveMinimum"].as_f64().map(|low| low + 1.0));
    let high = schema["maximum"]
        .as_f64()
        .or_else(|| schema["exclusiveMaximum"].as_f64().map(|high| high - 1.0));
    match (low, high) {
        (Some(low), Some(high)) => f64::midpoint(low, high),
        (Some(low), None) => low.max(1.0),
        (None, Some(high)) => high.min(1.0),
        (None, None) => 1.0,
    }
}

fn string(schema: &Value, name: &str, source: &Source<'_>) -> String {
    match schema["format"].as_str() {
        Some("date") => return "2026-01-31".to_owned(),
        Some("time") => return "12:00:00Z".to_owned(),
        Some("date-time") => return "2026-01-31T12:00:00Z".to_owned(),
        Some("email") => return "ada@example.com".to_owned(),
        Some("uri") => return "https://example.com/".to_owned(),
        Some("uuid") => return "6f1ed002-ab5c-4a3b-9c0e-2f6f0d3a1b7c".to_owned(),
        _ => {}
    }
    let name = name.to_lowercase();
    let text = if name.contains("sentiment") {
        answers::sentiment(source.text).to_owned()
    } else if name.contains("summar") {
        answers::summary(source.text)
    } else if name.contains("entit") {
        answers::entities(source.text).join(", ")
    } else if source.service != Service::Chat
        || ["answer", "text", "content", "explanation"].contains(&name.as_str())
    {
        source.answer.to_owned()
    } else {
        // Short values, as for a city or a title: a name from the text, else its subject.
        answers::entities(source.text)
            .into_iter()
            .last()
            .unwrap_or_else(|| answers::subject(source.text))
    };
    let most = schema["maxLength"]
        .as_u64()
        .map_or(usize::MAX, |n| n as usize);
    let least = schema["minLength"].as_u64().unwrap_or(0).min(10_000) as usize;
    let mut text: String = text.chars().take(most).collect();
    while text.chars().count() < least {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_for(schema: &Value, text: &str) -> Value {
        fill(
            schema,
            &Source {
                text,
                answer: "An answer.",
                service: Service::Chat,
            },
        )
    }

    #[test]
    fn names_of_properties_give_their_values_a_meaning() {
        let schema = json!({"type": "object", "properties": {
            "sentiment": {"type": "string", "enum": ["negative", "neutral", "positive"]},
            "summary": {"type": "string"},
            "entities": {"type": "array", "items": {"type": "string"}},
            "answer": {"type": "string"},
        }});
        let filled = fill_for(&schema, "Ada loved London. It rained.");
        assert_eq!(
            filled,
            json!({"sentiment": "positive", "summary": "Ada loved London.", "entities": ["Ada", "London"],
                "answer": "An answer."})
        );
    }

    #[test]
    fn bounds_references_and_recursion_are_respected() {
        let schema = json!({
            "type": "object",
            "properties": {
                "count": {"type": "integer", "minimum": 3, "maximum": 5},
                "share": {"type": "number", "exclusiveMaximum": 0},
                "code": {"type": "string", "minLength": 6, "maxLength": 6},
                "pair": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
                "maybe": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
                "tree": {"$ref": "#/$defs/node"},
                "fixed": {"const": 7},
                "day": {"type": ["null", "string"], "format": "date"}
            },
            "$defs": {"node": {"type": "object", "required": ["next"], "properties": {
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}
        });
        let filled = fill_for(&schema, "Berlin");
        assert_eq!(filled["count"], 4);
        assert!(filled["share"].as_f64().unwrap() < 0.0);
        assert_eq!(filled["code"].as_str().unwrap().len(), 6);
        assert_eq!(filled["pair"], json!([true, true]));
        assert_eq!(filled["maybe"], 1);
        assert!(filled["tree"].is_object());
        assert_eq!(filled["fixed"], 7);
        assert_eq!(filled["day"], "2026-01-31");
        assert!(fill_for(&json!({"$ref": "#/nowhere"}), "x").is_string());
    }
}
