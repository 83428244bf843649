//! Text that a browser shows and never acts on.

use std::fmt;

/// Text in an element or in a quoted attribute.
///
/// What HTML and XML cannot hold, such as control characters, becomes a replacement character.
pub(super) struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Beside control characters: what turns the reading direction of the rest.
                '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    f.write_char('\u{fffd}')?;
                }
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A coordinate to a tenth of a pixel; what is no finite number stands at 0.
pub(super) struct Pixel(pub f64);

impl fmt::Display for Pixel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = if self.0.is_finite() { (self.0 * 10.0).round() / 10.0 } else { 0.0 };
        // Adding 0 takes the sign from −0.
        write!(f, "{}", tenths + 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_file_says_becomes_markup() {
        let hostile = "</title><script>alert(\"a\" & 'b')</script>\u{0}\u{1b}[31m\u{202e}";
        let shown = Text(hostile).to_string();
        assert_eq!(
            shown,
            "&lt;/title&gt;&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)&lt;/script&gt;\
             \u{fffd}\u{fffd}[31m\u{fffd}"
        );
    }

    #[test]
    fn a_coordinate_is_always_a_number() {
        for (value, expected) in
            [(1.26, "1.3"), (-0.01, "0"), (3.0, "3"), (f64::NAN, "0"), (f64::INFINITY, "0")]
        {
            assert_eq!(Pixel(value).to_string(), expected);
        }
    }
}
