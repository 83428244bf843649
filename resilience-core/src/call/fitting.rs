//! How long the conversation is for a target, and making it shorter.

use std::sync::Arc;

use super::Call;
use crate::limiter::{Cost, Quota};
use crate::message::Message;
use crate::pool::Pool;
use crate::time::Nanos;
use crate::trace::What;
use crate::truncate;

impl Call {
    pub(super) fn messages(&self, target: usize) -> Arc<[Message]> {
        Arc::clone(self.tries[target].messages.as_ref().unwrap_or(&self.request.messages))
    }

    /// What an attempt on this target uses up; tokens are counted only where a quota counts them.
    pub(super) fn cost(&mut self, target: usize, pool: &Pool) -> Cost {
        if let Some(cost) = self.tries[target].cost {
            return cost;
        }
        let described = &pool.targets()[target];
        let counted = described.quota.as_ref().is_some_and(Quota::counts_tokens);
        let cost = if counted {
            let window = self.request.window_in(described.window);
            let counts = truncate::counts(&self.messages(target), &window, &*described.counter);
            Cost::request(counts.into_iter().fold(0, u64::saturating_add), window.output)
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
        let window = self.request.window_in(described.window);
        let fit = truncate::fit(&self.request.messages, &window, &*described.counter)?;
        self.adopt(target, &fit, now);
        Ok(())
    }

    /// After an overflow: shortens the conversation for the same target, once.
    pub(super) fn shorten(
        &mut self,
        target: usize,
        limit: Option<u64>,
        requested: Option<u64>,
        pool: &Pool,
        now: Nanos,
    ) -> bool {
        let before = std::mem::replace(&mut self.tries[target].fitting, Fitting::Overflowed);
        if before == Fitting::Overflowed {
            return false;
        }
        let described = &pool.targets()[target];
        let mut window = self.request.window_in(described.window);
        let messages = self.messages(target);
        let counts = truncate::counts(&messages, &window, &*described.counter);
        let total = counts.iter().copied().fold(0, u64::saturating_add);
        // Some providers count the answer's share in; the likelier reading is the one nearer to our own count.
        let requested = requested.unwrap_or(total);
        let input = requested.saturating_sub(window.output);
        let with_output = input.abs_diff(total) < requested.abs_diff(total);
        let counted = if with_output { input } else { requested };
        if let Some(limit) = limit.filter(|limit| *limit < window.tokens) {
            if !with_output && self.request.output_max.is_none() {
                // Reserves for a large window would leave nothing of a small one.
                window.output = scaled(window.output, limit, window.tokens);
                window.buffer = scaled(window.buffer, limit, window.tokens);
            }
            window.tokens = limit;
        }
        let mut budget = window.budget();
        if counted > total {
            // The provider counts more than we do; our budget shrinks in the same proportion.
            budget = scaled(budget, total, counted);
        }
        if total <= budget {
            // By our count it fits, so our count is too low by we know not how much.
            budget = total - total / 10;
        }
        match truncate::fit_counted(&messages, &counts, &window, budget) {
            Ok(fit) if !fit.dropped.is_empty() => {
                self.adopt(target, &fit, now);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn adopt(&mut self, target: usize, fit: &truncate::Fit, now: Nanos) {
        if fit.dropped.is_empty() {
            return;
        }
        let messages = self.messages(target);
        let tried = &mut self.tries[target];
        let original = |index: &usize| tried.kept.as_ref().map_or(*index, |kept| kept[*index]);
        let dropped = fit.dropped.iter().map(original).collect();
        let kept = fit.kept.iter().map(original).collect();
        tried.messages = Some(fit.of(&messages).into());
        tried.kept = Some(kept);
        tried.cost = None;
        let truncate::Fit { tokens_before, tokens, .. } = *fit;
        self.trace.push(What::Truncated { target, dropped, tokens_before, tokens }, now);
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
