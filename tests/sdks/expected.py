"""What each SDK should make of each failure: its documented class, with status, code and request id.

Worked out from what the provider sends and from the SDKs' own sources, never from what was seen.
"""

import http
import json
import re

# Which class an SDK raises for a status; `None` stands for the rest of the 4xx, and 500 for the rest
# of the 5xx.
OPENAI_PYTHON = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    None: "APIStatusError",
}
OPENAI_NODE = OPENAI_PYTHON | {None: "APIError"}
ANTHROPIC = OPENAI_PYTHON | {
    402: "PaymentRequiredError",
    408: "RequestTimeoutError",
    413: "ContentTooLargeError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
    529: "OverloadedError",
}
ANTHROPIC_NODE = ANTHROPIC | {None: "APIError"}
ANTHROPIC_OLDER = OPENAI_PYTHON | {413: "RequestTooLargeError", 529: "OverloadedError"}
# Subclasses of those, by the code in an error's details.
ANTHROPIC_CODES = {
    "compaction_unavailable": "CompactionUnavailableError",
    "contract_spend_limit_reached": "ContractSpendLimitReachedError",
    "enforced_spend_limit_reached": "EnforcedSpendLimitReachedError",
    "image_dimensions_too_large": "ImageDimensionsTooLargeError",
    "organization_on_hold": "OrganizationOnHoldError",
    "ramp_limit_exceeded": "RampLimitExceededError",
    "request_body_too_large_after_decoding": "RequestBodyTooLargeAfterDecodingError",
}
COHERE = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    429: "TooManyRequestsError",
    498: "InvalidTokenError",
    499: "ClientClosedRequestError",
    500: "InternalServerError",
    501: "NotImplementedError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
}
# The exceptions that Bedrock's service model knows; any other code is a plain `ClientError`.
BEDROCK = {
    "AccessDeniedException",
    "ConflictException",
    "InternalServerException",
    "ModelErrorException",
    "ModelNotReadyException",
    "ModelStreamErrorException",
    "ModelTimeoutException",
    "ResourceNotFoundException",
    "ServiceQuotaExceededException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "ValidationException",
}

# Where an SDK finds the request id.
REQUEST_ID = {
    "openai": ["x-request-id"],
    "anthropic": ["request-id"],
    "mistral": ["mistral-correlation-id", "x-kong-request-id"],
    "cohere": ["x-debug-trace-id"],
    "bedrock": ["x-amzn-requestid"],
}


class Sent:
    """What the provider sends for a failure, read without any SDK."""

    def __init__(self, entry):
        self.entry = entry
        self.status = entry["status"]
        self.headers = {name.lower(): value for name, value in entry["headers"]}
        self.in_stream = entry["place"] == "stream"
        body = entry["body"]
        self.bytes = body.encode() if body is not None else bytes.fromhex(entry["body_hex"])
        self.json = self._json()

    def _json(self):
        text = self.bytes.decode("utf-8", "replace")
        texts = [text]
        if self.in_stream:
            texts = [line[5:] for line in text.splitlines() if line.startswith("data:")]
            # A frame of Bedrock's is JSON between binary headers and a checksum.
            texts = texts or re.findall(r"\{.*\}", text, re.DOTALL)
        # Of several events the first is what an SDK sees.
        for text in texts:
            try:
                return json.loads(text)
            except ValueError:
                pass
        return None

    @property
    def envelope(self):
        """The JSON object around the error; an empty one if there is none."""
        value = self.json[0] if isinstance(self.json, list) and len(self.json) == 1 else self.json
        return value if isinstance(value, dict) else {}

    @property
    def error(self):
        """The error inside; an empty object if there is none."""
        error = self.envelope.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def message(self):
        """The provider's words."""
        for place in (self.error, self.envelope):
            for name in ("message", "Message"):
                if isinstance(place.get(name), str):
                    return place[name]
        error = self.envelope.get("error")
        return error if isinstance(error, str) else (self.failed or {}).get("message")

    def request_id(self, provider):
        """Whether a request id is sent where the SDK looks for it."""
        return any(name in self.headers for name in REQUEST_ID.get(provider, []))

    @property
    def is_error(self):
        """Whether it is an error at all: a refused answer is a healthy one to an SDK."""
        return self.status >= 400 or (self.in_stream and self.is_exception)

    @property
    def is_exception(self):
        """Whether an event of a stream says by its name, or by what is in it, that it is an error."""
        kinds = [self.envelope.get("type"), self.envelope.get("object")]
        named = "error" in kinds or self.failed is not None or b":exception-type" in self.bytes
        return named or bool(self.envelope.get("error"))

    @property
    def failed(self):
        """The error of an OpenAI response that failed as a whole, if it is one."""
        response = self.envelope.get("response")
        return response.get("error") if isinstance(response, dict) else None

    @property
    def finish(self):
        """How an answer that is no error says that it ended."""
        if re.search(rb'"refusal"\s*:\s*"', self.bytes):
            return "refusal"
        found = re.search(
            r'"(?:finish_reason|stop_reason|finishReason|blockReason|stopReason|done_reason)"\s*:\s*"([^"]+)"',
            self.bytes.decode("utf-8", "replace"),
        )
        return found and found.group(1)


def by_status(table, status):
    """The class of a status."""
    return table.get(status) or table[500 if status >= 500 else None]


def openai_python(sent, provider, version):
    """openai-python, `_client.py` and `_streaming.py`."""
    said = sent.envelope.get("error", sent.envelope) if sent.envelope else {}
    said = said if isinstance(said, dict) else {}
    expected = {"code": said.get("code"), "type": said.get("type")}
    if sent.in_stream:
        return event_of_responses(sent) or {"raised": "APIError", "status": None, "request_id": False, **expected}
    return {
        "raised": by_status(OPENAI_PYTHON, sent.status),
        "status": sent.status,
        "request_id": sent.request_id("openai"),
        **expected,
    }


def event_of_responses(sent):
    """What openai makes of an error that is an event of Responses: an event like any other."""
    if sent.failed:
        return {"raised": None, "official": None, "finish": f"failed: {sent.failed.get('code')}"}
    if sent.envelope.get("type") == "error" and not sent.error:
        return {"raised": None, "official": None, "finish": f"error event: {sent.envelope.get('code')}"}
    return None


def openai_node(sent, provider, version):
    """openai-node, `core/error.ts` and `core/streaming.ts`."""
    expected = {"code": sent.error.get("code"), "type": sent.error.get("type")}
    if sent.in_stream:
        event = event_of_responses(sent)
        if event and (sent.failed or version.startswith("6.")):
            return event
        if event:
            # Since version 7 an event that is named `error` is raised as it is.
            expected = {"code": sent.envelope.get("code"), "type": "error"}
        return {"raised": "APIError", "status": None, **expected}
    if version.startswith("6.") and sent.envelope and not sent.error:
        # It looks for words nowhere else.
        expected["message"] = None
    return {
        "raised": by_status(OPENAI_NODE, sent.status),
        "status": sent.status,
        "request_id": sent.request_id("openai"),
        **expected,
    }


def ai(sent, provider, version):
    """The AI SDK: one class for every status, and another for an error inside a stream.

    `openai-stream-error.ts` reads a status out of the error's words, since the stream has none.
    """
    if not sent.in_stream:
        return {
            "raised": "APICallError",
            "status": sent.status,
            "code": sent.error.get("code"),
            "type": sent.error.get("type"),
            "request_id": sent.request_id("openai"),
        }
    said = {**(sent.error or sent.envelope), **(sent.failed or {})}
    expected = {"code": said.get("code"), "type": "response.failed" if sent.failed else said.get("type")}
    older = version.startswith("6.")
    # Version 6 hands on the object that it made of the event, and of Chat the provider's own.
    if older and "type" not in sent.envelope:
        return {"raised": "Object", "status": None, "official": False, **expected}
    words = f"{expected['code'] or ''} {expected['type'] or ''}".lower()
    statuses = [
        (["insufficient_quota", "rate_limit"], 429),
        (["authentication"], 401),
        (["permission"], 403),
        (["not_found"], 404),
        (["invalid", "bad_request", "context_length"], 400),
        (["overload"], 503),
        (["timeout"], 504),
    ]
    status = next((status for terms, status in statuses if any(term in words for term in terms)), 500)
    return {"raised": "Object" if older else "StreamProviderError", "status": status, "official": not older, **expected}


def ai_finish(finish):
    """How the AI SDK calls the end of an answer; a refusal is one that was filtered."""
    return {"content_filter": "content-filter", "refusal": "content-filter"}.get(finish, finish)


def async_openai(sent, provider, version):
    """async-openai, `client.rs` and `error.rs`: types are strict, and a 5xx is a text."""
    if sent.in_stream:
        return event_of_responses(sent) or {"raised": "JSONDeserialize", "status": None}
    if sent.status >= 500:
        return {"raised": "ApiError", "status": sent.status, "code": None, "type": None}
    texts = [sent.error.get(name) for name in ("type", "param", "code")]
    if not isinstance(sent.error.get("message"), str) or any(not isinstance(one, str | None) for one in texts):
        return {"raised": "JSONDeserialize", "status": None}
    return {
        "raised": "ApiError",
        "status": sent.status,
        "code": sent.error.get("code"),
        "type": sent.error.get("type"),
    }


def anthropic_python(sent, provider, version):
    """anthropic-sdk-python, `_exceptions.py`, `_error_classes.py` and `_streaming.py`."""
    older = version.startswith("0.")
    by_code = None if older else ANTHROPIC_CODES.get(anthropic_code(sent))
    # An error of a stream has the status of the stream, 200.
    return {
        "raised": by_code or by_status(ANTHROPIC_OLDER if older else ANTHROPIC, sent.status),
        "status": sent.status,
        "code": None if older else anthropic_code(sent),
        "type": sent.error.get("type"),
        "request_id": True if sent.in_stream else sent.request_id("anthropic"),
    }


def anthropic_code(sent):
    """The code in an error's details, if there is one."""
    details = sent.error.get("details")
    return details.get("error_code") if isinstance(details, dict) else None


def anthropic_node(sent, provider, version):
    """anthropic-sdk-typescript, `core/error.ts` and `core/streaming.ts`."""
    by_code = None if sent.in_stream else ANTHROPIC_CODES.get(anthropic_code(sent))
    by_place = "APIError" if sent.in_stream else by_status(ANTHROPIC_NODE, sent.status)
    return {
        "raised": by_code or by_place,
        "status": None if sent.in_stream else sent.status,
        "code": anthropic_code(sent),
        "type": sent.error.get("type"),
        "request_id": True if sent.in_stream else sent.request_id("anthropic"),
    }


def google_genai(sent, provider, version):
    """python-genai, `errors.py`."""
    status = sent.error.get("code") if sent.in_stream else sent.status
    phrase = http.HTTPStatus(sent.status).phrase if sent.json is None else None
    return {
        "raised": "ServerError" if status >= 500 else "ClientError",
        "status": status,
        "code": sent.error.get("status") or phrase,
    }


def mistralai(sent, provider, version):
    """mistralai, `chat.py` and `sdkerror.py`: only 422 has a class of its own.

    It knows no error inside a stream: what is no chunk is an answer that it cannot read.
    """
    if sent.in_stream:
        return {"raised": "ResponseValidationError", "status": 200, "message": None}
    return {
        "raised": "HTTPValidationError" if sent.status == 422 else "SDKError",
        "status": sent.status,
        "code": sent.envelope.get("code"),
        "type": sent.envelope.get("type"),
        "request_id": sent.request_id("mistral"),
    }


def cohere(sent, provider, version):
    """cohere-python, `v2/raw_client.py`."""
    return {
        # No status but those of the table has a class, and none whose body is no JSON.
        "raised": COHERE.get(sent.status, "ApiError") if sent.json is not None else "ApiError",
        "status": sent.status,
        "code": sent.envelope.get("error_type"),
        "request_id": sent.request_id("cohere"),
    }


def bedrock(sent, provider, version):
    """botocore, `parsers.py` and `eventstream.py`."""
    if sent.in_stream:
        name = re.search(rb":exception-type\x07..([A-Za-z]+)", sent.bytes, re.DOTALL)
        return {"raised": "EventStreamError", "status": None, "code": name.group(1).decode(), "request_id": None}
    code = sent.headers.get("x-amzn-errortype", sent.envelope.get("__type", "")).split("#")[-1].split(":")[0]
    return {
        "raised": code if code in BEDROCK else "ClientError",
        "status": sent.status,
        "code": code or str(sent.status),
        "request_id": sent.request_id("bedrock"),
    }


def ollama(sent, provider, version):
    """ollama-python, `_types.py`; an error of a stream has no status."""
    return {"raised": "ResponseError", "status": -1 if sent.in_stream else sent.status}
