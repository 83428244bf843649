//! A tree as typed values: a serde deserializer over nodes.
//!
//! It reads what a schema check has let through, in the same way: a name alone is the same as a
//! name with no settings, numbers may group their digits (`90_000`), and only `true` and `false`
//! are booleans. Types that parse their own text can still fail, and every failure knows the node
//! it came from.

use std::fmt;
use std::num::IntErrorKind;
use std::ops::Range;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::diagnostic::{Diagnostic, quote, quote_all};
use super::tree::{Entry, Node, NodeKind};

/// Decodes a tree.
///
/// It stops at the first mistake, so all that a schema can find should have been found before.
pub(crate) fn decode<T: DeserializeOwned>(root: &Node) -> Result<T, Diagnostic> {
    T::deserialize(Value::of(root)).map_err(|error| {
        let diagnostic = Diagnostic::new(error.message, error.place.unwrap_or(root.place.clone()));
        match error.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    })
}

/// A whole number: decimal without leading zeros, digits grouped by `_` at will, or hexadecimal
/// after `0x` (as seeds are printed). One that is too large for any field is the largest there is,
/// so that it is told as such.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None if digits.starts_with('0') && digits.len() > 1 => return None,
        None => (10, digits),
    };
    match i128::from_str_radix(&ungrouped(digits)?, radix) {
        Ok(value) => value.checked_mul(sign),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => i128::MAX.checked_mul(sign),
        Err(_) => None,
    }
}

/// A number: a whole one, or one with digits on both sides of its point.
pub(crate) fn number(text: &str) -> Option<f64> {
    let whole = text.split('.').next().unwrap_or_default();
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let fraction = text.strip_prefix(whole)?;
    let fraction = match fraction.strip_prefix('.') {
        Some(fraction) => ungrouped(fraction)?,
        None => "0".to_owned(),
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let sign = if whole.starts_with('-') { "-" } else { "" };
    let digits = ungrouped(digits)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{sign}{digits}.{fraction}").parse().ok().filter(|number: &f64| number.is_finite())
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Digits without the `_` between them.
fn ungrouped(digits: &str) -> Option<String> {
    let grouped_well = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    grouped_well.then(|| digits.replace('_', ""))
}

/// Why a node could not be decoded.
#[derive(Debug)]
struct Error {
    message: String,
    help: Option<String>,
    /// The innermost node that was being decoded.
    place: Option<Range<usize>>,
}

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, place: None }
    }

    fn at(mut self, place: &Range<usize>) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    fn found(value: Value<'_>, expected: &dyn Expected) -> Self {
        let found = match value.what {
            What::List(_) => "a list".to_owned(),
            What::Map(_) => "a map".to_owned(),
            What::Null => "nothing".to_owned(),
            What::Scalar { text, .. } => quote(text),
        };
        Self::new(format!("expected {expected}, found {found}")).at(value.place)
    }

    fn unknown(what: &str, name: &str, expected: &[&str]) -> Self {
        let error = Self::new(format!("unknown {what} {}", quote(name)));
        let help = match expected {
            [] => "nothing can stand here".to_owned(),
            _ => format!("write {}", quote_all(expected.iter().copied(), "or")),
        };
        Self { help: Some(help), ..error }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {}", unexpected(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {length}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("name", variant, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("key", field, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        let error = Self::new(format!("the key {} is missing", quote(field)));
        Self { help: Some(format!("add `{field}: …`")), ..error }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("{} is given twice", quote(field)))
    }
}

fn unexpected(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => quote(text),
        Unexpected::Bool(value) => quote(&value.to_string()),
        Unexpected::Unsigned(value) => quote(&value.to_string()),
        Unexpected::Signed(value) => quote(&value.to_string()),
        Unexpected::Float(value) => quote(&value.to_string()),
        Unexpected::Map => "a map".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Unit => "nothing".to_owned(),
        other => other.to_string(),
    }
}

/// A node, or the key of one, to be decoded.
#[derive(Clone, Copy, Debug)]
struct Value<'a> {
    what: What<'a>,
    place: &'a Range<usize>,
}

/// What is to be decoded.
#[derive(Clone, Copy, Debug)]
enum What<'a> {
    List(&'a [Node]),
    Map(&'a [Entry]),
    Null,
    Scalar { text: &'a str, quoted: bool },
}

impl<'a> Value<'a> {
    fn of(node: &'a Node) -> Self {
        let what = match &node.kind {
            NodeKind::List(items) => What::List(items),
            NodeKind::Map(entries) => What::Map(entries),
            NodeKind::Null | NodeKind::Refused => What::Null,
            NodeKind::Scalar { text, quoted } => What::Scalar { text, quoted: *quoted },
        };
        Self { what, place: &node.place }
    }

    /// A key is decoded like a plain scalar, so that keys can be numbers and names.
    fn of_key(entry: &'a Entry) -> Self {
        Self { what: What::Scalar { text: &entry.key, quoted: false }, place: &entry.key_place }
    }

    /// The value in a plain scalar; `read` says what counts as one.
    fn plain<T>(
        self,
        read: impl FnOnce(&str) -> Option<T>,
        expected: &dyn Expected,
    ) -> Result<T, Error> {
        match self.what {
            What::Scalar { text, quoted: false } => read(text),
            _ => None,
        }
        .ok_or_else(|| Error::found(self, expected))
    }
}

/// Methods that read one kind of number: integers go through the widest type that fits, so that
/// serde itself refuses what the field's type cannot hold.
macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let value = self.plain(integer, &visitor)?;
            let result = match (u64::try_from(value), i64::try_from(value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(value),
            };
            result.map_err(|error: Error| error.at(self.place))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.what {
            What::List(items) => visitor.visit_seq(Items(items.iter())),
            What::Map(entries) => {
                visitor.visit_map(Entries { entries: entries.iter(), value: None })
            }
            What::Null => visitor.visit_unit(),
            What::Scalar { text, .. } => visitor.visit_borrowed_str(text),
        }
        .map_err(|error: Error| error.at(self.place))
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.plain(boolean, &visitor)?;
        visitor.visit_bool(value).map_err(|error: Error| error.at(self.place))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.plain(number, &visitor)?;
        visitor.visit_f64(value).map_err(|error: Error| error.at(self.place))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.what {
            What::Scalar { .. } => self.deserialize_any(visitor),
            _ => Err(Error::found(self, &visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.what {
            What::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|error: Error| error.at(self.place))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.what {
            What::Null => visitor.visit_unit(),
            _ => Err(Error::found(self, &visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|error: Error| error.at(self.place))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.what {
            What::List(_) => self.deserialize_any(visitor),
            _ => Err(Error::found(self, &visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.what {
            What::Map(_) => self.deserialize_any(visitor),
            _ => Err(Error::found(self, &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.what {
            What::Scalar { .. } => visitor.visit_enum(Name { name: self, settings: None }),
            What::Map([entry]) => visitor.visit_enum(Name {
                name: Value::of_key(entry),
                settings: Some(Value::of(&entry.value)),
            }),
            What::Map(entries) => {
                Err(Error::new(format!("expected one name, found {} keys", entries.len())))
            }
            _ => Err(Error::new("expected a name, or a name with its settings")),
        }
        .map_err(|error: Error| error.at(self.place))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// The items of a list.
struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(Value::of(node)).map(Some).map_err(|error| error.at(&node.place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The entries of a map.
struct Entries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    /// The value of the key that was read last.
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(&entry.value);
        let key = Value::of_key(entry);
        seed.deserialize(key).map(Some).map_err(|error| error.at(key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.value.take().expect("serde asks for a value once, after its key");
        seed.deserialize(Value::of(node)).map_err(|error| error.at(&node.place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// The name of a variant, perhaps with settings.
#[derive(Clone, Copy)]
struct Name<'a> {
    name: Value<'a>,
    settings: Option<Value<'a>>,
}

impl<'a> Name<'a> {
    /// The settings; a name alone is the same as a name with none.
    fn settings(self) -> Value<'a> {
        self.settings.unwrap_or(Value { what: What::Map(&[]), place: self.name.place })
    }
}

impl<'de> EnumAccess<'de> for Name<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(self.name).map_err(|error| error.at(self.name.place))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Name<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.settings {
            None => Ok(()),
            Some(settings) => Err(Error::new("no settings can stand here").at(settings.place)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let settings = self.settings();
        seed.deserialize(settings).map_err(|error| error.at(settings.place))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.settings().deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.settings().deserialize_map(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::source::Source;
    use super::super::tree::parse;
    use super::*;

    /// A duration that says itself what is wrong with it.
    #[derive(Debug, PartialEq)]
    struct Wait(u64);

    impl<'de> Deserialize<'de> for Wait {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
            seconds.map(Self).ok_or_else(|| de::Error::custom(format!("{text} is not a wait")))
        }
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Sample {
        any: BTreeMap<String, String>,
        by_code: BTreeMap<u16, bool>,
        by_kind: BTreeMap<Kind, i8>,
        names: Names,
        pair: (u8, String),
        share: f64,
        steps: Vec<Step>,
        text: Option<String>,
        wide: u64,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    struct Names(Vec<String>);

    #[derive(Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        Slow,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
    enum Step {
        Delay(Wait),
        Hang,
        RateLimited {
            retry_after: Option<Wait>,
            #[serde(default)]
            times: u32,
        },
        Strict {
            must: u8,
        },
        With(Settings),
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        times: u8,
    }

    fn decoded(text: &str) -> Result<Sample, Diagnostic> {
        let parsed = parse(&Source::new("x", text));
        assert_eq!(parsed.diagnostics, [], "{text:?}");
        decode(&parsed.root.unwrap())
    }

    #[test]
    fn trees_become_values() {
        let limited = |times| Step::RateLimited { retry_after: None, times };
        for (text, expected) in [
            ("{}", Sample::default()),
            ("wide: 90_000", Sample { wide: 90_000, ..Sample::default() }),
            ("wide: 0x5eed_42", Sample { wide: 0x5e_ed42, ..Sample::default() }),
            ("wide: 18446744073709551615", Sample { wide: u64::MAX, ..Sample::default() }),
            ("share: 0.5", Sample { share: 0.5, ..Sample::default() }),
            ("pair: [1, x]", Sample { pair: (1, "x".to_owned()), ..Sample::default() }),
            ("text: 17", Sample { text: Some("17".to_owned()), ..Sample::default() }),
            ("text: null", Sample::default()),
            ("names: [a]", Sample { names: Names(vec!["a".to_owned()]), ..Sample::default() }),
            ("by-code: {429: true}", Sample { by_code: [(429, true)].into(), ..Sample::default() }),
            (
                "by-kind: {slow: -3}",
                Sample { by_kind: [(Kind::Slow, -3)].into(), ..Sample::default() },
            ),
            (
                "any: {a: '1'}",
                Sample { any: [("a".to_owned(), "1".to_owned())].into(), ..Sample::default() },
            ),
            (
                "steps: [hang, rate-limited, rate-limited: {times: 2}, rate-limited: {}, with]",
                Sample {
                    steps: vec![
                        Step::Hang,
                        limited(0),
                        limited(2),
                        limited(0),
                        Step::With(Settings::default()),
                    ],
                    ..Sample::default()
                },
            ),
            (
                "steps: [delay: 2s]",
                Sample { steps: vec![Step::Delay(Wait(2))], ..Sample::default() },
            ),
        ] {
            assert_eq!(decoded(text), Ok(expected), "{text:?}");
        }
    }

    /// The place and the message of each failure.
    #[test]
    fn every_failure_is_a_diagnostic_where_it_happened() {
        for (text, expected) in [
            ("x", "x|expected struct Sample, found `x`"),
            ("nope: 1", "nope|unknown key `nope`"),
            ("wide: '1'", "'1'|expected u64, found `1`"),
            ("wide: -1", "-1|expected u64, found `-1`"),
            ("by-kind: {slow: 300}", "300|expected i8, found `300`"),
            ("by-kind: {fast: 3}", "fast|unknown name `fast`"),
            ("by-code: {x: true}", "x|expected u16, found `x`"),
            ("by-code: {1: yes}", "yes|expected a boolean, found `yes`"),
            ("pair: [1]", "[1]|expected a tuple of size 2, found 1"),
            ("names: a", "a|expected a sequence, found `a`"),
            ("steps: [delay: 2]", "2|2 is not a wait"),
            (
                "steps:
  - rate-limited:
      retry-after: soon
",
                "soon|soon is not a wait",
            ),
            ("steps: [strict]", "strict|the key `must` is missing"),
            ("steps: [hang: {}]", "{}|no settings can stand here"),
            ("steps: [{hang, delay: 1}]", "{hang, delay: 1}|expected one name, found 2 keys"),
            ("steps: [boom]", "boom|unknown name `boom`"),
            ("steps: [[]]", "[]|expected a name, or a name with its settings"),
        ] {
            let diagnostic = decoded(text).expect_err(text);
            let found = format!("{}|{}", &text[diagnostic.place()], diagnostic.message);
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_mean_what_they_look_like() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-12", Some(-12)),
            ("90_000", Some(90_000)),
            ("0x5eed42", Some(0x5e_ed42)),
            ("340282366920938463463374607431768211456", Some(i128::MAX)),
            ("017", None),
            ("0o17", None),
            ("+5", None),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("ff", None),
            ("0x", None),
            ("--1", None),
            ("1.0", None),
            ("", None),
        ] {
            assert_eq!(integer(text), expected, "{text:?}");
        }
        for (text, expected) in [
            ("1", Some(1.0)),
            ("-0.25", Some(-0.25)),
            ("1_000.5", Some(1000.5)),
            (".5", None),
            ("5.", None),
            ("01.5", None),
            ("1e3", None),
            ("0x1", None),
            (".inf", None),
            ("nan", None),
            ("1.2.3", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}
