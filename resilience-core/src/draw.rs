//! Chance by address: a draw is looked up, never consumed.
//!
//! A generator hands out its numbers in order of arrival, so two racing calls would change each other's luck and a copied generator would give everybody the same.
//! Here a draw is a hash of what it is for, and the same address always holds the same number.

/// All draws of one run, addressed by call, purpose and index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    /// The draws that belong to `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed that reproduces these draws.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The draw at an address, uniform over all 64-bit numbers.
    pub fn draw(&self, call: u64, purpose: Purpose, index: u64) -> u64 {
        let purpose = match purpose {
            Purpose::Backoff => 1,
            Purpose::Spread => 2,
            Purpose::Breaker => 3,
            Purpose::Shed => 4,
        };
        [call, purpose, index]
            .into_iter()
            .fold(mix(self.seed), |hash, part| mix(hash.wrapping_add(GAMMA) ^ mix(part)))
    }
}

/// What a draw decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// The length of a backoff.
    Backoff,
    /// How long a breaker stays open.
    Breaker,
    /// Whether a request is sent to a target that refuses most.
    Shed,
    /// How far beyond a server's hint a wait reaches.
    Spread,
}

/// A draw scaled to the whole numbers from 0 to `most`, both included.
///
/// Multiplies and shifts instead of dividing, so the bias is below (`most` + 1) / 2⁶⁴ and every platform agrees on the result.
pub fn scale(draw: u64, most: u64) -> u64 {
    let scaled = ((u128::from(most) + 1) * u128::from(draw)) >> 64;
    u64::try_from(scaled).expect("a draw below 2^64 scales to at most `most`")
}

/// The finalizer of [SplitMix64](https://prng.di.unimi.it/splitmix64.c): every input bit reaches every output bit.
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(GAMMA);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The increment of `SplitMix64`: 2⁶⁴ divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_part_of_the_address_matters() {
        let here = Draws::new(7).draw(1, Purpose::Backoff, 1);
        assert_eq!(here, Draws::new(7).draw(1, Purpose::Backoff, 1));
        assert_ne!(here, Draws::new(8).draw(1, Purpose::Backoff, 1));
        assert_ne!(here, Draws::new(7).draw(2, Purpose::Backoff, 1));
        assert_ne!(here, Draws::new(7).draw(1, Purpose::Spread, 1));
        assert_ne!(here, Draws::new(7).draw(1, Purpose::Backoff, 2));
    }

    #[test]
    fn swapped_addresses_do_not_collide() {
        assert_ne!(
            Draws::new(1).draw(2, Purpose::Backoff, 3),
            Draws::new(1).draw(3, Purpose::Backoff, 2)
        );
    }

    #[test]
    fn scale_reaches_both_ends() {
        assert_eq!(scale(0, 9), 0);
        assert_eq!(scale(u64::MAX, 9), 9);
        assert_eq!(scale(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(scale(u64::MAX, 0), 0);
    }

    proptest! {
        #[test]
        fn scale_stays_in_range_and_keeps_order(a: u64, b: u64, most: u64) {
            prop_assert!(scale(a, most) <= most);
            prop_assert_eq!(a <= b, scale(a, most) <= scale(b, most) && (a <= b));
        }
    }
}
