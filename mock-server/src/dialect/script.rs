//! The events of one stream in their order; those that carry a text are worded when they are due.
//!
//! A stream of a thousand words waits most of its time. So it keeps the words, and how an event is
//! made of one, but not the thousand events.

use std::{collections::VecDeque, fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Event, EventKind, case::escaped, template::Template};
use crate::answer::Text;

/// The events of a stream that are still to be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    runs: VecDeque<Run>,
}

/// How the event is worded that carries a piece of a text; clones are the same.
///
/// It is given the piece, the event's number by the dialect's own count, and when the event is due,
/// counted from the claim.
#[derive(Clone)]
pub(crate) struct Wording(Arc<Word>);

type Word = dyn Fn(&str, u64, Duration) -> Bytes + Send + Sync;

/// Events that follow each other.
#[derive(Clone, Debug)]
enum Run {
    /// One that is worded.
    Event(Event),
    /// As many as there are pieces of a text.
    Passage(Passage),
}

/// Events that each carry the next piece of a text.
#[derive(Clone, Debug)]
struct Passage {
    wording: Wording,
    text: Text,
    /// What of the text is not sent, in bytes; never empty.
    rest: Range<usize>,
    /// The numbers of its events.
    numbers: Range<u64>,
}

impl Script {
    /// Adds an event.
    pub(crate) fn push(&mut self, event: Event) {
        self.runs.push_back(Run::Event(event));
    }

    /// Adds the event that carries a piece of a text.
    pub(crate) fn piece(
        &mut self,
        wording: &Wording,
        text: &Text,
        piece: Range<usize>,
        number: u64,
    ) {
        if let Some(Run::Passage(last)) = self.runs.back_mut()
            && (last.rest.end, last.numbers.end) == (piece.start, number)
            && Arc::ptr_eq(&last.wording.0, &wording.0)
            && last.text.is(text)
        {
            last.rest.end = piece.end;
            last.numbers.end += 1;
            return;
        }
        let (wording, text, numbers) = (wording.clone(), text.clone(), number..number + 1);
        self.runs.push_back(Run::Passage(Passage { wording, text, rest: piece, numbers }));
    }

    /// Adds the events that carry the pieces of a text, one after the other.
    pub(crate) fn pieces(&mut self, wording: &Wording, text: &Text) {
        for (number, piece) in (0..).zip(text.ranges()) {
            self.piece(wording, text, piece, number);
        }
    }

    /// Adds the events of another one.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.runs.append(&mut other.runs);
    }

    /// Whether there is no further event.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// When the next event is sent; none if there is no further one.
    pub(crate) fn next_kind(&self) -> Option<EventKind> {
        self.runs.front().map(|run| match run {
            Run::Event(event) => event.kind,
            Run::Passage(_) => EventKind::Text,
        })
    }

    /// Takes the next event out, worded; it is due so long after the claim.
    pub(crate) fn next_bytes(&mut self, due: Duration) -> Bytes {
        if let Some(Run::Passage(passage)) = self.runs.front_mut() {
            let bytes = passage.next_bytes(due);
            if passage.rest.is_empty() {
                self.runs.pop_front();
            }
            return bytes;
        }
        match self.runs.pop_front() {
            Some(Run::Event(event)) => event.bytes,
            Some(Run::Passage(_)) | None => Bytes::new(),
        }
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> usize {
        self.runs.iter().map(Run::events).sum()
    }

    /// How many events carry a part of the answer.
    pub(crate) fn texts(&self) -> usize {
        self.runs.iter().filter(|run| run.is_text()).map(Run::events).sum()
    }

    /// Whether a sign of life comes before the first part of the answer.
    pub(crate) fn begins_early(&self) -> bool {
        let opening = self.runs.iter().take_while(|run| !run.is_text());
        opening.into_iter().any(|run| match run {
            Run::Event(event) => matches!(event.kind, EventKind::Beat(_)),
            Run::Passage(_) => false,
        })
    }

    /// How long the signs of life take that come after the last part of the answer.
    pub(crate) fn silence_at_end(&self) -> Duration {
        let end = self.runs.iter().rev().take_while(|run| !run.is_text());
        end.map(|run| match run {
            Run::Event(Event { kind: EventKind::Beat(after), .. }) => *after,
            Run::Event(_) | Run::Passage(_) => Duration::ZERO,
        })
        .sum()
    }

    /// Keeps so many parts of the answer, and what comes before the next one; at least one event is
    /// left out.
    pub(crate) fn keep_texts(&mut self, texts: usize) {
        let mut room = texts;
        let cut = self.runs.iter().position(|run| {
            let held = if run.is_text() { run.events() } else { 0 };
            let fits = held <= room;
            room -= if fits { held } else { 0 };
            !fits
        });
        let (last, keep) = match cut {
            Some(cut) => (cut, room),
            None => match self.runs.back().map(Run::events) {
                Some(events) => (self.runs.len() - 1, events - 1),
                None => return,
            },
        };
        self.runs.truncate(last + 1);
        match self.runs.back_mut() {
            Some(Run::Passage(passage)) if keep > 0 => passage.keep(keep),
            _ => drop(self.runs.pop_back()),
        }
    }

    /// Leaves out what comes after the last part of the answer.
    pub(crate) fn keep_unfinished(&mut self) {
        if let Some(last) = self.runs.iter().rposition(Run::is_text) {
            self.runs.truncate(last + 1);
        }
    }

    /// All events, one behind the other, as if each were due at once.
    pub(crate) fn bytes(mut self) -> Bytes {
        let mut bytes = Vec::new();
        while !self.is_empty() {
            bytes.extend_from_slice(&self.next_bytes(Duration::ZERO));
        }
        bytes.into()
    }
}

impl<E: IntoIterator<Item = Event>> From<E> for Script {
    fn from(events: E) -> Self {
        Self { runs: events.into_iter().map(Run::Event).collect() }
    }
}

impl Wording {
    /// A way to word an event.
    pub(crate) fn new<B: Into<Bytes>>(
        word: impl Fn(&str, u64, Duration) -> B + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |piece, number, due| word(piece, number, due).into()))
    }

    /// The way of events that are always the same but for the piece, which is a JSON string in them.
    pub(crate) fn around(write: impl Fn(&str) -> String) -> Self {
        let template = Template::new([["", "x"]], |[piece]| write(piece));
        Self::new(move |piece, _, _| template.filled([&escaped(piece)]))
    }
}

impl fmt::Debug for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wording").finish_non_exhaustive()
    }
}

impl Run {
    fn events(&self) -> usize {
        match self {
            Self::Event(_) => 1,
            Self::Passage(Passage { numbers, .. }) => {
                usize::try_from(numbers.end - numbers.start).unwrap_or(usize::MAX)
            }
        }
    }

    fn is_text(&self) -> bool {
        match self {
            Self::Event(event) => event.kind == EventKind::Text,
            Self::Passage(_) => true,
        }
    }
}

impl Passage {
    /// The pieces that are not sent, as places in the text.
    fn pieces(&self) -> impl Iterator<Item = Range<usize>> {
        self.text.ranges_in(self.rest.clone())
    }

    fn next_bytes(&mut self, due: Duration) -> Bytes {
        let piece = self.pieces().next().unwrap_or(self.rest.clone());
        self.rest.start = piece.end;
        let number = self.numbers.start;
        self.numbers.start += 1;
        (self.wording.0)(&self.text[piece], number, due)
    }

    /// Keeps the first pieces.
    fn keep(&mut self, pieces: usize) {
        let end = self.pieces().take(pieces).last().map_or(self.rest.start, |piece| piece.end);
        self.rest.end = end;
        let kept = u64::try_from(pieces).unwrap_or(u64::MAX);
        self.numbers.end = self.numbers.end.min(self.numbers.start.saturating_add(kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An opening, a sign of life, three pieces between which nothing comes, and an end.
    fn script() -> Script {
        let beat = EventKind::Beat(Duration::from_secs(15));
        let mut script = Script::from([Event::other("<"), Event { bytes: "~".into(), kind: beat }]);
        let wording = Wording::new(|piece, number, due: Duration| {
            format!("{number} {piece:?} {}|", due.as_secs())
        });
        let text = Text::from("a b  c");
        let places: Vec<_> = text.ranges().collect();
        for (number, place) in (7..).zip(places) {
            script.piece(&wording, &text, place, number);
        }
        script.push(Event::other(">"));
        script
    }

    fn said(script: &Script) -> String {
        String::from_utf8(script.clone().bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_text_is_worded_piece_by_piece_with_its_number_and_its_time() {
        let mut script = script();
        assert!(script.begins_early());
        assert_eq!((script.events(), script.texts()), (7, 4));
        let mut bytes = Vec::new();
        for due in 0.. {
            let Some(kind) = script.next_kind() else { break };
            let is_text = kind == EventKind::Text;
            assert_eq!(is_text, (2..6).contains(&due));
            bytes.extend_from_slice(&script.next_bytes(Duration::from_secs(due)));
        }
        let expected = "<~7 \"a \" 2|8 \"b \" 3|9 \" \" 4|10 \"c\" 5|>";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn pieces_that_follow_each_other_are_kept_as_one_run() {
        let mut script = script();
        assert_eq!(script.runs.len(), 4);
        // Another number, another text, another wording: each begins a run of its own.
        let (wording, text) = (Wording::around(str::to_owned), Text::from("a b"));
        let other = Text::from("a b");
        for (wording, text, piece, number) in [
            (&wording, &text, 0..2, 0),
            (&wording, &text, 2..3, 2),
            (&wording, &other, 0..2, 3),
            (&Wording::around(str::to_owned), &other, 2..3, 4),
        ] {
            script.piece(wording, text, piece, number);
        }
        assert_eq!(script.runs.len(), 8);
    }

    #[test]
    fn a_cut_keeps_what_comes_before_the_next_part_and_never_all() {
        for (texts, expected) in [
            (0, "<~"),
            (1, "<~7 \"a \" 0|"),
            (3, "<~7 \"a \" 0|8 \"b \" 0|9 \" \" 0|"),
            (4, "<~7 \"a \" 0|8 \"b \" 0|9 \" \" 0|10 \"c\" 0|"),
            (9, "<~7 \"a \" 0|8 \"b \" 0|9 \" \" 0|10 \"c\" 0|"),
        ] {
            let mut script = script();
            script.keep_texts(texts);
            assert_eq!(said(&script), expected, "{texts}");
            assert_eq!(script.texts(), texts.min(4));
        }
        let mut last = script();
        last.keep_unfinished();
        last.keep_texts(9);
        // Nothing stands behind the last part, so it is the one that is left out.
        assert_eq!(last.texts(), 3);
        for mut script in [Script::default(), Script::from([Event::other("<")])] {
            script.keep_texts(1);
            assert!(script.is_empty());
        }
    }
}
