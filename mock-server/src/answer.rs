//! The text of a healthy answer, and the mark by which an application's output shows whose it is.

mod text;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use text::Text;

use crate::{
    action,
    draw::{Draws, Purpose, scale},
    plan::Answers,
    request::{Format, Request, ToolChoice},
    schema,
    tokens::Tokenizer,
    units::{Length, TaskStep},
};

/// An answer before any dialect has worded it.
///
/// The answer of a route that writes nothing, such as a list of models, has no choice and no mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What is thought before the first choice; empty if the request does not ask to see it.
    pub reasoning: Text,
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
    /// Its text; empty if it only calls tools.
    pub text: Text,
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
    /// Writes the answer to a request, of at most so many tokens.
    pub fn new(
        request: &Request,
        most: Option<u64>,
        answers: &Answers,
        own: Option<&action::Answer>,
        attempt: u64,
        draws: Draws,
    ) -> Self {
        let tokenizer = Tokenizer::of(&request.model);
        let mark = Mark::new(attempt, draws);
        let mut writer =
            Writer { request, most, tokenizer, mark: &mark, attempt, draws, choice: 0 };
        let reasoning =
            if request.wishes.reasons { writer.thoughts().into() } else { Text::default() };
        let reasoning_tokens = reasoning.pieces().map(|piece| tokenizer.count(piece)).sum();
        let content = content(request, answers, own);
        let choices: Vec<Choice> = (0..request.wishes.choices.max(1))
            .map(|choice| {
                writer.choice = u64::from(choice);
                writer.write(&content)
            })
            .collect();
        let (begin, end) = (mark.begin(), mark.end());
        let is_marked = choices.iter().all(|Choice { text, .. }| {
            // They are searched for only where they are seldom: inside.
            (text.starts_with(&begin) || text.contains(&begin))
                && (text.ends_with(&end) || text.contains(&end))
        });
        Self { reasoning, reasoning_tokens, choices, mark: is_marked.then_some(mark) }
    }

    /// The tokens of all that was written, thoughts included.
    pub fn output_tokens(&self) -> u64 {
        let choices = self.choices.iter().map(|choice| choice.output_tokens);
        choices.fold(self.reasoning_tokens, u64::saturating_add)
    }
}

/// What an answer is made of, before it is written.
enum Content {
    /// Calls of these tools.
    Calls(Vec<String>),
    /// The last words of the user.
    Echo,
    /// A fixed text.
    Fixed(String),
    /// So many tokens of plausible words; a short paragraph if it is not said how many.
    Words(Option<Length>),
}

/// What the answer is made of: what the scenario says, unless the request insists on something
/// else.
fn content(request: &Request, answers: &Answers, own: Option<&action::Answer>) -> Content {
    let wishes = &request.wishes;
    let may_call = wishes.tool_choice != ToolChoice::None;
    let own_calls = own.and_then(|own| own.call.clone());
    let calls = match (own_calls, &answers.call) {
        (Some(tool), _) => vec![tool],
        (None, _) if own.is_some_and(|own| own.text.is_some() || own.tokens.is_some()) => vec![],
        (None, Some(tool)) => vec![tool.clone()],
        (None, None) => step(request, &answers.task),
    };
    if may_call && !calls.is_empty() {
        return Content::Calls(calls);
    }
    let insists = match &wishes.tool_choice {
        ToolChoice::Named(tool) => Some(tool.clone()),
        ToolChoice::Required => wishes.tools.first().map(|tool| tool.name.clone()),
        ToolChoice::Auto | ToolChoice::None => None,
    };
    if let Some(tool) = insists {
        return Content::Calls(vec![tool]);
    }
    let text = own.and_then(|own| own.text.clone()).or_else(|| answers.text.clone());
    match text {
        Some(text) => Content::Fixed(text),
        None if answers.echo => Content::Echo,
        None => Content::Words(own.and_then(|own| own.tokens).or(answers.tokens)),
    }
}

/// The tools of the step that an agent's task has come to; none if it is time to answer.
fn step(request: &Request, task: &[TaskStep]) -> Vec<String> {
    let position = usize::try_from(request.conversation.tool_turns).unwrap_or(usize::MAX);
    if request.wishes.parallel_tools {
        return match task.get(position) {
            Some(TaskStep::Call(tools)) => tools.clone(),
            Some(TaskStep::Answer) | None => Vec::new(),
        };
    }
    // One call at a time: each takes a turn of its own.
    let mut turns = task.iter().flat_map(|step| match step {
        TaskStep::Answer => vec![Vec::new()],
        TaskStep::Call(tools) => tools.iter().map(|tool| vec![tool.clone()]).collect(),
    });
    turns.nth(position).unwrap_or_default()
}

/// Writes the choices of one answer.
struct Writer<'a> {
    request: &'a Request,
    /// The most tokens of a choice.
    most: Option<u64>,
    tokenizer: Tokenizer,
    mark: &'a Mark,
    attempt: u64,
    draws: Draws,
    /// The choice that is being written, counted from 0.
    choice: u64,
}

impl Writer<'_> {
    fn write(&self, content: &Content) -> Choice {
        let choice = match content {
            Content::Calls(tools) => return self.calls(tools),
            Content::Echo => self.text(self.request.conversation.last_user.to_string()),
            Content::Fixed(text) => self.text(text.clone()),
            Content::Words(tokens) => match &self.request.wishes.format {
                Format::Json => self.json(&json!({ "properties": { "answer": {} } })),
                Format::Schema(schema) => self.json(schema),
                Format::Text => self.text(self.prose(*tokens)),
            },
        };
        self.within_limits(choice)
    }

    /// A text between its marks. One that was asked to be JSON, and is, stays as it is.
    fn text(&self, text: String) -> String {
        let wants_json = self.request.wishes.format != Format::Text;
        if wants_json && serde_json::from_str::<Value>(&text).is_ok() {
            return text;
        }
        [&self.mark.begin(), " ", &text, " ", &self.mark.end()].concat()
    }

    /// JSON that satisfies a schema, with the marks in its first free text.
    fn json(&self, schema: &Value) -> String {
        let mut value = self.satisfying(schema, 0);
        if let Some(text) = schema::free_text(schema, self.request.wishes.choices, &mut value) {
            *text = format!("{} {text} {}", self.mark.begin(), self.mark.end());
        }
        value.to_string()
    }

    /// The calls of tools; one that the client does not offer is called without arguments.
    fn calls(&self, tools: &[String]) -> Choice {
        let call = |(index, name): (u64, &String)| {
            let offered = self.request.wishes.tools.iter().find(|tool| tool.name == *name);
            let arguments = match offered.map(|tool| self.satisfying(&tool.schema, index + 1)) {
                Some(arguments @ Value::Object(_)) => arguments,
                _ => json!({}),
            };
            ToolCall { name: name.clone(), arguments }
        };
        let calls: Vec<ToolCall> = (0..).zip(tools).map(call).collect();
        let tokens = |call: &ToolCall| {
            let arguments = self.tokenizer.count(&call.arguments.to_string());
            self.tokenizer.count(&call.name).saturating_add(arguments)
        };
        let output_tokens = calls.iter().map(tokens).fold(0, u64::saturating_add);
        Choice { text: Text::default(), calls, finish: Finish::ToolCalls, output_tokens }
    }

    /// A whole text, cut where the request says that it ends.
    fn within_limits(&self, mut whole: String) -> Choice {
        let stops = self.request.wishes.stops.iter().filter(|stop| !stop.is_empty());
        let first = stops.filter_map(|stop| Some((whole.find(stop)?, stop))).min();
        let mut finish = Finish::Stop;
        if let Some((at, stop)) = first {
            finish = Finish::StopSequence(stop.clone());
            whole.truncate(at);
        }
        let output_tokens = self.tokenizer.count(&whole);
        match self.most {
            Some(most) if output_tokens > most => Choice::cut(&whole, most, self.tokenizer),
            _ => Choice { text: whole.into(), calls: Vec::new(), finish, output_tokens },
        }
    }

    /// A value that satisfies a schema; the salt makes several of one answer differ.
    fn satisfying(&self, schema: &Value, salt: u64) -> Value {
        let mut count = 0;
        schema::value(schema, self.request.wishes.choices, &mut || {
            count += 1;
            self.words(salt * 10_000 + count).take(3).collect::<Vec<_>>().join(" ")
        })
    }

    /// Plausible words without an end, from a place on: ten of each draw, by six bits.
    fn words(&self, from: u64) -> impl Iterator<Item = &'static str> {
        let draws = (from..).map(|index| self.draw("prose", index));
        draws.flat_map(|draw| {
            (0..10).map(move |word| {
                let bits = usize::try_from((draw >> (word * 6)) & 63).unwrap_or(0);
                WORDS[bits]
            })
        })
    }

    fn draw(&self, subject: &str, index: u64) -> u64 {
        // No text has so many words that it reaches into the next choice's.
        self.draws.draw(subject, Purpose::Text, self.attempt, (self.choice << 32) | index)
    }

    /// Plausible words, about as many tokens as asked for; an English word is about a token.
    fn prose(&self, tokens: Option<Length>) -> String {
        let draw = self.draw("prose", 0);
        let words = tokens.map_or(12 + scale(draw, 20), |tokens| tokens.pick(draw)).max(1);
        self.sentences(words, 1)
    }

    /// What a model that shows its thoughts thinks first.
    fn thoughts(&self) -> String {
        self.sentences(8 + scale(self.draw("thoughts", 0), 24), 1 << 24)
    }

    fn sentences(&self, words: u64, from: u64) -> String {
        let mut text = String::with_capacity(usize::try_from(words).unwrap_or(0) * 6);
        let mut sentence = 0;
        for (index, word) in (1..=words).zip(self.words(from)) {
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
}

impl Choice {
    /// As much of a text as an output limit lets through.
    fn cut(whole: &str, most: u64, tokenizer: Tokenizer) -> Self {
        let mut kept = 0;
        let mut part = String::new();
        let mut output_tokens = 0;
        for piece in whole.split_inclusive(' ') {
            let tokens = tokenizer.count(piece).max(1);
            let room = most - output_tokens;
            if tokens > room {
                // As much of the word as there are tokens for it; half a letter is none.
                let tokens = tokenizer.tokens(piece);
                let room = usize::try_from(room).unwrap_or(usize::MAX);
                let bytes = tokens.into_iter().take(room).flatten().collect();
                part = String::from_utf8(bytes).unwrap_or_default();
                if !part.is_empty() {
                    output_tokens = most;
                }
                break;
            }
            output_tokens += tokens;
            kept += piece.len();
        }
        let text = (whole[..kept].to_owned() + &part).into();
        Self { text, calls: Vec::new(), finish: Finish::Length, output_tokens }
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
    /// The mark of an attempt: three parts of two syllables each, such as `BadoBimeLuna`.
    pub fn new(attempt: u64, draws: Draws) -> Self {
        let draw = draws.draw("mark", Purpose::Mark, attempt, 0).to_le_bytes();
        let (consonants, vowels) = draw.split_at(6);
        // Six syllables: two attempts of a million share a mark once in several thousand runs.
        let vowels = u16::from_le_bytes([vowels[0], vowels[1]]);
        let mut mark = String::with_capacity(12);
        let mut rest = usize::from(vowels);
        for (index, byte) in consonants.iter().enumerate() {
            let consonant = CONSONANTS[usize::from(byte % 16)];
            // Capitals keep the parts apart, for the eye and for tokenizers.
            mark.push(if index.is_multiple_of(2) {
                consonant.to_ascii_uppercase()
            } else {
                consonant
            });
            mark.push(VOWELS[rest % VOWELS.len()]);
            rest /= VOWELS.len();
        }
        Self(mark)
    }

    /// The word before the text.
    pub fn begin(&self) -> String {
        ["Ax", &self.0].concat()
    }

    /// The word after the text.
    pub fn end(&self) -> String {
        ["Zx", &self.0].concat()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
        request::{Conversation, Headers, TOOL_CALLS, Tool, Wishes},
    };

    fn text(answer: &Answer) -> String {
        answer.choices[0].text.to_string()
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
        Answer::new(request, request.output_tokens_max, answers, None, attempt, Draws::new(1))
    }

    #[test]
    fn an_answer_stands_between_the_marks_of_its_attempt() {
        let first = write(&request(None), &Answers::default(), 1);
        let second = write(&request(None), &Answers::default(), 2);
        let mark = first.mark.clone().unwrap();
        assert!(text(&first).starts_with(&mark.begin()) && text(&first).ends_with(&mark.end()));
        assert!(mark.0.chars().all(|letter| letter.is_ascii_alphabetic()));
        assert_ne!(first.mark, second.mark);
        assert_eq!(first, write(&request(None), &Answers::default(), 1));
    }

    #[test]
    fn answers_are_of_the_length_and_kind_that_was_asked_for() {
        let long = Answers { tokens: "400".parse().ok(), ..Answers::default() };
        let tokens = write(&request(None), &long, 1).output_tokens();
        assert!((400..=520).contains(&tokens), "{tokens}");
        let echo = Answers { echo: true, ..Answers::default() };
        assert!(text(&write(&request(None), &echo, 1)).contains(" <b>say \"it\"</b> "));
        let fixed = Answers { text: Some("Yes.".to_owned()), ..Answers::default() };
        assert!(text(&write(&request(None), &fixed, 1)).contains(" Yes. "));
    }

    #[test]
    fn a_drawn_length_lies_in_its_range_and_is_the_same_each_time() {
        let answers = Answers { tokens: "100..300".parse().ok(), ..Answers::default() };
        let words = |attempt| {
            let text = text(&write(&request(None), &answers, attempt));
            text.split(' ').count() - 2
        };
        let lengths: Vec<usize> = (1..40).map(words).collect();
        assert!(lengths.iter().all(|words| (100..=300).contains(words)), "{lengths:?}");
        assert!(lengths.iter().max() > lengths.iter().min());
        assert_eq!(lengths, (1..40).map(words).collect::<Vec<_>>());
    }

    #[test]
    fn choices_differ_and_each_is_marked() {
        let mut request = request(None);
        request.wishes.choices = 3;
        let answer = write(&request, &Answers::default(), 1);
        let texts: Vec<String> =
            answer.choices.iter().map(|choice| choice.text.to_string()).collect();
        assert!(texts.len() == 3 && texts[0] != texts[1] && texts[1] != texts[2]);
        let mark = answer.mark.clone().unwrap();
        assert!(texts.iter().all(|text| text.starts_with(&mark.begin())));
        let sum: u64 = answer.choices.iter().map(|choice| choice.output_tokens).sum();
        assert_eq!(answer.output_tokens(), sum);
    }

    #[test]
    fn a_text_ends_before_the_first_of_its_stops() {
        let mut request = request(None);
        request.wishes.stops = vec!["three".to_owned(), "two".to_owned(), String::new()];
        let answers = Answers { text: Some("one two three".to_owned()), ..Answers::default() };
        let answer = write(&request, &answers, 1);
        assert_eq!(answer.choices[0].finish, Finish::StopSequence("two".to_owned()));
        assert!(text(&answer).ends_with(" one ") && answer.mark.is_none(), "{answer:?}");
        request.wishes.stops = vec!["four".to_owned()];
        assert_eq!(write(&request, &answers, 1).choices[0].finish, Finish::Stop);
    }

    fn tool(name: &str) -> Tool {
        let schema = json!({ "type": "object", "properties": { "q": { "type": "string" } } });
        Tool { name: name.to_owned(), schema }
    }

    fn called(request: &Request, answers: &Answers) -> Vec<String> {
        let answer = write(request, answers, 1);
        let [choice] = answer.choices.as_slice() else { panic!("one choice") };
        assert_eq!(choice.calls.is_empty(), choice.finish != Finish::ToolCalls);
        assert_eq!(choice.calls.is_empty(), answer.mark.is_some());
        choice.calls.iter().map(|call| call.name.clone()).collect()
    }

    #[test]
    fn a_task_is_answered_by_how_far_the_conversation_got() {
        let steps = ["call search and fetch", "call write_file", "answer"];
        let task: Vec<TaskStep> = steps.iter().map(|step| step.parse().unwrap()).collect();
        let answers = Answers { task, ..Answers::default() };
        let mut request = request(None);
        request.wishes.tools = ["search", "fetch", "write_file"].map(tool).into();
        let mut turns = vec![("user", "go".to_owned())];
        for expected in [vec!["search", "fetch"], vec!["write_file"], vec![], vec![]] {
            request.conversation = Conversation::new(turns.clone());
            assert_eq!(called(&request, &answers), expected);
            turns.push((TOOL_CALLS, "calls".to_owned()));
            turns.push(("tool", "found".to_owned()));
        }
        // What the user says next begins the task again.
        turns.push(("user", "once more".to_owned()));
        request.conversation = Conversation::new(turns.clone());
        assert_eq!(called(&request, &answers), ["search", "fetch"]);
        // One at a time, the same calls take a turn more.
        request.wishes.parallel_tools = false;
        let mut turns = vec![("user", "go".to_owned())];
        for expected in [vec!["search"], vec!["fetch"], vec!["write_file"], vec![]] {
            request.conversation = Conversation::new(turns.clone());
            assert_eq!(called(&request, &answers), expected);
            turns.push((TOOL_CALLS, "call".to_owned()));
        }
    }

    #[test]
    fn a_request_that_insists_on_a_tool_gets_it_and_one_that_forbids_them_does_not() {
        let mut request = request(None);
        request.wishes.tools = ["search", "fetch"].map(tool).into();
        let healthy = Answers::default();
        let call = Answers { call: Some("fetch".to_owned()), ..Answers::default() };
        for (choice, answers, expected) in [
            (ToolChoice::Auto, &healthy, None),
            (ToolChoice::Auto, &call, Some("fetch")),
            (ToolChoice::None, &call, None),
            (ToolChoice::Required, &healthy, Some("search")),
            (ToolChoice::Named("fetch".to_owned()), &healthy, Some("fetch")),
        ] {
            request.wishes.tool_choice = choice;
            assert_eq!(called(&request, answers).first().map(String::as_str), expected);
        }
        let answer = write(&request, &call, 1);
        assert!(answer.choices[0].calls[0].arguments["q"].is_string());
        let pieces = answer.choices[0].calls[0].pieces();
        assert_eq!(pieces.concat(), answer.choices[0].calls[0].arguments.to_string());
    }

    #[test]
    fn json_that_was_asked_for_satisfies_its_schema_and_carries_the_mark() {
        let mut request = request(None);
        let schema = json!({
            "type": "object",
            "properties": { "mood": { "enum": ["good"] }, "why": { "type": "string" } },
        });
        request.wishes.format = Format::Schema(schema);
        let answer = write(&request, &Answers::default(), 1);
        let value: Value = serde_json::from_str(&text(&answer)).unwrap();
        let mark = answer.mark.unwrap();
        let why = value["why"].as_str().unwrap();
        assert!(why.starts_with(&mark.begin()) && why.ends_with(&mark.end()), "{value}");
        assert_eq!(value["mood"], "good");
        request.wishes.format = Format::Json;
        let answer = write(&request, &Answers::default(), 1);
        assert!(serde_json::from_str::<Value>(&text(&answer)).unwrap().is_object());
        // A fixed text that is JSON stays as it is.
        let fixed = Answers { text: Some("{\"a\":1}".to_owned()), ..Answers::default() };
        let answer = write(&request, &fixed, 1);
        assert_eq!((text(&answer).as_str(), answer.mark), ("{\"a\":1}", None));
    }

    #[test]
    fn thoughts_are_shown_to_who_asks_for_them_and_counted() {
        let mut request = request(None);
        assert_eq!(write(&request, &Answers::default(), 1).reasoning_tokens, 0);
        request.wishes.reasons = true;
        let answer = write(&request, &Answers::default(), 1);
        assert!(answer.reasoning_tokens > 0 && !answer.reasoning.is_empty());
        let rest = answer.choices[0].output_tokens;
        assert_eq!(answer.output_tokens(), answer.reasoning_tokens + rest);
        assert!(!text(&answer).contains(answer.reasoning.as_str()));
    }

    #[test]
    fn a_cut_answer_has_as_many_tokens_as_its_limit() {
        for model in ["gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash"] {
            for most in [1, 2, 5, 9] {
                let tokenizer = Tokenizer::of(model);
                let choice = Choice::cut("AxBadoBimeLuna one two three four five", most, tokenizer);
                assert_eq!(choice.output_tokens, most, "{model}");
                assert!(!choice.text.is_empty(), "{model}");
            }
        }
    }

    #[test]
    fn an_output_limit_cuts_the_text_and_its_mark() {
        let answer = write(&request(Some(5)), &Answers::default(), 1);
        assert_eq!(answer.choices[0].finish, Finish::Length);
        assert!(answer.mark.is_none() && answer.output_tokens() <= 5);
    }
}
