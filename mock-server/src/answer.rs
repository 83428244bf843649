//! The text of a healthy answer, and the mark by which an application's output shows whose it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    action,
    draw::{Draws, Purpose, scale},
    plan::Answers,
    request::Request,
    tokens::Tokenizer,
};

/// An answer before any dialect has worded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its text in the pieces in which a stream sends it.
    pub pieces: Vec<String>,
    /// Its tokens, counted by the model's tokenizer.
    pub output_tokens: u64,
    /// Whether the request's output limit cut it short.
    pub cut_by_limit: bool,
    /// The mark around its text; none if the output limit leaves no room for one.
    pub mark: Option<Mark>,
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
        match request.output_tokens_max {
            Some(most) if output_tokens > most => Self::cut(&whole, most, tokenizer),
            _ => Self {
                pieces: pieces(&whole),
                output_tokens,
                cut_by_limit: false,
                mark: Some(mark),
            },
        }
    }

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
        Self { pieces: kept, output_tokens, cut_by_limit: true, mark: None }
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
        request::{Conversation, Headers},
    };

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
        assert!(first.text().starts_with(&mark.begin()) && first.text().ends_with(&mark.end()));
        assert!(mark.0.chars().all(|letter| letter.is_ascii_lowercase()));
        assert_ne!(first.mark, second.mark);
        assert_eq!(first, write(&request(None), &Answers::default(), 1));
    }

    #[test]
    fn answers_are_of_the_length_and_kind_that_was_asked_for() {
        let long = Answers { tokens: Some(400), ..Answers::default() };
        let tokens = write(&request(None), &long, 1).output_tokens;
        assert!((400..=520).contains(&tokens), "{tokens}");
        let echo = Answers { echo: true, ..Answers::default() };
        assert!(write(&request(None), &echo, 1).text().contains(" <b>say \"it\"</b> "));
        let fixed = Answers { text: Some("Yes.".to_owned()), ..Answers::default() };
        assert!(write(&request(None), &fixed, 1).text().contains(" Yes. "));
    }

    #[test]
    fn an_output_limit_cuts_the_text_and_its_mark() {
        let answer = write(&request(Some(5)), &Answers::default(), 1);
        assert!(answer.cut_by_limit && answer.mark.is_none() && answer.output_tokens <= 5);
    }
}
