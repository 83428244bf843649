//! The limit that grows by one and shrinks by a share, Netflix's and the shipped one.

use std::time::Duration;

use resilience_core::{AimdSettings, Class, Nanos, parts::Aimd};

use crate::lab::reproduce::{Claim, Settings, Tolerance};

/// Netflix's AIMD limit.
#[derive(Clone, Copy, Debug)]
struct Additive {
    least: u64,
    most: u64,
    backoff_ppm: u64,
    /// Seconds.
    timeout: f64,
    limit: u64,
}

impl Additive {
    /// A request was dropped or took so many seconds, while so many were under way.
    fn sample(&mut self, seconds: Option<f64>, in_flight: u64) {
        if seconds.is_none_or(|seconds| seconds > self.timeout) {
            self.limit = self.limit * self.backoff_ppm / 1_000_000;
        } else if 2 * in_flight >= self.limit {
            self.limit += 1;
        }
        self.limit = self.limit.max(self.least).min(self.most);
    }
}

/// The shipped limit that is nearest: the same range, the same share, and no pause between two decreases.
pub(super) fn shipped(settings: &Settings) -> AimdSettings {
    AimdSettings {
        limit_min: settings.whole("least"),
        limit_max: settings.whole("most"),
        limit_initial: settings.whole("initial"),
        add: 1,
        beta_ppm: backoff_ppm(settings),
        epoch: Duration::ZERO,
    }
}

/// What both do, beside closed forms; nothing if the limits are not in order.
pub(super) fn claims(settings: &Settings, shipped: AimdSettings) -> Vec<Claim> {
    let (initial, most) = (settings.whole("initial"), settings.whole("most"));
    let limit = |limit: u32| Additive {
        least: settings.whole("least").into(),
        most: most.into(),
        backoff_ppm: backoff_ppm(settings).into(),
        timeout: settings.one("timeout"),
        limit: limit.into(),
    };
    let Ok(mut aimd) = Aimd::new(shipped) else { return Vec::new() };
    let steps = most - initial;
    let mut additive = limit(initial);
    let mut samples = 0;
    while additive.limit < u64::from(most) {
        // Just enough is in use, and the answer just in time.
        additive.sample(Some(additive.timeout), additive.limit.div_ceil(2));
        samples += 1;
    }
    let mut windows = 0;
    while aimd.limit() < most && windows < 2 * steps {
        for _ in 0..aimd.limit() {
            aimd.ended(Ok(()), aimd.limit().div_ceil(2), Nanos::ZERO, Nanos::ZERO);
        }
        windows += 1;
    }
    let mut idle = limit(initial);
    idle.sample(Some(0.0), (u64::from(initial) - 1) / 2);
    let mut late = limit(most);
    late.sample(Some(2.0 * late.timeout), u64::from(most));
    // From every limit there is: by how much the shipped one is above after a drop, at least and at most.
    let apart = (shipped.limit_min..=most).filter_map(|from| {
        let mut theirs = limit(from);
        theirs.sample(None, from.into());
        let mut ours = Aimd::new(AimdSettings { limit_initial: from, ..shipped }).ok()?;
        let refused = Class::RateLimited { dimension: None };
        ours.ended(Err(refused), from, Nanos::ZERO, Nanos::ZERO);
        Some(i64::from(ours.limit()) - i64::try_from(theirs.limit).ok()?)
    });
    let apart = apart.max_by_key(|apart| apart.abs()).unwrap_or_default();
    let apart = f64::from(i32::try_from(apart).unwrap_or(i32::MAX));
    let left = (f64::from(most) * settings.one("backoff") + 1e-9).floor();
    let left = left.max(settings.one("least"));
    let number = |limit: u64| f64::from(u32::try_from(limit).unwrap_or(u32::MAX));
    vec![
        Claim::exact(
            format!("AIMD: samples from {initial} to {most}"),
            steps.into(),
            samples.into(),
        ),
        Claim::exact(
            "AIMD: limit of which less than half is in use",
            initial.into(),
            number(idle.limit),
        ),
        Claim::exact(
            format!("AIMD: limit after an answer too late at {most}"),
            left,
            number(late.limit),
        ),
        Claim::exact(
            format!("shipped Aimd: windows from {initial} to {most}"),
            steps.into(),
            windows.into(),
        ),
        Claim {
            tolerance: Tolerance::Absolute(1.0),
            ..Claim::exact("shipped Aimd above AIMD after a refusal, at most", 0.0, apart)
        },
    ]
}

fn backoff_ppm(settings: &Settings) -> u32 {
    format!("{:.0}", settings.one("backoff") * 1e6).parse().expect("a share in millionths")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::Anchor;

    #[test]
    fn a_shipped_limit_of_other_settings_is_noticed() {
        let settings = Anchor::named("netflix").unwrap().settings(&[]).unwrap();
        let same = shipped(&settings);
        for (shipped, holds) in [
            (same, true),
            (AimdSettings { beta_ppm: 700_000, ..same }, false),
            (AimdSettings { add: 2, ..same }, false),
        ] {
            assert_eq!(claims(&settings, shipped).iter().all(Claim::holds), holds, "{shipped:?}");
        }
    }

    #[test]
    fn limits_out_of_order_have_nothing_to_compare() {
        let given = [("initial".to_owned(), "500".to_owned())];
        let settings = Anchor::named("netflix").unwrap().settings(&given).unwrap();
        assert!(claims(&settings, shipped(&settings)).is_empty());
    }
}
