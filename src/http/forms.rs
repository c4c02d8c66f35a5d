//! Forms whose names have brackets: `a[b]` is a member, `a[0]` and `a[]` are items of a list.
//!
//! No standard says so; web frameworks agree on it as far as it is read here.

use serde_json::{Map, Value};

use super::body::Repeated;

/// Brackets that a name may have; one with more is taken as it stands.
const DEPTH_MAX: usize = 8;

/// Puts each pair where its name says. Where two names contradict each other the last one counts.
pub fn nested(pairs: Vec<(String, String)>, repeated: Repeated) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, value) in pairs {
        match path(&name) {
            Some((first, rest)) => put(&mut members, first, &rest, Value::String(value)),
            None => put_plain(&mut members, name, Value::String(value), repeated),
        }
    }
    members.into_iter().map(|(name, value)| (name, with_lists(value))).collect()
}

/// `a[b][0]` as `a` and `b`, `0`; `None` for a name without brackets, or with brackets that are no path.
fn path(name: &str) -> Option<(&str, Vec<&str>)> {
    let (first, rest) = name.split_once('[')?;
    let steps: Vec<&str> = rest.strip_suffix(']')?.split("][").collect();
    let is_path = !first.is_empty() && steps.len() <= DEPTH_MAX && !steps.iter().any(|step| step.contains(['[', ']']));
    is_path.then_some((first, steps))
}

fn put_plain(members: &mut Map<String, Value>, name: String, value: Value, repeated: Repeated) {
    match members.get_mut(&name) {
        Some(Value::Array(items)) if repeated == Repeated::List => items.push(value),
        Some(first) if repeated == Repeated::List && first.is_string() => {
            *first = Value::Array(vec![first.take(), value]);
        }
        _ => {
            members.insert(name, value);
        }
    }
}

fn put(members: &mut Map<String, Value>, name: &str, rest: &[&str], value: Value) {
    // Until all pairs are read a list is an object of numbers: they may come in any order.
    let name = if name.is_empty() { members.len().to_string() } else { name.to_owned() };
    let Some((next, rest)) = rest.split_first() else {
        members.insert(name, value);
        return;
    };
    let inner = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, next, rest, value);
    }
}

/// Objects whose names are all numbers are lists, in the order of the numbers: holes close.
fn with_lists(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let members: Vec<_> = members.into_iter().map(|(name, value)| (name, with_lists(value))).collect();
    let mut items: Vec<(u32, Value)> = Vec::new();
    if !members.iter().all(|(name, _)| name.parse::<u32>().is_ok()) {
        return Value::Object(members.into_iter().collect());
    }
    items.extend(members.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, value))));
    items.sort_by_key(|(number, _)| *number);
    Value::Array(items.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(form: &str, repeated: Repeated) -> Value {
        Value::Object(nested(serde_urlencoded::from_str(form).unwrap(), repeated))
    }

    proptest! {
        #[test]
        fn any_form_is_read(pairs in proptest::collection::vec(("[ab0-9\\[\\]]{0,12}", any::<String>()), 0..12)) {
            let all: Vec<_> = pairs.iter().map(|(_, value)| value.clone()).collect();
            for repeated in [Repeated::Last, Repeated::List] {
                prop_assert!(leaves(&Value::Object(nested(pairs.clone(), repeated)), &all), "nothing is made up");
            }
        }
    }

    /// Whether every text in a value was sent.
    fn leaves(value: &Value, sent: &[String]) -> bool {
        match value {
            Value::String(text) => sent.contains(text),
            Value::Array(items) => items.iter().all(|item| leaves(item, sent)),
            Value::Object(members) => members.values().all(|member| leaves(member, sent)),
            _ => false,
        }
    }

    #[test]
    fn brackets_nest() {
        for (form, want) in [
            ("device[type]=ios&device[name]=a", json!({"device": {"type": "ios", "name": "a"}})),
            ("ids[]=1&ids[]=2", json!({"ids": ["1", "2"]})),
            ("ids[10]=b&ids[9]=a", json!({"ids": ["a", "b"]})),
            (
                "m[0][content]=x&m[1][content]=y&m[0][role]=user",
                json!({"m": [{"content": "x", "role": "user"}, {"content": "y"}]}),
            ),
            ("a=1&a[b]=2", json!({"a": {"b": "2"}})),
            ("a[b]=2&a=1", json!({"a": "1"})),
            ("a[b=1&a]=2&[]=3&a[[b]]=4&[x]=5", json!({"a[b": "1", "a]": "2", "[]": "3", "a[[b]]": "4", "[x]": "5"})),
            ("a[4294967295]=x&a[99999999999]=y", json!({"a": {"4294967295": "x", "99999999999": "y"}})),
        ] {
            assert_eq!(read(form, Repeated::Last), want, "{form}");
        }
        let deep = format!("a{}=1", "[b]".repeat(9));
        assert_eq!(read(&deep, Repeated::Last), json!({ deep[..28].to_owned(): "1" }));
    }

    #[test]
    fn a_name_that_comes_twice_is_what_the_door_says() {
        assert_eq!(read("a=1&a=2&a=3&b=4", Repeated::List), json!({"a": ["1", "2", "3"], "b": "4"}));
        assert_eq!(read("a=1&a=2&a=3&b=4", Repeated::Last), json!({"a": "3", "b": "4"}));
    }
}
