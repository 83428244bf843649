//! Google's imitation of OpenAI's chat: OpenAI's words under Google's headers.
//!
//! Its errors are Gemini's, each in a list of one (quoted in several public issues).

use super::{JSON, headers};
use crate::{
    action::ErrorKind,
    answer::Answer,
    dialect::{Dialect as _, Exchange, Head, Refusal, Reply, openai::OpenAi},
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

/// The answer, as OpenAI words it.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &Answer) -> Reply {
    let request = Request { route: Route::OpenAiChat, ..exchange.request.clone() };
    let reply = OpenAi.answer(&Exchange { request: &request, ..*exchange }, answer);
    let content_type = if request.streaming { "text/event-stream" } else { JSON };
    Reply { headers: headers(content_type), ..reply }
}
