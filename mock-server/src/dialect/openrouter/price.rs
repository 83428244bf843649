//! What an answer costs, in billionths of a dollar.

/// What a token of input costs, and one of output.
pub(super) fn per_token(model: &str) -> (u64, u64) {
    if model.ends_with(":free") {
        return (0, 0);
    }
    let prices = PRICES.iter().find(|(name, _)| model.starts_with(name));
    // The price of the recorded model.
    prices.map_or((1_000, 5_000), |(_, prices)| *prices)
}

/// Dollars as JavaScript prints them.
pub(super) fn dollars(billionths: u64) -> String {
    if billionths == 0 {
        return "0".to_owned();
    }
    if billionths < 1_000 {
        // Below a millionth it writes an exponent.
        let digits = billionths.to_string();
        let exponent = 10 - digits.len();
        let (first, rest) = digits.split_at(1);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{first}{point}{rest}e-{exponent}");
    }
    let (whole, part) = (billionths / 1_000_000_000, billionths % 1_000_000_000);
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{}", format!("{part:09}").trim_end_matches('0'))
}

/// The listed prices, longer names before the shorter ones that they begin with.
const PRICES: [(&str, (u64, u64)); 9] = [
    ("anthropic/claude-haiku-4.5", (1_000, 5_000)),
    ("anthropic/claude-opus", (5_000, 25_000)),
    ("anthropic/claude-sonnet", (3_000, 15_000)),
    ("deepseek/", (300, 1_200)),
    ("google/gemini-2.5-flash", (300, 2_500)),
    ("openai/gpt-4o-mini", (150, 600)),
    ("openai/gpt-4o", (2_500, 10_000)),
    ("openai/gpt-5", (1_250, 10_000)),
    ("openai/text-embedding-3-small", (20, 0)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_printed_as_javascript_prints_them() {
        for (billionths, text) in [
            (0, "0"),
            (2, "2e-9"),
            (150, "1.5e-7"),
            (1_000, "0.000001"),
            (81_000, "0.000081"),
            (60_000, "0.00006"),
            (1_500_000_000, "1.5"),
            (2_000_000_000, "2"),
        ] {
            assert_eq!(dollars(billionths), text);
        }
    }
}
