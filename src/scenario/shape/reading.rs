//! What a plain scalar is to YAML itself, whatever the schema says.
//!
//! An author reads a document with YAML's eyes, in whichever version their editor speaks: text that
//! some version takes for something else has to be quoted.

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    Boolean,
    /// Versions of YAML disagree.
    Differs,
    Number,
    Text,
}

impl Reading {
    pub(super) fn of(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "true" | "false" => return Self::Boolean,
            "y" | "n" | "yes" | "no" | "on" | "off" | "~" | "=" | "<<" => return Self::Differs,
            _ => {}
        }
        let unsigned = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if matches!(unsigned, ".inf" | ".nan") {
            return Self::Differs;
        }
        // 0o17 is a number since 1.2, 0b11 was one until then, 017 changed its value.
        if let Some(rest) = unsigned.strip_prefix('0')
            && !rest.is_empty()
        {
            let radix = match rest.as_bytes()[0] {
                b'x' => 16,
                b'o' => 8,
                b'b' => 2,
                _ => 10,
            };
            let rest = if radix == 10 { rest } else { &rest[1..] };
            let all = |c: char| c == '_' || c.is_digit(radix);
            if !rest.is_empty() && rest.chars().all(all) {
                let same = radix == 16 && !rest.contains('_');
                return if same { Self::Number } else { Self::Differs };
            }
        }
        // A number to the base of sixty, or a time of day.
        let mut groups = unsigned.split(':');
        let leading = groups.next().unwrap_or_default();
        let mut groups = groups.peekable();
        if groups.peek().is_some()
            && leading.starts_with(|c: char| c.is_ascii_digit())
            && leading.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
            && groups.all(|group| {
                let whole = group.split('.').next().unwrap_or_default();
                digits(whole)
                    && whole.len() <= 2
                    && whole.get(..whole.len() - 1).is_none_or(|tens| tens <= "5")
            })
        {
            return Self::Differs;
        }
        // A date.
        let mut parts = unsigned.splitn(3, '-');
        if let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next())
            && digits(year)
            && year.len() == 4
            && digits(month)
            && rest.starts_with(|c: char| c.is_ascii_digit())
        {
            return Self::Differs;
        }
        let (mantissa, exponent) = match unsigned.split_once('e') {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let grouped = mantissa.replace('_', "");
        let (whole, fraction) = grouped.split_once('.').unwrap_or((&grouped, ""));
        let number = (digits(whole) || (whole.is_empty() && digits(fraction)))
            && (fraction.is_empty() || digits(fraction))
            && !mantissa.starts_with('_')
            && exponent.is_none_or(|exponent| digits(exponent.trim_start_matches(['-', '+'])));
        match number {
            false => Self::Text,
            true if exponent.is_some() || mantissa.contains('_') => Self::Differs,
            true => Self::Number,
        }
    }
}

/// The boolean that was probably meant.
pub(super) fn boolean_help(text: &str) -> String {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => "write `true`".to_owned(),
        "false" | "no" | "n" | "off" | "0" => "write `false`".to_owned(),
        _ => "write `true` or `false`".to_owned(),
    }
}

/// The whole number that was probably meant.
pub(super) fn integer_help(text: &str) -> Option<String> {
    let text = text.trim_start_matches('+').to_ascii_lowercase();
    let decimal = |meant: u64| format!("write it in decimal: `{meant}`");
    for (prefix, radix) in [("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(&digits.replace('_', ""), radix).ok().map(decimal);
        }
    }
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.trim_start_matches('+').parse().ok()?),
        None => (text.as_str(), 0),
    };
    let meant = match mantissa.split_once('.') {
        Some((whole, fraction))
            if !whole.is_empty() && fraction.bytes().all(|byte| byte == b'0') =>
        {
            whole
        }
        Some(_) => return None,
        None => mantissa,
    };
    let end = meant.find(|c: char| !c.is_ascii_digit()).unwrap_or(meant.len());
    if exponent > 0 && end < meant.len() {
        return None;
    }
    let digits = meant[..end].trim_start_matches('0');
    // What a power of ten makes of it must still be a number that somebody would write.
    let zeros = if exponent <= 18 { "0".repeat(exponent) } else { return None };
    (!digits.is_empty()).then(|| format!("write `{digits}{zeros}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_read_as_yaml_reads_them() {
        for (reading, texts) in [
            (Reading::Boolean, "true False TRUE"),
            (Reading::Number, "0 12 -3 +4 1.5 .5 5. 0x1F"),
            (
                Reading::Differs,
                "y N yes No on OFF ~ = << 017 0o17 0b11 1_000 1e3 1.5e+3 1:30 12:30:45 1:30.5 .inf \
                 -.INF .NaN 2024-01-31 2024-1-3T10:00:00Z 0x1_f",
            ),
            (
                Reading::Text,
                "a yess nope 0x 0xg 1:60 1:5s openai/x 2s 60/min 5% 1.2.3 - . .. _1 e3 1e 24-01-31 \
                 2024-jan-1 127.0.0.1:80 a:1 :30 é",
            ),
        ] {
            for text in texts.split_whitespace() {
                assert_eq!(Reading::of(text), reading, "{text}");
            }
        }
        assert_eq!(Reading::of(""), Reading::Text);
    }

    #[test]
    fn a_whole_number_is_suggested_only_if_it_was_meant() {
        for (text, meant) in [
            ("1e3", Some("write `1000`")),
            ("1E+3", Some("write `1000`")),
            ("1e-3", None),
            ("1e99", None),
            ("1.5e3", None),
            ("2.0", Some("write `2`")),
            ("2.5", None),
            ("017", Some("write `17`")),
            ("+5", Some("write `5`")),
            ("0o10", Some("write it in decimal: `8`")),
            ("0b11", Some("write it in decimal: `3`")),
            ("10s", Some("write `10`")),
            ("many", None),
            ("seven", None),
        ] {
            assert_eq!(integer_help(text).as_deref(), meant, "{text}");
        }
    }
}
