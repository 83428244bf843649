//! Settings for clients that people use, as far as those can express them.
//!
//! What a client cannot express is said in a comment, each thing on its own line; what it does instead is [openai-python's](https://github.com/openai/openai-python), [tenacity's](https://tenacity.readthedocs.io), the [AI SDK's](https://ai-sdk.dev) and [LiteLLM's](https://docs.litellm.ai) own choice.

use std::{fmt::Write as _, time::Duration};

use resilience_core::{Backoff, Jitter, Policy};

use crate::{
    client::policy,
    scenario::{Budget, Hints, State, Strategy, TargetName},
};

/// A client with its settings as code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The client.
    pub client: &'static str,
    /// Its settings, in its language.
    pub code: String,
}

/// The settings of every client that is known.
pub fn exports(strategy: &Strategy) -> [Export; 4] {
    let policy = policy(strategy);
    let policy = &policy;
    [
        Export { client: "openai-python", code: openai(strategy, policy) },
        Export { client: "tenacity", code: tenacity(strategy, policy) },
        Export { client: "Vercel AI SDK", code: vercel(strategy, policy) },
        Export { client: "LiteLLM", code: litellm(strategy, policy) },
    ]
}

fn openai(strategy: &Strategy, policy: &Policy) -> String {
    let mut code = lines(&[
        "from openai import OpenAI\n".to_owned(),
        format!(
            "client = OpenAI(max_retries={}, timeout={})",
            retries(policy),
            seconds(policy.timeouts.attempt)
        ),
    ]);
    code += &cannot(
        "#",
        strategy,
        &[
            waits(policy, "0.5 s, doubled up to 8 s, less up to a quarter by jitter")
                .filter(|_| policy.retry.backoff != Backoff::sdk()),
            hints(
                strategy,
                policy,
                "it waits for those up to 120 s, and ends the call at longer ones",
            ),
            whole(policy),
            fallback(strategy),
        ],
    );
    code
}

fn tenacity(strategy: &Strategy, policy: &Policy) -> String {
    let backoff = policy.retry.backoff;
    let wait = |of: &str, share: u32| {
        let factor = number(ppm(backoff.multiplier_ppm));
        let part = |span: Duration| seconds(span * share / 4);
        let (base, cap) = (part(backoff.base), part(backoff.cap));
        format!("{of}(multiplier={base}, max={cap}, exp_base={factor})")
    };
    let (plain, random) = ("wait_exponential", "wait_random_exponential");
    // The sum of a wait without jitter and one with all of it is a wait with some.
    let (imports, waits) = match backoff.jitter {
        Jitter::Equal => (vec![plain, random], format!("{} + {}", wait(plain, 2), wait(random, 2))),
        Jitter::None => (vec![plain], wait(plain, 4)),
        Jitter::Quarter => {
            (vec![plain, random], format!("{} + {}", wait(plain, 3), wait(random, 1)))
        }
        Jitter::Decorrelated | Jitter::Full => (vec![random], wait(random, 4)),
    };
    let imports = imports.join(", ");
    let decorrelated = (backoff.jitter == Jitter::Decorrelated).then(|| {
        "`backoff.jitter: decorrelated`: no wait of it depends on the one before; this is full jitter"
            .to_owned()
    });
    let mut code = lines(&[
        "import openai".to_owned(),
        format!(
            "from tenacity import retry, retry_if_exception_type, stop_after_attempt, stop_after_delay, {imports}\n"
        ),
        format!(
            "client = openai.OpenAI(max_retries=0, timeout={})\n",
            seconds(policy.timeouts.attempt)
        ),
        "@retry(".to_owned(),
        format!("    wait={waits},"),
        format!(
            "    stop=stop_after_attempt({}) | stop_after_delay({}),",
            retries(policy).saturating_add(1),
            seconds(policy.timeouts.call)
        ),
        "    retry=retry_if_exception_type((openai.APIConnectionError, openai.RateLimitError, \
         openai.InternalServerError)),"
            .to_owned(),
        "    reraise=True,".to_owned(),
        ")".to_owned(),
        "def ask(**request):".to_owned(),
        "    return client.chat.completions.create(**request)".to_owned(),
    ]);
    let deaf = (strategy.hints != Hints::Ignore)
        .then(|| "`hints`: it does not read Retry-After; write a `wait` of your own".to_owned());
    code += &cannot("#", strategy, &[decorrelated, deaf, fallback(strategy)]);
    code
}

fn vercel(strategy: &Strategy, policy: &Policy) -> String {
    let mut code = lines(&[
        "import { generateText } from 'ai';\n".to_owned(),
        format!(
            "const ask = (request) => generateText({{ ...request, maxRetries: {} }});",
            retries(policy)
        ),
    ]);
    let attempt = Some(format!(
        "`timeouts.attempt: {}`: it has none for an attempt; give the provider a `fetch` that ends in time",
        shown(policy.timeouts.attempt)
    ));
    code += &cannot(
        "//",
        strategy,
        &[
            waits(policy, "2 s, doubled without an end and without jitter"),
            hints(strategy, policy, "it waits for those below 60 s, or below its own wait"),
            attempt,
            whole(policy),
            fallback(strategy),
        ],
    );
    code
}

fn litellm(strategy: &Strategy, policy: &Policy) -> String {
    let retries = retries(policy);
    let models: Vec<String> = if strategy.targets.is_empty() {
        vec!["openai/gpt-4o-mini".to_owned()]
    } else {
        strategy.targets.iter().map(TargetName::to_string).collect()
    };
    let mut code = lines(&[
        "from litellm import Router".to_owned(),
        "from litellm.types.router import RetryPolicy\n".to_owned(),
        "router = Router(".to_owned(),
        "    model_list=[".to_owned(),
    ]);
    for model in &models {
        let name = python(model);
        let _infallible = writeln!(
            code,
            "        {{\"model_name\": {name}, \"litellm_params\": {{\"model\": {name}}}}},"
        );
    }
    code += &lines(&[
        "    ],".to_owned(),
        format!("    num_retries={retries},"),
        format!("    timeout={},", seconds(policy.timeouts.attempt)),
        "    retry_policy=RetryPolicy(".to_owned(),
        format!("        RateLimitErrorRetries={retries},"),
        format!("        TimeoutErrorRetries={retries},"),
        format!("        InternalServerErrorRetries={retries},"),
        "    ),".to_owned(),
    ]);
    if let Some((first, others)) = models.split_first().filter(|(_, others)| !others.is_empty()) {
        let others: Vec<String> = others.iter().map(|model| python(model)).collect();
        let _infallible =
            writeln!(code, "    fallbacks=[{{{}: [{}]}}],", python(first), others.join(", "));
    }
    code += ")\n";
    code += &cannot(
        "#",
        strategy,
        &[
            waits(policy, "0.5 s, doubled up to 8 s, and up to 0.75 s more by jitter"),
            hints(
                strategy,
                policy,
                "it waits for those up to 60 s, and as if there were none for longer ones",
            ),
            whole(policy),
        ],
    );
    code
}

/// Comments on what a client cannot express: some things of its own, then what none of them can.
fn cannot(mark: &str, strategy: &Strategy, own: &[Option<String>]) -> String {
    let mut said: Vec<String> = own.iter().flatten().cloned().collect();
    // With one target it is what is left of the retries.
    let attempts = strategy.attempts.filter(|_| strategy.targets.len() > 1);
    let attempts = attempts.map(|attempts| format!("attempts: {attempts}"));
    let budget = strategy.budget.map(|budget| {
        let kind = match budget {
            Budget::Aws(_) => "aws",
            Budget::Concurrent(_) => "concurrent",
            Budget::Grpc(_) => "grpc",
            Budget::Ratio(_) => "ratio",
        };
        format!("budget.{kind}")
    });
    let limits = strategy.limits;
    let keeps_limits = limits.as_provider.is_some()
        || limits.requests.is_some()
        || limits.tokens.is_some()
        || limits.concurrency.is_some();
    let shared = (strategy.state == State::Shared).then(|| "state: shared".to_owned());
    let said_if = |is: bool, word: &str| is.then(|| word.to_owned());
    let nothing_shared = budget.is_none() && strategy.breaker.is_none() && !keeps_limits;
    let missing = [
        attempts,
        budget,
        said_if(strategy.breaker.is_some(), "breaker"),
        said_if(strategy.throttle.is_some(), "throttle"),
        said_if(strategy.hedge.is_some(), "hedge"),
        said_if(keeps_limits, "limits"),
        said_if(strategy.adaptive_concurrency.is_some(), "adaptive-concurrency"),
        said_if(strategy.adaptive_rate, "adaptive-rate"),
        shared.filter(|_| !nothing_shared),
    ];
    said.extend(missing.into_iter().flatten().map(|word| format!("`{word}`: it has none")));
    lines(&said.iter().map(|line| format!("{mark} cannot express {line}")).collect::<Vec<_>>())
}

/// What a client with waits of its own does instead.
fn waits(policy: &Policy, own: &str) -> Option<String> {
    let backoff = policy.retry.backoff;
    if retries(policy) == 0 {
        return None;
    }
    let jitter = match backoff.jitter {
        Jitter::Decorrelated => "decorrelated",
        Jitter::Equal => "equal",
        Jitter::Full => "full",
        Jitter::None => "none",
        Jitter::Quarter => "quarter",
    };
    Some(format!(
        "`backoff: {{ base: {}, cap: {}, multiplier: {}x, jitter: {jitter} }}`: it waits {own}",
        shown(backoff.base),
        shown(backoff.cap),
        number(ppm(backoff.multiplier_ppm)),
    ))
}

/// What a client with an ear of its own for hints does instead.
fn hints(strategy: &Strategy, policy: &Policy, own: &str) -> Option<String> {
    let most = shown(policy.retry.hint_max);
    (retries(policy) > 0).then(|| match strategy.hints {
        Hints::Ignore => format!("`hints: ignore`: {own}"),
        Hints::Obey => format!("`hints: obey, hint-max: {most}, hint-spread`: {own}"),
        Hints::ObeyShort => format!("`hints: obey-short, hint-max: {most}, hint-spread`: {own}"),
    })
}

/// The time for a call with all its attempts.
fn whole(policy: &Policy) -> Option<String> {
    let call = shown(policy.timeouts.call);
    let text = format!("`timeouts.call: {call}`: it has none for a call with all its attempts");
    (retries(policy) > 0).then_some(text)
}

fn fallback(strategy: &Strategy) -> Option<String> {
    (strategy.targets.len() > 1).then(|| "`targets`: it asks one provider".to_owned())
}

/// A text in Python's quotes, which are JSON's.
fn python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// How often one target is asked again, whatever the call may have besides.
fn retries(policy: &Policy) -> u32 {
    policy.retry.retries_max.min(policy.attempts_max.saturating_sub(1))
}

/// A span in seconds, as code.
fn seconds(span: Duration) -> String {
    number(span.as_secs_f64())
}

/// A span for people, as the scenario language writes it.
fn shown(span: Duration) -> String {
    mock_server::units::Span(span).to_string()
}

/// A number without needless digits.
fn number(value: f64) -> String {
    value.to_string()
}

/// Parts per million as a factor.
fn ppm(ppm: u64) -> f64 {
    crate::lab::statistics::number(ppm) / 1e6
}

fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}
