//! How long the conversation is for a target, and making it shorter.

use std::sync::Arc;

use super::Call;
use crate::class::Class;
use crate::limiter::{Cost, Quota};
use crate::message::Message;
use crate::outcome::Usage;
use crate::pool::Pool;
use crate::target::{Target, Window};
use crate::time::Nanos;
use crate::tokens::{Bytes, TokenCounter};
use crate::trace::What;
use crate::truncate::{self, Fit, Sizes};

impl Call {
    /// Takes note of what a provider charged for the conversation that this target was sent last, so that an estimate becomes a better one.
    ///
    /// Of use after an answer that came with its [`Usage`]; counters that are no [`Calibrated`](crate::Calibrated) have nothing to learn.
    pub(super) fn learn(&self, target: usize, usage: Usage, pool: &Pool) {
        let (Some(tried), Some(described)) = (self.tries.get(target), pool.targets().get(target))
        else {
            return;
        };
        if let Some(calibrated) = described.counter.calibrated() {
            let messages = tried.messages.as_ref().unwrap_or(&self.request.messages);
            let sizes = self.sizes(messages, &described.window, calibrated.beneath());
            calibrated.observe(sizes.total(), usage.input);
        }
    }

    pub(super) fn messages(&self, target: usize) -> Arc<[Message]> {
        Arc::clone(self.tries[target].messages.as_ref().unwrap_or(&self.request.messages))
    }

    /// The most tokens that the answer may have on this target.
    pub(super) fn output_max(&self, target: usize) -> Option<u64> {
        self.tries[target].output_max.or(self.request.output_max)
    }

    /// What an attempt on this target uses up; tokens are counted only where a quota counts them.
    pub(super) fn cost(&mut self, target: usize, pool: &Pool) -> Cost {
        if let Some(cost) = self.tries[target].cost {
            return cost;
        }
        let described = &pool.targets()[target];
        let counted = described.quota.as_ref().is_some_and(Quota::counts_tokens);
        let cost = if counted {
            let window = self.window(target, described);
            let sizes = self.sizes(&self.messages(target), &window, &*described.counter);
            Cost::request(sizes.total(), window.output)
        } else {
            Cost::request(0, 0)
        };
        self.tries[target].cost = Some(cost);
        cost
    }

    /// Shortens the conversation for a target that was not the caller's first choice, if it is too long there.
    pub(super) fn fit_in(
        &mut self,
        target: usize,
        pool: &Pool,
        now: Nanos,
    ) -> Result<(), truncate::CannotFit> {
        if target == 0 || self.tries[target].fitting != Fitting::Unmeasured {
            return Ok(());
        }
        self.tries[target].fitting = Fitting::Fitted;
        let described = &pool.targets()[target];
        let fit = truncate::fit_request(&self.request, &described.window, &*described.counter)?;
        self.adopt(target, &fit, now);
        Ok(())
    }

    /// After a refusal for its length: makes the request shorter for the same target, once.
    pub(super) fn shorten(
        &mut self,
        target: usize,
        refusal: Class,
        pool: &Pool,
        now: Nanos,
    ) -> bool {
        let before = std::mem::replace(&mut self.tries[target].fitting, Fitting::Overflowed);
        if before == Fitting::Overflowed {
            return false;
        }
        let described = &pool.targets()[target];
        match refusal {
            Class::ContextOverflow { limit, requested }
            | Class::RequestExceedsLimit { limit, requested } => {
                self.shorten_tokens(target, limit, requested, described, now)
            }
            Class::RequestTooLarge => self.shorten_bytes(target, described, now),
            _ => false,
        }
    }

    fn shorten_tokens(
        &mut self,
        target: usize,
        limit: Option<u64>,
        requested: Option<u64>,
        described: &Target,
        now: Nanos,
    ) -> bool {
        let mut window = self.window(target, described);
        let messages = self.messages(target);
        let counter = &*described.counter;
        let sizes = self.sizes(&messages, &window, counter);
        let total = sizes.total();
        let says = requested.is_some();
        // Some providers count the answer's share in; the likelier reading is the one nearer to our own count.
        let requested = requested.unwrap_or(total);
        let input = requested.saturating_sub(window.output);
        let with_output = input.abs_diff(total) < requested.abs_diff(total);
        let charged = if with_output { input } else { requested };
        if says && let Some(calibrated) = counter.calibrated() {
            let beneath = self.sizes(&messages, &window, calibrated.beneath());
            calibrated.observe(beneath.total(), charged);
        }
        let wanted = window.output;
        let room = limit.filter(|_| with_output).map_or(0, |limit| limit.saturating_sub(charged));
        // A shorter answer is better than a shorter memory, unless it would be less than half an answer; a choice of ours.
        if room >= wanted / 2 && self.lower_output(target, room, now) {
            return true;
        }
        if let Some(limit) = limit.filter(|limit| *limit < window.tokens) {
            if !with_output && self.request.output_max.is_none() {
                // Reserves for a large window would leave nothing of a small one.
                window.output = scaled(window.output, limit, window.tokens);
                window.buffer = scaled(window.buffer, limit, window.tokens);
            }
            window.tokens = limit;
        }
        let mut budget = window.budget();
        if charged > total {
            // The provider counts more than we do; our budget shrinks in the same proportion.
            budget = scaled(budget, total, charged);
        }
        if total <= budget {
            // By our count it fits, so our count is too low by we know not how much.
            budget = total - total / 10;
        }
        match truncate::choose(&messages, &sizes, &window, budget, counter) {
            Ok(fit) => self.adopt(target, &fit, now),
            Err(_) => self.lower_output(target, room, now),
        }
    }

    /// Lowers the answer's limit to what there is room for, if the request set one and it is higher.
    fn lower_output(&mut self, target: usize, room: u64, now: Nanos) -> bool {
        if room == 0 || self.output_max(target).is_none_or(|wanted| wanted <= room) {
            return false;
        }
        let tried = &mut self.tries[target];
        tried.output_max = Some(room);
        tried.cost = None;
        self.trace.push(What::OutputLowered { target, output_max: room }, now);
        true
    }

    /// Nobody says how many bytes there may be, so half of them go; if not that many can, as many as can.
    fn shorten_bytes(&mut self, target: usize, described: &Target, now: Nanos) -> bool {
        let window = self.window(target, described);
        let messages = self.messages(target);
        let bytes = Sizes::in_bytes(&messages);
        let choose = |most| truncate::choose(&messages, &bytes, &window, most, &Bytes);
        let total = bytes.total();
        let fit = match choose(total / 2) {
            Err(cannot) if cannot.needed < total => choose(cannot.needed),
            fit => fit,
        };
        let Ok(mut fit) = fit else { return false };
        let tokens =
            |messages: &[Message]| self.sizes(messages, &window, &*described.counter).total();
        fit.tokens_before = tokens(&messages);
        fit.tokens = tokens(&fit.of(&messages));
        self.adopt(target, &fit, now)
    }

    /// The target's window, with the answer that this call asks for there.
    fn window(&self, target: usize, described: &Target) -> Window {
        let window = self.request.window_in(described.window);
        Window { output: self.tries[target].output_max.unwrap_or(window.output), ..window }
    }

    fn sizes(&self, messages: &[Message], window: &Window, counter: &dyn TokenCounter) -> Sizes {
        let fixed = window.framing.fixed(&self.request.tools, counter);
        Sizes::of(messages, fixed, window, counter)
    }

    /// Takes over what a fit keeps, and says whether that is less than before.
    fn adopt(&mut self, target: usize, fit: &Fit, now: Nanos) -> bool {
        if fit.is_whole() {
            return false;
        }
        let messages = self.messages(target);
        let tried = &mut self.tries[target];
        let original = |index: usize| tried.kept.as_ref().map_or(index, |kept| kept[index]);
        let dropped = fit.dropped.iter().map(|index| original(*index)).collect();
        let cut = fit.shortened.iter().map(|cut| (original(cut.message), cut.bytes_cut)).collect();
        let kept = fit.kept.iter().map(|index| original(*index)).collect();
        tried.messages = Some(fit.of(&messages).into());
        tried.kept = Some(kept);
        tried.cost = None;
        let Fit { tokens_before, tokens, .. } = *fit;
        self.trace.push(What::Truncated { target, dropped, cut, tokens_before, tokens }, now);
        true
    }
}

/// `number · part / whole`, for a part that is no larger than the whole.
fn scaled(number: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(number) * u128::from(part) / u128::from(whole);
    u64::try_from(scaled).unwrap_or(number)
}

/// What has been done about the length of a conversation, for one target.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Fitting {
    /// It fits by our own count.
    Fitted,
    /// The target said that it does not fit.
    Overflowed,
    #[default]
    Unmeasured,
}
