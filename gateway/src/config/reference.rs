//! The reference page of the configuration, made from its schema.

use std::fmt::Write;

use schemars::Schema;
use serde_json::Value;

/// What stands above the tables.
const HEAD: &str = "# Configuration

One TOML file, by default `/etc/isthmus/isthmus.toml`. Unknown settings are errors. Relative paths start at the
folder of the file. `isthmusctl check config` names every mistake at once. This page is made from the program
(`isthmusctl schema --markdown`), and so is the JSON schema for editors, `conf/schema.json`.
";

/// The page as Markdown.
pub fn reference_page(schema: &Schema) -> String {
    let mut page = HEAD.to_owned();
    table(&mut page, "", schema.as_value());
    page
}

fn table(page: &mut String, path: &str, schema: &Value) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties: Vec<(&String, &Value)> = properties.into_iter().flatten().collect();
    let (tables, values): (Vec<_>, Vec<_>) = properties
        .into_iter()
        .partition(|(_, schema)| inner(schema).is_some());
    if !values.is_empty() {
        line(page, "");
        line(page, "| setting | values | default | meaning |");
        line(page, "|---|---|---|---|");
    }
    for (name, value) in values {
        let meaning = text(value).replace('|', "\\|");
        let (kind, default) = (kind(value), default(schema, name, value));
        line(
            page,
            &format!("| `{name}` | {kind} | {default} | {meaning} |"),
        );
    }
    for (name, section) in tables {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let list = section.get("items").is_some();
        let title = if list {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        };
        line(page, &format!("\n## `{title}`\n\n{}", text(section)));
        table(page, &path, inner(section).unwrap_or(section));
    }
}

/// The table that a section is or a list of tables holds.
fn inner(schema: &Value) -> Option<&Value> {
    let items = schema.get("items").unwrap_or(schema);
    items.get("properties").map(|_| items)
}

fn kind(schema: &Value) -> String {
    let choices = schema
        .get("oneOf")
        .or_else(|| schema.get("enum"))
        .and_then(Value::as_array);
    if let Some(choices) = choices {
        let choices = choices.iter().map(|choice| match choice.get("const") {
            Some(value) => format!("`{value}` ({})", text(choice).trim_end_matches('.')),
            None => format!("`{choice}`"),
        });
        return choices.collect::<Vec<_>>().join(", ");
    }
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    let kind = match schema.get("type") {
        Some(Value::Array(several)) => several.first().and_then(Value::as_str),
        Some(one) => one.as_str(),
        None => None,
    };
    match (kind.unwrap_or("string"), bound("maximum")) {
        ("integer", Some(most)) => format!("{} to {most}", bound("minimum").unwrap_or(0)),
        ("array", _) => "list of strings".to_owned(),
        ("boolean", _) => "true, false".to_owned(),
        (kind, _) => kind.to_owned(),
    }
}

fn default(table: &Value, name: &str, schema: &Value) -> String {
    let required = table.get("required").and_then(Value::as_array);
    if required
        .into_iter()
        .flatten()
        .any(|required| required == name)
    {
        return "required".to_owned();
    }
    match schema.get("default") {
        None | Some(Value::Null) => "none".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn text(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    text.unwrap_or_default().replace('\n', " ")
}

fn line(page: &mut String, text: &str) {
    // Writing to a string cannot fail.
    writeln!(page, "{text}").unwrap_or_default();
}
