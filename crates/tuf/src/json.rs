//! JSON as it is signed: read without ambiguity, written in canonical form.
//!
//! Canonical form is the OLPC's "Canonical JSON", which the specification names (4.1): no white space, members sorted by their names,
//! strings with `\"` and `\\` as the only escapes, whole numbers only.

use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting that is read: metadata has six levels, and `custom` some more. Stops brackets that exhaust the stack.
pub const DEPTH_LIMIT: u32 = 32;

/// Reads JSON. Refuses a member that is there twice, numbers that are not whole, and nesting deeper than [`DEPTH_LIMIT`].
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(DEPTH_LIMIT).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Writes the canonical form. Numbers that are not whole are written as zero; [`parse`] lets none through.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write(value, &mut text).expect("a string takes everything");
    text.into_bytes()
}

fn write(value: &Value, text: &mut String) -> fmt::Result {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(yes) => write!(text, "{yes}")?,
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => write!(text, "{number}")?,
            (None, number) => write!(text, "{}", number.unwrap_or_default())?,
        },
        Value::String(string) => quote(string, text),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write(item, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            // Sorted here: the map's own order depends on features that other crates choose.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|one, other| one.0.cmp(other.0));
            text.push('{');
            for (place, (name, member)) in members.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                quote(name, text);
                text.push(':');
                write(member, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn quote(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

/// A value, with the levels that may still be opened.
struct Strict(u32);

impl Strict {
    fn inner<E: serde::de::Error>(&self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Err(E::custom(format_args!("{number} is no whole number, and has no canonical form")))
    }

    fn visit_str<E>(self, string: &str) -> Result<Value, E> {
        Ok(Value::String(string.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.inner()?)?;
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// A whole number above zero, as versions and thresholds are.
pub(crate) fn positive<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    number
        .as_u64()
        .filter(|number| *number > 0)
        .ok_or_else(|| D::Error::custom(format_args!("{number} is no whole number above zero")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        String::from_utf8(canonical(&parse(text.as_bytes()).expect("parses"))).expect("is text")
    }

    #[test]
    fn members_are_sorted_and_only_two_characters_are_escaped() {
        assert_eq!(
            again(r#" {"b": [1, -2, true, null], "a": {"é": "x\ny", "A": ""} } "#),
            "{\"a\":{\"A\":\"\",\"é\":\"x\ny\"},\"b\":[1,-2,true,null]}"
        );
        assert_eq!(again(r#""a\"b\\cA""#), r#""a\"b\\cA""#);
        assert_eq!(again("18446744073709551615"), "18446744073709551615");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            "1.5",
            "1e3",
            "36893488147419103232",
            "[1] [2]",
            "",
            "\"\\ud800\"",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(DEPTH_LIMIT as usize).as_bytes()).is_ok());
        assert!(parse(nested(DEPTH_LIMIT as usize + 2).as_bytes()).is_err());
        assert!(parse("[".repeat(1 << 20).as_bytes()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn canonical_form_is_stable(text in ".*", number: i64) {
            let value = serde_json::json!({ "text": text, text.clone(): [number] });
            // Control characters are written as they are, which is not JSON: the form is for signing, not for reading.
            assert_eq!(canonical(&value), canonical(&value.clone()));
        }
    }
}
