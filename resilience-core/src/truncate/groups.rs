//! What belongs together in a conversation.

use std::collections::BTreeMap;

use crate::message::{Message, Role};

/// For each message the group that it is dropped or kept with.
///
/// An assistant's message that calls tools and the answers right behind it are one group, in whatever order the answers come; every other message is a group of its own.
/// Where roles must alternate, all that follows a turn of the person's, up to the next, is one group with it; only what follows the last turn can be dropped step by step.
///
/// A group is called after its first message, so that a newer group has a larger name.
#[derive(Debug)]
pub(super) struct Groups {
    of: Vec<usize>,
    /// By name: half of a pair.
    broken: Vec<bool>,
}

impl Groups {
    pub(super) fn of(messages: &[Message], alternates: bool) -> Self {
        let mut groups =
            Self { of: (0..messages.len()).collect(), broken: vec![false; messages.len()] };
        let mut next = 0;
        while let Some(message) = messages.get(next) {
            if message.is_result() {
                // Nothing right before it asked for it.
                groups.broken[next] = true;
                next += 1;
            } else if message.calls.is_empty() {
                next += 1;
            } else {
                next = groups.join_answers(messages, next);
            }
        }
        if alternates {
            groups.join_exchanges(messages);
        }
        groups
    }

    /// Joins an assistant's message with the answers behind it, and says what comes after them.
    fn join_answers(&mut self, messages: &[Message], asks: usize) -> usize {
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for call in &messages[asks].calls {
            *open.entry(&call.id).or_default() += 1;
        }
        let mut left = messages[asks].calls.len();
        let mut next = asks + 1;
        while let Some(answer) = messages.get(next).filter(|message| message.is_result()) {
            let wanted = match &answer.answers {
                Some(id) => open.get_mut(&**id),
                // An answer without an id is to whichever call is still open.
                None => open.values_mut().find(|count| **count > 0),
            };
            match wanted {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    left -= 1;
                    self.of[next] = asks;
                }
                _ => self.broken[next] = true,
            }
            next += 1;
        }
        self.broken[asks] = left > 0;
        next
    }

    fn join_exchanges(&mut self, messages: &[Message]) {
        let last = messages.iter().rposition(Message::is_turn).unwrap_or(messages.len());
        let mut exchange = None;
        for (index, message) in messages[..last].iter().enumerate() {
            if message.role == Role::System || self.broken[self.of[index]] {
                continue;
            }
            if message.is_turn() {
                exchange = Some(index);
            }
            self.of[index] = *exchange.get_or_insert(index);
        }
    }

    /// The group of a message.
    pub(super) fn group(&self, message: usize) -> usize {
        self.of[message]
    }

    /// The groups that are no halves of pairs.
    pub(super) fn sound(&self) -> impl DoubleEndedIterator<Item = usize> {
        let groups = self.of.iter().enumerate().filter(|(index, group)| index == *group);
        groups.map(|(index, _)| index).filter(|group| !self.broken[*group])
    }

    /// The messages that are halves of pairs.
    pub(super) fn orphans(&self) -> impl Iterator<Item = usize> {
        let groups = self.of.iter().enumerate();
        groups.filter(|(_, group)| self.broken[**group]).map(|(index, _)| index)
    }

    /// By name, what a group has in all.
    pub(super) fn sizes(&self, each: &[u64]) -> Vec<u64> {
        let mut sizes = vec![0_u64; each.len()];
        for (size, group) in each.iter().zip(&self.of) {
            sizes[*group] = sizes[*group].saturating_add(*size);
        }
        sizes
    }

    /// By name, whether a group must stay.
    pub(super) fn pinned(&self, messages: &[Message], user_first: bool) -> Vec<bool> {
        let mut pinned = vec![false; messages.len()];
        let mut pin = |message: usize| {
            let group = self.of[message];
            pinned[group] |= !self.broken[group];
        };
        let pinned_by_mark = |message: &Message| message.pinned || message.role == Role::System;
        for (index, message) in messages.iter().enumerate() {
            if pinned_by_mark(message) {
                pin(index);
            }
        }
        if let Some(last) = messages.iter().rposition(Message::is_turn) {
            pin(last);
        }
        if user_first {
            let stays =
                |index: &usize| messages[*index].role != Role::System && pinned[self.of[*index]];
            // What would stand first brings the turn with it that it came after.
            if let Some(first) = (0..messages.len()).find(stays)
                && let Some(turn) = messages[..=first].iter().rposition(Message::is_turn)
            {
                pinned[self.of[turn]] = true;
            }
        }
        pinned
    }
}
