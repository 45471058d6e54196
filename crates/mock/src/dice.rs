//! Chance without luck: numbers that follow from the seed and the name of what they are for.
//!
//! The hash is our own because its values are part of the promise "same seed, same answers":
//! std's `DefaultHasher` may change with a release, and rand's generators with a version.

/// A reproducible source of numbers (SplitMix64, started from an FNV-1a hash).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice that depend on the seed and every part, in this order, and on nothing else.
    pub(crate) fn new(seed: u64, parts: &[&str]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for part in parts {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            for byte in part.bytes().chain((part.len() as u64).to_le_bytes()) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        Self(hash)
    }

    /// The next 64 bits.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of the given things, which must not be none.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[(self.roll() % from.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_values_are_pinned_so_that_every_room_sees_the_same_answers() {
        let mut dice = Dice::new(7, &["item", "1"]);
        let first = dice.roll();
        assert_eq!(first, 10_284_166_805_036_417_250);
        assert_ne!(first, dice.roll());
        assert_ne!(first, Dice::new(8, &["item", "1"]).roll());
        assert_ne!(
            Dice::new(7, &["ab", "c"]).roll(),
            Dice::new(7, &["a", "bc"]).roll()
        );
    }

    #[test]
    fn units_are_spread_evenly() {
        let mean = (0..10_000)
            .map(|n| Dice::new(1, &[&n.to_string()]).unit())
            .sum::<f64>()
            / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "mean {mean}");
    }
}
