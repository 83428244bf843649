//! What a picture costs.

use crate::message::Detail;
use crate::provider::Provider;

/// A provider's rule for pictures; sizes are in pixels, and a picture has at least one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ImageRule {
    /// By area, as [Anthropic](https://platform.claude.com/docs/en/build-with-claude/vision) counts: a token for 750 pixels, after a resize to 1,568 a side and about 1,600 tokens.
    Area,
    /// In crops of the picture, as [Gemini](https://ai.google.dev/gemini-api/docs/tokens) counts: 258 tokens each, a single one up to 384 a side.
    Crops,
    /// The same for each; a guess where no rule is known.
    Flat(u64),
    /// In patches of 32 by 32, as [OpenAI's smaller models](https://platform.openai.com/docs/guides/images-vision) count: resized to at most 1,536 patches.
    Patches {
        /// Tokens for a thousand patches.
        per_thousand: u64,
    },
    /// In tiles of 512 by 512, as [OpenAI's larger models](https://platform.openai.com/docs/guides/images-vision) count: resized into 2,048 by 2,048, then to 768 on the shorter side.
    Tiles {
        /// Once for a picture; at low detail all of it.
        base: u64,
        /// For each tile.
        tile: u64,
    },
}

impl ImageRule {
    /// The rule of a model; `model` is its bare name.
    pub(super) fn of(provider: Provider, model: &str) -> Self {
        if provider == Provider::Anthropic || model.contains("claude") {
            return Self::Area;
        }
        if model.contains("gemini") {
            return Self::Crops;
        }
        MODELS
            .iter()
            .find(|(prefix, _)| model.starts_with(prefix))
            .map_or(Self::Flat(FLAT_TOKENS), |(_, rule)| *rule)
    }

    /// The tokens of a picture.
    pub fn tokens(self, width: u32, height: u32, detail: Detail) -> u64 {
        let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
        let (long, short) = (width.max(height), width.min(height));
        match self {
            Self::Area => {
                // Both sides shrink by `edge / long`, so the area by its square.
                let edge = long.min(AREA_EDGE_MAX);
                let area = u128::from(short) * u128::from(edge) * u128::from(edge);
                let tokens = area.div_ceil(u128::from(long) * AREA_PIXELS);
                u64::try_from(tokens).unwrap_or(AREA_TOKENS_MAX).min(AREA_TOKENS_MAX)
            }
            Self::Crops => {
                if long <= 384 {
                    return CROP_TOKENS;
                }
                let side = (short * 2 / 3).clamp(256, 768);
                width.div_ceil(side) * height.div_ceil(side) * CROP_TOKENS
            }
            Self::Flat(tokens) => tokens,
            Self::Patches { per_thousand } => {
                (patches(width, height) * per_thousand).div_ceil(1_000)
            }
            Self::Tiles { base, tile } => {
                if detail == Detail::Low {
                    return base;
                }
                // The scale is `part / whole`: the smallest of 1, 2,048 / long and 768 / short.
                let (mut part, mut whole) = (1, 1);
                for (most, side) in [(2_048, long), (768, short)] {
                    if most * whole < part * side {
                        (part, whole) = (most, side);
                    }
                }
                let tiles = |side: u64| (side * part).div_ceil(whole * 512);
                base.saturating_add((tiles(width) * tiles(height)).saturating_mul(tile))
            }
        }
    }
}

/// The patches of 32 by 32 that cover a picture, resized so that whole patches cover it if there were too many.
fn patches(width: u64, height: u64) -> u64 {
    let patches = width.div_ceil(32) * height.div_ceil(32);
    if patches <= PATCHES_MAX {
        return patches;
    }
    // The sides of a picture of the same shape and as many patches, in whole patches.
    let across = (PATCHES_MAX * width / height).isqrt().max(1);
    let down = (PATCHES_MAX * height / width).isqrt().max(1);
    let covered = if across * height <= down * width {
        across * (across * height).div_ceil(width)
    } else {
        down * (down * width).div_ceil(height)
    };
    covered.min(PATCHES_MAX)
}

const AREA_EDGE_MAX: u64 = 1_568;
const AREA_PIXELS: u128 = 750;
const AREA_TOKENS_MAX: u64 = 1_600;
const CROP_TOKENS: u64 = 258;
const PATCHES_MAX: u64 = 1_536;
/// As much as the dearest common rule takes for a full screen.
const FLAT_TOKENS: u64 = 1_600;

/// Longer prefixes first.
const MODELS: [(&str, ImageRule); 14] = [
    ("gpt-4o-mini", ImageRule::Tiles { base: 2_833, tile: 5_667 }),
    ("gpt-4.1-mini", ImageRule::Patches { per_thousand: 1_620 }),
    ("gpt-4.1-nano", ImageRule::Patches { per_thousand: 2_460 }),
    ("gpt-5-mini", ImageRule::Patches { per_thousand: 1_620 }),
    ("gpt-5-nano", ImageRule::Patches { per_thousand: 2_460 }),
    ("o4-mini", ImageRule::Patches { per_thousand: 1_720 }),
    ("computer-use-preview", ImageRule::Tiles { base: 65, tile: 129 }),
    ("gpt-5", ImageRule::Tiles { base: 70, tile: 140 }),
    ("gpt-4", ImageRule::Tiles { base: 85, tile: 170 }),
    ("chatgpt-4o", ImageRule::Tiles { base: 85, tile: 170 }),
    ("o1", ImageRule::Tiles { base: 75, tile: 150 }),
    ("o3", ImageRule::Tiles { base: 75, tile: 150 }),
    ("gpt-35", ImageRule::Flat(0)),
    ("gpt-3.5", ImageRule::Flat(0)), // Neither sees.
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_providers_own_examples_come_out() {
        use Detail::{Auto, High, Low};
        for (model, width, height, detail, tokens) in [
            ("gpt-4o", 1_024, 1_024, High, 765),
            ("gpt-4o", 2_048, 4_096, High, 1_105),
            ("gpt-4o", 4_096, 8_192, Low, 85),
            ("gpt-4o", 128, 64, High, 255),
            ("gpt-4o-mini", 128, 64, High, 8_500),
            ("gpt-4o", 1_920, 1_080, Auto, 1_105),
            ("gpt-5", 1_024, 1_024, High, 630),
            ("gpt-4.1-mini", 1_024, 1_024, High, 1_659),
            ("gpt-4.1-mini", 1_800, 2_400, High, 2_353),
            ("claude-haiku-4-5", 200, 200, Auto, 54),
            ("claude-haiku-4-5", 1_000, 1_000, Auto, 1_334),
            ("claude-haiku-4-5", 1_092, 1_092, Auto, 1_590),
            ("claude-haiku-4-5", 8_000, 8_000, Auto, 1_600),
            ("claude-haiku-4-5", 3_136, 300, Auto, 314),
            ("gemini-2.5-pro", 384, 384, Auto, 258),
            ("gemini-2.5-pro", 960, 540, Auto, 6 * 258),
            ("llama", 10, 10, Auto, 1_600),
        ] {
            let rule = ImageRule::of(Provider::Generic, model);
            assert_eq!(rule.tokens(width, height, detail), tokens, "{model} {width}x{height}");
        }
    }

    #[test]
    fn no_size_is_too_large_or_too_small() {
        let sides = [0, 1, 31, 33, 1_536, 49_153, u32::MAX];
        for (_, rule) in MODELS.into_iter().chain([("", ImageRule::Area), ("", ImageRule::Crops)]) {
            for (width, height) in sides.iter().flat_map(|side| sides.map(|other| (*side, other))) {
                let tokens = rule.tokens(width, height, Detail::High);
                assert_eq!(tokens, rule.tokens(height, width, Detail::High));
                assert!(tokens > 0 || rule == ImageRule::Flat(0), "{rule:?} {width}x{height}");
            }
        }
    }
}
