//! How likely observed waits are, if they were drawn uniformly as their formula says.

/// How likely it is, at most, that uniform draws look like this by chance.
///
/// Each sample is a draw from 0 to 1, known only up to what measuring added: `(low, high)`.
/// Three tests look for what goes wrong in practice: waits that are too short
/// ([Fisher](https://en.wikipedia.org/wiki/Fisher%27s_method)), too long (the same, mirrored), and
/// not spread out at all ([Kolmogorov–Smirnov](https://en.wikipedia.org/wiki/Kolmogorov%E2%80%93Smirnov_test)).
/// The smallest result is multiplied by their number, and an uncertain sample is read in favour
/// of the client, so a correct one is blamed no more often than the returned value says.
pub(super) fn uniform(samples: &[(f64, f64)]) -> f64 {
    if samples.is_empty() {
        return 1.0;
    }
    let clamp = |value: f64| value.clamp(1e-12, 1.0 - 1e-12);
    let short = fisher(samples.iter().map(|&(_, high)| clamp(high)));
    let long = fisher(samples.iter().map(|&(low, _)| clamp(1.0 - low)));
    let mut lows: Vec<f64> = samples.iter().map(|&(low, _)| clamp(low)).collect();
    let mut highs: Vec<f64> = samples.iter().map(|&(_, high)| clamp(high)).collect();
    let spread = kolmogorov(&mut lows).max(kolmogorov(&mut highs));
    (3.0 * short.min(long).min(spread)).min(1.0)
}

/// The chance that the product of so many uniform draws is as small as this one.
fn fisher(draws: impl Iterator<Item = f64>) -> f64 {
    let mut count = 0.0;
    let mut sum = 0.0;
    let mut term = 1.0;
    let mut tail = 0.0;
    let logs: Vec<f64> = draws.map(|draw| -draw.ln()).collect();
    for log in &logs {
        sum += log;
    }
    // The tail of a gamma distribution with a whole shape: e⁻ˣ Σ xᵏ/k! for k below the shape.
    for _ in &logs {
        tail += term;
        count += 1.0;
        term *= sum / count;
    }
    ((-sum).exp() * tail).clamp(0.0, 1.0)
}

/// The chance that the largest distance between the draws and an even spread is as large as here.
fn kolmogorov(draws: &mut [f64]) -> f64 {
    draws.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(draws.len()).unwrap_or(u32::MAX));
    let mut distance = 0.0_f64;
    for (rank, &draw) in (0_u32..).zip(draws.iter()) {
        let rank = f64::from(rank);
        distance = distance.max(draw - rank / count).max((rank + 1.0) / count - draw);
    }
    // The Dvoretzky–Kiefer–Wolfowitz bound with Massart's constant: never too small.
    (2.0 * (-2.0 * count * distance * distance).exp()).min(1.0)
}

#[cfg(test)]
mod tests {
    use mock_server::draw::{Draws, Purpose};

    use super::*;

    fn exact(samples: &[f64]) -> f64 {
        let samples: Vec<_> = samples.iter().map(|&draw| (draw, draw)).collect();
        uniform(&samples)
    }

    /// Draws of a correct client, run after run.
    fn drawn(run: u64, count: u64) -> Vec<f64> {
        let draws =
            (0..count).map(|index| Draws::new(run).draw("u", Purpose::Latency, 0, index) >> 32);
        draws.map(|draw| f64::from(u32::try_from(draw).unwrap()) / 4_294_967_296.0).collect()
    }

    #[test]
    fn a_correct_client_is_blamed_no_more_often_than_stated() {
        let blamed =
            |level: f64| (0..4_000).filter(|&run| exact(&drawn(run, 2 + run % 30)) < level).count();
        // 4,000 runs at one in a hundred: 40 expected at most, and 6 standard deviations.
        assert!(blamed(0.01) <= 40 + 38, "{}", blamed(0.01));
        assert_eq!(blamed(1e-6), 0);
    }

    #[test]
    fn every_wrong_way_to_draw_is_found() {
        for (wrong, samples) in [
            ("never waits", vec![0.001; 5]),
            ("always waits the longest", vec![0.999; 5]),
            ("always the same", vec![0.5; 40]),
            ("equal jitter for full", drawn(1, 60).iter().map(|draw| 0.5 + draw / 2.0).collect()),
            (
                "a quarter down, as SDKs do",
                drawn(2, 30).iter().map(|draw| 1.0 - draw / 4.0).collect(),
            ),
        ] {
            assert!(exact(&samples) < 1e-6, "{wrong}: {}", exact(&samples));
        }
    }

    #[test]
    fn what_measuring_added_is_read_in_favour_of_the_client() {
        assert!(exact(&[1.0; 8]) < 1e-6);
        assert!(uniform(&[(0.3, 1.0), (0.1, 0.9), (0.6, 1.0), (0.2, 0.9)]) > 0.01);
    }
}
