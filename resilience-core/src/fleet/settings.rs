//! What the members of a fleet agree on.

use std::time::Duration;

use thiserror::Error;

use crate::bucket::TOKENS_MAX;
use crate::class::Dimension;
use crate::limiter::{Guarantee, Limit, Oversize, Quota, QuotaMistake};
use crate::time::whole_nanos;

use super::shape::{Shape, spread_micros};

/// The settings of a fleet, the same for all its members except for [`FleetSettings::seed`] and the share of [`WhenDown::LocalShare`].
///
/// Start from [`FleetSettings::new`] and change what differs.
///
/// Members with other limits may share a name while a change is rolled out: each converts what the others left.
/// Until the last has changed, the loosest settings among them are what is guaranteed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FleetSettings {
    /// What the quota is called on the server: letters, digits, `.`, `:`, `-` and `_`.
    /// Fleets with the same name share a quota; one name per credential and model is usual.
    pub name: String,
    /// The limits that all members keep together, and what is promised about them.
    ///
    /// *B* is the burst, *L* the limit, *P* the period; *A* is what all members use together.
    /// Under [`Guarantee::Burst`] *A* in a span *x* is at most *B* + *L* · (*x* + lease ttl) / *P*, which is almost twice the limit after a rest.
    /// Under [`Guarantee::Strict`] *A* is at most *L* in **every** window of a period, wherever it begins; its jitter is how much the way to the provider may vary between two requests.
    pub quota: Quota,
    /// For how long granted units may be used, 1 s unless told otherwise.
    /// Longer leases save round trips and cost throughput: the refill is spread over the period and this.
    pub lease_ttl: Duration,
    /// The most of the burst that one lease takes, in millionths; a tenth unless told otherwise.
    /// With 0 every admission is a round trip of its own.
    pub lease_share_ppm: u32,
    /// How long a round trip to the server may take, connecting included; 250 ms unless told otherwise, and less than [`FleetSettings::lease_ttl`].
    pub timeout: Duration,
    /// How long a server that failed is left alone, 500 ms unless told otherwise.
    pub probe_every: Duration,
    /// How long the key of a quota that has filled up stays, an hour unless told otherwise.
    /// After that it starts again, empty.
    pub keep: Duration,
    /// What happens when the server cannot be asked.
    pub when_down: WhenDown,
    /// What this member's draws come from; a number of its own for each, so that members do not come back together.
    pub seed: u64,
}

impl FleetSettings {
    /// With leases of up to a tenth of the burst for a second, refusing everything when the server is down.
    pub fn new(name: impl Into<String>, quota: Quota) -> Self {
        Self {
            name: name.into(),
            quota,
            // Some hundred round trips long, and a sixtieth of the throughput of a limit per minute.
            lease_ttl: Duration::from_secs(1),
            // Ten members can each have one at the same time.
            lease_share_ppm: 100_000,
            // Far above a round trip in one data centre, and well below the lease, which must arrive in time.
            timeout: Duration::from_millis(250),
            // A server takes about a second to start again; asking twice as often costs next to nothing.
            probe_every: Duration::from_millis(500),
            // Long enough for a pause between two jobs; a quota that nobody uses need not stay for ever.
            keep: Duration::from_secs(3_600),
            // The one whose bound never changes; how large a share may be, only the caller knows.
            when_down: WhenDown::Deny,
            // Any number will do for the only member; several want one each.
            seed: 0,
        }
    }

    /// Everything that is wrong with the settings.
    pub fn mistakes(&self) -> Vec<FleetMistake> {
        let mut mistakes: Vec<_> =
            self.quota.mistakes().into_iter().map(FleetMistake::Quota).collect();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_".contains(&byte);
        let long = self.name.len() > NAME_BYTES_MAX;
        if self.name.is_empty() || long || !self.name.bytes().all(legal) {
            mistakes.push(FleetMistake::Name { name: self.name.chars().take(64).collect() });
        }
        if self.quota.limits.is_empty() {
            mistakes.push(FleetMistake::NoLimits);
        }
        let Quota { oversize, concurrency, charges_actual, overtakes_max, .. } = self.quota;
        let foreign = [
            ("concurrency", concurrency.is_some()),
            ("oversize debt", oversize == Oversize::Debt),
            ("charges_actual", charges_actual),
            ("overtakes_max", overtakes_max > 0),
        ];
        let foreign = foreign.into_iter().filter(|(_, set)| *set);
        mistakes.extend(foreign.map(|(setting, _)| FleetMistake::NotShared { setting }));
        for (setting, span) in [
            ("keep", self.keep),
            ("lease ttl", self.lease_ttl),
            ("probe interval", self.probe_every),
            ("timeout", self.timeout),
            ("jitter", self.jitter()),
        ] {
            let needed = !matches!(setting, "keep" | "jitter");
            if needed && span.is_zero() || span > SPAN_MAX {
                mistakes.push(FleetMistake::Span { setting, span });
            }
        }
        if self.timeout >= self.lease_ttl {
            let Self { timeout, lease_ttl, .. } = *self;
            mistakes.push(FleetMistake::TimeoutAboveLease { timeout, lease_ttl });
        }
        if self.lease_share_ppm > 1_000_000 {
            mistakes.push(FleetMistake::LeaseShare { ppm: self.lease_share_ppm });
        }
        let share = self.local_share_ppm();
        if share.is_some_and(|ppm| !(1..=1_000_000).contains(&ppm)) {
            mistakes.push(FleetMistake::LocalShare { ppm: share.unwrap_or_default() });
        }
        for (at, limit) in self.quota.limits.iter().enumerate() {
            mistakes.extend(self.limit_mistake(limit, &self.quota.limits[..at]));
        }
        mistakes
    }

    fn limit_mistake(&self, limit: &Limit, before: &[Limit]) -> Option<FleetMistake> {
        let Limit { dimension, tokens, burst, period } = *limit;
        let numbers = [tokens, burst, whole_nanos(period)];
        if numbers.into_iter().any(|number| number == 0 || number > TOKENS_MAX) {
            // The quota has said so itself.
            return None;
        }
        if before.iter().any(|other| other.dimension == dimension && other.period == period) {
            return Some(FleetMistake::Twice { dimension, period });
        }
        if self.is_strict() && burst >= tokens {
            return Some(FleetMistake::NoRefill { dimension, burst, tokens });
        }
        if Shape::new(limit, self.is_strict(), self.slack()).is_none() {
            return Some(FleetMistake::TooFine { dimension });
        }
        let ppm = self.local_share_ppm()?;
        let whole = u128::from(burst) * u128::from(ppm) / 1_000_000;
        (whole == 0).then_some(FleetMistake::ShareBelowOne { dimension, ppm, burst })
    }

    /// The limits in units.
    pub(crate) fn shapes(&self) -> Vec<Shape> {
        let shape = |limit| {
            Shape::new(limit, self.is_strict(), self.slack()).expect("the settings were checked")
        };
        self.quota.limits.iter().map(shape).collect()
    }

    fn is_strict(&self) -> bool {
        matches!(self.quota.guarantee, Guarantee::Strict { .. })
    }

    /// How much the way to the provider may vary.
    fn jitter(&self) -> Duration {
        match self.quota.guarantee {
            Guarantee::Burst => Duration::ZERO,
            Guarantee::Strict { jitter } => jitter,
        }
    }

    /// How long after its grant a unit may reach the provider.
    fn slack(&self) -> Duration {
        self.lease_ttl.saturating_add(self.jitter())
    }

    /// The share of [`WhenDown::LocalShare`].
    pub(crate) fn local_share_ppm(&self) -> Option<u32> {
        match self.when_down {
            WhenDown::Deny => None,
            WhenDown::LocalShare { ppm } => Some(ppm),
        }
    }

    /// For how long after a failed round trip began a member may spend its share.
    ///
    /// Twice what it takes to find out again, so that a probe in time leaves no gap.
    pub(crate) fn evidence(&self) -> Duration {
        self.probe_every.saturating_add(self.timeout).saturating_mul(2)
    }

    /// For how many microseconds a quota without a past admits nothing: until the last member has heard that the server is back.
    pub(crate) fn hold_micros(&self) -> u64 {
        match self.when_down {
            WhenDown::Deny => 0,
            WhenDown::LocalShare { .. } => {
                u64::try_from(spread_micros(self.evidence())).unwrap_or(u64::MAX)
            }
        }
    }
}

/// What to do when the server cannot be asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenDown {
    /// Refuse, at once and with the cause.
    #[default]
    Deny,
    /// Spend a fixed share of each limit, starting empty.
    ///
    /// All members' shares together must not exceed 1 000 000; nobody else can check that.
    LocalShare {
        /// This member's share, in millionths.
        ppm: u32,
    },
}

/// What is wrong with [`FleetSettings`] or the address of the server.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FleetMistake {
    /// More than the whole burst.
    #[error("a lease share of {ppm} ppm is above 1000000, the whole burst")]
    LeaseShare {
        /// The share.
        ppm: u32,
    },
    /// Nothing, or more than everything.
    #[error("a local share of {ppm} ppm is not between 1 and 1000000")]
    LocalShare {
        /// The share.
        ppm: u32,
    },
    /// Empty, too long, or with characters that have a meaning of their own.
    #[error(
        "the name `{name}` is not 1 to {NAME_BYTES_MAX} letters, digits, `.`, `:`, `-` and `_`"
    )]
    Name {
        /// The beginning of the name.
        name: String,
    },
    /// A quota that limits nothing needs no server.
    #[error("the quota has no limits")]
    NoLimits,
    /// Something that one process can keep and a fleet cannot.
    #[error("{setting} is not kept by a fleet, only within one process")]
    NotShared {
        /// The quota's setting.
        setting: &'static str,
    },
    /// Nothing is left to refill once the burst is taken.
    #[error(
        "a burst of {burst} leaves no refill under a strict limit of {tokens} {dimension}; lower the burst, or choose the guarantee `Burst`"
    )]
    NoRefill {
        /// The dimension.
        dimension: Dimension,
        /// The burst.
        burst: u64,
        /// The limit.
        tokens: u64,
    },
    /// What any quota may have wrong.
    #[error(transparent)]
    Quota(#[from] QuotaMistake),
    /// No request would ever pass while the server is down.
    #[error(
        "a local share of {ppm} ppm of a burst of {burst} {dimension} is less than one; raise the burst or the share"
    )]
    ShareBelowOne {
        /// The dimension.
        dimension: Dimension,
        /// The share.
        ppm: u32,
        /// The burst.
        burst: u64,
    },
    /// Zero where that means nothing, or longer than [`SPAN_MAX`].
    #[error("a {setting} of {span:?} is not between 1 ns and {SPAN_MAX:?}")]
    Span {
        /// Which span.
        setting: &'static str,
        /// How long it is.
        span: Duration,
    },
    /// A lease could lapse before it arrives.
    #[error(
        "a timeout of {timeout:?} is not below the lease ttl of {lease_ttl:?}, so leases could lapse on their way"
    )]
    TimeoutAboveLease {
        /// The timeout.
        timeout: Duration,
        /// The lease's time.
        lease_ttl: Duration,
    },
    /// Burst, limit and period are so far apart that the server's arithmetic could not tell a thousandth.
    #[error(
        "the limit on {dimension} cannot be counted exactly: its burst, limit and period are too far apart"
    )]
    TooFine {
        /// The dimension.
        dimension: Dimension,
    },
    /// Two limits that differ in neither dimension nor period.
    #[error("there are two limits on {dimension} with a period of {period:?}")]
    Twice {
        /// The dimension.
        dimension: Dimension,
        /// The period.
        period: Duration,
    },
    /// The address is not one of a server.
    #[error("`{url}` is no address of a Redis server such as `redis://127.0.0.1:6379`: {reason}")]
    Url {
        /// The address, without user and password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The longest of the spans in [`FleetSettings`]: a day.
pub const SPAN_MAX: Duration = Duration::from_secs(86_400);

/// The longest name; it is a part of every request to the server.
const NAME_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> FleetSettings {
        let mut quota = Quota { guarantee: Guarantee::STRICT, ..Quota::per_minute(60, 10_000) };
        for limit in &mut quota.limits {
            limit.burst = limit.tokens / 10;
        }
        FleetSettings::new("openai:gpt-4o-mini", quota)
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(settings().mistakes(), []);
    }

    #[test]
    fn every_mistake_is_found_and_names_its_value() {
        type Spoil = fn(&mut FleetSettings);
        let cases: [(Spoil, &str); 14] = [
            (|it| it.quota.concurrency = Some(3), "concurrency is not kept by a fleet"),
            (|it| it.name = "a b".into(), "`a b`"),
            (|it| it.name = String::new(), "``"),
            (|it| it.quota.limits.clear(), "no limits"),
            (|it| it.quota.limits[0].burst = 60, "burst of 60 leaves no refill"),
            (|it| it.quota.limits[0].tokens = 0, "zero"),
            (|it| it.quota.limits[1] = it.quota.limits[0], "two limits"),
            (|it| it.lease_share_ppm = 1_000_001, "1000001 ppm"),
            (|it| it.lease_ttl = Duration::ZERO, "lease ttl of 0ns"),
            (|it| it.timeout = Duration::from_secs(1), "timeout of 1s is not below"),
            (|it| it.keep = Duration::MAX, "keep of"),
            (|it| it.when_down = WhenDown::LocalShare { ppm: 0 }, "local share of 0 ppm"),
            (|it| it.when_down = WhenDown::LocalShare { ppm: 100_000 }, "less than one"),
            (
                |it| {
                    let limit = &mut it.quota.limits[0];
                    *limit = Limit { tokens: TOKENS_MAX, burst: TOKENS_MAX - 1, ..*limit };
                },
                "cannot be counted exactly",
            ),
        ];
        for (spoil, words) in cases {
            let mut settings = settings();
            spoil(&mut settings);
            let found: Vec<_> = settings.mistakes().iter().map(ToString::to_string).collect();
            assert!(found.iter().any(|mistake| mistake.contains(words)), "{words}: {found:?}");
        }
    }
}
