//! Taking typed fields out of an object, with every field that is wrong in one answer.
//!
//! A field error is data ([`FieldError`]); each door words it.

use std::borrow::Cow;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::body::Object;
use crate::domain::{Email, Json, MessageText, TextError, Timestamp, clean_line};
use crate::error::{Error, FieldError, Result, Rule};

/// An object that is being read.
#[derive(Debug, Default)]
pub struct Fields {
    object: Object,
    errors: Vec<FieldError>,
}

impl From<Object> for Fields {
    fn from(object: Object) -> Self {
        Self { object, errors: Vec::new() }
    }
}

impl Fields {
    /// The fields of a query string; what cannot be decoded is left out.
    pub fn of_query(query: Option<&str>) -> Self {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default();
        let members = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Object { members, is_form: true }.into()
    }

    /// Adds an error that only the caller could notice.
    pub fn wrong(&mut self, field: impl Into<Cow<'static, str>>, rule: Rule) {
        self.errors.push(FieldError { field: field.into(), rule });
    }

    /// Whether the field is there at all, null or not.
    pub fn has(&self, field: &str) -> bool {
        self.object.members.contains_key(field)
    }

    /// Adds a field that came beside the object.
    pub fn add(&mut self, field: &str, text: &str) {
        self.object.members.insert(field.to_owned(), Value::String(text.to_owned()));
    }

    /// Whether the field is missing or null.
    pub fn is_missing(&self, field: &str) -> bool {
        self.object.members.get(field).is_none_or(Value::is_null)
    }

    /// The raw value, taken out; `None` when it is missing or null.
    pub fn value(&mut self, field: &str) -> Option<Value> {
        self.object.members.remove(field).filter(|value| !value.is_null())
    }

    /// Notes an error when the field is there and null, and takes it out.
    pub fn not_null(&mut self, field: &'static str) {
        if self.object.members.get(field).is_some_and(Value::is_null) {
            self.object.members.remove(field);
            self.wrong(field, Rule::NotNull);
        }
    }

    /// Lets the field be a number, which then stands for its digits, as in Django REST framework's
    /// `CharField`: integrators' own ids often are numbers.
    pub fn number_as_text(&mut self, field: &str) {
        if let Some(value) = self.object.members.get_mut(field).filter(|value| value.is_number()) {
            *value = Value::String(value.to_string());
        }
    }

    /// A string of at most `chars_max` characters, trimmed; `None` when it is missing, null or
    /// blank. Anything but a string is refused, not converted.
    pub fn optional(&mut self, field: &'static str, chars_max: usize) -> Option<String> {
        match self.value(field)? {
            Value::String(text) => {
                let text = text.trim();
                if text.contains('\0') {
                    self.wrong(field, Rule::NoNul);
                    return None;
                }
                if text.chars().count() > chars_max {
                    self.wrong(field, Rule::CharsMax(chars_max));
                    return None;
                }
                (!text.is_empty()).then(|| text.to_owned())
            }
            _ => {
                self.wrong(field, Rule::String);
                None
            }
        }
    }

    /// As [`Fields::optional`], for what people read: cleaned like a message, and on one line.
    pub fn optional_line(&mut self, field: &'static str, chars_max: usize) -> Option<String> {
        let line = clean_line(&self.optional(field, chars_max)?);
        (!line.is_empty()).then_some(line)
    }

    /// As [`Fields::optional_line`], but it has to be there and not blank. When it is not, the
    /// result is empty and the error is noted.
    pub fn required_line(&mut self, field: &'static str, chars_max: usize) -> String {
        self.needed(field, |fields, field| fields.optional_line(field, chars_max)).unwrap_or_default()
    }

    /// As [`Fields::optional`], but it has to be there and not blank. When it is not, the result
    /// is empty and the error is noted.
    pub fn required(&mut self, field: &'static str, chars_max: usize) -> String {
        self.needed(field, |fields, field| fields.optional(field, chars_max)).unwrap_or_default()
    }

    /// A message's text; see [`MessageText::parse`].
    pub fn text(&mut self, field: &'static str, chars_max: usize) -> Option<MessageText> {
        let rule = match self.object.members.remove(field) {
            Some(Value::String(raw)) => match MessageText::parse(&raw, chars_max) {
                Ok(text) => return Some(text),
                Err(TextError::Empty) => Rule::NotBlank,
                Err(TextError::TooLong { max }) => Rule::CharsMax(max),
            },
            None => Rule::Required,
            Some(Value::Null) => Rule::NotNull,
            Some(_) => Rule::String,
        };
        self.wrong(field, rule);
        None
    }

    /// An e-mail address.
    pub fn email(&mut self, field: &'static str) -> Option<Email> {
        let raw = self.optional(field, Email::CHARS_MAX)?;
        let email = Email::parse(&raw);
        if email.is_none() {
            self.wrong(field, Rule::Email);
        }
        email
    }

    /// A date and time.
    pub fn instant(&mut self, field: &'static str) -> Option<Timestamp> {
        let at = match self.value(field)? {
            Value::String(raw) => Timestamp::parse(&raw),
            _ => None,
        };
        if at.is_none() {
            self.wrong(field, Rule::DateTime);
        }
        at
    }

    /// True or false; the words and digits that Django REST framework takes, too.
    pub fn boolean(&mut self, field: &'static str) -> Option<bool> {
        let choice = match self.value(field)? {
            Value::Bool(choice) => Some(choice),
            Value::Number(number) => match number.as_i64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            Value::String(word) => truth(&word),
            _ => None,
        };
        if choice.is_none() {
            self.wrong(field, Rule::Boolean);
        }
        choice
    }

    /// Takes a field unless it is blank, which in a query or a form means that it is left out.
    pub fn unless_blank<T>(
        &mut self,
        field: &'static str,
        take: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        if self.object.members.get(field).is_some_and(is_blank) { None } else { take(self, field) }
    }

    /// A JSON value that passes through, of at most `bytes_max` bytes. In a form it is the text of
    /// one.
    pub fn json(&mut self, field: &'static str, bytes_max: usize) -> Option<Json> {
        let value = match self.value(field)? {
            Value::String(text) if self.object.is_form => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            value => value,
        };
        let text = value.to_string();
        if text.len() > bytes_max {
            self.wrong(field, Rule::BytesMax(bytes_max));
            return None;
        }
        Some(Json(text))
    }

    /// A field that has to be there: what `take` makes of it; missing, null and blank alike are noted.
    pub fn needed<T>(
        &mut self,
        field: &'static str,
        take: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        let (there, before) = (self.object.members.get(field).cloned(), self.errors.len());
        let taken = take(self, field);
        if taken.is_none() && self.errors.len() == before {
            self.wrong(field, absence(there.as_ref()));
        }
        taken
    }

    /// A UUID.
    pub fn uuid(&mut self, field: &'static str) -> Option<Uuid> {
        const CHARS_MAX: usize = 64;
        let raw = self.optional(field, CHARS_MAX)?;
        let uuid = Uuid::try_parse(&raw).ok();
        if uuid.is_none() {
            self.wrong(field, Rule::Uuid);
        }
        uuid
    }

    /// A whole number, or the digits of one.
    pub fn integer(&mut self, field: &'static str) -> Option<i64> {
        let number = match self.value(field)? {
            Value::Number(number) => number.as_i64(),
            Value::String(digits) if digits.trim().is_empty() => return None,
            Value::String(digits) => digits.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(field, Rule::Integer);
        }
        number
    }

    /// One of these words.
    pub fn choice(&mut self, field: &'static str, choices: &'static [&'static str]) -> Option<&'static str> {
        const CHARS_MAX: usize = 255;
        let got = self.optional(field, CHARS_MAX)?;
        let choice = choices.iter().find(|choice| **choice == got);
        if choice.is_none() {
            self.wrong(field, Rule::OneOf { got, choices });
        }
        choice.copied()
    }

    /// A list of at most `count_max` items, of at most `bytes_max` bytes as JSON. In a form it may be the
    /// text of one.
    pub fn list(&mut self, field: &'static str, count_max: usize, bytes_max: usize) -> Option<Vec<Value>> {
        let rule = match self.json_value(field)? {
            Value::Array(items) if items.len() > count_max => Rule::CountMax(count_max),
            Value::Array(items) => {
                let bytes: usize = items.iter().map(|item| item.to_string().len() + 1).sum();
                if bytes <= bytes_max {
                    return Some(items);
                }
                Rule::BytesMax(bytes_max)
            }
            _ => Rule::Array,
        };
        self.wrong(field, rule);
        None
    }

    /// An object that passes through, of at most `bytes_max` bytes as JSON. In a form it may be the text
    /// of one. An empty list counts as an empty object: some languages have one literal for both.
    pub fn map(&mut self, field: &'static str, bytes_max: usize) -> Option<Json> {
        let rule = match self.json_value(field)? {
            Value::Array(items) if items.is_empty() => return Some(Json::empty_object()),
            Value::Object(members) => {
                let text = Value::Object(members).to_string();
                if text.len() <= bytes_max {
                    return Some(Json(text));
                }
                Rule::BytesMax(bytes_max)
            }
            _ => Rule::Object,
        };
        self.wrong(field, rule);
        None
    }

    /// Reads the object that a field holds. What is wrong inside is told under both names with a dot
    /// between them; one that is missing is read as an empty one.
    pub fn inside<T>(&mut self, field: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let members = match self.json_value(field) {
            Some(Value::Object(members)) => members,
            None => Map::new(),
            Some(_) => {
                self.wrong(field, Rule::Object);
                Map::new()
            }
        };
        let mut inner = Self::from(Object { members, is_form: self.object.is_form });
        let read = read(&mut inner);
        let errors = inner.errors.into_iter();
        self.errors
            .extend(errors.map(|error| FieldError { field: format!("{field}.{}", error.field).into(), ..error }));
        read
    }

    /// A value as it is, or, in a form, what its text is as JSON.
    fn json_value(&mut self, field: &str) -> Option<Value> {
        match self.value(field)? {
            Value::String(text) if self.object.is_form && text.trim().is_empty() => None,
            Value::String(text) if self.object.is_form => {
                Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
            }
            value => Some(value),
        }
    }

    /// Looks whether anything was wrong so far.
    ///
    /// # Errors
    /// `Invalid` with everything that was.
    pub fn check(&self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(Error::Invalid(self.errors.clone())) }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `Invalid` with everything that was wrong.
    pub fn finish(self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(Error::Invalid(self.errors)) }
    }
}

/// Which rule a field breaks of which nothing could be taken.
fn absence(there: Option<&Value>) -> Rule {
    match there {
        None => Rule::Required,
        Some(Value::Null) => Rule::NotNull,
        Some(_) => Rule::NotBlank,
    }
}

fn truth(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}
