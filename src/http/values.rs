//! Taking typed values out of what a client sent, also out of lists and objects inside of it, with every
//! error in one answer: where it is, what was wanted and what was there instead.
//!
//! [`Fields`](super::fields::Fields) reads flat objects as forms are read; this reads types strictly, for
//! doors whose clients compare them. Only in a form a string stands for a number or for true and false.

use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::body::Sent;
use crate::domain::{Email, INTEGER_MAX, MessageText, TextError};
use crate::error::{Error, FieldError, Kind, Result, Rule};

/// An object that is being read.
#[derive(Debug)]
pub struct Values {
    members: Map<String, Value>,
    is_form: bool,
    /// Where the object stands, with a dot behind; empty for the outermost.
    place: String,
    errors: Vec<FieldError>,
}

impl From<Sent> for Values {
    fn from(sent: Sent) -> Self {
        let mut values = Self { members: Map::new(), is_form: sent.is_form, place: String::new(), errors: Vec::new() };
        match sent.value {
            Value::Object(members) => values.members = members,
            other => values.wrong("", Rule::Type { want: Kind::Object, got: kind(Some(&other)) }),
        }
        values
    }
}

impl Values {
    /// The values of a query; what cannot be decoded is left out.
    pub fn of_query(query: Option<&str>) -> Self {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default();
        let members = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Sent { value: Value::Object(members), is_form: true }.into()
    }

    /// Notes an error; an empty name stands for the object itself.
    pub fn wrong(&mut self, field: &str, rule: Rule) {
        let field = format!("{}{field}", self.place).trim_end_matches('.').to_owned();
        self.errors.push(FieldError { field: field.into(), rule });
    }

    /// Whether anything was sent under that name, null too.
    pub fn has(&self, field: &str) -> bool {
        self.members.contains_key(field)
    }

    /// Notes that something of another type was sent, or nothing.
    pub fn wrong_type(&mut self, field: &str, want: Kind, got: Option<&Value>) {
        self.wrong(field, Rule::Type { want, got: kind(got) });
    }

    /// The raw value, left where it is.
    pub fn peek(&self, field: &str) -> Option<&Value> {
        self.members.get(field)
    }

    /// The raw value, taken out; null is none.
    pub fn value(&mut self, field: &str) -> Option<Value> {
        self.members.remove(field).filter(|value| !value.is_null())
    }

    /// A string of so many characters.
    pub fn string(&mut self, field: &str, chars: RangeInclusive<usize>) -> Option<String> {
        match self.members.remove(field) {
            Some(Value::String(text)) => self.counted(field, text, chars),
            other => {
                self.wrong_type(field, Kind::String, other.as_ref());
                None
            }
        }
    }

    fn counted(&mut self, field: &str, text: String, chars: RangeInclusive<usize>) -> Option<String> {
        let count = text.chars().count();
        let broken = if count < *chars.start() {
            Rule::CharsMin(*chars.start())
        } else if count > *chars.end() {
            Rule::CharsMax(*chars.end())
        } else if text.contains('\0') {
            Rule::NoNul
        } else {
            return Some(text);
        };
        self.wrong(field, broken);
        None
    }

    /// As [`Values::string`], if it was sent.
    pub fn optional_string(&mut self, field: &str, chars: RangeInclusive<usize>) -> Option<String> {
        if self.has(field) { self.string(field, chars) } else { None }
    }

    /// As [`Values::optional_string`]; null, too, is nothing.
    pub fn nullable_string(&mut self, field: &str, chars: RangeInclusive<usize>) -> Option<String> {
        if self.members.get(field).is_some_and(Value::is_null) {
            self.members.remove(field);
        }
        self.optional_string(field, chars)
    }

    /// A message's text; see [`MessageText::parse`].
    pub fn text(&mut self, field: &str, chars_max: usize) -> Option<MessageText> {
        let raw = match self.members.remove(field) {
            Some(Value::String(raw)) => raw,
            other => {
                self.wrong_type(field, Kind::String, other.as_ref());
                return None;
            }
        };
        let broken = match MessageText::parse(&raw, chars_max) {
            Ok(text) => return Some(text),
            Err(TextError::Empty) => Rule::CharsMin(1),
            Err(TextError::TooLong { max }) => Rule::CharsMax(max),
        };
        self.wrong(field, broken);
        None
    }

    /// An e-mail address of so many characters.
    pub fn email(&mut self, field: &str, chars: RangeInclusive<usize>) -> Option<Email> {
        let raw = self.string(field, chars)?;
        let email = Email::parse(&raw);
        if email.is_none() {
            self.wrong(field, Rule::Email);
        }
        email
    }

    /// One of some words.
    pub fn choice(&mut self, field: &str, choices: &Arc<[String]>) -> Option<String> {
        let (got, word) = match self.members.remove(field) {
            Some(Value::String(word)) if choices.contains(&word) => return Some(word),
            Some(Value::String(word)) => (Kind::String, word),
            other => (kind(other.as_ref()), String::new()),
        };
        self.wrong(field, Rule::Choice { got, word, choices: Arc::clone(choices) });
        None
    }

    /// True or false, or what stands when nothing was sent.
    pub fn boolean_or(&mut self, field: &str, usual: bool) -> bool {
        match self.members.remove(field) {
            None => usual,
            Some(Value::Bool(choice)) => choice,
            Some(Value::String(word)) if self.is_form && matches!(word.as_str(), "true" | "1" | "on") => true,
            Some(Value::String(word)) if self.is_form && matches!(word.as_str(), "false" | "0" | "off") => false,
            other => {
                self.wrong_type(field, Kind::Boolean, other.as_ref());
                usual
            }
        }
    }

    /// A list of so many items.
    pub fn list(&mut self, field: &str, count: RangeInclusive<usize>) -> Option<Vec<Value>> {
        let items = match self.members.remove(field) {
            Some(Value::Array(items)) => items,
            // A form cannot tell a list of one from its item.
            Some(item @ Value::String(_)) if self.is_form => vec![item],
            other => {
                self.wrong_type(field, Kind::Array, other.as_ref());
                return None;
            }
        };
        let broken = if items.len() < *count.start() {
            Rule::CountMin(*count.start())
        } else if items.len() > *count.end() {
            Rule::CountMax(*count.end())
        } else {
            return Some(items);
        };
        self.wrong(field, broken);
        None
    }

    /// What `read` makes of the objects in a list that was taken out of `field`; those that it makes
    /// nothing of are left out.
    pub fn each<T>(&mut self, field: &str, items: Vec<Value>, mut read: impl FnMut(&mut Self) -> Option<T>) -> Vec<T> {
        let (around, outside) = (std::mem::take(&mut self.members), self.place.clone());
        let mut made = Vec::with_capacity(items.len());
        for (number, item) in items.into_iter().enumerate() {
            self.place = format!("{outside}{field}.{number}.");
            match item {
                Value::Object(members) => {
                    self.members = members;
                    made.extend(read(self));
                }
                other => self.wrong_type("", Kind::Object, Some(&other)),
            }
        }
        (self.members, self.place) = (around, outside);
        made
    }

    /// The positive whole numbers in a list that was taken out of `field`.
    pub fn ids(&mut self, field: &str, items: &[Value]) -> Vec<i64> {
        let mut ids = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let id = match item {
                Value::Number(number) => whole(number.as_f64().unwrap_or(f64::NAN)),
                Value::String(text) if self.is_form => whole_of(text),
                other => Err(Rule::Type { want: Kind::Number, got: kind(Some(other)) }),
            };
            match id.and_then(positive) {
                Ok(id) => ids.push(id),
                Err(rule) => self.wrong(&format!("{field}.{number}"), rule),
            }
        }
        ids
    }

    /// The texts in a list that was taken out of `field`, read by `parse`.
    pub fn strings<T>(&mut self, field: &str, items: &[Value], parse: impl Fn(&str) -> Result<T, Rule>) -> Vec<T> {
        let mut made = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let read = match item {
                Value::String(text) => parse(text),
                other => Err(Rule::Type { want: Kind::String, got: kind(Some(other)) }),
            };
            match read {
                Ok(one) => made.push(one),
                Err(rule) => {
                    let place = if field.is_empty() { number.to_string() } else { format!("{field}.{number}") };
                    self.wrong(&place, rule);
                }
            }
        }
        made
    }

    /// A whole number that was sent as text, if it was sent at all.
    pub fn number(&mut self, field: &str) -> Option<i64> {
        match self.members.remove(field)? {
            Value::String(text) => match whole_of(&text) {
                Ok(number) => return Some(number),
                Err(rule) => self.wrong(field, rule),
            },
            other => self.wrong_type(field, Kind::Number, Some(&other)),
        }
        None
    }

    /// A number in a path.
    pub fn id(&mut self, field: &str, text: &str) -> i64 {
        whole_of(text).and_then(positive).unwrap_or_else(|rule| {
            self.wrong(field, rule);
            0
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `Invalid` with everything that was wrong.
    pub fn finish(self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(Error::Invalid(self.errors)) }
    }
}

fn whole_of(text: &str) -> Result<i64, Rule> {
    let looks_right = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|number| looks_right && number.is_finite());
    whole(number.unwrap_or(f64::NAN))
}

/// A number that is too large for any identifier names nothing all the same.
fn whole(number: f64) -> Result<i64, Rule> {
    if number.is_nan() {
        Err(Rule::Type { want: Kind::Number, got: Kind::Nan })
    } else if number.fract() != 0.0 {
        Err(Rule::Type { want: Kind::Integer, got: Kind::Float })
    } else {
        Ok((number as i64).clamp(-INTEGER_MAX, INTEGER_MAX))
    }
}

fn positive(number: i64) -> Result<i64, Rule> {
    if number > 0 { Ok(number) } else { Err(Rule::Positive) }
}

fn kind(value: Option<&Value>) -> Kind {
    match value {
        None => Kind::Undefined,
        Some(Value::Null) => Kind::Null,
        Some(Value::Bool(_)) => Kind::Boolean,
        Some(Value::Number(_)) => Kind::Number,
        Some(Value::String(_)) => Kind::String,
        Some(Value::Array(_)) => Kind::Array,
        Some(Value::Object(_)) => Kind::Object,
    }
}
