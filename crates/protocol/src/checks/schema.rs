//! JSON Schema as far as providers take it for answers: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`,
//! `items`, `anyOf`, `allOf` and `$ref` within the schema. Other keywords, such as `pattern`, are not looked at.

use serde_json::{Map, Value};

/// Steps of one check: more are not taken, and what is not looked at counts as kept.
const STEPS: u32 = 100_000;
/// How deep one goes, as a reference may lead to itself.
const DEPTH: u32 = 128;

/// Whether a value keeps a schema.
pub(super) fn keeps(schema: &Value, value: &Value) -> bool {
    Walk { root: schema, left: STEPS }.keeps(schema, value, DEPTH)
}

struct Walk<'a> {
    root: &'a Value,
    left: u32,
}

impl<'a> Walk<'a> {
    fn keeps(&mut self, schema: &'a Value, value: &Value, depth: u32) -> bool {
        if self.left == 0 || depth == 0 {
            return true;
        }
        self.left -= 1;
        let Some(schema) = schema.as_object() else { return schema != &Value::Bool(false) };
        let depth = depth - 1;
        let list = |name: &str| schema.get(name).and_then(Value::as_array);
        let referred =
            schema.get("$ref").and_then(Value::as_str).and_then(|name| self.root.pointer(name.strip_prefix('#')?));
        referred.is_none_or(|referred| self.keeps(referred, value, depth))
            && schema.get("type").is_none_or(|kind| is_of(kind, value))
            && list("enum").is_none_or(|known| known.iter().any(|known| same(known, value)))
            && schema.get("const").is_none_or(|only| same(only, value))
            && list("anyOf").is_none_or(|any| any.iter().any(|schema| self.keeps(schema, value, depth)))
            && list("allOf").is_none_or(|all| all.iter().all(|schema| self.keeps(schema, value, depth)))
            && value.as_object().is_none_or(|object| self.object(schema, object, depth))
            && value
                .as_array()
                .zip(schema.get("items"))
                .is_none_or(|(items, schema)| items.iter().all(|item| self.keeps(schema, item, depth)))
    }

    fn object(&mut self, schema: &'a Map<String, Value>, object: &Map<String, Value>, depth: u32) -> bool {
        let known = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        let others = schema.get("additionalProperties");
        let is_there = |name: &Value| name.as_str().is_none_or(|name| object.contains_key(name));
        required.is_none_or(|required| required.iter().all(is_there))
            && object.iter().all(|(name, value)| {
                let schema = known.and_then(|known| known.get(name)).or(others);
                schema.is_none_or(|schema| self.keeps(schema, value, depth))
            })
    }
}

/// Whether a value is of a type, or of one of a list of types.
fn is_of(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
        Value::String(kind) => match kind.as_str() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "number" => value.is_number(),
            "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            _ => true,
        },
        _ => true,
    }
}

/// 1 and 1.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_providers_take_of_schemas_is_checked() {
        let schema = json!({
            "type": "object", "required": ["name", "tags"], "additionalProperties": false,
            "properties": {
                "name": { "type": "string" }, "size": { "enum": ["S", "M", 1] }, "count": { "type": ["integer", "null"] },
                "tags": { "type": "array", "items": { "$ref": "#/$defs/tag" } },
                "child": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] },
            },
            "$defs": { "tag": { "type": "string" } },
        });
        for kept in [
            json!({ "name": "a", "tags": [] }),
            json!({ "name": "a", "tags": ["x"], "size": "S", "count": 3, "child": null }),
            json!({ "name": "a", "tags": [], "size": 1.0, "count": 2.0, "child": { "name": "b", "tags": ["y"] } }),
        ] {
            assert!(keeps(&schema, &kept), "{kept}");
        }
        for broken in [
            json!([]),
            json!({ "name": "a" }),
            json!({ "name": 7, "tags": [] }),
            json!({ "name": "a", "tags": [1] }),
            json!({ "name": "a", "tags": [], "size": "L" }),
            json!({ "name": "a", "tags": [], "count": 1.5 }),
            json!({ "name": "a", "tags": [], "more": 1 }),
            json!({ "name": "a", "tags": [], "child": { "name": "b" } }),
        ] {
            assert!(!keeps(&schema, &broken), "{broken}");
        }
        assert!(keeps(&json!({ "pattern": "^a$" }), &json!("b")), "not looked at");
        assert!(!keeps(&json!({ "allOf": [{ "const": 1 }, false] }), &json!(1)));
    }

    #[test]
    fn no_schema_goes_on_for_ever() {
        let itself = json!({ "$ref": "#" });
        assert!(keeps(&itself, &json!(1)));
        let wide = json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }, false], "type": "string" });
        assert!(!keeps(&json!({ "allOf": [false, wide] }), &json!(1)));
        let bomb = json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] });
        assert!(keeps(&bomb, &json!(1)), "it ends");
    }
}
