//! The limit that follows the gradient of the latency.

use crate::lab::reproduce::Settings;

/// Netflix's Gradient2: a limit that grows while answers take as long as they do on average, and shrinks as they take longer.
#[derive(Clone, Debug)]
pub(super) struct Gradient {
    least: f64,
    most: f64,
    smoothing: f64,
    tolerance: f64,
    queue: f64,
    steepest: f64,
    drift: f64,
    decay: f64,
    limit: f64,
    average: Average,
}

impl Gradient {
    /// This limit, before any sample.
    pub(super) fn new(settings: &Settings, limit: f64) -> Self {
        Self {
            least: settings.one("least"),
            most: settings.one("most"),
            smoothing: settings.one("smoothing"),
            tolerance: settings.one("tolerance"),
            queue: settings.one("queue"),
            steepest: settings.one("gradient"),
            drift: settings.one("drift"),
            decay: settings.one("decay"),
            limit,
            average: Average {
                warm_up: settings.one("warm-up"),
                forgets: forgets(settings),
                samples: 0.0,
                value: 0.0,
            },
        }
    }

    /// An answer took so many seconds, while so many requests were under way.
    pub(super) fn sample(&mut self, seconds: f64, in_flight: f64) {
        let long = self.average.add(seconds);
        if long / seconds > self.drift {
            // So that a time of slow answers is soon forgotten; this sample still meets the old average.
            self.average.value *= self.decay;
        }
        if in_flight < self.limit / 2.0 {
            return;
        }
        let gradient = (self.tolerance * long / seconds).clamp(self.steepest, 1.0);
        let wanted = gradient * self.limit + self.queue;
        let smoothed = (1.0 - self.smoothing) * self.limit + self.smoothing * wanted;
        self.limit = smoothed.max(self.least).min(self.most);
    }

    /// The limit, of which Netflix reports the whole part.
    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    /// The average latency in seconds.
    pub(super) fn average(&self) -> f64 {
        self.average.value
    }
}

/// The mean of the first samples, which then forgets exponentially.
#[derive(Clone, Debug)]
struct Average {
    warm_up: f64,
    forgets: f64,
    samples: f64,
    value: f64,
}

impl Average {
    fn add(&mut self, sample: f64) -> f64 {
        if self.samples < self.warm_up {
            self.value = (self.value * self.samples + sample) / (self.samples + 1.0);
            self.samples += 1.0;
        } else {
            self.value += (sample - self.value) * self.forgets;
        }
        self.value
    }
}

/// The weight of a sample in the average, once that is warm.
pub(super) fn forgets(settings: &Settings) -> f64 {
    2.0 / (settings.one("window") + 1.0)
}
