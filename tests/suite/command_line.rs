//! Exit codes, streams, and what is left behind.

use std::path::Path;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use crate::program::{Ran, brownout, command, scratch};

#[track_caller]
fn refuses(arguments: &[&str], message: &str) {
    let ran = brownout(arguments);
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
}

const SCENARIO: &str = "scenarios/limits/two-429s-then-fine.yaml";

#[test]
fn bad_input_is_refused_before_anything_runs() {
    refuses(
        &["run", SCENARIO, "--", "no-such-program"],
        "error: command `no-such-program` was not found",
    );
    refuses(
        &["run", "no/such/folder"],
        "error: cannot read `no/such/folder`: No such file or directory",
    );
    refuses(
        &["run", "docs"],
        "error: there is no scenario in `docs`: no file in it ends in `.yaml`",
    );
    refuses(&["run", "scenarios", "--only", "nothing"], "no scenario's id holds `nothing`");
    refuses(
        &["run", SCENARIO, "--junit", "/no/such/folder/report.xml"],
        "error: cannot write `/no/such/folder/report.xml`: No such file or directory",
    );
    refuses(
        &["run", SCENARIO, "--", "./README.md"],
        "error: command `./README.md` is not executable",
    );
    refuses(&["run"], "required arguments were not provided");
    refuses(&["run", SCENARIO, "--seed", "often"], "a seed is a whole number");
    refuses(&[], "Usage: brownout");
    refuses(
        &["bench", "--strategy", "full-jiter"],
        "error: there is no strategy `full-jiter`; there is `none`, `fixed`, ",
    );
    refuses(
        &["bench", "nowhere"],
        "error: there is no world `nowhere`, and no file or folder of that name; built in are ",
    );
    refuses(&["bench", "quota", "--load", "0x"], "a load of 0x has no calls");
    refuses(&["bench", "quota", "--load", "1.5"], "it has no unit; write `1.5x`");
    refuses(
        &["bench", "quota", "--strategies", "no/such/file.yaml"],
        "error: cannot read `no/such/file.yaml`: No such file or directory",
    );
    refuses(
        &["bench", "quota", "--strategies", SCENARIO],
        "help: the keys here are `brownout` and `strategies`",
    );
    refuses(
        &["bench", "scenarios/network/a-refused-connection-is-retried.yaml"],
        "has `connections`, and a world has none; play it with `brownout run`",
    );
    refuses(
        &["bench", "quota", "--json", "/no/such/folder/bench.json"],
        "error: cannot write `/no/such/folder/bench.json`: No such file or directory",
    );
    refuses(&["catalog", "opena"], "a similar value exists: 'openai'");
    refuses(&["catalog", "openai", "rate-limits"], "a similar value exists: 'rate-limited'");
    refuses(&["catalog", "openai", "cancelled"], "`openai` knows no `cancelled`");
    refuses(
        &["catalog", "openai", "overloaded", "lots"],
        "no `overloaded` of `openai` is called `lots`; there is `servers`",
    );
}

#[test]
fn the_catalogue_prints_bytes_and_nothing_else() {
    let ran = brownout(&["catalog", "anthropic", "overloaded"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for line in
        ["HTTP/1.1 529 ", "# overloaded: overloaded, inside a stream (quoted: ", "event: error"]
    {
        assert!(ran.stdout.lines().any(|found| found.starts_with(line)), "{}", ran.stdout);
    }
    let ran = brownout(&["catalog", "openai", "rate-limited", "slow-down"]);
    assert!(ran.stdout.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{}", ran.stdout);
    let body = ran.stdout.split_once("\r\n\r\n").unwrap().1;
    let length = format!("content-length: {}\r\n", body.len());
    assert!(ran.stdout.contains(&length), "{}", ran.stdout);
    assert!(body.ends_with('}') && body.contains("slow_down"), "{body}");
    let ran = brownout(&["catalog", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(list["schema"], "brownout.catalog/1");
    let entries = list["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["body"].is_string() || entry["body_hex"].is_string()));
    let usual = entries.iter().filter(|entry| {
        entry["provider"] == "openai"
            && entry["fault"] == "overloaded"
            && entry["place"] == "answer"
            && entry["usual"] == true
            && entry["routes"].as_array().unwrap().contains(&"openai.chat".into())
    });
    assert_eq!(usual.count(), 1);
}

#[test]
fn one_broken_file_runs_nothing() {
    let folder = scratch("one-broken", "good.yaml", "brownout: 1\nname: good\n");
    scratch("one-broken", "broken.yaml", "brownout: 1\nname: broken\nruls: []\n");
    let folder = folder.parent().unwrap().to_str().unwrap();
    refuses(&["run", folder], "unknown key `ruls`");
    refuses(&["check", folder], "did you mean `rules`?");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let message = format!("error: cannot listen on 127.0.0.1:{port}: Address already in use");
    refuses(&["serve", "--port", &port.to_string()], &message);
}

#[test]
fn nothing_but_the_report_is_on_stdout() {
    let ran =
        brownout(&["run", SCENARIO, "--", "sh", "-c", "echo from $((40 + 2)); echo aloud >&2"]);
    assert_eq!(ran.code, Some(3), "{}\n{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("from 42"), "{}", ran.stdout);
    assert!(ran.stderr.contains("from 42") && ran.stderr.contains("aloud"));
    assert!(ran.stdout.contains("no request came"), "{}", ran.stdout);
}

#[test]
fn a_command_that_fails_is_a_finding() {
    let text = "brownout: 1\nname: anything\n";
    let scenario = scratch("fails", "anything.yaml", text);
    let ran = brownout(&["run", scenario.to_str().unwrap(), "--", "sh", "-c", "exit 7"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stdout.contains("the command ended with exit code 7"), "{}", ran.stdout);
}

/// The process ids in a command's output, of itself and of a child that ignores the end of it.
const STUBBORN: &str =
    "trap '' TERM; (trap '' TERM; echo pid $$; exec sleep 600) & echo pid $!; wait";

#[test]
fn a_command_that_never_ends_is_ended_with_all_its_children() {
    let text = "brownout: 1\nname: no end\ntime-limit: 1s\n";
    let scenario = scratch("no-end", "no-end.yaml", text);
    let ran = brownout(&["run", scenario.to_str().unwrap(), "--", "sh", "-c", STUBBORN]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("still running after 1.00 s"), "{}", ran.stdout);
    assert!(pids(&ran.stderr).len() == 2, "{}", ran.stderr);
    assert_gone(&pids(&ran.stderr));
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let text = "brownout: 1\nname: no end\ntime-limit: 10min\n";
    let scenario = scratch("ctrl-c", "no-end.yaml", text);
    let arguments = ["run", scenario.to_str().unwrap(), "--", "sh", "-c", STUBBORN];
    let mut child =
        command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut output = String::new();
    while pids(&output).len() < 2 {
        assert!(stderr.read_line(&mut output).unwrap() > 0, "{output}");
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_gone(&pids(&output));
}

#[test]
fn ctrl_c_ends_a_run_in_virtual_time() {
    // A year of calls: far more than a test would wait for.
    let text =
        "brownout: 1\nname: long\ntime-limit: 7d\nclient:\n  arrivals: { rate: 2/s, for: 5d }\n";
    let scenario = scratch("ctrl-c-virtual", "long.yaml", text);
    let mut child =
        command(&["run", scenario.to_str().unwrap()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// A served scenario, until it is interrupted.
struct Served {
    child: Child,
    /// What it said of itself.
    announced: String,
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let mut child =
            command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut announced = String::new();
        while !announced.contains("Ctrl-C") {
            assert!(stdout.read_line(&mut announced).unwrap() > 0, "{announced}");
        }
        Self { child, announced }
    }

    fn address(&self) -> &str {
        let url = self.announced.split("ANTHROPIC_BASE_URL=http://").nth(1).unwrap();
        url.lines().next().unwrap()
    }

    fn ask(&self, method: &str, path: &str, host: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer k\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn stop(mut self) {
        interrupt(&self.child);
        assert_eq!(self.child.wait().unwrap().code(), Some(130));
    }
}

#[test]
fn a_served_scenario_tells_its_health_journal_and_verdict() {
    let served = Served::start(&["serve", SCENARIO]);
    let address = served.address();
    let get = |method: &str, path: &str, host: &str| served.ask(method, path, host, "");
    assert!(get("GET", "/_brownout/health", address).ends_with("ok\n"));
    assert!(get("GET", "/_brownout/verdict", "localhost").contains("no-request"));
    assert!(get("GET", "/v1/nothing", address).starts_with("HTTP/1.1 404"));
    assert!(get("GET", "/_brownout/journal", address).contains("\"action\":\"unserved\""));
    assert!(get("POST", "/_brownout/reset", address).starts_with("HTTP/1.1 204"));
    assert!(get("GET", "/_brownout/journal", address).contains("content-length: 0"));
    // A page that rebinds its name to our address cannot hide that name.
    assert!(get("GET", "/_brownout/journal", "evil.example").starts_with("HTTP/1.1 403"));
    served.stop();
}

#[test]
fn a_served_lane_plays_a_scenario_of_its_own() {
    const CHAT: &str =
        r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}],"stream":false}"#;
    const PAGE: &str = "/lane/a/_brownout/scenario";
    let served = Served::start(&["serve"]);
    assert!(served.announced.contains("/lane/NAME/_brownout/scenario"), "{}", served.announced);
    let post = |path: &str, body: &str| served.ask("POST", path, "localhost", body);
    let status = |prefix: &str| {
        let got = post(&format!("{prefix}/v1/chat/completions"), CHAT);
        got.split(' ').nth(1).unwrap().to_owned()
    };
    let text = "brownout: 1\nname: own\nrules:\n  - per: lane\n    script: [overloaded]\n";
    for _ in 0..2 {
        // It begins anew each time that it is given.
        assert!(post(PAGE, text).starts_with("HTTP/1.1 204"));
        assert_eq!([status("/lane/a"), status("/lane/a")], ["503", "200"]);
    }
    assert_eq!([status(""), status("/lane/b")], ["200", "200"]);
    let verdict = served.ask("GET", "/lane/a/_brownout/verdict", "localhost", "");
    assert!(verdict.contains("\"name\":\"own\"") && verdict.contains("\"attempts\":2"));
    let verdict = served.ask("GET", "/lane/b/_brownout/verdict", "localhost", "");
    assert!(verdict.contains("\"name\":\"a healthy provider\""), "{verdict}");
    let verdict = served.ask("GET", "/lane/nobody/_brownout/verdict", "localhost", "");
    assert!(verdict.starts_with("HTTP/1.1 404"), "{verdict}");
    // What is wrong with a scenario is told as it would be told of a file.
    let wrong = post(PAGE, "brownout: 1\nname: own\nruls: []\n");
    assert!(wrong.starts_with("HTTP/1.1 422") && !wrong.contains('\u{1b}'), "{wrong}");
    assert!(wrong.contains("did you mean `rules`?") && wrong.contains("3:1"), "{wrong}");
    let connections = "brownout: 1\nname: own\nconnections:\n  - when: { nth: 1 }\n    \
                       fault: { accept-late: { after: 1s } }\n";
    let refused = post(PAGE, connections);
    assert!(refused.starts_with("HTTP/1.1 421"), "{refused}");
    assert!(refused.contains("`connections`"), "{refused}");
    assert!(post("/_brownout/scenario", text).starts_with("HTTP/1.1 421"));
    let evil = served.ask("POST", PAGE, "evil.example", text);
    assert!(evil.starts_with("HTTP/1.1 403"), "{evil}");
    served.stop();
}

/// A command whose workers have a lane each: every lane has its own line and verdict.
#[test]
fn a_run_with_lanes_has_a_verdict_for_each() {
    let text = "brownout: 1\nname: lanes\nexpect:\n  - total-attempts: { exactly: 1 }\n";
    let scenario = scratch("run-lanes", "lanes.yaml", text);
    let json = scratch("run-lanes", "r.json", "").to_str().unwrap().to_owned();
    let script = "import os, urllib.request as r\n\
        for lane in ['a', 'b', 'b']:\n\
        \u{20}body = b'{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}'\n\
        \u{20}url = os.environ['BROWNOUT_URL'] + f'/lane/{lane}/v1/chat/completions'\n\
        \u{20}r.urlopen(r.Request(url, body, {'authorization': 'Bearer k'})).read()\n";
    let path = scenario.to_str().unwrap();
    let ran = brownout(&["run", path, "--json", &json, "--", "python3", "-c", script]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.contains(" [")).collect();
    assert!(lines[0].starts_with("  PASS  run-lanes/lanes [a]"), "{}", ran.stdout);
    assert!(lines[1].starts_with("  FAIL  run-lanes/lanes [b]"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 failed, 1 passed"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("\nreplay: ").count(), 1);
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let judged = report["scenarios"].as_array().unwrap().iter().map(|of| of["lane"].as_str());
    assert_eq!(judged.collect::<Vec<_>>(), [Some("a"), Some("b")]);
}

#[test]
fn a_run_tells_what_it_cost_and_what_of_it_arrived() {
    let text = "brownout: 1\nname: a cut stream is paid for\n\
                provider: { prices: { \"*\": { input: $1/M, output: $2/M } } }\n\
                rules:\n  - script: [{ cut-stream: { after: 2 } }]\n\
                client: { streaming: true }\nexpect:\n  - outcome: success\n";
    let scenario = scratch("money", "money.yaml", text);
    let path = |name: &str| scratch("money-reports", name, "").to_str().unwrap().to_owned();
    let (junit, json, journal) = (path("r.xml"), path("r.json"), path("r.jsonl"));
    let ran = brownout(&[
        "run",
        scenario.to_str().unwrap(),
        "--junit",
        &junit,
        "--json",
        &json,
        "--journal",
        &journal,
    ]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let report: serde_json::Value = serde_json::from_str(&read(&json)).unwrap();
    let spending = &report["spending"];
    assert_eq!(&report["scenarios"][0]["spending"], spending);
    let number = |of: &str, what: &str| spending[of][what].as_u64().unwrap();
    assert_eq!((number("billed", "attempts"), number("delivered", "attempts")), (2, 1));
    for of in ["billed", "delivered"] {
        let cost = 1_000_000 * number(of, "input-tokens") + 2_000_000 * number(of, "output-tokens");
        assert_eq!(number(of, "cost-picodollars"), cost);
    }
    let wasted = number("billed", "output-tokens") - number("delivered", "output-tokens");
    assert!(wasted > 0, "{spending}");
    let line = ran.stdout.lines().find(|line| line.starts_with("billed ")).unwrap();
    let told = format!(" and {wasted} out, $0.0000");
    assert!(line.contains(&told) && line.ends_with(" on 1 attempt that brought no whole answer"));
    assert!(read(&junit).contains("<property name=\"billed-cost\" value=\"$0.000"));
    assert_eq!(read(&journal).matches("\"billed\":{\"input_tokens\":").count(), 2);
    // A run that is refused everything has nothing to tell.
    let free = brownout(&["run", "scenarios", "--only", "a-401-is-never-retried"]);
    assert!(!free.stdout.contains("billed"), "{}", free.stdout);
}

/// Whoever reads only the first line has not changed the verdict.
#[test]
fn a_closed_pipe_does_not_change_the_exit_code() {
    let program = env!("CARGO_BIN_EXE_brownout");
    let script = format!(
        "{program} run scenarios/auth scenarios/requests -- python3 tests/clients/retries_a_401.py 2>/dev/null | head -1; echo \"${{PIPESTATUS[0]}}\""
    );
    let mut bash = Command::new("bash");
    let ran = bash.args(["-c", &script]).current_dir(crate::program::root()).output().unwrap();
    assert!(Ran::from(ran).stdout.ends_with("\n1\n"));
}

/// A scenario's own seed is the one that replays it.
#[test]
fn a_seed_in_the_file_is_the_seed_of_its_replay() {
    let text = "brownout: 1\nname: seeded\nseed: 77\nrules:\n  - fault: server-error\n    chance: 50%\nclient: { calls: 4, retries: 0 }\nexpect:\n  - total-attempts: { exactly: 9 }\n";
    let scenario = scratch("seeded", "seeded.yaml", text);
    let path = scenario.to_str().unwrap();
    assert!(brownout(&["run", path]).stdout.contains("--seed 0x4d"));
    assert!(brownout(&["run", path, "--seed", "5"]).stdout.contains("--seed 0x5"));
}

#[test]
fn one_file_is_not_written_twice() {
    refuses(
        &["run", SCENARIO, "--junit", "same", "--json", "same"],
        "error: `same` is given for two reports",
    );
    assert!(!Path::new("same").exists(), "a refused command left a file behind");
}

#[test]
fn a_list_is_not_a_run() {
    let ran = brownout(&["run", "scenarios", "--list", "--only", "auth"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "auth/a-401-is-never-retried  a 401 is never retried\n")
    );
}

#[test]
fn fail_fast_stops_at_the_first_that_does_not_hold() {
    let arguments = ["run", "scenarios/auth", "scenarios/requests", "--fail-fast", "--", "true"];
    let ran = brownout(&arguments);
    assert_eq!(ran.code, Some(3), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n1 inconclusive in "), "{}", ran.stdout);
}

#[test]
fn reports_for_servers_and_programs_are_written() {
    let path = |name: &str| scratch("reports", name, "").to_str().unwrap().to_owned();
    let (junit, json, journal) = (path("r.xml"), path("r.json"), path("r.jsonl"));
    let arguments = [
        "run",
        "scenarios",
        "--only",
        "auth",
        "--junit",
        &junit,
        "--json",
        &json,
        "--journal",
        &journal,
    ];
    assert_eq!(brownout(&arguments).code, Some(0));
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert!(
        read(&junit).contains(
            "<testcase name=\"1: not-retried\" classname=\"auth/a-401-is-never-retried\""
        )
    );
    let report: serde_json::Value = serde_json::from_str(&read(&json)).unwrap();
    assert_eq!(report["schema"], "brownout.report/1");
    assert_eq!(report["scenarios"][0]["findings"][0]["exercised"], 1);
    let lines: Vec<serde_json::Value> =
        read(&journal).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["journal"], "brownout.journal/1");
    assert_eq!(lines[1]["entry"], "scenario");
    assert_eq!(lines[2]["entry"], "claimed");
    assert!(!read(&journal).contains("sk-brownout"), "a key is in the journal");
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn pids(output: &str) -> Vec<String> {
    let pids = output.lines().filter_map(|line| line.strip_prefix("pid "));
    pids.map(|pid| pid.trim().to_owned()).collect()
}

#[track_caller]
fn assert_gone(pids: &[String]) {
    for pid in pids {
        let state = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
        let state = Ran::from(state).stdout;
        // A zombie is gone; whoever started it has not looked yet.
        assert!(
            state.trim().is_empty() || state.starts_with('Z'),
            "process {pid} is still there: {state}"
        );
    }
}
