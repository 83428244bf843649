//! Every failure that is known of every provider, and how well it is known.
//!
//! The rows are those that the server answers with: what is printed here is what goes out.

use std::time::Duration;

use serde_json::Value;

use crate::{
    action::{Action, ErrorKind},
    clock::Clock,
    dialect::{self, Case, Dialect, Exchange, Moment, Pace, Reply},
    draw::Draws,
    engine::Decision,
    plan::{Latency, ProviderName, Route},
    request::{Conversation, Headers, Request, Wishes},
    timeline::Head,
    units::Span,
    wire,
};

pub use crate::dialect::{Place, Provenance};

/// One failure of one provider.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    dialect: &'static dyn Dialect,
    case: &'static Case,
}

/// A failure as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The HTTP status.
    pub status: u16,
    /// The headers, without Date and framing.
    pub headers: Vec<(&'static str, String)>,
    /// The body; of a failure inside a stream, the event.
    pub body: Vec<u8>,
    /// All of it, as the wire carries it; of a failure inside a stream, the event alone.
    pub bytes: Vec<u8>,
}

/// Every failure, by provider, in the order of the providers' tables.
pub fn entries() -> impl Iterator<Item = Entry> {
    dialect::served()
        .flat_map(|dialect| dialect.cases().iter().map(move |case| Entry { dialect, case }))
}

/// Whether a route answers with the error that an action is; what is no error, every route can
/// meet.
pub fn knows(route: Route, action: &Action) -> bool {
    let (kind, place) = match (action.error(), action) {
        (Some(kind), _) => (kind, Place::Answer),
        (None, Action::StreamError(error)) => (error.error, Place::Stream),
        (None, _) => return true,
    };
    has(route, kind, place, action.case())
}

fn has(route: Route, kind: ErrorKind, place: Place, case: Option<&str>) -> bool {
    dialect::of(route.provider()).is_some_and(|dialect| {
        dialect.cases().iter().any(|known| {
            known.kind == kind
                && known.place == place
                && known.serves(route)
                && case.is_none_or(|case| case == known.name)
        })
    })
}

impl Entry {
    /// Whose failure it is.
    pub fn provider(&self) -> ProviderName {
        self.dialect.name()
    }

    /// What it means: the name of the fault that plays it.
    pub fn kind(&self) -> ErrorKind {
        self.case.kind
    }

    /// Its name, for the fault's `case`.
    pub fn case(&self) -> &'static str {
        self.case.name
    }

    /// Where it is sent.
    pub fn place(&self) -> Place {
        self.case.place
    }

    /// The routes that answer with it.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        let Self { dialect, case } = *self;
        let routes = Route::ALL.iter().copied();
        routes.filter(move |route| route.provider() == dialect.name() && case.serves(*route))
    }

    /// Whether a fault without a `case` plays it, on at least one of its routes.
    pub fn is_usual(&self) -> bool {
        self.routes().any(|route| {
            let same = |case: &&Case| {
                case.kind == self.case.kind && case.place == self.case.place && case.serves(route)
            };
            let first = self.dialect.cases().iter().find(same);
            first.is_some_and(|first| std::ptr::eq(first, self.case))
        })
    }

    /// How well it is known.
    pub fn provenance(&self) -> Provenance {
        self.case.provenance
    }

    /// Where it is known from.
    pub fn source(&self) -> &'static str {
        self.case.source
    }

    /// The bytes that it is, in answer to a plain request; a wait, where one is announced, is 2 s.
    pub fn sample(&self) -> Sample {
        let Self { dialect, case } = *self;
        let preferred = self.routes().find(|route| *route == dialect.main_route());
        let route = preferred.or_else(|| self.routes().next()).unwrap_or(dialect.main_route());
        let said = "Why is the sky blue?";
        let request = Request {
            model: dialect.example_model(route).to_owned(),
            key: "sk-brownout-example-key".to_owned(),
            headers: Headers::default(),
            body: Value::Null,
            streaming: case.place == Place::Stream,
            conversation: Conversation::new([("user", said.to_owned())]),
            input_tokens: 14,
            output_tokens_max: None,
            wishes: Wishes::default(),
            connection: 0,
            route,
        };
        let wait = (case.kind == ErrorKind::RateLimited).then_some(Span(Duration::from_secs(2)));
        let decision = Decision::example(&request, &Action::example(case.kind, wait));
        let draws = Draws::new(1);
        let clock = Clock::simulated();
        let exchange = Exchange {
            request: &request,
            decision: &decision,
            moment: Moment { attempt: 1, draws, wall: clock.wall(Duration::ZERO) },
            words: &[],
            pace: Pace::new(Latency::default(), None, draws, 1),
        };
        let mut reply = case.reply(dialect, &exchange);
        if case.place == Place::Answer {
            reply.headers.extend(dialect.hint(&exchange));
        }
        let Reply { status, headers, .. } = reply;
        let body = case.frame(dialect, &exchange).to_vec();
        let bytes = match case.place {
            Place::Answer => {
                let head = Head { status, headers: headers.clone(), content_length: None };
                wire::whole(&head, &body, exchange.moment.wall)
            }
            Place::Stream => body.clone(),
        };
        let headers = headers.into_iter().map(|(name, value)| (name, value.into_owned())).collect();
        Sample { status, headers, body, bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_failure_is_worded_without_a_gap() {
        for entry in entries() {
            let sample = entry.sample();
            let name = (entry.provider(), entry.kind(), entry.case());
            let body = String::from_utf8_lossy(&sample.body);
            assert!(!body.contains("{{"), "{name:?} says {body}");
            for (header, value) in &sample.headers {
                assert!(!value.contains("{{"), "{name:?} has {header}: {value}");
                assert!(http::HeaderValue::from_str(value).is_ok(), "{name:?}: {header}: {value}");
            }
            let json = sample.headers.iter().any(|(name, value)| {
                *name == "content-type" && value.starts_with("application/json")
            });
            if json && entry.place() == Place::Answer {
                let parsed = serde_json::from_slice::<Value>(&sample.body);
                assert!(parsed.is_ok(), "{name:?} says {body}");
            }
        }
    }

    #[test]
    fn no_two_failures_of_a_route_share_their_name() {
        let mut known = BTreeSet::new();
        for entry in entries() {
            for route in entry.routes() {
                let name = (route, entry.kind(), entry.place(), entry.case());
                assert!(known.insert(name), "{name:?} is there twice");
            }
            assert!(entry.routes().next().is_some(), "{:?} is nobody's", entry.case());
        }
    }

    #[test]
    fn whatever_is_not_inferred_has_a_source() {
        for entry in entries() {
            let name = (entry.provider(), entry.kind(), entry.case());
            assert!(!entry.source().is_empty(), "{name:?}");
            let is_inferred = entry.provenance() == Provenance::Inferred;
            let says_so = entry.source() == "worded after its neighbours";
            assert!(is_inferred || !says_so, "{name:?}");
        }
    }
}
