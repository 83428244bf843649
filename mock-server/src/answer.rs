//! The text of a healthy answer, and the mark by which an application's output shows whose it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    action,
    draw::{Draws, Purpose, scale},
    plan::Answers,
    request::Request,
    tokens::Tokenizer,
};

/// An answer before any dialect has worded it.
///
/// The answer of a route that writes nothing, such as a list of models, has no choice and no mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What is thought before the first choice, in the pieces in which a stream sends it; empty if
    /// the request does not ask to see it.
    pub reasoning: Vec<String>,
    /// The tokens of that.
    pub reasoning_tokens: u64,
    /// The answers beside each other, as many as asked for.
    pub choices: Vec<Choice>,
    /// The mark around each text; none if the output limit leaves no room for one.
    pub mark: Option<Mark>,
}

/// One of the answers that stand beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Its text in the pieces in which a stream sends it; empty if it only calls tools.
    pub pieces: Vec<String>,
    /// The tools that it calls, after its text.
    pub calls: Vec<ToolCall>,
    /// Why it ends.
    pub finish: Finish,
    /// Its tokens, counted by the model's tokenizer.
    pub output_tokens: u64,
}

/// The call of a tool that the client offers.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// Its arguments, a JSON object.
    pub arguments: Value,
}

/// Why an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The request's output limit cut it.
    Length,
    /// It was whole.
    Stop,
    /// It came to one of the texts at which it was to end; that text is not part of it.
    StopSequence(String),
    /// It calls tools, and waits for what they return.
    ToolCalls,
}

/// Two words that stand at the beginning and at the end of one attempt's answer, and nowhere else.
///
/// They are ASCII letters only, so that JSON, Markdown and HTML leave them alone.
/// Output that holds the first without the second shows a cut answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub String);

impl Answer {
    /// Writes the answer to a request.
    pub fn new(
        request: &Request,
        answers: &Answers,
        own: Option<&action::Answer>,
        attempt: u64,
        draws: Draws,
    ) -> Self {
        let tokenizer = Tokenizer::of(&request.model);
        let mark = Mark::new(attempt, draws);
        let text = own.and_then(|own| own.text.clone()).or_else(|| answers.text.clone());
        let wanted = own.and_then(|own| own.tokens).or(answers.tokens);
        let text = match (text, answers.echo) {
            (Some(text), _) => text,
            (None, true) => request.conversation.last_user.clone(),
            (None, false) => prose(wanted, attempt, draws),
        };
        let whole = format!("{} {text} {}", mark.begin(), mark.end());
        let output_tokens = tokenizer.count(&whole);
        let (choice, mark) = match request.output_tokens_max {
            Some(most) if output_tokens > most => (Choice::cut(&whole, most, tokenizer), None),
            _ => {
                let pieces = pieces(&whole);
                let (calls, finish) = (Vec::new(), Finish::Stop);
                (Choice { pieces, calls, finish, output_tokens }, Some(mark))
            }
        };
        Self { choices: vec![choice], mark, ..Self::default() }
    }

    /// The tokens of all that was written, thoughts included.
    pub fn output_tokens(&self) -> u64 {
        let choices = self.choices.iter().map(|choice| choice.output_tokens);
        choices.fold(self.reasoning_tokens, u64::saturating_add)
    }
}

impl Choice {
    /// The whole text.
    pub fn text(&self) -> String {
        self.pieces.concat()
    }

    /// As much of a text as an output limit lets through.
    fn cut(whole: &str, most: u64, tokenizer: Tokenizer) -> Self {
        let mut kept = Vec::new();
        let mut output_tokens = 0;
        for piece in pieces(whole) {
            let tokens = tokenizer.count(&piece).max(1);
            if output_tokens + tokens > most {
                break;
            }
            output_tokens += tokens;
            kept.push(piece);
        }
        Self { pieces: kept, calls: Vec::new(), finish: Finish::Length, output_tokens }
    }
}

impl ToolCall {
    /// The arguments as JSON text, in the pieces in which a stream sends them.
    pub fn pieces(&self) -> Vec<String> {
        let text = self.arguments.to_string();
        let mut pieces = Vec::new();
        let mut piece = String::new();
        for letter in text.chars() {
            piece.push(letter);
            // About a token each, and never inside a letter.
            if matches!(letter, ' ' | ',' | ':' | '{' | '}') || piece.len() >= 12 {
                pieces.push(std::mem::take(&mut piece));
            }
        }
        pieces.extend((!piece.is_empty()).then_some(piece));
        pieces
    }
}

impl Mark {
    /// The mark of an attempt.
    pub fn new(attempt: u64, draws: Draws) -> Self {
        let syllable = |index| {
            let draw = draws.draw("mark", Purpose::Mark, attempt, index);
            let consonant = CONSONANTS[usize::from(draw.to_le_bytes()[0]) % CONSONANTS.len()];
            let vowel = VOWELS[usize::from(draw.to_le_bytes()[1]) % VOWELS.len()];
            [consonant, vowel]
        };
        // Six syllables: two attempts of a million share a mark once in several thousand runs.
        Self((0..6).flat_map(syllable).collect())
    }

    /// The word before the text.
    pub fn begin(&self) -> String {
        format!("Ax{self}")
    }

    /// The word after the text.
    pub fn end(&self) -> String {
        format!("Zx{self}")
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits a text as a stream sends it: about a token at a time, nothing lost.
fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Plausible words, about as many tokens as asked for.
fn prose(tokens: Option<u32>, attempt: u64, draws: Draws) -> String {
    let draw = |index| draws.draw("prose", Purpose::Text, attempt, index);
    // A short paragraph, unless the scenario says otherwise; an English word is about a token.
    let words = tokens.map_or(12 + scale(draw(0), 20), u64::from).max(1);
    let mut text = String::new();
    let mut sentence = 0;
    for index in 1..=words {
        let word = scale(draw(index), u64::try_from(WORDS.len()).unwrap_or(1) - 1);
        let word = WORDS[usize::try_from(word).unwrap_or(0)];
        if sentence == 0 {
            let mut letters = word.chars();
            text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            text.push_str(letters.as_str());
        } else {
            text.push_str(word);
        }
        sentence += 1;
        let ends = index == words || sentence >= 6 + word.len();
        if ends {
            text.push('.');
            sentence = 0;
        }
        if index < words {
            text.push(' ');
        }
    }
    text
}

const CONSONANTS: [char; 16] =
    ['b', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z'];
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];

/// Words of plain English: no names, no numbers, nothing that a filter or parser reacts to.
const WORDS: [&str; 64] = [
    "a", "about", "again", "all", "also", "and", "answer", "are", "at", "before", "best", "both",
    "but", "by", "can", "careful", "change", "clear", "come", "could", "each", "early", "every",
    "few", "find", "first", "follow", "for", "from", "give", "good", "have", "in", "is", "it",
    "keep", "known", "large", "less", "long", "made", "many", "more", "of", "often", "on", "only",
    "open", "or", "plan", "point", "right", "simple", "small", "so", "some", "steady", "that",
    "the", "then", "this", "to", "well", "with",
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        plan::Route,
        request::{Conversation, Headers, Wishes},
    };

    fn text(answer: &Answer) -> String {
        answer.choices[0].text()
    }

    fn request(output_tokens_max: Option<u64>) -> Request {
        Request {
            route: Route::OpenAiChat,
            model: "gpt-4o-mini".to_owned(),
            key: String::new(),
            headers: Headers::default(),
            body: Value::Null,
            streaming: false,
            conversation: Conversation::new([("user", "<b>say \"it\"</b>".to_owned())]),
            input_tokens: 1,
            output_tokens_max,
            wishes: Wishes::default(),
            connection: 0,
        }
    }

    fn write(request: &Request, answers: &Answers, attempt: u64) -> Answer {
        Answer::new(request, answers, None, attempt, Draws::new(1))
    }

    #[test]
    fn an_answer_stands_between_the_marks_of_its_attempt() {
        let first = write(&request(None), &Answers::default(), 1);
        let second = write(&request(None), &Answers::default(), 2);
        let mark = first.mark.clone().unwrap();
        assert!(text(&first).starts_with(&mark.begin()) && text(&first).ends_with(&mark.end()));
        assert!(mark.0.chars().all(|letter| letter.is_ascii_lowercase()));
        assert_ne!(first.mark, second.mark);
        assert_eq!(first, write(&request(None), &Answers::default(), 1));
    }

    #[test]
    fn answers_are_of_the_length_and_kind_that_was_asked_for() {
        let long = Answers { tokens: Some(400), ..Answers::default() };
        let tokens = write(&request(None), &long, 1).output_tokens();
        assert!((400..=520).contains(&tokens), "{tokens}");
        let echo = Answers { echo: true, ..Answers::default() };
        assert!(text(&write(&request(None), &echo, 1)).contains(" <b>say \"it\"</b> "));
        let fixed = Answers { text: Some("Yes.".to_owned()), ..Answers::default() };
        assert!(text(&write(&request(None), &fixed, 1)).contains(" Yes. "));
    }

    #[test]
    fn an_output_limit_cuts_the_text_and_its_mark() {
        let answer = write(&request(Some(5)), &Answers::default(), 1);
        assert_eq!(answer.choices[0].finish, Finish::Length);
        assert!(answer.mark.is_none() && answer.output_tokens() <= 5);
    }
}
