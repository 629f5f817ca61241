//! Pure: `--format`: Go templates with docker's functions, `table` and `json`.

use crate::opts::OptError;
use crate::render::table;
use gtmpl_ng::{Context, Func, FuncError, Number, Template, Value};

/// How a list is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A table with these columns: header and template of the cell.
    Table(String),
    /// One line an item.
    Lines(String),
    /// One JSON object a line.
    Json,
}

/// Reads `--format` for a command whose default table has this template (`{{.ID}}\t{{.Names}}`).
pub fn parse_format(text: Option<&str>, default_table: &str) -> Format {
    match text.map(str::trim_end) {
        None | Some("" | "table") => Format::Table(default_table.to_owned()),
        Some("json") => Format::Json,
        Some(text) => match text.strip_prefix("table ") {
            Some(rest) => Format::Table(unescape(rest.trim_start())),
            None => Format::Lines(unescape(text)),
        },
    }
}

/// `\t` and `\n` as people type them in single quotes.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// The field that holds a row's labels for `{{.Label "key"}}`; it is not part of JSON output.
pub const LABELS: &str = "LabelMap";

/// `.Label "key"` is a method in docker's templates; here it is a function over a field.
fn methods(source: &str) -> String {
    source.replace(".Label \"", &format!("label .{LABELS} \""))
}

/// An item of a list: fields in the order of JSON output.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// Renders a list. `headers` has the title of each field.
pub fn render_list(
    format: &Format,
    headers: &[(&str, &str)],
    rows: &[Row],
) -> Result<String, OptError> {
    match format {
        Format::Json => {
            let mut text = String::new();
            for row in rows {
                text.push_str(&sorted_json(row));
                text.push('\n');
            }
            Ok(text)
        }
        Format::Lines(template) => {
            let template = compile(template)?;
            let mut text = String::new();
            for row in rows {
                text.push_str(&execute(&template, Context::from(object(row)))?);
                text.push('\n');
            }
            Ok(text)
        }
        Format::Table(source) => {
            let template = compile(source)?;
            let mut titles: Row = headers
                .iter()
                .map(|(field, title)| ((*field).to_owned(), (*title).into()))
                .collect();
            titles.insert(LABELS.to_owned(), serde_json::Value::Bool(true));
            // Functions that shorten cells (`{{truncate .ID 3}}`) shorten the header too, as in docker.
            let head = compile(&header_source(source))?;
            let mut text = execute(&head, Context::from(object(&titles)))?;
            text.push('\n');
            for row in rows {
                text.push_str(&execute(&template, Context::from(object(row)))?);
                text.push('\n');
            }
            Ok(table::layout(&text))
        }
    }
}

/// A header has no labels to look up: `{{.Label "x"}}` prints `x`, and `json` prints the title plainly.
fn header_source(source: &str) -> String {
    source.replace("json .", "print .").replace("join .", "print .")
}

fn sorted_json(row: &Row) -> String {
    let shown: std::collections::BTreeMap<_, _> =
        row.iter().filter(|(key, _)| *key != LABELS).collect();
    serde_json::to_string(&shown).unwrap_or_default()
}

/// A compiled template with docker's functions.
pub fn compile(source: &str) -> Result<Template, OptError> {
    let mut template = Template::default();
    template.add_funcs(FUNCTIONS);
    template
        .parse(methods(source))
        .map_err(|error| OptError::new(format!("template parsing error: {error}")))?;
    Ok(template)
}

/// Renders one value.
pub fn render(template: &Template, value: &serde_json::Value) -> Result<String, OptError> {
    execute(template, Context::from(convert(value)))
}

fn execute(template: &Template, context: Context) -> Result<String, OptError> {
    template
        .render(&context)
        .map_err(|error| OptError::new(format!("template: executing: {error}")))
}

fn object(row: &Row) -> Value {
    Value::Object(row.iter().map(|(key, value)| (key.clone(), convert(value))).collect())
}

/// A JSON value as a template sees it.
pub fn convert(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => Value::Number(if let Some(number) = number.as_i64() {
            Number::signed(number)
        } else if let Some(number) = number.as_u64() {
            Number::unsigned(number)
        } else {
            Number::float(number.as_f64().unwrap_or(0.0))
        }),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(convert).collect()),
        serde_json::Value::Object(map) => {
            Value::Map(map.iter().map(|(key, value)| (key.clone(), convert(value))).collect())
        }
    }
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::NoValue | Value::Nil | Value::Function(_) => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::String(text) => text.clone().into(),
        Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                number.into()
            } else if let Some(number) = number.as_u64() {
                number.into()
            } else {
                number.as_f64().into()
            }
        }
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Object(map) | Value::Map(map) => {
            let sorted: std::collections::BTreeMap<_, _> =
                map.iter().filter(|(key, _)| *key != LABELS).collect();
            serde_json::Value::Object(
                sorted.into_iter().map(|(key, value)| (key.clone(), to_json(value))).collect(),
            )
        }
    }
}

const FUNCTIONS: &[(&str, Func)] = &[
    ("json", json),
    ("split", split),
    ("join", join),
    ("title", title),
    ("lower", lower),
    ("upper", upper),
    ("pad", pad),
    ("truncate", truncate),
    ("println", println),
    ("label", label),
];

type Answer = Result<Value, FuncError>;

fn text_of(values: &[Value], at: usize, name: &str, needs: usize) -> Result<String, FuncError> {
    match values.get(at) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(FuncError::ExactlyXArgs(name.to_owned(), needs)),
    }
}

fn count_of(values: &[Value], at: usize, name: &str, needs: usize) -> Result<usize, FuncError> {
    match values.get(at) {
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .ok_or(FuncError::UnableToConvertFromValue),
        Some(_) => Err(FuncError::UnableToConvertFromValue),
        None => Err(FuncError::ExactlyXArgs(name.to_owned(), needs)),
    }
}

fn json(values: &[Value]) -> Answer {
    let value = values.first().ok_or_else(|| FuncError::ExactlyXArgs("json".to_owned(), 1))?;
    Ok(Value::String(to_json(value).to_string()))
}

fn split(values: &[Value]) -> Answer {
    let (text, separator) = (text_of(values, 0, "split", 2)?, text_of(values, 1, "split", 2)?);
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().map(|c| Value::String(c.to_string())).collect()
    } else {
        text.split(&separator).map(|part| Value::String(part.to_owned())).collect()
    };
    Ok(Value::Array(parts))
}

fn join(values: &[Value]) -> Answer {
    let separator = text_of(values, 1, "join", 2)?;
    match values.first() {
        Some(Value::Array(items)) => {
            let words: Vec<String> = items.iter().map(ToString::to_string).collect();
            Ok(Value::String(words.join(&separator)))
        }
        Some(Value::Nil | Value::NoValue) | None => Ok(Value::String(String::new())),
        Some(other) => Ok(Value::String(other.to_string())),
    }
}

fn title(values: &[Value]) -> Answer {
    let mut start = true;
    let text = text_of(values, 0, "title", 1)?
        .chars()
        .flat_map(|c| {
            let upper = std::mem::replace(&mut start, !c.is_alphanumeric() && c != '_')
                && c.is_alphabetic();
            if upper { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect();
    Ok(Value::String(text))
}

fn lower(values: &[Value]) -> Answer {
    Ok(Value::String(text_of(values, 0, "lower", 1)?.to_lowercase()))
}

fn upper(values: &[Value]) -> Answer {
    Ok(Value::String(text_of(values, 0, "upper", 1)?.to_uppercase()))
}

/// The most blanks that `pad` adds on a side.
const MOST_PADDING: usize = 4096;

fn pad(values: &[Value]) -> Answer {
    let text = text_of(values, 0, "pad", 3)?;
    let (before, after) = (count_of(values, 1, "pad", 3)?, count_of(values, 2, "pad", 3)?);
    if text.is_empty() {
        return Ok(Value::String(text));
    }
    let blanks = |count: usize| " ".repeat(count.min(MOST_PADDING));
    Ok(Value::String(format!("{}{text}{}", blanks(before), blanks(after))))
}

fn truncate(values: &[Value]) -> Answer {
    let text = text_of(values, 0, "truncate", 2)?;
    let length = count_of(values, 1, "truncate", 2)?;
    Ok(Value::String(super::units::truncate(&text, length)))
}

fn label(values: &[Value]) -> Answer {
    let key = text_of(values, 1, "Label", 1)?;
    Ok(match values.first() {
        Some(Value::Map(map)) => map.get(&key).cloned().unwrap_or(Value::String(String::new())),
        // The header of a table.
        _ => Value::String(key),
    })
}

fn println(values: &[Value]) -> Answer {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    Ok(Value::String(format!("{}\n", words.join(" "))))
}

#[cfg(test)]
mod tests;
