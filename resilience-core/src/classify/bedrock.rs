//! [Bedrock's exceptions](https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html), named by the header `x-amzn-errortype` or, in a stream, by `:exception-type`.

use super::row::{Row, Then};
use crate::class::{Class, Missing, Phase};

pub(super) const ROWS: &[Row] = &[
    Row::code(&[], &["ThrottlingException"], Then::Is(Class::QuotaExhausted)).saying(&["per day"]),
    Row::code(&[], &["ThrottlingException"], Then::RateLimit),
    Row::code(&[], &["ServiceQuotaExceededException"], Then::Is(Class::QuotaExhausted)),
    Row::code(&[], &["ModelNotReadyException"], Then::Is(Class::Overloaded)),
    Row::code(&[], &["ModelTimeoutException"], Then::Is(Class::Timeout { phase: Phase::Attempt })),
    // Nova and Llama report a prompt that is too long in the middle of a stream.
    Row::code(
        &[],
        &["ValidationException", "ModelErrorException", "ModelStreamErrorException"],
        Then::Overflow,
    )
    .saying(&[
        "returned the following errors: prompt is too long",
        "returned the following errors: input is too long",
        "returned the following errors: input tokens exceeded",
    ]),
    Row::code(
        &[],
        &[
            "InternalServerException",
            "ModelErrorException",
            "ModelStreamErrorException",
            "ServiceUnavailableException",
        ],
        Then::Is(Class::Server),
    ),
    Row::code(&[], &["ValidationException"], Then::Is(Class::InvalidRequest)),
    Row::code(&[], &["AccessDeniedException"], Then::Is(Class::Permission)),
    Row::code(
        &[],
        &[
            "ExpiredTokenException",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "UnrecognizedClientException",
        ],
        Then::Is(Class::Auth),
    ),
    Row::code(&[], &["ResourceNotFoundException"], Then::Is(Class::NotFound(Missing::Model))),
    // Behind a proxy that drops the header there is only the sentence.
    Row::opening(
        &[400],
        &[
            "the model returned the following errors: prompt is too long",
            "the model returned the following errors: input is too long",
            "the model returned the following errors: input tokens exceeded",
        ],
        Then::Overflow,
    ),
    Row::opening(&[429], &["too many tokens per day"], Then::Is(Class::QuotaExhausted)),
];
