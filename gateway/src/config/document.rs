//! The text of the file against its schema: every unknown key, wrong type and impossible value is
//! found in one pass, and what is left can be read.

use std::ops::Range;

use schemars::Schema;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::fault::Fault;

/// A file that was read as TOML, still with its places.
pub(super) struct Document<'t> {
    text: &'t str,
    root: DeValue<'t>,
}

/// One defect with the place it stands at.
pub(super) struct Defect {
    /// What kind.
    pub(super) fault: Fault,
    /// Line of the file, from 1.
    pub(super) line: usize,
    /// The key, dotted; empty for the file itself.
    pub(super) key: String,
    /// What is wrong.
    pub(super) sentence: String,
    /// What to do.
    pub(super) fix: String,
}

/// The way from the top of the file to a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Item(usize),
}

impl Path {
    /// The value under `key`.
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The item at `place`, from 0.
    pub(super) fn item(&self, place: usize) -> Self {
        self.with(Step::Item(place))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The keys on the way, dotted: the line tells which item is meant.
    pub(super) fn dotted(&self) -> String {
        let keys = self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        });
        keys.collect::<Vec<_>>().join(".")
    }
}

impl<'t> Document<'t> {
    /// Reads TOML; what is no TOML is a defect, and the rest is read nevertheless.
    pub(super) fn parse(text: &'t str) -> (Self, Vec<Defect>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self {
            text,
            root: DeValue::Table(root.into_inner()),
        };
        let defects = errors.iter().map(|error| Defect {
            fault: Fault::Syntax,
            line: error.span().map_or(1, |span| line_of(text, &span)),
            key: String::new(),
            sentence: format!("This is not TOML: {}.", error.message().replace('\n', ", ")),
            fix: "Correct the line; strings stand in double quotes, lists in brackets.".to_owned(),
        });
        (document, defects.collect())
    }

    /// Compares the file with the schema: the part that fits it, and everything that does not.
    pub(super) fn fit(&self, schema: &Schema) -> (Value, Vec<Defect>) {
        let mut fitting = Fitting {
            text: self.text,
            defects: Vec::new(),
        };
        let root = Spanned::new(0..0, self.root.clone());
        let fit = fitting.value(schema.as_value(), &Path::default(), &root);
        (fit.unwrap_or_default(), fitting.defects)
    }

    /// The line of the value at `path`, or of the nearest thing above it that is there.
    pub(super) fn line(&self, path: &Path) -> usize {
        line_of(self.text, &self.find(path).0)
    }

    /// Whether the file says anything at `path`.
    pub(super) fn names(&self, path: &Path) -> bool {
        self.find(path).1
    }

    /// Where the way ends, and whether that is the end of the path.
    fn find(&self, path: &Path) -> (Range<usize>, bool) {
        let mut here = (0..0, &self.root);
        for step in &path.0 {
            let Some(next) = step.take(here.1) else {
                return (here.0, false);
            };
            here = next;
        }
        (here.0, true)
    }
}

impl Step {
    /// The value one step below, and where its name or itself stands.
    fn take<'v, 't>(&self, value: &'v DeValue<'t>) -> Option<(Range<usize>, &'v DeValue<'t>)> {
        match self {
            Self::Key(key) => {
                let (key, value) = value.as_table()?.get_key_value(key.as_str())?;
                Some((key.span(), value.get_ref()))
            }
            Self::Item(place) => {
                let item = value.as_array()?.get(*place)?;
                Some((item.span(), item.get_ref()))
            }
        }
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().iter().take(span.start);
    before.filter(|octet| **octet == b'\n').count() + 1
}

/// A walk through file and schema side by side.
struct Fitting<'t> {
    text: &'t str,
    defects: Vec<Defect>,
}

impl Fitting<'_> {
    fn table(
        &mut self,
        schema: &Value,
        path: &Path,
        table: &DeTable<'_>,
        span: &Range<usize>,
    ) -> Map<String, Value> {
        let known = schema.get("properties").and_then(Value::as_object);
        let mut fitting = Map::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let path = path.key(name);
            let any = schema.get("additionalProperties");
            let any = any.filter(|schema| schema.is_object());
            let Some(schema) = known.and_then(|known| known.get(name)).or(any) else {
                let known = known.into_iter().flat_map(Map::keys);
                let known: Vec<&str> = known.map(String::as_str).collect();
                self.unknown(&path, &key.span(), name, &known);
                continue;
            };
            if let Some(value) = self.value(schema, &path, value) {
                fitting.insert(name.to_owned(), value);
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(key) {
                let sentence = format!("The setting {key} is missing.");
                let fix = format!("Add {key}. {}", description(known.and_then(|k| k.get(key))));
                self.defect(Fault::MissingKey, &path.key(key), span, sentence, fix);
            }
        }
        fitting
    }

    fn value(
        &mut self,
        schema: &Value,
        path: &Path,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        let span = value.span();
        let fitting = match value.get_ref() {
            DeValue::Table(table) if expects(schema, "object") => {
                return Some(Value::Object(self.table(schema, path, table, &span)));
            }
            DeValue::Array(items) if expects(schema, "array") => {
                let schema = schema.get("items").unwrap_or(&Value::Null);
                let items = items.iter().enumerate();
                let fitting =
                    items.filter_map(|(place, item)| self.value(schema, &path.item(place), item));
                return Some(Value::Array(fitting.collect()));
            }
            DeValue::String(text) if expects(schema, "string") => Value::from(text.as_ref()),
            DeValue::Boolean(flag) if expects(schema, "boolean") => Value::from(*flag),
            DeValue::Integer(number) if expects(schema, "integer") => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                number.map_or(Value::Null, |number| Value::Number(Number::from(number)))
            }
            DeValue::Table(_)
            | DeValue::Array(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_) => {
                let key = path.dotted();
                let (wanted, found) = (wanted(schema), value.get_ref().type_str());
                let sentence = format!("{key} must be {wanted}, and here is a {found}.");
                let fix = description(Some(schema));
                self.defect(Fault::WrongType, path, &span, sentence, fix);
                return None;
            }
        };
        self.allowed(schema, path, &span, &fitting)
            .then_some(fitting)
    }

    /// Whether a value of the right type is one of those that may stand here.
    fn allowed(&mut self, schema: &Value, path: &Path, span: &Range<usize>, value: &Value) -> bool {
        let choices = choices(schema);
        let number = value.as_i64();
        let bound = |name| schema.get(name).and_then(Value::as_i64);
        let below = bound("minimum").is_some_and(|least| number.is_some_and(|n| n < least));
        let above = bound("maximum").is_some_and(|most| number.is_some_and(|n| n > most));
        if !below && !above && (choices.is_empty() || choices.contains(&value)) {
            return true;
        }
        let key = path.dotted();
        let sentence = format!("{key} cannot be {value}.");
        let fix = if choices.is_empty() {
            let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum"));
            match most {
                Some(most) => format!("Give a number from {least} to {most}."),
                None => format!("Give a number from {least} on."),
            }
        } else {
            let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
            format!("Choose one of {}.", choices.join(", "))
        };
        self.defect(Fault::BadValue, path, span, sentence, fix);
        false
    }

    fn unknown(&mut self, path: &Path, span: &Range<usize>, name: &str, known: &[&str]) {
        let near = known.iter().filter(|known| distance(name, known) <= 2);
        let nearest = near.min_by_key(|known| distance(name, known));
        let fix = nearest.map_or_else(
            || format!("Remove it; known here are {}.", known.join(", ")),
            |nearest| format!("Write {nearest}, or remove it."),
        );
        let sentence = format!("There is no setting {name} here.");
        self.defect(Fault::UnknownKey, path, span, sentence, fix);
    }

    fn defect(
        &mut self,
        fault: Fault,
        path: &Path,
        span: &Range<usize>,
        sentence: String,
        fix: String,
    ) {
        self.defects.push(Defect {
            fault,
            line: line_of(self.text, span),
            key: path.dotted(),
            sentence,
            fix,
        });
    }
}

/// Whether the schema takes values of this JSON type.
fn expects(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        Some(_) => false,
        None => kind == "string" && schema.get("oneOf").is_some(),
    }
}

/// The values that may stand here, if they are counted.
fn choices(schema: &Value) -> Vec<&Value> {
    let list = |name| {
        schema
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let described = list("oneOf").filter_map(|one| one.get("const"));
    list("enum")
        .chain(described)
        .filter(|one| !one.is_null())
        .collect()
}

fn wanted(schema: &Value) -> &'static str {
    let names = [
        ("object", "a table"),
        ("array", "a list"),
        ("integer", "a whole number"),
        ("boolean", "true or false"),
    ];
    let found = names.into_iter().find(|(kind, _)| expects(schema, kind));
    found.map_or("a string", |(_, name)| name)
}

/// What the schema says of a setting, in one sentence.
fn description(schema: Option<&Value>) -> String {
    let text = schema
        .and_then(|schema| schema.get("description"))
        .and_then(Value::as_str);
    text.unwrap_or_default().replace('\n', " ")
}

/// Letters to change, add or remove to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut corner = place;
        let mut left = place + 1;
        let mut next = vec![left];
        for (letter_of_other, above) in other.iter().zip(row.iter().skip(1)) {
            let change = corner + usize::from(letter != *letter_of_other);
            left = change.min(left + 1).min(above + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
