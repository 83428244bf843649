//! What goes out on the wire in answer to one request, and when: the form that every fault takes.
//!
//! A timeline is a value. The wire plays it and adds nothing.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    action::{Action, CutEnd, ErrorKind, HintForm},
    answer::{Answer, Mark},
    bill::Bill,
    dialect::{self, Dialect, Event, EventKind, Exchange, Pace, Place, Refusal, Reply, ReplyBody},
    identity::Served,
    plan::{Provider, Service},
    units::Span,
};

/// What goes out, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// The head; none if no byte is ever answered.
    pub(crate) head: Option<Head>,
    /// The silence before the head.
    pub(crate) head_after: Duration,
    /// The body, piece by piece.
    pub(crate) pieces: Vec<Piece>,
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
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The Content-Length; none if the body is chunked.
    pub(crate) content_length: Option<usize>,
}

/// A part of the body that is written at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The silence before it.
    pub(crate) after: Duration,
    /// The bytes.
    pub(crate) bytes: Bytes,
    /// Whether it is an event of a stream.
    pub(crate) event: bool,
    /// Whether it is an event that carries text of the answer.
    pub(crate) text: bool,
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
    let reply = dialect.answer(exchange, &answer);
    let kinds: Vec<EventKind> = match &reply.body {
        ReplyBody::Whole(_) => Vec::new(),
        ReplyBody::Stream(events) => events.iter().map(|event| event.kind).collect(),
    };
    let mut timeline = Timeline::reply(reply, Served::Answer);
    timeline.mark.clone_from(&answer.mark);
    if timeline.head.as_ref().is_some_and(|head| head.content_length.is_some()) {
        // A JSON answer is sent when its last token is there.
        let tokens = answer.choices.iter().map(|choice| choice.pieces.len()).max().unwrap_or(0);
        timeline.head_after = pace.whole(u64::try_from(tokens).unwrap_or(0));
    } else {
        timeline.spread(&kinds, pace);
    }
    timeline.bill = if timeline.is_stream() {
        Bill::stream(exchange.request, answer, provider, timeline.due())
    } else {
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
            timeline.keep_unfinished();
            let sent = timeline.pieces.len().to_string();
            let words = [("events", sent)];
            let exchange = Exchange { words: &words, ..*exchange };
            let name = error.case.as_deref();
            let case = dialect::case(dialect, &exchange, error.error, Place::Stream, name)
                .expect("the engine plays only what the provider knows");
            let bytes = case.frame(dialect, &exchange);
            timeline.pieces.push(Piece { after: case.after, bytes, event: true, text: false });
            // Recorded: nothing follows an error event, not even on the connection.
            timeline.end = End::Last;
            timeline.served = Served::Broken;
        }
        Action::Truncated(truncated) => {
            timeline.keep_bytes(|length| truncated.keep.of(length).min(length.saturating_sub(1)));
            timeline.end = End::Close;
            timeline.served = Served::Broken;
        }
        _ => {}
    }
    if timeline.is_stream() {
        timeline.bill.cut(timeline.pieces.iter().filter(|piece| piece.text).count());
    }
    timeline
}

impl Timeline {
    /// A reply at once and whole.
    pub(crate) fn reply(reply: Reply, served: Served) -> Self {
        let (content_length, pieces) = match reply.body {
            ReplyBody::Whole(bytes) => {
                let length = bytes.len();
                (
                    Some(length),
                    vec![Piece { after: Duration::ZERO, bytes, event: false, text: false }],
                )
            }
            ReplyBody::Stream(events) => (None, events.into_iter().map(Piece::from).collect()),
        };
        let head = Head { status: reply.status, headers: reply.headers, content_length };
        Self {
            head: Some(head),
            head_after: Duration::ZERO,
            pieces,
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
            pieces: Vec::new(),
            end,
            served: Served::Broken,
            mark: None,
            bill: Bill::default(),
            announced: None,
        }
    }

    /// Gives each event its time: the head waits for the first token, unless a sign of life goes
    /// out before it.
    fn spread(&mut self, kinds: &[EventKind], pace: Pace) {
        let mut token = 0;
        let mut waited = Duration::ZERO;
        let first_text = kinds.iter().position(|kind| *kind == EventKind::Text);
        let opening = &kinds[..first_text.unwrap_or(kinds.len())];
        let early = opening.iter().any(|kind| matches!(kind, EventKind::Beat(_)));
        if !early {
            self.head_after = pace.gap(0);
        }
        for (piece, kind) in self.pieces.iter_mut().zip(kinds) {
            match kind {
                EventKind::Beat(after) => {
                    piece.after = *after;
                    waited += *after;
                }
                EventKind::Other => {}
                EventKind::Text => {
                    let gap = if token == 0 && !early { Duration::ZERO } else { pace.gap(token) };
                    piece.after = gap.saturating_sub(waited);
                    waited = Duration::ZERO;
                    token += 1;
                }
            }
        }
    }

    /// How long it takes by itself; none if it is no answer.
    pub(crate) fn service(&self) -> Option<Duration> {
        let answers = self.head.is_some() && matches!(self.served, Served::Answer | Served::Broken);
        answers.then(|| {
            self.pieces.iter().map(|piece| piece.after).sum::<Duration>() + self.head_after
        })
    }

    /// Begins it so much later.
    pub(crate) fn delay(&mut self, later: Duration) {
        self.head_after += later;
        self.bill.delay(later);
    }

    /// Whether its body is a stream of events.
    fn is_stream(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.content_length.is_none())
    }

    /// When each event with text is sent, counted from the claim.
    fn due(&self) -> Vec<Duration> {
        let mut at = self.head_after;
        let times = self.pieces.iter().map(|piece| {
            at += piece.after;
            piece.text.then_some(at)
        });
        times.flatten().collect()
    }

    /// Keeps a number of events with text; the opening ones stay, and at least one is held back.
    fn keep_texts(&mut self, texts: u32) {
        let texts = usize::try_from(texts).unwrap_or(usize::MAX);
        let mut kept = 0;
        let end = self.pieces.iter().position(|piece| {
            kept += usize::from(piece.text);
            kept > texts
        });
        let end = end.unwrap_or(self.pieces.len().saturating_sub(1));
        self.pieces.truncate(end);
    }

    /// Leaves out what a stream says after its last text: that, and how, it is finished.
    fn keep_unfinished(&mut self) {
        if let Some(last) = self.pieces.iter().rposition(|piece| piece.text) {
            self.pieces.truncate(last + 1);
        }
    }

    /// Keeps the first bytes of a body that is sent at once.
    fn keep_bytes(&mut self, keep: impl Fn(usize) -> usize) {
        if let Some(piece) = self.pieces.first_mut() {
            piece.bytes.truncate(keep(piece.bytes.len()));
        }
    }
}

impl From<Event> for Piece {
    fn from(event: Event) -> Self {
        let text = event.kind == EventKind::Text;
        Self { after: Duration::ZERO, bytes: event.bytes, event: true, text }
    }
}
