//! Forms with objects and lists in them, as PHP reads them: `device[type]=web`, `attachments[][id]=…`.

use serde_json::{Map, Value};

/// How deep a name may go; what goes deeper is a name like any other.
const DEPTH_MAX: usize = 8;

/// The pairs of a form as an object. Of a name that comes twice the last one counts, unless it ends in
/// `[]`. An object whose members are 0, 1, 2, … is a list.
pub fn nested(pairs: Vec<(String, String)>) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in pairs {
        match path(&name) {
            Some(path) => put(&mut root, &path, value),
            None => {
                root.insert(name, Value::String(value));
            }
        }
    }
    root.into_iter().map(|(name, value)| (name, with_lists(value))).collect()
}

/// The steps of a name like `a[b][c]`; `None` for a plain one, and for one that only looks like it.
fn path(name: &str) -> Option<Vec<&str>> {
    let (first, rest) = name.split_once('[')?;
    let inner = rest.strip_suffix(']')?;
    let steps: Vec<_> = std::iter::once(first).chain(inner.split("][")).collect();
    let is_path = !first.is_empty() && steps.len() <= DEPTH_MAX && !steps.iter().any(|step| step.contains(['[', ']']));
    is_path.then_some(steps)
}

fn put(into: &mut Map<String, Value>, path: &[&str], value: String) {
    let Some((step, rest)) = path.split_first() else { return };
    // A step without a name is the next of a list.
    let name = if step.is_empty() { into.len().to_string() } else { (*step).to_owned() };
    if rest.is_empty() {
        into.insert(name, Value::String(value));
        return;
    }
    let inner = into.entry(name).or_insert_with(|| Value::Object(Map::new()));
    // Something else under that name gives way, as in PHP.
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

fn with_lists(value: Value) -> Value {
    let Value::Object(mut members) = value else { return value };
    let is_list = !members.is_empty() && (0..members.len()).all(|at| members.contains_key(&at.to_string()));
    if is_list {
        let items = (0..members.len()).filter_map(|at| members.remove(&at.to_string()));
        return Value::Array(items.map(with_lists).collect());
    }
    Value::Object(members.into_iter().map(|(name, value)| (name, with_lists(value))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_with_brackets_are_objects_and_lists() {
        let read = |form: &str| Value::Object(nested(serde_urlencoded::from_str(form).unwrap()));
        for (form, want) in [
            ("a=1&a=2", json!({"a": "2"})),
            ("device[type]=web&device[os]=Linux", json!({"device": {"type": "web", "os": "Linux"}})),
            ("a[]=1&a[]=2", json!({"a": ["1", "2"]})),
            ("a[1][id]=y&a[0][id]=x", json!({"a": [{"id": "x"}, {"id": "y"}]})),
            ("a[3]=x", json!({"a": {"3": "x"}})),
            ("a=1&a[b]=2", json!({"a": {"b": "2"}})),
            ("a[b=1&[c]=2&d]=3&e[f]g=4", json!({"a[b": "1", "[c]": "2", "d]": "3", "e[f]g": "4"})),
            ("", json!({})),
        ] {
            assert_eq!(read(form), want, "{form}");
        }
        let deep = format!("a{}=1", "[b]".repeat(1000));
        assert_eq!(read(&deep).as_object().unwrap().len(), 1);
    }
}
