//! What the built-in client does, from the words of the scenario.

use std::time::Duration;

use mock_server::{
    draw::{Draws, Purpose, scale},
    units::Rate,
};
use resilience_core::{Message, Request};

use crate::scenario::{self, ArrivalSpread, Factor, PromptTokens};

/// The work of a scenario's client: which calls come when, from whom, and what they ask.
///
/// Whatever is drawn depends on the seed and on the number of the call alone.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    settings: scenario::Client,
    draws: Draws,
    /// By how much the load is multiplied.
    load: Factor,
}

/// When calls begin.
pub(crate) enum Begins {
    /// At these times, counted from the first moment of the run.
    At(Box<dyn Iterator<Item = Duration> + Send>),
    /// So many calls, so many of them at a time.
    InTurn {
        /// How many calls.
        calls: u64,
        /// How many at a time.
        concurrency: usize,
    },
}

impl Workload {
    /// The work as it is written.
    pub(crate) fn new(settings: &scenario::Client, seed: u64) -> Self {
        Self { settings: settings.clone(), draws: Draws::new(seed), load: Factor { millis: 1_000 } }
    }

    /// The same work, so many times as much at a time.
    pub(crate) fn at_load(self, load: Factor) -> Self {
        Self { load, ..self }
    }

    /// When its calls begin; they are numbered from 1 in this order.
    pub(crate) fn begins(&self) -> Begins {
        let load = u64::from(self.load.millis.max(1));
        let Some(arrivals) = self.settings.arrivals else {
            let calls = u64::from(self.settings.calls.unwrap_or(1));
            let concurrency = u64::from(self.settings.concurrency.unwrap_or(1));
            let concurrency = (concurrency * load).div_ceil(1_000).max(1);
            let concurrency = usize::try_from(concurrency).unwrap_or(usize::MAX);
            return Begins::InTurn { calls, concurrency };
        };
        let span = arrivals.r#for.0;
        match arrivals.spread {
            ArrivalSpread::Even => {
                let interval = interval(arrivals.rate, load);
                let times = (0_u32..).map(move |index| interval * index);
                Begins::At(Box::new(times.take_while(move |&at| at < span)))
            }
            ArrivalSpread::Random => {
                let (mean, draws) = (interval(arrivals.rate, load).as_secs_f64(), self.draws);
                let mut at = Duration::ZERO;
                let times = (0..).map(move |index| {
                    let unit = fraction(draws.draw("arrival", Purpose::Latency, index, 0));
                    // The gaps of a Poisson process are exponentially distributed.
                    let gap = Duration::try_from_secs_f64(-mean * (1.0 - unit).ln());
                    at += gap.unwrap_or(span);
                    at
                });
                Begins::At(Box::new(times.take_while(move |&at| at < span)))
            }
        }
    }

    /// For how long calls arrive; none if each waits for an earlier one to end.
    pub(crate) fn span(&self) -> Option<Duration> {
        self.settings.arrivals.map(|arrivals| arrivals.r#for.0)
    }

    /// How many clients make its calls.
    pub(crate) fn clients(&self) -> u32 {
        self.settings.clients.unwrap_or(1).max(1)
    }

    /// Which of them makes a call, counted from 0.
    pub(crate) fn client_of(&self, call: u64) -> u32 {
        let client = call.saturating_sub(1) % u64::from(self.clients());
        u32::try_from(client).unwrap_or_default()
    }

    /// How long whoever made a call thinks before the next one.
    pub(crate) fn think(&self, call: u64) -> Duration {
        let think = self.settings.think.unwrap_or_default();
        let draw = || self.draws.draw("think", Purpose::Latency, call, 0);
        think.fixed().unwrap_or_else(|| think.pick(draw()))
    }

    /// About how many tokens a call's conversation has.
    pub(crate) fn tokens(&self, call: u64) -> u64 {
        let usual = PromptTokens { least: TOKENS, most: TOKENS };
        let PromptTokens { least, most } = self.settings.prompt.tokens.unwrap_or(usual);
        if least == most {
            return least;
        }
        least + scale(self.draws.draw("prompt", Purpose::Text, call, 0), most - least)
    }

    /// The request of a call; no two calls ask the same, and those that are as long have as many tokens.
    pub(crate) fn request(&self, call: u64) -> Request {
        let turns = self.settings.prompt.turns.unwrap_or(1).max(1);
        let words = self.tokens(call) / u64::from(turns);
        // A common English word with its space is one token to every tokenizer that we know.
        let filler = " word".repeat(usize::try_from(words).unwrap_or(usize::MAX >> 8));
        let mut messages = vec![Message::system("You are a careful assistant.")];
        for turn in 1..=turns {
            // The last turn is the user's, and they alternate.
            let users = (turns - turn).is_multiple_of(2);
            let text = match (users, turn == turns) {
                (true, true) => format!("Question {call:09}:{filler}?"),
                (true, false) => format!("Earlier question {turn} of {call:09}:{filler}?"),
                (false, _) => format!("Earlier answer {turn} of {call:09}:{filler}."),
            };
            messages.push(if users { Message::user(text) } else { Message::assistant(text) });
        }
        let mut request = Request::new(messages);
        request.output_max = Some(self.settings.output_tokens.unwrap_or(500));
        if self.settings.streaming { request.streaming() } else { request }
    }
}

/// The seed of what one of several sets of limits, budgets and breakers draws.
pub(crate) fn pool_seed(seed: u64, pool: u64) -> u64 {
    // A client that is alone draws as it always did.
    if pool == 0 { seed } else { Draws::new(seed).draw("pool", Purpose::Id, pool, 0) }
}

/// The distance between two calls of a rate, at so many thousandths of it.
fn interval(rate: Rate, load: u64) -> Duration {
    if load == 1_000 {
        return rate.interval();
    }
    let nanos = rate.interval().as_nanos() * 1_000 / u128::from(load);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1))
}

/// A draw as a fraction from 0 to 1, 1 not included.
fn fraction(draw: u64) -> f64 {
    // The upper 53 bits are what a float can hold.
    let (high, low) = (draw >> 32, (draw & 0xffff_ffff) >> 11);
    let part = |half: u64| f64::from(u32::try_from(half).expect("half of 64 bits"));
    (part(high) + part(low) / 2_097_152.0) / 4_294_967_296.0
}

/// How many tokens a conversation has if nobody says so.
const TOKENS: u64 = 20;

#[cfg(test)]
mod tests {
    use resilience_core::Role;

    use super::*;

    fn settings(yaml: serde_json::Value) -> scenario::Client {
        serde_json::from_value(yaml).unwrap()
    }

    fn arrivals(workload: &Workload) -> Vec<Duration> {
        match workload.begins() {
            Begins::At(times) => times.collect(),
            Begins::InTurn { .. } => panic!("these come at a rate"),
        }
    }

    #[test]
    fn arrivals_come_at_their_rate_and_end() {
        let settings =
            settings(serde_json::json!({ "arrivals": { "rate": "20/s", "for": "3min" } }));
        let workload = Workload::new(&settings, 1);
        let times = arrivals(&workload);
        assert_eq!((times.len(), times[20]), (3_600, Duration::from_secs(1)));
        let times = arrivals(&workload.at_load(Factor { millis: 2_500 }));
        assert_eq!((times.len(), times[50]), (9_000, Duration::from_secs(1)));
    }

    /// Mean and variance of the number in a second are both 20 if arrivals are independent; with 20,000 seconds the standard errors are 0.03 and 0.2.
    #[test]
    fn random_arrivals_come_on_their_own() {
        let settings = settings(serde_json::json!({
            "arrivals": { "rate": "20/s", "for": "20000s", "spread": "random" }
        }));
        let mut counts = vec![0.0; 20_000];
        for at in arrivals(&Workload::new(&settings, 7)) {
            counts[usize::try_from(at.as_secs()).unwrap()] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / 20_000.0;
        let variance = counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>();
        assert!((mean - 20.0).abs() < 0.15, "{mean}");
        assert!((variance / 20_000.0 - 20.0).abs() < 1.0, "{variance}");
    }

    #[test]
    fn calls_go_round_and_have_their_own_length_and_pause() {
        let settings = settings(serde_json::json!({
            "clients": 3, "calls": 9, "concurrency": 2, "think": "1s..3s",
            "prompt": { "tokens": "200..1800" }
        }));
        let workload = Workload::new(&settings, 1);
        assert!(matches!(workload.begins(), Begins::InTurn { calls: 9, concurrency: 2 }));
        assert_eq!([1, 2, 3, 4].map(|call| workload.client_of(call)), [0, 1, 2, 0]);
        let (tokens, thinks): (Vec<u64>, Vec<Duration>) =
            (1..=200).map(|call| (workload.tokens(call), workload.think(call))).unzip();
        assert!(tokens.iter().all(|tokens| (200..=1_800).contains(tokens)));
        assert!(tokens.iter().min() < Some(&300) && tokens.iter().max() > Some(&1_700));
        assert!(thinks.iter().all(|think| (1..=3).contains(&think.as_secs())));
        assert_ne!(thinks[0], thinks[1]);
        assert_eq!(workload.tokens(7), Workload::new(&settings, 1).tokens(7));
    }

    #[test]
    fn a_conversation_ends_with_the_user_and_has_its_size() {
        let settings = settings(serde_json::json!({ "prompt": { "tokens": "600", "turns": 4 } }));
        let request = Workload::new(&settings, 1).request(7);
        let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::Assistant, Role::User, Role::Assistant, Role::User]);
        let target = &crate::client::targets(&settings.strategy(), 1)[0];
        let tokens: u64 =
            request.messages.iter().map(|message| target.counter.count(&message.text)).sum();
        assert!((600..=700).contains(&tokens), "{tokens}");
        let later = Workload::new(&settings, 1).request(7_654_321);
        let count = |request: &Request| {
            request.messages.iter().map(|m| target.counter.count(&m.text)).sum::<u64>()
        };
        assert_eq!(count(&request), count(&later));
    }
}
