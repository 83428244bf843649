//! The built-in client's work and settings: what contradicts itself, or leaves no time.

use std::time::Duration;

use mock_server::units::Span;
use resilience_core::PolicyMistake;

use super::Checker;
use crate::client::policy;
use crate::scenario::{
    diagnostic::{Diagnostic, quote},
    document::Client,
    strategy::{Backoff, Strategy, Timeouts},
    tree::Step,
};

impl Checker<'_> {
    pub(super) fn client(&mut self, client: &Client) {
        let within = |key: &'static str| [Step::Key("client"), Step::Key(key)];
        if client.arrivals.is_some() {
            for (key, given) in [
                ("calls", client.calls.is_some()),
                ("concurrency", client.concurrency.is_some()),
                ("think", client.think.is_some()),
            ] {
                if given {
                    let message = format!("`{key}` cannot stand beside `arrivals`");
                    let diagnostic = Diagnostic::new(message, self.tree.key_place(&within(key)))
                        .note(
                            self.tree.key_place(&within("arrivals")),
                            "this says how many calls come, and when",
                        )
                        .help("choose one of them");
                    self.diagnostics.push(diagnostic);
                }
            }
        }
        if let Some(arrivals) = client.arrivals {
            let calls = arrivals.r#for.0.as_nanos() / arrivals.rate.interval().as_nanos().max(1);
            if arrivals.r#for.0.is_zero() {
                let message = "no call arrives in 0s".to_owned();
                self.at(&within("arrivals"), message, "let `for` be longer");
            }
            if calls > ARRIVALS_MAX {
                let message = format!("{calls} calls are more than {ARRIVALS_MAX}");
                self.at(&within("arrivals"), message, "lower the rate or the time");
            }
        }
        self.strategy(&client.strategy(), &[Step::Key("client")]);
        for (index, target) in client.targets.iter().enumerate() {
            if let Some(first) = client.targets[..index].iter().position(|other| other == target) {
                let item = |index| [Step::Key("client"), Step::Key("targets"), Step::Index(index)];
                let message = format!("target {} is listed twice", quote(&target.to_string()));
                let help = "a call falls back to another target, not to the same one";
                self.twice(&item(index), &item(first), message, help);
            }
        }
    }

    /// A way to cope that can be carried out, under the path of its map.
    pub(super) fn strategy(&mut self, strategy: &Strategy, path: &[Step<'_>]) {
        self.backoff(&strategy.backoff, path);
        self.timeouts(&strategy.timeouts, path);
        for mistake in policy(strategy).mistakes() {
            let (key, help): (&[&str], _) = match mistake {
                PolicyMistake::Breaker(_) => (&["breaker"], "change it, or leave it out"),
                PolicyMistake::Budget(_) => (&["budget"], "change it, or leave it out"),
                PolicyMistake::Concurrency(_) => {
                    (&["adaptive-concurrency"], "change it, or leave it out")
                }
                PolicyMistake::Hedge(_) => (&["hedge"], "change it, or leave it out"),
                PolicyMistake::MultiplierBelowOne { .. } => {
                    (&["backoff", "multiplier"], "write `1x` for waits that do not grow")
                }
                PolicyMistake::Shed(_) => (&["throttle"], "change it, or leave it out"),
                PolicyMistake::SpreadReversed { .. } => {
                    (&["hint-spread"], "let `at-least` be no longer than `at-most`")
                }
                // These have been found above, in the words of the language.
                _ => continue,
            };
            let keys = key.iter().map(|key| Step::Key(key));
            let path: Vec<Step<'_>> = path.iter().copied().chain(keys).collect();
            self.at(&path, mistake.to_string(), help);
        }
    }

    /// The first wait is not longer than the longest, also where one of them is left out.
    fn backoff(&mut self, backoff: &Backoff, path: &[Step<'_>]) {
        let within = |key: &'static str| [path, &[Step::Key("backoff"), Step::Key(key)]].concat();
        let (base, cap) = (backoff.base.unwrap_or(BASE), backoff.cap.unwrap_or(CAP));
        if base <= cap {
            return;
        }
        let message = format!("backoff base {base} is longer than its cap {cap}");
        match (backoff.base, backoff.cap) {
            (Some(_), None) => {
                let help = "let the base be shorter, or set a `cap`: it is 60s if left out";
                self.at(&within("base"), message, help);
            }
            (None, _) => {
                let help = "let the cap be longer, or set a `base`: it is 1s if left out";
                self.at(&within("cap"), message, help);
            }
            (Some(_), Some(_)) => {
                self.at(&within("base"), message, "let the cap be at least the base");
            }
        }
    }

    fn timeouts(&mut self, timeouts: &Timeouts, path: &[Step<'_>]) {
        for (key, timeout) in [
            ("connect", timeouts.connect),
            ("first-token", timeouts.first_token),
            ("idle", timeouts.idle),
            ("attempt", timeouts.attempt),
            ("call", timeouts.call),
        ] {
            if timeout.is_some_and(|timeout| timeout.0.is_zero()) {
                let path = [path, &[Step::Key("timeouts"), Step::Key(key)]].concat();
                let message = format!("the `{key}` timeout of 0s is over before it begins");
                self.at(&path, message, "give it some time, or leave it out");
            }
        }
    }
}

/// The client's longest first wait, unless it is set.
const BASE: Span = Span(Duration::from_secs(1));
/// The client's longest wait, unless it is set.
const CAP: Span = Span(Duration::from_secs(60));
/// The most calls that come at a rate: a lab plays more than a journal could hold.
const ARRIVALS_MAX: u128 = 10_000_000;
