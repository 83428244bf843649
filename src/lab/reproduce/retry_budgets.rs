//! How much retries multiply a load, and what bounds them: on the client core's own [`Budget`].

use std::time::Duration;

use resilience_core::{
    BudgetSettings, Class, Nanos, Phase,
    parts::{Budget, Withdrawal},
};

use super::{Anchor, Cell, Claim, Parameter, Reproduction, Settings, Setup, Tolerance};
use crate::lab::{Chance, statistics::number};

/// Amplification, and the budgets of the SRE book, the AWS SDKs and gRPC.
pub(super) const ANCHOR: Anchor = Anchor {
    name: "retry-budgets",
    title: "what retries add to a load: without a bound, through layers, and under five budgets",
    source: "Site Reliability Engineering, O'Reilly 2016, chapters 21 and 22, https://sre.google/sre-book/handling-overload/; Amazon Builders' Library, Timeouts, retries, and backoff with jitter; AWS SDKs and Tools Reference Guide, Retry behavior; gRPC proposal A6",
    parameters: &[
        Parameter {
            name: "requests",
            about: "requests in each run",
            default: &[1e5],
            least: 1.0,
            most: 1e8,
            whole: true,
        },
        Parameter {
            name: "rate",
            about: "requests per second",
            default: &[100.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "failure",
            about: "which share of the attempts fails",
            default: &[0.05, 0.3, 0.5, 0.9, 0.999],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
        Parameter {
            name: "attempts",
            about: "how often a request is sent at most",
            default: &[3.0],
            least: 1.0,
            most: 10.0,
            whole: true,
        },
        Parameter {
            name: "budget-percent",
            about: "how many retries there may be for a hundred requests of a client",
            default: &[10.0],
            least: 1.0,
            most: 1e5,
            whole: true,
        },
        Parameter {
            name: "budget-saved",
            about: "how many of these retries can be saved up",
            default: &[100.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "retries-per-s",
            about: "retries per second of a process with a budget of its own: 60 per minute",
            default: &[1.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "layers",
            about: "layers in each stack in which every layer retries",
            default: &[3.0, 5.0],
            least: 0.0,
            most: 6.0,
            whole: true,
        },
        Parameter {
            name: "layer-attempts",
            about: "attempts of each layer, for each stack",
            default: &[4.0, 3.0],
            least: 1.0,
            most: 6.0,
            whole: true,
        },
        Parameter {
            name: "cascade-capacity",
            about: "requests per second that the overloaded service answers",
            default: &[10_000.0],
            least: 0.0,
            most: 1e9,
            whole: true,
        },
        Parameter {
            name: "cascade-rate",
            about: "requests per second that it gets, retries not counted",
            default: &[10_100.0],
            least: 0.0,
            most: 1e9,
            whole: true,
        },
        Parameter {
            name: "cascade-s",
            about: "seconds, from 0, in which its attempts are counted",
            default: &[0.0, 1.0, 10.0, 60.0],
            least: 0.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "aws-tokens",
            about: "tokens of an AWS SDK's retry quota",
            default: &[500.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "aws-gain",
            about: "tokens for a success without retry",
            default: &[1.0],
            least: 0.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "aws-classic-cost",
            about: "tokens for a retry, and for one after a timeout, until 2026",
            default: &[5.0, 10.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "aws-2026-cost",
            about: "tokens for a retry, and for one after a rate limit, as revised in 2026",
            default: &[14.0, 5.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "aws-failure",
            about: "which share of the requests fails whatever is tried, to see what is sustained",
            default: &[0.5],
            least: 0.01,
            most: 0.99,
            whole: false,
        },
        Parameter {
            name: "grpc-tokens",
            about: "gRPC's maxTokens",
            default: &[10.0],
            least: 1.0,
            most: 1e3,
            whole: true,
        },
        Parameter {
            name: "grpc-ratio-milli",
            about: "gRPC's tokenRatio, in thousandths of a token for a success",
            default: &[100.0],
            least: 1.0,
            most: 1e6,
            whole: true,
        },
        Parameter {
            name: "grpc-failure",
            about: "which shares of the attempts fail: one that the ratio makes up for, and one that it does not",
            default: &[0.02, 0.3],
            least: 0.0,
            most: 1.0,
            whole: false,
        },
    ],
    runs: 20,
    run: |setup| reproduce(&Model { setup, make: |rule| rule }),
};

/// How it is all run.
#[derive(Clone, Copy, Debug)]
struct Model<'a> {
    setup: &'a Setup<'a>,
    /// What is made of a budget's settings: nothing else than they say.
    make: fn(BudgetSettings) -> BudgetSettings,
}

impl Model<'_> {
    fn client(&self, budget: Option<BudgetSettings>) -> Client {
        let settings = self.setup.settings;
        let make =
            |budget| Budget::new((self.make)(budget)).expect("the parameters' ranges are sound");
        Client {
            attempts: settings.whole("attempts"),
            budget: budget.map(make),
            gap: Duration::from_secs(1) / settings.whole("rate"),
            now: Nanos::ZERO,
        }
    }
}

/// A client that retries as long as attempts and budget allow; answers come at once.
#[derive(Clone, Debug)]
struct Client {
    attempts: u32,
    budget: Option<Budget>,
    gap: Duration,
    now: Nanos,
}

/// What a client's requests came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    requests: u32,
    retries: u32,
    successes: u32,
}

impl Client {
    /// Makes one request, whose attempts end so, and then waits for the next.
    fn call(&mut self, tally: &mut Tally, mut attempt: impl FnMut() -> Result<(), Class>) {
        let now = self.now;
        self.now = now + self.gap;
        tally.requests += 1;
        if let Some(budget) = &mut self.budget {
            budget.began(now);
        }
        let mut paid = None;
        for left in (0..self.attempts).rev() {
            let result = attempt();
            if let Some(budget) = &mut self.budget {
                budget.ended(result, paid.take(), now);
            }
            match result {
                Ok(()) => {
                    tally.successes += 1;
                    break;
                }
                Err(class) if left > 0 && self.pays(class, &mut paid) => tally.retries += 1,
                Err(_) => break,
            }
        }
        if let Some(budget) = &mut self.budget {
            budget.call_ended();
        }
    }

    fn pays(&mut self, class: Class, paid: &mut Option<Withdrawal>) -> bool {
        let Some(budget) = &mut self.budget else { return true };
        *paid = budget.withdraw(class, self.now).ok();
        paid.is_some()
    }

    /// Makes so many requests, the attempts of which end so.
    fn calls(mut self, requests: u32, mut attempt: impl FnMut() -> Result<(), Class>) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..requests {
            self.call(&mut tally, &mut attempt);
        }
        tally
    }
}

impl Tally {
    fn amplification(&self) -> f64 {
        1.0 + f64::from(self.retries) / f64::from(self.requests)
    }
}

fn reproduce(model: &Model<'_>) -> Reproduction {
    let mut shown = Reproduction::default();
    amplify(model, &mut shown);
    keep_to_a_rate(model, &mut shown);
    stack(model, &mut shown);
    cascade(model.setup.settings, &mut shown);
    spend_aws_tokens(model, &mut shown);
    spend_grpc_tokens(model, &mut shown);
    shown.notes.push(format!(
        "the budget of {} % is `BudgetSettings::Ratio` with nothing per second and nothing at the start; that per process is `Ratio` with nothing per request and one retry saved up; the AWS SDKs' are `BudgetSettings::aws_classic()` and `aws_2026()`; gRPC's is `BudgetSettings::Grpc`",
        model.setup.settings.whole("budget-percent"),
    ));
    shown.notes.push(
        "`BudgetSettings::default()`, the core's own, is the same share with a hundred retries at the start and one per second beside it: its amplification is exported, and nothing is published for it"
            .to_owned(),
    );
    shown
        .notes
        .push("the AWS SDKs' waits between attempts change no count, and are left out".to_owned());
    shown
}

/// Independent failures: without a budget, with the published one, and with the core's own.
fn amplify(model: &Model<'_>, shown: &mut Reproduction) {
    let Model { setup, .. } = *model;
    let settings = setup.settings;
    let (requests, attempts) = (settings.whole("requests"), settings.whole("attempts"));
    let percent = settings.whole("budget-percent");
    let share = f64::from(percent) / 100.0;
    let ratio = of_requests(settings);
    let mut cases = Vec::new();
    for &failure in settings.all("failure") {
        cases.extend(
            [None, Some(ratio), Some(BudgetSettings::default())].map(|rule| (failure, rule)),
        );
    }
    let runs = setup.runs(&cases, |(failure, rule), run| {
        let mut chance = Chance::new(setup.seed, run, 0);
        model.client(*rule).calls(requests, || server(chance.happens(*failure)))
    });
    for ((failure, rule), tallies) in cases.iter().zip(runs) {
        let unbounded = most_amplified(*failure, attempts);
        let values: Vec<f64> = tallies.iter().map(Tally::amplification).collect();
        let name = match rule {
            None => "none".to_owned(),
            Some(rule) if *rule == ratio => format!("{percent} %"),
            Some(_) => "the core's default".to_owned(),
        };
        let near = Tolerance::Relative(0.02);
        let what = format!("amplification, failure {failure}, budget: {name}");
        match rule {
            None => shown.claims.push(Claim::of_runs(what, unbounded, &values, near)),
            Some(rule) if *rule == ratio => {
                let expected = unbounded.min(1.0 + share);
                shown.claims.push(Claim::of_runs(what, expected, &values, near));
                // In whole numbers, so that nothing is rounded.
                let beyond = |tally: &Tally| {
                    let earned = u64::from(tally.requests) * u64::from(percent);
                    (u64::from(tally.retries) * 100).saturating_sub(earned)
                };
                let most = tallies.iter().map(beyond).max().unwrap_or(0);
                let what =
                    format!("retries beyond {name} of the requests in any run, failure {failure}");
                shown.claims.push(Claim::exact(what, 0.0, number(most) / 100.0));
            }
            Some(_) => {}
        }
        shown.cells.push(cell(&name, &format!("failure {failure}"), "amplification", values));
    }
}

/// A budget for a whole process: so many retries per minute, however much fails.
fn keep_to_a_rate(model: &Model<'_>, shown: &mut Reproduction) {
    let settings = model.setup.settings;
    let per_sec = settings.whole("retries-per-s");
    let rule = BudgetSettings::Ratio {
        ratio_ppm: 0,
        retries_per_sec_min: per_sec,
        retries_max: 1,
        retries_initial: 1,
    };
    let mut client = model.client(Some(rule));
    let minutes = (0..MINUTES).map(|_| {
        let mut tally = Tally::default();
        let until = client.now + Duration::from_mins(1);
        while client.now < until {
            client.call(&mut tally, || server(true));
        }
        f64::from(tally.retries)
    });
    let minutes: Vec<f64> = minutes.collect();
    // Faster than requests come, there is nothing to retry.
    let published = 60.0 * f64::from(per_sec.min(settings.whole("rate")));
    let most = minutes.iter().copied().fold(0.0, f64::max);
    // Retries wait for the next request, and for whole nanoseconds.
    let near = Tolerance::Relative(0.02);
    let claim = Claim::exact("retries in the worst minute of a process", published, most);
    shown.claims.push(Claim { tolerance: near, ..claim });
    let name = format!("{per_sec}/s per process");
    for (minute, retries) in minutes.into_iter().enumerate() {
        shown.cells.push(cell(&name, &format!("minute {minute}"), "retries", vec![retries]));
    }
}

/// Layers that retry independently, above a bottom that fails always.
fn stack(model: &Model<'_>, shown: &mut Reproduction) {
    let settings = model.setup.settings;
    let layers = settings.all_whole("layers");
    let attempts = settings.all_whole("layer-attempts");
    for (layers, attempts) in layers.into_iter().zip(attempts) {
        let exponent = i32::try_from(layers).unwrap_or(i32::MAX);
        let case = format!("{layers} layers of {attempts} attempts");
        let unbounded = Client { attempts, ..model.client(None) };
        let budget = Client { attempts, ..model.client(Some(of_requests(settings))) };
        let share = f64::from(settings.whole("budget-percent")) / 100.0;
        let bounded = (1.0 + share).min(f64::from(attempts)).powi(exponent);
        for (name, client, requests, expected, tolerance) in [
            ("none", unbounded, 1, f64::from(attempts).powi(exponent), Tolerance::Relative(1e-9)),
            ("in each layer", budget, LAYERED, bounded, Tolerance::Relative(0.02)),
        ] {
            let mut clients = vec![client; usize::try_from(layers).unwrap_or(0)];
            let reached: u64 = (0..requests).map(|_| at_the_bottom(&mut clients)).sum();
            let value = number(reached) / f64::from(requests);
            let what = format!("attempts at the bottom per request, {case}, budget: {name}");
            shown.claims.push(Claim { tolerance, ..Claim::exact(what, expected, value) });
            shown.cells.push(cell(name, &case, "amplification", vec![value]));
        }
    }
}

/// One request through all layers: how many attempts reach the bottom.
fn at_the_bottom(layers: &mut [Client]) -> u64 {
    let Some((first, below)) = layers.split_first_mut() else { return 1 };
    let mut reached = 0;
    first.call(&mut Tally::default(), || {
        reached += at_the_bottom(below);
        server(true)
    });
    reached
}

/// An overload of one percent, each rejected attempt of which comes back a second later: a fluid.
fn cascade(settings: &Settings, shown: &mut Reproduction) {
    let capacity = u64::from(settings.whole("cascade-capacity"));
    let offered = u64::from(settings.whole("cascade-rate"));
    let excess = offered.saturating_sub(capacity);
    for second in settings.all_whole("cascade-s") {
        let (mut attempts, mut rejected) = (0, 0);
        for _ in 0..=second {
            attempts = offered + rejected;
            rejected = attempts.saturating_sub(capacity);
        }
        let second_published = u64::from(second);
        for (metric, published, ours) in [
            ("attempts", offered + excess * second_published, attempts),
            ("rejections", excess * (second_published + 1), rejected),
        ] {
            let what = format!("{metric} in second {second} of a cascade");
            shown.claims.push(Claim::exact(what, number(published), number(ours)));
            let values = vec![number(ours)];
            shown.cells.push(cell("none", &format!("cascade, second {second}"), metric, values));
        }
    }
}

/// The retry quota of the AWS SDKs: a total failure, and what is sustained beside successes.
fn spend_aws_tokens(model: &Model<'_>, shown: &mut Reproduction) {
    let Model { setup, .. } = *model;
    let settings = setup.settings;
    let (tokens, gain) = (settings.whole("aws-tokens"), settings.whole("aws-gain"));
    let requests = settings.whole("requests");
    let failure = settings.one("aws-failure");
    for (name, rule) in [("AWS classic", aws_classic(settings)), ("AWS 2026", aws_2026(settings))] {
        let BudgetSettings::Aws { retry_cost, timeout_cost, rate_limited_cost, .. } = rule else {
            continue;
        };
        for (case, class, cost) in [
            ("every attempt fails", Class::Server, retry_cost),
            ("every attempt times out", Class::Timeout { phase: Phase::Attempt }, timeout_cost),
            (
                "every attempt is rate limited",
                Class::RateLimited { dimension: None },
                rate_limited_cost,
            ),
        ] {
            let client = model.client(Some(rule));
            let tally = client.calls(tokens, || Err(class));
            let published = if settings.whole("attempts") > 1 { tokens / cost } else { 0 };
            let what = format!("retries until there are none, {name}, {case}");
            let ours = f64::from(tally.retries);
            shown.claims.push(Claim::exact(what, f64::from(published), ours));
            shown.cells.push(cell(name, case, "retries", vec![ours]));
        }
        let tallies = setup.runs(&[rule], |rule, run| {
            let mut chance = Chance::new(setup.seed, run, 0);
            let (mut client, mut tally) = (model.client(Some(*rule)), Tally::default());
            for _ in 0..requests {
                let fails = chance.happens(failure);
                client.call(&mut tally, || server(fails));
            }
            tally
        });
        let sustained = |tally: &Tally| {
            let at_first = f64::from(tokens / retry_cost);
            (f64::from(tally.retries) - at_first) / f64::from(tally.successes)
        };
        let values: Vec<f64> = tallies[0].iter().map(sustained).collect();
        let wanted = failure * f64::from(settings.whole("attempts") - 1) / (1.0 - failure);
        let published = f64::from(gain) / f64::from(retry_cost);
        // Otherwise the quota bounds nothing.
        if published < wanted {
            let near = Tolerance::Relative(0.02);
            let what = format!("sustained retries per success, {name}");
            shown.claims.push(Claim::of_runs(what, published, &values, near));
        }
        let case = format!("{failure} of the requests fail");
        shown.cells.push(cell(name, &case, "retries_per_success", values));
    }
}

/// gRPC's throttling: a total failure, and failures on both sides of what the ratio makes up for.
fn spend_grpc_tokens(model: &Model<'_>, shown: &mut Reproduction) {
    let Model { setup, .. } = *model;
    let settings = setup.settings;
    let (requests, attempts) = (settings.whole("requests"), settings.whole("attempts"));
    let tokens = settings.whole("grpc-tokens");
    let ratio_milli = settings.whole("grpc-ratio-milli");
    let rule =
        BudgetSettings::Grpc { tokens_max_milli: tokens * 1_000, token_ratio_milli: ratio_milli };
    let tally = model.client(Some(rule)).calls(requests, || server(true));
    // After n failures M - n tokens are left, and more than M / 2 are needed; nothing follows the last attempt of a call.
    let failures = tokens.div_ceil(2) - 1;
    let published = failures - failures / attempts;
    let ours = f64::from(tally.retries);
    let what = "retries until there are none, gRPC, every attempt fails";
    shown.claims.push(Claim::exact(what, f64::from(published), ours));
    shown.cells.push(cell("gRPC", "every attempt fails", "retries", vec![ours]));

    let ratio = f64::from(ratio_milli) / 1_000.0;
    let made_up_for = ratio / (1.0 + ratio);
    let failures = settings.all("grpc-failure");
    let runs = setup.runs(failures, |failure, run| {
        let mut chance = Chance::new(setup.seed, run, 0);
        model.client(Some(rule)).calls(requests, || server(chance.happens(*failure)))
    });
    for (&failure, tallies) in failures.iter().zip(runs) {
        let values: Vec<f64> = tallies.iter().map(Tally::amplification).collect();
        // Near the share that is made up for, the tokens go up and down.
        let published = match failure / made_up_for {
            share if share <= 0.5 => Some(most_amplified(failure, attempts)),
            share if share >= 2.0 => Some(1.0),
            _ => None,
        };
        if let Some(published) = published {
            let near = Tolerance::Relative(0.02);
            let what = format!("amplification, failure {failure}, budget: gRPC");
            shown.claims.push(Claim::of_runs(what, published, &values, near));
        }
        shown.cells.push(cell("gRPC", &format!("failure {failure}"), "amplification", values));
    }
    shown.notes.push(format!(
        "gRPC's tokens run out where failures cost more than successes earn, above a failure share of {ratio} / {} = {made_up_for:.3}; far above it no retry is left at all",
        1.0 + ratio,
    ));
}

/// The budget of a client in proportion to its requests.
fn of_requests(settings: &Settings) -> BudgetSettings {
    BudgetSettings::Ratio {
        ratio_ppm: settings.whole("budget-percent") * PPM_PER_PERCENT,
        retries_per_sec_min: 0,
        retries_max: settings.whole("budget-saved"),
        retries_initial: 0,
    }
}

fn aws_classic(settings: &Settings) -> BudgetSettings {
    let costs = settings.all_whole("aws-classic-cost");
    let (retry, timeout) = (costs[0], *costs.last().unwrap_or(&costs[0]));
    aws(settings, [retry, timeout, retry])
}

fn aws_2026(settings: &Settings) -> BudgetSettings {
    let costs = settings.all_whole("aws-2026-cost");
    let (retry, limited) = (costs[0], *costs.last().unwrap_or(&costs[0]));
    aws(settings, [retry, retry, limited])
}

/// The quota with these costs of a retry: usually, after a timeout, and after a rate limit.
fn aws(settings: &Settings, costs: [u32; 3]) -> BudgetSettings {
    let capacity = settings.whole("aws-tokens");
    let [retry_cost, timeout_cost, rate_limited_cost] = costs.map(|cost| cost.min(capacity));
    BudgetSettings::Aws {
        capacity,
        initial: capacity,
        retry_cost,
        timeout_cost,
        rate_limited_cost,
        success_gain: settings.whole("aws-gain"),
    }
}

/// What independent failures amplify by, if nothing but the number of attempts bounds them: 1 + f + f² for three.
fn most_amplified(failure: f64, attempts: u32) -> f64 {
    (0..attempts).rev().fold(0.0, |sum, _| 1.0 + failure * sum)
}

fn server(fails: bool) -> Result<(), Class> {
    if fails { Err(Class::Server) } else { Ok(()) }
}

fn cell(budget: &str, case: &str, metric: &'static str, values: Vec<f64>) -> Cell {
    let labels = vec![("budget", budget.to_owned()), ("case", case.to_owned())];
    Cell { labels, metric, values }
}

const PPM_PER_PERCENT: u32 = 10_000;

/// How long a process with a budget of its own is watched.
const MINUTES: u32 = 10;

/// Requests through layers with budgets, which need some to have a share of.
const LAYERED: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{
        Crew, Progress,
        reproduce::{broken, shown},
    };

    const FEW: (&str, &str) = ("requests", "20000");

    fn published(what: &str, shown: &Reproduction) -> f64 {
        let claim = shown.claims.iter().find(|claim| claim.what == what);
        claim.unwrap_or_else(|| panic!("{what}: {:#?}", shown.claims)).published
    }

    #[test]
    fn every_claim_holds() {
        let shown = shown(&ANCHOR, 4, 2, &[FEW]);
        assert_eq!(broken(&shown), [""; 0]);
        for (what, figure) in [
            ("attempts at the bottom per request, 3 layers of 4 attempts, budget: none", 64.0),
            ("attempts at the bottom per request, 5 layers of 3 attempts, budget: none", 243.0),
            ("amplification, failure 0.5, budget: none", 1.75),
            ("amplification, failure 0.5, budget: 10 %", 1.1),
            ("retries in the worst minute of a process", 60.0),
            ("attempts in second 10 of a cascade", 11_100.0),
            ("rejections in second 10 of a cascade", 1_100.0),
            ("retries until there are none, AWS classic, every attempt fails", 100.0),
            ("retries until there are none, AWS classic, every attempt times out", 50.0),
            ("retries until there are none, AWS 2026, every attempt fails", 35.0),
            ("retries until there are none, AWS 2026, every attempt is rate limited", 100.0),
            ("sustained retries per success, AWS classic", 0.2),
            ("retries until there are none, gRPC, every attempt fails", 3.0),
        ] {
            assert!((published(what, &shown) - figure).abs() < 1e-9, "{what}");
        }
    }

    #[test]
    fn a_budget_that_does_not_keep_to_its_settings_is_noticed() {
        let check = |name: &str, make: fn(BudgetSettings) -> BudgetSettings| {
            let settings = ANCHOR.settings(&[(FEW.0.to_owned(), FEW.1.to_owned())]).unwrap();
            let (crew, progress) = (Crew::of_this_machine(), Progress::default());
            let setup = Setup { seed: 1, runs: 2, crew, settings: &settings, progress: &progress };
            let shown = reproduce(&Model { setup: &setup, make });
            assert!(broken(&shown).iter().any(|what| what.contains(name)), "{name}");
        };
        check("10 %", |rule| match rule {
            BudgetSettings::Ratio { ratio_ppm, retries_per_sec_min, retries_max, .. } => {
                BudgetSettings::Ratio {
                    ratio_ppm,
                    retries_per_sec_min,
                    retries_max,
                    retries_initial: retries_max,
                }
            }
            rule => rule,
        });
        check("AWS 2026", |rule| match rule {
            BudgetSettings::Aws { retry_cost: 14, .. } => BudgetSettings::aws_classic(),
            rule => rule,
        });
        check("gRPC", |rule| match rule {
            BudgetSettings::Grpc { token_ratio_milli, .. } => {
                BudgetSettings::Grpc { tokens_max_milli: 20_000, token_ratio_milli }
            }
            rule => rule,
        });
    }

    #[test]
    fn the_published_quotas_are_the_shipped_ones() {
        let settings = ANCHOR.settings(&[]).unwrap();
        assert_eq!(aws_classic(&settings), BudgetSettings::aws_classic());
        assert_eq!(aws_2026(&settings), BudgetSettings::aws_2026());
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let few = [("requests", "500")];
        assert_eq!(shown(&ANCHOR, 4, 1, &few), shown(&ANCHOR, 4, 3, &few));
    }
}
