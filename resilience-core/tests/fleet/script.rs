//! The script by itself, on a real server, against a model of it.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::{Connection, Script, Value};

use crate::model::{Demand, Model, Reply};
use crate::server::Server;

/// The script with its clock and the server's run in our hands.
fn injected() -> Script {
    let source = include_str!("../../src/fleet/admit.lua");
    let clock = "redis.call('TIME')";
    let run = "redis.call('INFO', 'server')";
    assert!(source.matches(clock).count() == 1 && source.matches(run).count() == 1);
    let head = "local HEAD, EACH = 3, 7";
    let inject = format!("local INJECTED, ARGV = ARGV, {{unpack(ARGV, 4)}}\n{head}");
    let source = source.replace(clock, "{INJECTED[1], INJECTED[2]}").replace(run, "INJECTED[3]");
    Script::new(&source.replace(head, &inject))
}

fn call(
    connection: &mut Connection,
    script: &Script,
    demands: &[Demand],
    hold: i128,
    known: Option<u64>,
    run: u64,
    now: i128,
) -> Reply {
    let mut call = script.key("fleet:{model}");
    call.arg((now / 1_000_000).to_string()).arg((now % 1_000_000).to_string());
    call.arg(format!("run_id:{run:x}\r\n"));
    call.arg(hold.to_string()).arg(3_600_000);
    call.arg(known.map_or(String::new(), |known| format!("{known:x}")));
    for Demand { field, unit, rate, full, need, want, owed } in demands {
        call.arg(field);
        for number in [unit, rate, full, need, want, owed] {
            call.arg(number.to_string());
        }
    }
    let Value::Array(parts) = call.invoke(connection).unwrap() else { panic!("no array") };
    let number = |part: &Value| match part {
        Value::Int(number) => i128::from(*number),
        other => panic!("{other:?} is no number"),
    };
    let numbers: Vec<_> = parts[2..].iter().map(number).collect();
    match number(&parts[0]) {
        1 => Reply::Granted(numbers),
        _ => Reply::Refused { wait: numbers[0], dimension: usize::try_from(numbers[1]).unwrap() },
    }
}

/// One step: how the clock moves, whether the server was restarted, and what is asked of each dimension.
#[derive(Clone, Debug)]
struct Event {
    later: i128,
    restart: bool,
    knows: bool,
    asks: Vec<(i128, i128, i128)>,
}

fn shapes() -> impl Strategy<Value = Vec<(i128, i128, i128)>> {
    let shape = (1..=40u32, 0..=40u32, 1..=1_000i128).prop_map(|(unit, rate, burst)| {
        let unit = (1_i128 << unit) - 1;
        let rate = (1_i128 << rate.min(50)) - i128::from(rate > 0);
        (unit, rate, unit * burst)
    });
    // The extreme: the largest bucket in the smallest steps.
    let largest = Just((1, 1, 1_i128 << 51));
    let steepest = Just((1_i128 << 51, 1_i128 << 51, 1_i128 << 51));
    prop::collection::vec(prop_oneof![8 => shape, 1 => largest, 1 => steepest], 1..=4)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let later = prop_oneof![
        6 => 0..=1_000i128,
        3 => 0..=10_000_000i128,
        1 => 0..=100_000_000_000i128,
        1 => -5_000..=0i128,
        1 => -100_000_000_000..=0i128,
    ];
    // In thousandths of the burst: needed, wanted above that, owed.
    let ask = (0..=1_000i128, 0..=300i128, prop_oneof![3 => Just(0), 1 => 0..=1_500i128]);
    let event = (later, prop::bool::weighted(0.05), any::<bool>(), prop::collection::vec(ask, 4))
        .prop_map(|(later, restart, knows, asks)| Event { later, restart, knows, asks });
    prop::collection::vec(event, 1..60)
}

/// The script and the model answer alike whatever happens: costs, time that jumps both ways, restarts, debts, and numbers at the edge of what doubles hold.
/// P16: check, then take.
#[test]
fn property_25_the_script_takes_from_all_dimensions_or_from_none() {
    let server = Server::start();
    let connection = RefCell::new(server.connect());
    let script = injected();
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let holds = prop_oneof![Just(0), 0..=5_000_000i128];
    TestRunner::new(config)
        .run(&(shapes(), holds, events()), |(shapes, hold, events)| {
            let mut connection = connection.borrow_mut();
            let () = redis::cmd("FLUSHALL").query(&mut *connection).unwrap();
            let mut model = Model::default();
            let (mut now, mut run) = (1_800_000_000_000_000_i128, 1);
            for event in events {
                now = (now + event.later).max(1);
                run += u64::from(event.restart);
                let demands: Vec<_> = shapes
                    .iter()
                    .zip(&event.asks)
                    .enumerate()
                    .map(|(index, (&(unit, rate, full), &(need, more, owed)))| {
                        let burst = full / unit;
                        let part = |of: i128| burst * of / 1_000;
                        Demand {
                            field: format!("Tpm/{index}"),
                            unit,
                            rate,
                            full,
                            need: part(need),
                            want: part(need) + part(more),
                            owed: part(owed),
                        }
                    })
                    .collect();
                let known = event.knows.then_some(run);
                let expected = model.admit(&demands, hold, known, run, now);
                let answered = call(&mut connection, &script, &demands, hold, known, run, now);
                if let Reply::Refused { wait, .. } = answered {
                    prop_assert!(wait >= 1, "a refusal that asks for no wait spins");
                }
                prop_assert_eq!(answered, expected);
            }
            Ok(())
        })
        .unwrap();
}

fn demand(unit: i128, rate: i128, burst: i128, need: i128) -> Demand {
    Demand { field: "Rpm/0".into(), unit, rate, full: unit * burst, need, want: need, owed: 0 }
}

/// A fleet that changes its limits converts what is there, and never to more.
#[test]
fn a_changed_limit_mints_nothing() {
    let server = Server::start();
    let mut connection = server.connect();
    let script = injected();
    let mut ask = |demand: &Demand, now: i128| {
        call(&mut connection, &script, std::slice::from_ref(demand), 0, None, 1, now)
    };
    let before = demand(1_000, 1, 10, 1);
    let after = demand(7, 3, 20, 4);
    assert_eq!(ask(&before, 0), Reply::Refused { wait: 1_000, dimension: 1 });
    let taken = ask(&before, 4_600);
    assert_eq!(taken, Reply::Granted(vec![1]));
    // 3 600 units are left, 3.6 tokens: 25.2 of the new units, and one less for the fraction.
    assert_eq!(ask(&after, 4_600), Reply::Refused { wait: 2, dimension: 1 });
}

/// Negative costs would mint, fractions would drift, and more than the burst would wait for ever.
#[test]
fn costs_that_cannot_be_are_refused_by_name() {
    let server = Server::start();
    let mut connection = server.connect();
    let script = Script::new(include_str!("../../src/fleet/admit.lua"));
    for (need, want) in [("-1", "0"), ("0.5", "1"), ("11", "11"), ("2", "1"), ("nan", "1")] {
        let mut call = script.key("fleet:{costs}");
        call.arg(0).arg(1_000).arg("").arg("Rpm/0").arg(1_000).arg(1).arg(10_000);
        let answer: Result<Value, _> = call.arg(need).arg(want).arg(0).invoke(&mut connection);
        let error = answer.unwrap_err();
        assert_eq!(error.code(), Some("BADCOST"), "{need}: {error}");
        assert!(error.to_string().contains("Rpm/0"), "{error}");
    }
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(keys.is_empty(), "a refused cost leaves nothing behind");
}
