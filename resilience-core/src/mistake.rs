//! Everything that is wrong with settings, as one error.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

/// Everything that is wrong with settings, not only the first thing; reads as one line.
///
/// ```
/// use resilience_core::{Client, Policy, PolicyMistake};
///
/// let policy = Policy { attempts_max: 0, ..Policy::default() };
/// # #[cfg(feature = "tokio")] {
/// let mistakes = Client::new(policy, [], 7).expect_err("there is nothing to ask, nor to send");
/// assert_eq!(*mistakes, [PolicyMistake::NoAttempts, PolicyMistake::NoTargets]);
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistakes<M>(Vec<M>);

impl<M> Mistakes<M> {
    /// Whether there are none.
    pub(crate) fn none_in(mistakes: Vec<M>) -> Result<(), Self> {
        if mistakes.is_empty() { Ok(()) } else { Err(Self(mistakes)) }
    }
}

impl<M: fmt::Display> fmt::Display for Mistakes<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl<M: fmt::Debug + fmt::Display> Error for Mistakes<M> {}

impl<M> Deref for Mistakes<M> {
    type Target = [M];

    fn deref(&self) -> &[M] {
        &self.0
    }
}

impl<M> From<Vec<M>> for Mistakes<M> {
    fn from(mistakes: Vec<M>) -> Self {
        Self(mistakes)
    }
}

impl<M> IntoIterator for Mistakes<M> {
    type Item = M;
    type IntoIter = std::vec::IntoIter<M>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, M> IntoIterator for &'a Mistakes<M> {
    type Item = &'a M;
    type IntoIter = std::slice::Iter<'a, M>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_read_in_one_line() {
        let mistakes = Mistakes::from(vec!["the window is zero", "multiplier 1 ppm is below one"]);
        assert_eq!(mistakes.to_string(), "the window is zero; multiplier 1 ppm is below one");
        assert_eq!(Mistakes::from(vec!["alone"]).to_string(), "alone");
    }
}
