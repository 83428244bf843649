//! The limits that a group of requests shares, and what is used of them.

use std::time::Duration;

use super::{
    Level, Limited,
    bucket::Bucket,
    fixed::{Fixed, Midnight},
    habit::Habit,
    meter::{Count, Meter, Moment},
    sliding::Sliding,
};
use crate::{
    action::Dimension,
    plan::{OutputCharge, ProviderName, Quota, Rejected, Window},
    units::{Period, Rate},
};

/// The limits of one group of requests.
#[derive(Clone, Debug)]
pub(super) struct Account {
    meters: Vec<Meter>,
    concurrency: Option<u64>,
    in_flight: u64,
    output: OutputCharge,
    rejected: Rejected,
}

/// What a request costs, before its answer is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// The tokens of its input.
    pub(super) input: u64,
    /// The most output tokens it may get.
    pub(super) output_max: u64,
}

impl Account {
    /// Limits of which nothing is used.
    pub(super) fn new(quota: &Quota, provider: ProviderName, model: &str, moment: Moment) -> Self {
        let habit = Habit::of(provider);
        let mine = quota.tier.iter().find(|tier| tier.provider() == provider);
        let tier = mine.and_then(|tier| tier.limits(model));
        let window = quota.window.unwrap_or(habit.window);
        let mut meters = Vec::new();
        let mut slices = Vec::new();
        for dimension in [
            Dimension::Requests,
            Dimension::Tokens,
            Dimension::InputTokens,
            Dimension::OutputTokens,
        ] {
            let own = quota.rates(dimension);
            let of_tier = || tier.map(|tier| tier.rates(dimension)).unwrap_or_default();
            let mut rates = if own.is_empty() { of_tier().to_vec() } else { own.to_vec() };
            // The tightest comes first: it is the one that providers show. Recorded: OpenAI's
            // headers have the day's requests if these are fewer for their time.
            rates.sort_by_key(|rate| u128::from(rate.count) * 86_400 / u128::from(seconds(*rate)));
            let spread = habit.slices && quota.window.is_none();
            for rate in rates {
                let count = count(window, provider, rate.count, rate.period(), moment);
                meters.push(Meter::new(dimension, rate.count, rate.period(), count));
                // A slice of a smaller limit would hold less than one request.
                if spread && dimension == Dimension::Requests && is_sliced(rate) {
                    let (limit, period) = (rate.count / SLICES, rate.period() / 6);
                    let count = count_fixed(provider, limit, period, moment);
                    slices.push(Meter::new(dimension, limit, period, count));
                }
            }
        }
        meters.append(&mut slices);
        Self {
            meters,
            concurrency: quota.concurrency.map(u64::from),
            in_flight: 0,
            output: quota.output.unwrap_or(habit.output),
            rejected: quota.rejected,
        }
    }

    /// Charges a request to all limits or to none, but for what a refusal costs.
    pub(super) fn admit(&mut self, cost: Cost, moment: Moment) -> Result<(), Limited> {
        self.advance(moment);
        if let Some(limited) = self.refusal(cost) {
            if self.rejected == Rejected::Charged {
                let meters = self.meters.iter_mut();
                meters
                    .filter(|meter| meter.dimension == Dimension::Requests)
                    .for_each(Meter::charge_refused);
            }
            // What is told is how things stand after the refusal.
            return Err(self.refusal(cost).unwrap_or(limited));
        }
        for meter in &mut self.meters {
            let (_, charge) = price(self.output, meter.dimension, cost);
            meter.charge(charge);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Ok(())
    }

    /// Settles a request that was admitted: its place is free, and its output is known.
    pub(super) fn settle(&mut self, cost: Cost, generated: u64, taken: Moment, moment: Moment) {
        self.advance(moment);
        self.in_flight = self.in_flight.saturating_sub(1);
        for meter in &mut self.meters {
            match (meter.dimension, self.output) {
                (Dimension::OutputTokens, OutputCharge::None | OutputCharge::Generated)
                | (Dimension::Tokens, OutputCharge::Generated) => meter.charge(generated),
                (Dimension::OutputTokens | Dimension::Tokens, OutputCharge::Reserved) => {
                    meter.charge(generated.saturating_sub(cost.output_max));
                    meter.refund(cost.output_max.saturating_sub(generated), taken);
                }
                _ => {}
            }
        }
    }

    /// The limits as they stand.
    pub(super) fn levels(&self) -> Vec<Level> {
        let concurrency = self.concurrency.map(|limit| self.places(limit));
        self.meters.iter().map(Meter::level).chain(concurrency).collect()
    }

    /// Lets time go on.
    pub(super) fn advance(&mut self, moment: Moment) {
        self.meters.iter_mut().for_each(|meter| meter.advance(moment));
    }

    /// The limit that refuses a request. The one that takes longest is worth telling; one that
    /// never fits most of all, and a missing place only if nothing else is.
    fn refusal(&self, cost: Cost) -> Option<Limited> {
        let refusals = self.meters.iter().filter_map(|meter| {
            let (need, _) = price(self.output, meter.dimension, cost);
            meter.refuse(need)
        });
        refusals.max_by_key(|limited| limited.wait.unwrap_or(Duration::MAX)).or_else(|| {
            let limit = self.concurrency.filter(|limit| *limit <= self.in_flight)?;
            let level = self.places(limit);
            Some(Limited { level, used: self.in_flight, requested: 1, wait: None })
        })
    }

    fn places(&self, limit: u64) -> Level {
        Level {
            dimension: Dimension::Concurrency,
            limit,
            period: Duration::ZERO,
            remaining: limit.saturating_sub(self.in_flight),
            reset: Duration::ZERO,
        }
    }
}

/// What a request needs of a limit to be admitted, and what it is charged then.
fn price(output: OutputCharge, dimension: Dimension, cost: Cost) -> (u64, u64) {
    let Cost { input, output_max } = cost;
    let ahead = matches!(output, OutputCharge::Requested | OutputCharge::Reserved);
    match dimension {
        Dimension::Concurrency | Dimension::Requests => (1, 1),
        Dimension::OutputTokens if ahead => (output_max, output_max),
        // How long the answer is shows when it is over; it begins if there is room for a token.
        Dimension::OutputTokens => (output_max.min(1), 0),
        Dimension::Tokens if ahead => {
            let whole = input.saturating_add(output_max);
            (whole, whole)
        }
        Dimension::InputTokens | Dimension::Tokens => (input, input),
    }
}

fn count(
    window: Window,
    provider: ProviderName,
    limit: u64,
    period: Duration,
    moment: Moment,
) -> Count {
    match window {
        Window::Bucket => Count::Bucket(Bucket::new(limit, period, moment.now)),
        Window::Fixed => count_fixed(provider, limit, period, moment),
        Window::Sliding => Count::Sliding(Sliding::new(limit, period, moment.now)),
    }
}

fn count_fixed(provider: ProviderName, limit: u64, period: Duration, moment: Moment) -> Count {
    let midnight = match provider {
        ProviderName::Gemini => Midnight::Pacific,
        _ => Midnight::Utc,
    };
    Count::Fixed(Fixed::new(limit, period, midnight, moment.wall))
}

/// Whether a limit on requests is spread over its minute.
fn is_sliced(rate: Rate) -> bool {
    rate.per == Period::Minute && SLICES <= rate.count
}

fn seconds(rate: Rate) -> u64 {
    rate.period().as_secs().max(1)
}

/// Six slices of ten seconds make a minute.
const SLICES: u64 = 6;
