//! What goes out on the wire in answer to one request, and when: the form that every fault takes.
//!
//! A timeline is a value. The wire plays it and adds nothing.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    action::{Action, CutEnd, ErrorKind, HintForm},
    answer::{Answer, Mark},
    bill::Bill,
    dialect::{
        self, Dialect, Event, EventKind, Exchange, Fields, Pace, Place, Refusal, Reply, ReplyBody,
    },
    identity::Served,
    plan::{Provider, Service},
    units::Span,
};

/// What goes out, and when.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The head; none if no byte is ever answered.
    pub(crate) head: Option<Head>,
    /// The silence before the head.
    pub(crate) head_after: Duration,
    /// The body.
    pub(crate) body: ReplyBody,
    /// How long its tokens take; none if all of it is there with the head.
    pub(crate) pace: Option<Pace>,
    /// How much later than at the claim it is begun.
    delayed: Duration,
    /// How it ends.
    pub(crate) end: End,
    /// What it is to the client, if it is sent to its end.
    pub(crate) served: Served,
    /// The mark around its text.
    pub(crate) mark: Option<Mark>,
    /// What it is billed.
    pub(crate) bill: Bill,
    /// The wait that it announces, and how.
    pub(crate) announced: Option<(Span, HintForm)>,
}

/// A status with its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers, without Date and framing.
    pub(crate) headers: Fields,
    /// The Content-Length; none if the body is chunked.
    pub(crate) content_length: Option<usize>,
}

/// A part of the body that is written at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// When it is written, counted from the claim. A part that is late does not make the next one
    /// late: a model writes on, whoever reads.
    pub(crate) due: Duration,
    /// The bytes.
    pub(crate) bytes: Bytes,
    /// Whether it is an event of a stream.
    pub(crate) event: bool,
    /// Whether nothing follows it.
    pub(crate) last: bool,
}

/// The parts of a body that are still to be written, in their order.
#[derive(Debug)]
pub(crate) struct Pieces {
    body: ReplyBody,
    pace: Option<Pace>,
    /// When the part before was due.
    at: Duration,
    /// How many tokens are there, and since when.
    tokens: u64,
    spoken: Duration,
}

/// How a timeline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection is closed before the body is whole.
    Close,
    /// As HTTP wants it; the connection stays usable.
    Complete,
    /// Never: nothing more is sent, and nothing is closed.
    Hang,
    /// As HTTP wants it, and then the connection is closed.
    Last,
    /// The connection is reset.
    Reset,
}

/// Composes what a decision looks like on the wire.
pub(crate) fn compose(
    dialect: &dyn Dialect,
    exchange: &Exchange<'_>,
    provider: &Provider,
) -> Timeline {
    let action = &exchange.decision.action;
    if let Some(kind) = action.error() {
        return refused(dialect, exchange, kind, action.case());
    }
    match action {
        Action::Hang(_) => Timeline::silent(End::Hang),
        Action::Reset(_) => Timeline::silent(End::Reset),
        _ if exchange.decision.unknown_model => {
            let Refusal { kind, case, words } = dialect.unknown_model(exchange);
            refused(dialect, &Exchange { words: &words, ..*exchange }, kind, Some(case))
        }
        _ => healthy(dialect, exchange, provider),
    }
}

/// An error instead of the answer.
pub(crate) fn refused(
    dialect: &dyn Dialect,
    exchange: &Exchange<'_>,
    kind: ErrorKind,
    case: Option<&str>,
) -> Timeline {
    let case = dialect::case(dialect, exchange, kind, Place::Answer, case)
        .expect("the engine plays only what the provider knows");
    let mut reply = case.reply(dialect, exchange);
    reply.headers.extend(dialect.hint(exchange));
    let announced = dialect.announced(exchange);
    Timeline { announced, ..Timeline::reply(reply, Served::Error(kind)) }
}

/// The healthy answer, and what may happen to it.
fn healthy(dialect: &dyn Dialect, exchange: &Exchange<'_>, provider: &Provider) -> Timeline {
    let moment = &exchange.moment;
    let own = match &exchange.decision.action {
        Action::Answer(own) => Some(own),
        _ => None,
    };
    let writes = exchange.request.route.service() == Service::Generate;
    let answer = if writes {
        let most = exchange.decision.output_max;
        Answer::new(exchange.request, most, &provider.answers, own, moment.attempt, moment.draws)
    } else {
        Answer::default()
    };
    let pace = exchange.pace;
    let mut timeline = Timeline::reply(dialect.answer(exchange, &answer), Served::Answer);
    timeline.mark.clone_from(&answer.mark);
    timeline.bill = if let ReplyBody::Stream(script) = &timeline.body {
        // The head waits for the first token, unless a sign of life goes out before it.
        if !script.begins_early() {
            timeline.head_after = pace.gap(0);
        }
        timeline.pace = Some(pace);
        Bill::stream(exchange.request, answer, provider, pace, script.texts())
    } else {
        // A JSON answer is sent when its last token is there.
        let pieces = answer.choices.iter().map(|choice| choice.text.pieces().count());
        let tokens = if pace.bursts() { 1 } else { pieces.max().unwrap_or(0) };
        timeline.head_after = pace.whole(u64::try_from(tokens).unwrap_or(u64::MAX));
        Bill::whole(exchange.request, answer, provider, pace, timeline.head_after)
    };
    match &exchange.decision.action {
        Action::CutStream(cut) => {
            timeline.keep_texts(cut.after);
            timeline.end = match cut.end {
                CutEnd::Close => End::Close,
                CutEnd::Quietly => End::Complete,
                CutEnd::Reset => End::Reset,
            };
            timeline.served = Served::Broken;
        }
        Action::StreamError(error) => {
            timeline.keep_texts(error.after);
            let sent = timeline.keep_unfinished().to_string();
            let words = [("events", sent)];
            let exchange = Exchange { words: &words, ..*exchange };
            let name = error.case.as_deref();
            let case = dialect::case(dialect, &exchange, error.error, Place::Stream, name)
                .expect("the engine plays only what the provider knows");
            timeline.push(case.frame(dialect, &exchange), case.after);
            // Recorded: nothing follows an error event, not even on the connection.
            timeline.end = End::Last;
            timeline.served = Served::Broken;
        }
        Action::Truncated(truncated) => {
            if let ReplyBody::Whole(body) = &mut timeline.body {
                let length = body.len();
                body.truncate(truncated.keep.of(length).min(length.saturating_sub(1)));
            }
            timeline.end = End::Close;
            timeline.served = Served::Broken;
        }
        _ => {}
    }
    if let ReplyBody::Stream(script) = &timeline.body {
        timeline.bill.cut(script.texts());
    }
    timeline
}

impl Timeline {
    /// A reply at once and whole.
    pub(crate) fn reply(reply: Reply, served: Served) -> Self {
        let content_length = match &reply.body {
            ReplyBody::Whole(bytes) => Some(bytes.len()),
            ReplyBody::Stream(_) => None,
        };
        let head = Head { status: reply.status, headers: reply.headers, content_length };
        Self {
            head: Some(head),
            head_after: Duration::ZERO,
            body: reply.body,
            pace: None,
            delayed: Duration::ZERO,
            end: End::Complete,
            served,
            mark: None,
            bill: Bill::default(),
            announced: None,
        }
    }

    /// Nothing, ever, and then the end.
    pub(crate) fn silent(end: End) -> Self {
        Self {
            head: None,
            head_after: Duration::ZERO,
            body: ReplyBody::Whole(Bytes::new()),
            pace: None,
            delayed: Duration::ZERO,
            end,
            served: Served::Broken,
            mark: None,
            bill: Bill::default(),
            announced: None,
        }
    }

    /// Keeps a number of events with text; the opening ones stay, and at least one is held back.
    fn keep_texts(&mut self, texts: u32) {
        match &mut self.body {
            ReplyBody::Whole(bytes) => bytes.clear(),
            ReplyBody::Stream(script) => {
                script.keep_texts(usize::try_from(texts).unwrap_or(usize::MAX));
            }
        }
    }

    /// Leaves out what a stream says after its last text: that, and how, it is finished. Returns
    /// how many events are left.
    fn keep_unfinished(&mut self) -> usize {
        match &mut self.body {
            ReplyBody::Whole(_) => 0,
            ReplyBody::Stream(script) => {
                script.keep_unfinished();
                script.events()
            }
        }
    }

    /// Adds an event, so long after the one before it.
    fn push(&mut self, bytes: Bytes, after: Duration) {
        match &mut self.body {
            ReplyBody::Whole(body) => *body = bytes,
            ReplyBody::Stream(script) => {
                script.push(Event { bytes, kind: EventKind::Beat(after) });
            }
        }
    }

    /// How long it takes by itself; none if it is no answer.
    pub(crate) fn service(&self) -> Option<Duration> {
        if self.head.is_none() || !matches!(self.served, Served::Answer | Served::Broken) {
            return None;
        }
        let (ReplyBody::Stream(script), Some(pace)) = (&self.body, self.pace) else {
            return Some(self.head_after);
        };
        let texts = script.texts();
        let spoken = if texts == 0 {
            self.head_after
        } else {
            pace.whole(u64::try_from(texts).unwrap_or(u64::MAX))
        };
        Some(spoken + script.silence_at_end())
    }

    /// Begins it so much later.
    pub(crate) fn delay(&mut self, later: Duration) {
        self.head_after += later;
        self.delayed += later;
        self.bill.delay(later);
    }

    /// Takes out what is to be written behind the head.
    pub(crate) fn pieces(&mut self) -> Pieces {
        Pieces {
            body: std::mem::replace(&mut self.body, ReplyBody::Whole(Bytes::new())),
            pace: self.pace,
            at: self.head_after,
            tokens: 0,
            spoken: self.delayed,
        }
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let script = match &mut self.body {
            ReplyBody::Whole(bytes) if bytes.is_empty() => return None,
            ReplyBody::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                return Some(Piece { due: self.at, bytes, event: false, last: true });
            }
            ReplyBody::Stream(script) => script,
        };
        match (script.next_kind()?, self.pace) {
            (EventKind::Beat(after), Some(_)) => self.at += after,
            (EventKind::Text, Some(pace)) => {
                self.spoken += pace.gap(self.tokens);
                self.tokens += 1;
                self.at = self.at.max(self.spoken);
            }
            (EventKind::Other, _) | (_, None) => {}
        }
        let bytes = script.next_bytes(self.at);
        Some(Piece { due: self.at, bytes, event: true, last: script.is_empty() })
    }
}
