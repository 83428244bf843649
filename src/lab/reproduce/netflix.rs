//! Limits on concurrency that follow latency, and ours, which follows refusals.
//!
//! Both limits of the library are written from their description, and their closed forms are compared with what they do.
//! The shipped [`Aimd`](resilience_core::parts::Aimd) stands beside the additive one as far as its settings express it; beside Gradient2 nothing does, because the latency of a model depends on the length of its answer.

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Settings, Tolerance};

mod additive;
mod gradient;

use gradient::Gradient;

/// The recurrences of both limits.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "netflix",
    title: "how the limits of Netflix's concurrency-limits rise and fall",
    source: "Netflix concurrency-limits, https://github.com/Netflix/concurrency-limits: Gradient2Limit, AIMDLimit, ExpAvgMeasurement",
    parameters: &[
        requests("initial", "the first limit", &[20.0]),
        requests("least", "the lowest limit", &[20.0]),
        requests("most", "the highest limit", &[200.0]),
        requests("queue", "Gradient2: requests that may queue", &[4.0]),
        share("smoothing", "Gradient2: the weight of a new limit", &[0.2]),
        share("gradient", "Gradient2: the smallest gradient", &[0.5]),
        factor("tolerance", "Gradient2: how far latency may be above its average", &[1.5]),
        factor("drift", "Gradient2: how far the average may be above latency", &[2.0]),
        share("decay", "Gradient2: what is left of an average that has drifted so far", &[0.95]),
        requests("warm-up", "Gradient2: samples whose mean is the first average", &[10.0]),
        requests(
            "window",
            "Gradient2: samples of the average, of which the latest weighs 2 / (window + 1)",
            &[600.0],
        ),
        share("backoff", "AIMD: what a drop leaves of the limit", &[0.9]),
        Parameter {
            name: "timeout",
            about: "AIMD: seconds beyond which an answer counts as a drop",
            default: &[5.0],
            least: 1e-3,
            most: 1e3,
            whole: false,
        },
    ],
    runs: 1,
    run: |setup| reproduce(setup.settings, Gradient::sample),
};

/// How a limit takes a sample: seconds, and requests under way.
type Sample = fn(&mut Gradient, f64, f64);

fn reproduce(settings: &Settings, sample: Sample) -> Reproduction {
    let mut claims = vec![idle(settings, sample)];
    claims.extend(rise(settings, sample));
    claims.extend(fall(settings, sample));
    claims.extend(average(settings, sample));
    claims.extend(additive::claims(settings, additive::shipped(settings)));
    let cells = claims.iter().map(|claim| Cell {
        labels: vec![("claim", claim.what.clone())],
        metric: "value",
        values: vec![claim.ours.mean],
    });
    Reproduction { cells: cells.collect(), claims, notes: NOTES.map(str::to_owned).to_vec() }
}

/// A limit that nobody needs stays where it is, however slow answers become.
fn idle(settings: &Settings, sample: Sample) -> Claim {
    let mut limit = Gradient::new(settings, settings.one("most"));
    let before = limit.limit();
    for seconds in [1.0, 100.0] {
        sample(&mut limit, seconds, before / 2.0 - 0.5);
    }
    Claim::exact("Gradient2: limit of which less than half is in use", before, limit.limit())
}

/// While latency keeps to its average, `smoothing · queue` more after each sample.
fn rise(settings: &Settings, sample: Sample) -> [Claim; 2] {
    let (initial, most) = (settings.one("initial"), settings.one("most"));
    let step = settings.one("smoothing") * settings.one("queue");
    let mut limit = Gradient::new(settings, initial);
    let next = || {
        // Just enough is in use.
        let in_flight = limit.limit() / 2.0;
        sample(&mut limit, 1.0, in_flight);
        limit.limit()
    };
    let path = Path::of(most, 100_000, |n| initial + step * n, next);
    path.claims("at its average latency", initial, most)
}

/// While latency grows so fast that its average does not follow, down to what the queue alone holds up, or to the lowest limit.
fn fall(settings: &Settings, sample: Sample) -> Vec<Claim> {
    let (least, most) = (settings.one("least"), settings.one("most"));
    let (smoothing, gradient) = (settings.one("smoothing"), settings.one("gradient"));
    let rest = settings.one("queue") / (1.0 - gradient);
    let left = 1.0 - smoothing * (1.0 - gradient);
    if settings.one("tolerance") * (gradient::forgets(settings) + 1.0 / STEEP) > gradient {
        // The average follows at once, and there is no closed form.
        return Vec::new();
    }
    let (mut limit, mut seconds) = (Gradient::new(settings, most), 1.0);
    for _ in 0..settings.whole("warm-up") {
        sample(&mut limit, seconds, 0.0);
    }
    let next = || {
        seconds *= STEEP;
        let in_flight = limit.limit();
        sample(&mut limit, seconds, in_flight);
        limit.limit()
    };
    let expected = |n| rest + (most - rest) * left.powf(n);
    // Beyond that, latency would leave what a number can hold.
    let path = Path::of(least, 150, expected, next);
    path.claims("at its smallest gradient", most, least).to_vec()
}

/// The mean of the first samples, then a share of each, and a push once it has drifted too far.
fn average(settings: &Settings, sample: Sample) -> [Claim; 3] {
    let (warm_up, drift) = (settings.one("warm-up"), settings.one("drift"));
    let forgets = gradient::forgets(settings);
    let mut limit = Gradient::new(settings, settings.one("initial"));
    for number in 1..=settings.whole("warm-up") {
        sample(&mut limit, f64::from(number), 0.0);
    }
    let mean = f64::midpoint(1.0, warm_up);
    // The last of these is close enough to the mean for any drift.
    let warm = Claim::exact("Gradient2: average of its first samples, s", mean, limit.average());
    sample(&mut limit, 2.0 * mean, 0.0);
    let next = mean * (1.0 + forgets);
    let then = Claim::exact("Gradient2: average after one of twice that, s", next, limit.average());
    let low = next / (10.0 * drift);
    sample(&mut limit, low, 0.0);
    let pushed = settings.one("decay") * (next * (1.0 - forgets) + low * forgets);
    let drifted = "Gradient2: average after one far below it, s";
    [warm, then, Claim::exact(drifted, pushed, limit.average())]
}

/// A limit on its way, beside the closed form of that way.
#[derive(Clone, Copy, Debug)]
struct Path {
    /// After how many samples the closed form is there, and the limit.
    expected: f64,
    seen: f64,
    /// How far apart the two have been at worst, as a share.
    apart: f64,
}

impl Path {
    /// Follows both until each is at `end`, for so many samples at most.
    fn of(
        end: f64,
        samples_max: u32,
        expected: impl Fn(f64) -> f64,
        mut next: impl FnMut() -> f64,
    ) -> Self {
        let rises = expected(1.0) > expected(0.0);
        let bounded = |limit: f64| if rises { limit.min(end) } else { limit.max(end) };
        let is_there = |limit: f64| (limit - end).abs() <= 1e-9 * end;
        let samples = f64::from(samples_max);
        let mut path = Self { expected: samples, seen: samples, apart: 0.0 };
        for number in 1..=samples_max {
            let number = f64::from(number);
            let (formula, limit) = (bounded(expected(number)), next());
            path.apart = path.apart.max((limit / formula - 1.0).abs());
            for (there, limit) in [(&mut path.expected, formula), (&mut path.seen, limit)] {
                if is_there(limit) {
                    *there = there.min(number);
                }
            }
            if path.expected.max(path.seen) < samples {
                break;
            }
        }
        path
    }

    fn claims(self, how: &str, from: f64, to: f64) -> [Claim; 2] {
        let samples = format!("Gradient2 {how}: samples from {from} to {to}");
        let apart = format!("Gradient2 {how}: farthest from its closed form, as a share");
        [
            Claim::exact(samples, self.expected, self.seen),
            Claim { tolerance: Tolerance::Absolute(1e-9), ..Claim::exact(apart, 0.0, self.apart) },
        ]
    }
}

/// Numbers of requests or samples.
const fn requests(name: &'static str, about: &'static str, default: &'static [f64]) -> Parameter {
    Parameter { name, about, default, least: 1.0, most: 1e4, whole: true }
}

/// Factors of one or more.
const fn factor(name: &'static str, about: &'static str, default: &'static [f64]) -> Parameter {
    Parameter { name, about, default, least: 1.0, most: 100.0, whole: false }
}

/// Shares of less than a whole.
const fn share(name: &'static str, about: &'static str, default: &'static [f64]) -> Parameter {
    Parameter { name, about, default, least: 0.01, most: 0.99, whole: false }
}

/// By what latency grows from sample to sample, so that no average follows.
const STEEP: f64 = 100.0;

/// Where the shipped limit differs on purpose.
const NOTES: [&str; 3] = [
    "The shipped Aimd adds one after a whole window of successes, as TCP does (RFC 5681), not after each; windows are therefore compared with samples.",
    "It rounds up after a refusal, and is therefore at most one above; and it takes refusals of one moment for one.",
    "It knows no timeout: how long an answer takes depends on its length, and says nothing about the load.",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::reproduce::{Setup, shown};

    #[test]
    fn the_limits_follow_their_closed_forms() {
        let shown = shown(&ANCHOR, 1, 1, &[]);
        let broken: Vec<_> = shown.claims.iter().filter(|claim| !claim.holds()).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        let figures: Vec<f64> =
            shown.claims.iter().map(|claim| claim.published).filter(|&of| of > 0.0).collect();
        // 180 / 0.8 samples up; from 200 towards 8, a tenth of the way at a time, down to 20.
        assert_eq!(figures[..3], [200.0, 225.0, 27.0]);
    }

    #[test]
    fn the_closed_forms_hold_for_other_parameters_too() {
        for given in [
            [("smoothing", "0.5"), ("queue", "10"), ("initial", "30")],
            [("gradient", "0.9"), ("least", "5"), ("most", "1000")],
            [("warm-up", "3"), ("window", "2"), ("tolerance", "4")],
        ] {
            let shown = shown(&ANCHOR, 1, 1, &given);
            assert!(shown.holds(), "{given:?}: {:#?}", shown.claims);
        }
    }

    #[test]
    fn another_recurrence_is_noticed() {
        fn busy(setup: &Setup<'_>) -> Reproduction {
            reproduce(setup.settings, |limit, seconds, _| limit.sample(seconds, f64::INFINITY))
        }
        fn twice(setup: &Setup<'_>) -> Reproduction {
            reproduce(setup.settings, |limit, seconds, in_flight| {
                limit.sample(seconds, in_flight);
                limit.sample(seconds, in_flight);
            })
        }
        for run in [busy, twice] {
            assert!(!shown(&Anchor { run, ..ANCHOR }, 1, 1, &[]).holds());
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        assert_eq!(shown(&ANCHOR, 2, 1, &[]), shown(&ANCHOR, 2, 3, &[]));
    }
}
