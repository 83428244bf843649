//! Chance that is addressed, never consumed.
//!
//! A draw is a hash of its address: the seed, what it is for, and the how-manieth time.
//! Nothing advances when a draw is taken, so racing requests cannot change each other's luck,
//! and one number replays a run.

use std::hash::Hasher;

/// The source of every draw in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    seed: u64,
}

/// What a draw decides; part of its address, so that two uses never share their luck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Whether a rule acts.
    Chance,
    /// The order of a shuffled deck.
    Deck,
    /// An id in an answer.
    Id,
    /// A span drawn from a range.
    Latency,
    /// The mark of an attempt.
    Mark,
    /// Padding that a provider adds to its events.
    Padding,
    /// The words of an answer.
    Text,
}

impl Draws {
    /// The draws of a run.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The draws of one scenario or lane of the run; the same name gives the same draws.
    #[must_use]
    pub fn of(self, name: &str) -> Self {
        let mut hash = StableHasher::new(self.seed);
        hash.write(name.as_bytes());
        Self { seed: hash.finish() }
    }

    /// A uniform draw for the `index`-th use of the `ordinal`-th event of `subject`.
    pub fn draw(self, subject: &str, purpose: Purpose, ordinal: u64, index: u64) -> u64 {
        self.event(subject, purpose, ordinal).draw(index)
    }

    /// The draws for all uses of the `ordinal`-th event of `subject`.
    pub(crate) fn event(self, subject: &str, purpose: Purpose, ordinal: u64) -> EventDraws {
        let mut hash = StableHasher::new(self.seed);
        hash.write(subject.as_bytes());
        hash.write_u8(match purpose {
            Purpose::Chance => 1,
            Purpose::Deck => 2,
            Purpose::Id => 3,
            Purpose::Latency => 4,
            Purpose::Mark => 5,
            Purpose::Padding => 6,
            Purpose::Text => 7,
        });
        hash.write_u64(ordinal);
        EventDraws { hash }
    }
}

/// The draws of one event: what their addresses have in common is hashed.
#[derive(Clone, Debug)]
pub(crate) struct EventDraws {
    hash: StableHasher,
}

impl EventDraws {
    /// The draw for its `index`-th use.
    pub(crate) fn draw(&self, index: u64) -> u64 {
        let mut hash = self.hash.clone();
        hash.write_u64(index);
        hash.finish()
    }
}

/// Scales a draw onto `0..=max`, without a float and without a bias above 2⁻³² for 32-bit ranges.
pub fn scale(draw: u64, max: u64) -> u64 {
    let scaled = (u128::from(draw) * (u128::from(max) + 1)) >> 64;
    u64::try_from(scaled).unwrap_or(max)
}

/// A 64-bit hash whose values are part of our promise: FNV-1a, finished with the mixer of
/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c). It resists accidents, not attackers.
#[derive(Clone, Debug)]
pub struct StableHasher {
    state: u64,
}

impl StableHasher {
    /// A hasher that starts from a seed.
    pub fn new(seed: u64) -> Self {
        let mut hasher = Self { state: 0xcbf2_9ce4_8422_2325 };
        hasher.write_u64(seed);
        hasher
    }
}

impl StableHasher {
    /// Hashes bytes, and beside it the same bytes with another hasher: each step of one waits for
    /// the step before, and has time for one of the other.
    pub(crate) fn write_beside(&mut self, other: &mut Self, bytes: &[u8]) {
        for &byte in bytes {
            self.state = (self.state ^ u64::from(byte)).wrapping_mul(PRIME);
            other.state = (other.state ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        let mut z = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.state = (self.state ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Native byte order would give other draws on another machine. Most numbers are small, and
        // each of their zeros comes to one more multiplication: all of them to a single one.
        let mut rest = number;
        for powers in (0..=8).rev() {
            if rest == 0 {
                self.state = self.state.wrapping_mul(PRIME_POWERS[powers]);
                return;
            }
            let [low, ..] = rest.to_le_bytes();
            self.state = (self.state ^ u64::from(low)).wrapping_mul(PRIME);
            rest >>= 8;
        }
    }
}

/// What FNV-1a multiplies by.
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The same to the power of 0 to 8.
const PRIME_POWERS: [u64; 9] = {
    let mut powers = [1; 9];
    let mut index = 1;
    while index < 9 {
        powers[index] = PRIME.wrapping_mul(powers[index - 1]);
        index += 1;
    }
    powers
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_draw_depends_on_every_part_of_its_address() {
        let draws = Draws::new(7).of("limits/two-429s");
        let first = draws.draw("rule 1", Purpose::Chance, 1, 0);
        assert_eq!(first, draws.draw("rule 1", Purpose::Chance, 1, 0));
        for other in [
            Draws::new(8).of("limits/two-429s").draw("rule 1", Purpose::Chance, 1, 0),
            Draws::new(7).of("limits/other").draw("rule 1", Purpose::Chance, 1, 0),
            draws.draw("rule 2", Purpose::Chance, 1, 0),
            draws.draw("rule 1", Purpose::Deck, 1, 0),
            draws.draw("rule 1", Purpose::Chance, 2, 0),
            draws.draw("rule 1", Purpose::Chance, 1, 1),
        ] {
            assert_ne!(first, other);
        }
    }

    /// The values are a promise: a change would replay yesterday's failure differently.
    #[test]
    fn draws_are_the_same_on_every_machine_and_in_every_version() {
        let draws = Draws::new(0x5eed).of("a");
        assert_eq!(draws.draw("b", Purpose::Text, 1, 2), 0x3c36_6be6_b2f1_1c62);
    }

    #[test]
    fn draws_are_spread_evenly() {
        let draws = Draws::new(1);
        let mut buckets = [0_u32; 16];
        for ordinal in 0..16_000 {
            let bucket = scale(draws.draw("rule 1", Purpose::Chance, ordinal, 0), 15);
            buckets[usize::try_from(bucket).unwrap()] += 1;
        }
        // Mean 1,000, standard deviation 31: six of them is one in a billion a bucket.
        assert!(buckets.iter().all(|&count| (816..=1184).contains(&count)), "{buckets:?}");
    }

    proptest! {
        #[test]
        fn a_number_is_hashed_as_its_eight_bytes(number: u64, shift in 0..64_u32, seed: u64) {
            let number = number >> shift;
            let (mut one, mut other) = (StableHasher::new(seed), StableHasher::new(seed));
            one.write_u64(number);
            other.write(&number.to_le_bytes());
            prop_assert_eq!(one.finish(), other.finish());
        }

        #[test]
        fn a_scaled_draw_never_leaves_its_range(draw: u64, max: u64) {
            prop_assert!(scale(draw, max) <= max);
        }
    }
}
