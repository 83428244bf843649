//! Google's imitation of OpenAI's chat: OpenAI's words under Google's headers.
//!
//! Its errors are Gemini's, each in a list of one (quoted in several public issues).

use super::{JSON, Target, headers};
use crate::{
    action::ErrorKind,
    answer::Answer,
    dialect::{
        Dialect as _, Exchange, Head, Refusal, Reply, ReplyBody,
        openai::{self, OpenAi},
    },
    plan::Route,
    request::Request,
};

/// The request, as OpenAI reads it, or the refusal in Gemini's words.
pub(super) fn read(head: &Head<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let read = OpenAi.read(Route::OpenAiChat, head, body);
    let mut request = read.map_err(|refusal| match refusal.kind {
        ErrorKind::Authentication => Refusal::new(ErrorKind::Authentication, "missing-key"),
        _ => Refusal::new(ErrorKind::BadRequest, "invalid-argument"),
    })?;
    request.route = Route::GeminiGenerate;
    if let Some(model) = request.model.strip_prefix("models/") {
        request.model = model.to_owned();
    }
    Ok(request)
}

/// An answer of which a filter let nothing through, or the end of a stream that it cut; none if the
/// request is not to the imitation.
pub(super) fn filtered(exchange: &Exchange<'_>) -> Option<ReplyBody> {
    if !Target::of(&exchange.request.headers).imitates {
        return None;
    }
    let request = Request { route: Route::OpenAiChat, ..exchange.request.clone() };
    let exchange = &Exchange { request: &request, ..*exchange };
    // Only what goes into a stream is told how much of it was sent.
    let cuts = exchange.words.iter().any(|(name, _)| *name == "events");
    Some(if cuts { openai::filtered_event(exchange) } else { openai::filtered(exchange) })
}

/// The answer, as OpenAI words it.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let request = Request { route: Route::OpenAiChat, ..exchange.request.clone() };
    let reply = OpenAi.answer(&Exchange { request: &request, ..*exchange }, answer);
    let content_type = if request.streaming { "text/event-stream" } else { JSON };
    Reply { headers: headers(content_type), ..reply }
}
