//! What a change changes, for people.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::{
    api::Object,
    failure::Failure,
    output::{printable, yaml},
};

/// Members that tell about a change, and are not part of it.
const ABOUT: [&str; 2] = ["updated_at", "dry_run"];

/// The members of `after` that are not as in `before`. The order within a list or a scope means nothing.
pub(crate) fn changed(before: &Object, after: &Object) -> Object {
    let differs = |name: &str, value: &Value| {
        !ABOUT.contains(&name) && !is_same(name, before.get(name).unwrap_or(&Value::Null), value)
    };
    after
        .iter()
        .filter(|(name, value)| differs(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_same(name: &str, one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            let sorted = |items: &[Value]| {
                let mut texts: Vec<_> = items.iter().map(Value::to_string).collect();
                texts.sort();
                texts.dedup();
                texts
            };
            sorted(one) == sorted(other)
        }
        (Value::String(one), Value::String(other)) if name == "scope" => {
            let sorted = |text: &str| {
                let mut words: Vec<_> = text.split_ascii_whitespace().map(str::to_owned).collect();
                words.sort();
                words.dedup();
                words
            };
            sorted(one) == sorted(other)
        }
        _ => false,
    }
}

/// Lines with `-` and `+` before what goes and what comes, without the members that stay as they are.
pub(crate) fn lines(before: &Object, after: &Object) -> Result<String, Failure> {
    let new = changed(before, after);
    let old: Object = new.keys().map(|name| (name.clone(), before.get(name).cloned().unwrap_or(Value::Null))).collect();
    let (old, new) = (text(&old)?, text(&new)?);
    let diff = TextDiff::from_lines(&old, &new);
    Ok(diff.iter_all_changes().map(|change| line(change.tag(), change.value())).collect())
}

/// All members of something that comes or goes.
pub(crate) fn whole(tag: ChangeTag, object: &Object) -> Result<String, Failure> {
    let members = object.iter().filter(|(name, value)| !ABOUT.contains(&name.as_str()) && !value.is_null());
    let members: Object = members.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(text(&members)?.lines().map(|text| line(tag, text)).collect())
}

fn text(object: &Object) -> Result<String, Failure> {
    Ok(if object.is_empty() { String::new() } else { yaml(object)? })
}

fn line(tag: ChangeTag, text: &str) -> String {
    let sign = match tag {
        ChangeTag::Delete => '-',
        ChangeTag::Insert => '+',
        ChangeTag::Equal => ' ',
    };
    format!("{sign}   {}\n", printable(text.trim_end_matches('\n')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn only_what_is_different_shows() {
        let before = object(json!({"name": "a", "redirect_uris": ["x", "y"], "scope": "b a", "updated_at": 1}));
        let after = object(json!({"name": "b", "redirect_uris": ["y", "x"], "scope": "a b", "updated_at": 2}));
        assert_eq!(lines(&before, &after).expect("lines"), "-   name: a\n+   name: b\n");
        assert!(changed(&before, &before).is_empty());
        assert_eq!(lines(&before, &before).expect("lines"), "");
    }

    #[test]
    fn lists_change_line_by_line() {
        let before = object(json!({"redirect_uris": ["https://a.example", "https://b.example"]}));
        let after = object(json!({"redirect_uris": ["https://a.example", "https://c.example"]}));
        let lines = lines(&before, &after).expect("lines");
        assert!(lines.contains("https://a.example") && lines.contains("\n-") && lines.contains("\n+"), "{lines}");
        assert_eq!(lines.lines().filter(|line| line.starts_with(' ')).count(), 2, "{lines}");
    }
}
