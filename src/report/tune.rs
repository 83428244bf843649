//! What a search for settings has come to: for people, for programs, and for the code that is to be changed.

mod clients;
mod json;
mod policy;
mod terminal;

pub use clients::{Export, exports};
pub use json::write as write_json;
pub use policy::code;
pub use terminal::write as write_terminal;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{lab::tune::file, scenario::Strategy};

    /// Settings of every kind.
    pub(super) fn strategy() -> Strategy {
        let json = serde_json::json!({
            "about": "tuned: retries",
            "targets": ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"],
            "retries": 3,
            "attempts": 6,
            "backoff": { "base": "250ms", "cap": "8s", "multiplier": "1.5x", "jitter": "equal" },
            "hints": "obey-short",
            "hint-max": "30s",
            "hint-spread": { "share": "50%" },
            "timeouts": { "attempt": "20s", "call": "90s" },
            "cooldown": "10s",
            "limits": { "as-provider": "95%", "queue": "10s" },
            "state": "own",
            "budget": { "ratio": { "share": "20%", "saved": 30 } },
            "breaker": { "failures": "30%", "open": "5s" },
            "hedge": { "after": "p90", "share": "2%" },
            "throttle": { "beyond": "1.5x" },
            "adaptive-concurrency": { "initial": 16 },
        });
        serde_json::from_value(json).unwrap()
    }

    /// `BROWNOUT_BLESS=1` writes the files as they are now; read them before committing.
    #[test]
    fn settings_are_written_as_the_golden_files_have_them() {
        let whole = strategy();
        let mut text = file("golden-tuned", &whole);
        let plain = crate::lab::library::strategies()["full-jitter"].clone();
        for strategy in [&whole, &plain] {
            for Export { client, code } in exports(strategy) {
                text.extend(["\n== ", client, "\n", code.as_str()]);
            }
        }
        for (name, text) in [("tune-clients.txt", text), ("tune-policy.rs", code(&whole))] {
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            let path = root.join("tests/reports").join(name);
            if std::env::var_os("BROWNOUT_BLESS").is_some() {
                fs::write(&path, &text).unwrap();
            }
            assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
        }
    }
}
