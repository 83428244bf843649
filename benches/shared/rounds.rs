//! Compares two ways of doing the same by rounds that take turns.
//!
//! On a busy machine two means may have met different minutes; the two halves of a round have met the same.

use std::{hint::black_box, time::Duration};

mod figure;

/// Runs both by turns, and tells what a step of each takes and the ratio.
///
/// Each closure does so many steps, on what it makes for itself, and answers with the time that counts.
/// The ratio is the median of the rounds' own ratios, between the places where the true one lies 19 times of 20.
pub(crate) fn compare(
    name: &str,
    rounds: usize,
    steps: u32,
    mut ours: impl FnMut(u32) -> Duration,
    mut baseline: impl FnMut(u32) -> Duration,
) {
    let (mut of_ours, mut of_baseline, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mine = nanos(black_box(ours(steps))) / f64::from(steps);
        let theirs = nanos(black_box(baseline(steps))) / f64::from(steps);
        of_ours.push(mine);
        of_baseline.push(theirs);
        ratios.push(mine / theirs);
    }
    for sample in [&mut of_ours, &mut of_baseline, &mut ratios] {
        sample.sort_by(f64::total_cmp);
    }
    let middle = rounds / 2;
    // Two standard deviations of how many of so many rounds are below the true median.
    let reach = rounds.isqrt() + 1;
    let interval = [ratios[middle.saturating_sub(reach)], ratios[(middle + reach).min(rounds - 1)]];
    let both = [of_ours[middle], of_baseline[middle]];
    figure::tell(name, both, "ns", ratios[middle], (rounds > 1).then_some(interval));
}

fn nanos(span: Duration) -> f64 {
    span.as_secs_f64() * 1e9
}
