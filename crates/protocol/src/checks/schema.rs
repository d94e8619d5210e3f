//! JSON Schema as far as providers take it for answers: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`,
//! `items`, `anyOf`, `allOf` and `$ref` within the schema. Other keywords, such as `pattern`, are not looked at.

use serde_json::{Map, Value};

/// Steps of one check, each for what some ten nanoseconds look at: more are not taken, and what is not looked at counts as kept.
const STEPS: u32 = 500_000;
/// How deep one goes, as a reference may lead to itself.
const DEPTH: u32 = 128;
/// Bytes of a text that one step compares.
const BYTES: usize = 16;
/// Bytes of the longest schema that is looked at; any answer keeps a longer one.
pub(super) const LONGEST: usize = 64 << 10;

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
        if depth == 0 || !self.afford(1) {
            return true;
        }
        let Some(schema) = schema.as_object() else { return schema != &Value::Bool(false) };
        let depth = depth - 1;
        let list = |name: &str| schema.get(name).and_then(Value::as_array);
        self.referred(schema).is_none_or(|referred| self.keeps(referred, value, depth))
            && schema.get("type").is_none_or(|kind| self.is_of(kind, value))
            && list("enum").is_none_or(|known| known.iter().any(|known| self.is(known, value)))
            && schema.get("const").is_none_or(|only| self.is(only, value))
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
        let mut is_there = |name: &Value| {
            name.as_str().is_none_or(|name| !self.afford(steps(name.len())) || object.contains_key(name))
        };
        required.is_none_or(|required| required.iter().all(&mut is_there))
            && object.iter().all(|(name, value)| {
                if !self.afford(steps(name.len())) {
                    return true;
                }
                let schema = known.and_then(|known| known.get(name)).or(others);
                schema.is_none_or(|schema| self.keeps(schema, value, depth))
            })
    }

    /// What a schema refers to.
    fn referred(&mut self, schema: &Map<String, Value>) -> Option<&'a Value> {
        let name = schema.get("$ref")?.as_str()?;
        // Each letter may be a step down.
        if self.afford(name.len()) { self.root.pointer(name.strip_prefix('#')?) } else { None }
    }

    /// Whether a value is of a type, or of one of a list of types.
    fn is_of(&mut self, kind: &Value, value: &Value) -> bool {
        match kind {
            Value::Array(kinds) => kinds.iter().any(|kind| !self.afford(1) || is_of(kind, value)),
            kind => is_of(kind, value),
        }
    }

    /// Whether a value is this one. 1 and 1.0 are one number.
    fn is(&mut self, known: &Value, value: &Value) -> bool {
        if !self.afford(size(known)) {
            return true;
        }
        match (known.as_f64(), value.as_f64()) {
            (Some(known), Some(value)) => known == value,
            _ => known == value,
        }
    }

    /// Takes so many steps, if there are still any; a last one may be larger than what is left.
    fn afford(&mut self, steps: usize) -> bool {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
        is_left
    }
}

/// Steps that a text of so many bytes takes.
fn steps(bytes: usize) -> usize {
    1 + bytes / BYTES
}

/// Steps that it takes to compare something with this value.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => steps(text.len()),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            1 + members.iter().map(|(name, value)| steps(name.len()) + size(value)).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// Whether a value is of a type.
fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("number") => value.is_number(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
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

    #[test]
    fn what_one_step_looks_at_is_bounded() {
        let schema = json!({});
        let taken = |schema: &Value, value: &Value| {
            let mut walk = Walk { root: schema, left: STEPS };
            walk.keeps(schema, value, DEPTH);
            STEPS - walk.left
        };
        assert_eq!(taken(&schema, &json!(1)), 1);
        let names: Vec<_> = (0..1_000).map(|n| format!("a name that is not there, {n:06}")).collect();
        let object: Map<_, _> = names.iter().map(|name| (name.clone(), json!(1))).collect();
        for (schema, value, steps) in [
            (json!({ "enum": vec![0; 1_000] }), json!("x"), 1_001),
            (json!({ "enum": ["x".repeat(1_600)] }), json!(1), 102),
            (json!({ "const": [1, { "ab": [2] }] }), json!(1), 7),
            (json!({ "type": vec!["null"; 1_000] }), json!(1), 1_001),
            (json!({ "required": names }), Value::Object(object.clone()), 1 + 3_000 + 3_000),
            (json!({ "$ref": format!("#{}", "/a".repeat(500)) }), json!(1), 1_002),
        ] {
            assert_eq!(taken(&schema, &value), steps, "{schema:.60}");
        }
        // A list in each of the steps of a bomb, of which none is left for others.
        let bomb = json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }], "enum": vec![0; 10_000] });
        assert_eq!(taken(&bomb, &json!(0)), STEPS);
    }
}
