//! A limit that is counted in windows that follow each other, each with the whole limit.
//!
//! Windows begin with the wall clock's seconds, minutes and hours, and days at midnight: recorded
//! of OpenRouter's reset times, documented of Gemini's days.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

/// One window after the other, by the wall clock.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    limit: u64,
    period: Duration,
    midnight: Midnight,
    used: u64,
    start: Duration,
    end: Duration,
    at: Duration,
}

/// Whose midnight ends a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Midnight {
    /// California's, with its summer time.
    Pacific,
    /// That of UTC.
    Utc,
}

impl Fixed {
    /// Windows of which nothing is used.
    pub(super) fn new(limit: u64, period: Duration, midnight: Midnight, wall: Duration) -> Self {
        let (start, end) = window(period, midnight, wall);
        Self { limit, period, midnight, used: 0, start, end, at: wall }
    }

    /// Lets time go on; it never goes back.
    pub(super) fn advance(&mut self, wall: Duration) {
        self.at = self.at.max(wall);
        if self.end <= self.at {
            (self.start, self.end) = window(self.period, self.midnight, self.at);
            self.used = 0;
        }
    }

    /// How long until so many are left, if nothing else comes; at most as many as the limit.
    pub(super) fn wait(&self, need: u64) -> Duration {
        if need <= self.remaining() { Duration::ZERO } else { self.end.saturating_sub(self.at) }
    }

    /// Takes so many, also when there are fewer.
    pub(super) fn charge(&mut self, amount: u64) {
        self.used = self.used.saturating_add(amount);
    }

    /// Puts so many back that were taken at a time; what an earlier window lost is gone.
    pub(super) fn refund(&mut self, amount: u64, taken: Duration) {
        if self.start <= taken {
            self.used = self.used.saturating_sub(amount);
        }
    }

    /// How many are left of this window.
    pub(super) fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// How many of this window are used.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// How long until nothing is used.
    pub(super) fn reset(&self) -> Duration {
        if self.used == 0 { Duration::ZERO } else { self.end.saturating_sub(self.at) }
    }
}

/// The window that a time lies in; its end is not part of it.
fn window(period: Duration, midnight: Midnight, wall: Duration) -> (Duration, Duration) {
    if period == DAY
        && midnight == Midnight::Pacific
        && let Some(day) = pacific_day(wall)
    {
        return day;
    }
    let into = wall.as_nanos() % period.as_nanos().max(1);
    let start = wall.saturating_sub(super::level::nanos(into));
    // A window lasts some time, or there would be no way forward.
    let period = period.max(Duration::from_nanos(1));
    (start, start.saturating_add(period))
}

/// California's day around a time; none for dates that no calendar has.
fn pacific_day(wall: Duration) -> Option<(Duration, Duration)> {
    let zone = TimeZone::posix(PACIFIC).ok()?;
    let second = i64::try_from(wall.as_secs()).ok()?;
    let start = Timestamp::from_second(second).ok()?.to_zoned(zone).start_of_day().ok()?;
    let end = start.checked_add(1.day()).ok()?.start_of_day().ok()?;
    let seconds = |at: &jiff::Zoned| u64::try_from(at.timestamp().as_second()).ok();
    let (start, end) = (Duration::from_secs(seconds(&start)?), Duration::from_secs(seconds(&end)?));
    (wall < end).then_some((start, end))
}

const DAY: Duration = Duration::from_secs(86_400);

/// The rule since 2007, so that no time zone database is needed.
const PACIFIC: &str = "PST8PDT,M3.2.0,M11.1.0";

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    #[test]
    fn a_day_ends_at_midnight_in_california() {
        for (date, hours_left) in [
            // Midnight in UTC is four in the afternoon there, in summer five.
            ("2026-01-01T00:00:00Z", 8),
            ("2026-07-01T00:00:00Z", 7),
            ("2026-07-01T07:00:00Z", 24),
            // The days on which clocks are changed.
            ("2026-03-08T08:00:00Z", 23),
            ("2026-11-01T07:00:00Z", 25),
        ] {
            let wall: Timestamp = date.parse().unwrap();
            let wall = Duration::from_secs(wall.as_second().unsigned_abs());
            let (start, end) = window(DAY, Midnight::Pacific, wall);
            assert_eq!(end.saturating_sub(wall).as_secs(), hours_left * HOUR, "{date}");
            assert!(start <= wall);
        }
    }

    #[test]
    fn windows_begin_with_the_clocks_minute_and_share_no_moment() {
        let wall = Duration::new(1_767_225_661, 5);
        let minute = window(Duration::from_secs(60), Midnight::Utc, wall);
        assert_eq!(
            minute,
            (Duration::from_secs(1_767_225_660), Duration::from_secs(1_767_225_720))
        );
        let next = window(Duration::from_secs(60), Midnight::Utc, minute.1);
        assert_eq!(next.0, minute.1);
        for wall in [Duration::ZERO, Duration::MAX] {
            for midnight in [Midnight::Pacific, Midnight::Utc] {
                let (start, end) = window(DAY, midnight, wall);
                assert!(start <= wall && start < end);
            }
        }
    }
}
