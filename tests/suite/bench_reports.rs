//! Does each report of the lab say what was found, whatever things are called?
//!
//! `BROWNOUT_BLESS=1 cargo test bench_reports` writes `tests/reports/*` as they are now; read them before committing.

use std::{fs, io};

use brownout::{
    lab::{
        comparison::{Comparison, compare},
        metric::{Figures, Metric},
        results::{Cell, Moment, Named, Results, World},
    },
    report::bench::{write_csv, write_csv_runs, write_html, write_json, write_terminal},
};
use quick_xml::{Reader, XmlVersion, events::Event};
use serde_json::Value;

use crate::program::root;

/// Three strategies in three worlds: `steady` is best under a high load, `hasty` under a low one, and `lazy` gives up.
fn results() -> Results {
    let strategies = ["steady", "hasty", "lazy"]
        .map(|name| Named { name: name.to_owned(), about: format!("what a {name} client does") });
    let world = |scenario: &str, load: f64, outages: &[(f64, f64)]| World {
        name: if load > 1.0 { format!("{scenario} at {load}x") } else { scenario.to_owned() },
        scenario: scenario.to_owned(),
        about: format!("a world of {scenario}"),
        load,
        span: 60.0,
        outages: outages.to_vec(),
    };
    let worlds = vec![
        world("quota", 1.0, &[]),
        world("quota", 2.0, &[]),
        world("outage", 1.0, &[(20.0, 40.0)]),
    ];
    // Success and amplification of each strategy, world by world.
    let figures = [
        [(0.95, 1.2), (0.98, 1.1), (0.90, 1.0)],
        [(0.80, 1.5), (0.60, 2.5), (0.50, 1.0)],
        [(0.90, 1.3), (0.90, 1.9), (0.40, 1.0)],
    ];
    let mut cells = Vec::new();
    for (world, row) in figures.into_iter().enumerate() {
        for (strategy, (success, amplification)) in row.into_iter().enumerate() {
            // Luck is the same for all strategies, and a little is each one's own.
            let luck = [-0.02, 0.01, 0.03, -0.01];
            let own = [0.001, -0.002, 0.000_5, 0.001_5];
            let runs = luck.into_iter().enumerate().map(|(run, luck)| {
                let own = own[(run + strategy) % own.len()];
                let mut figures = Figures::default();
                figures.set(Metric::Success, f64::min(1.0, success + luck / 2.0 + own));
                figures.set(Metric::Amplification, amplification - luck * (amplification - 1.0));
                figures.set(Metric::P99, 10.0 * amplification + 100.0 * own);
                figures.set(Metric::WastedCost, 0.000_1 * amplification + own / 1e4);
                if world == 2 {
                    figures.set(Metric::SuccessInOutage, success / 2.0 + own);
                    // Whoever gives up has not recovered in every run.
                    if strategy < 2 || run > 0 {
                        figures.set(Metric::Recovery, 3.0 + luck + own);
                    }
                }
                figures
            });
            let moment = |at: f64, calls: f64| Moment {
                at,
                calls,
                attempts: calls * amplification,
                successes: calls * success,
                limited: 0.0,
            };
            cells.push(Cell {
                strategy,
                world,
                runs: runs.collect(),
                course: vec![moment(0.0, 10.0), moment(20.0, 12.0), moment(40.0, 0.0)],
                latencies: vec![(0.5, 0.5), (0.99, 10.0 * amplification), (1.0, 30.0)],
                calls: 2_640,
                attempts: 3_000,
            });
        }
    }
    Results { seed: 0x005e_ed42, runs: 4, strategies: strategies.to_vec(), worlds, cells }
}

/// The same, with names that every format has to keep in their place.
fn hostile() -> Results {
    let mut results = results();
    for (named, name) in results.strategies.iter_mut().zip(HOSTILE) {
        name.clone_into(&mut named.name);
        named.about = format!("\"/><img src=x onerror=alert(1)> {name}");
    }
    results.worlds[0].name = format!("world of {}", HOSTILE[0]);
    HOSTILE[1].clone_into(&mut results.worlds[0].about);
    results
}

const HOSTILE: [&str; 3] = [
    "</title></style><script>alert('a' & \"b\")</script>",
    "a,\"b\"\r\n=c]]>--><!--",
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{0}\u{202e}&amp;",
];

/// The text that a writer writes.
fn written(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn terminal(results: &Results, comparison: &Comparison, columns: Option<usize>) -> String {
    let styled = written(|out| write_terminal(results, comparison, columns, out));
    anstream::adapter::strip_str(&styled).to_string()
}

#[test]
fn every_report_says_what_it_was_meant_to() {
    let results = results();
    let comparison = compare(&results);
    let json = written(|out| write_json(&results, &comparison, out));
    let files = [
        ("bench.txt", terminal(&results, &comparison, Some(100))),
        ("bench-narrow.txt", terminal(&results, &comparison, Some(50))),
        ("bench.csv", written(|out| write_csv(&results, out))),
        ("bench-runs.csv", written(|out| write_csv_runs(&results, out))),
        // In lines, so that a change can be read.
        ("bench.json", json.replace("{\"", "\n{\"").trim_start().to_owned()),
    ];
    let mut wrong = Vec::new();
    for (name, said) in files {
        let path = root().join("tests/reports").join(name);
        if std::env::var_os("BROWNOUT_BLESS").is_some() {
            fs::write(&path, &said).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != said {
            wrong.push(format!("{name} says\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_line_of_the_tables_is_wider_than_asked() {
    let results = results();
    let comparison = compare(&results);
    let whole = terminal(&results, &comparison, None);
    assert_eq!(whole.lines().filter(|line| line.starts_with("  lazy ")).count(), 3, "{whole}");
    for width in [60, 80, 100, 160] {
        let shown = terminal(&results, &comparison, Some(width));
        for line in shown.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

/// What a page is made of.
#[derive(Default)]
struct Page {
    elements: Vec<String>,
    attributes: Vec<(String, String)>,
    /// The texts, one behind the other.
    text: String,
}

impl Page {
    /// Reads a page as XML, which forgives nothing.
    fn of(html: &str) -> Self {
        let mut reader = Reader::from_str(html);
        reader.config_mut().check_comments = true;
        let mut page = Self::default();
        let mut open = 0;
        loop {
            let event = reader.read_event().unwrap_or_else(|mistake| panic!("{mistake}: {html}"));
            match &event {
                Event::Start(tag) | Event::Empty(tag) => {
                    open += i32::from(matches!(event, Event::Start(_)));
                    page.elements.push(tag.name().as_ref().escape_ascii().to_string());
                    for attribute in tag.attributes() {
                        let attribute = attribute.unwrap();
                        let value = attribute
                            .normalized_value(XmlVersion::Implicit1_0)
                            .unwrap()
                            .into_owned();
                        let key = attribute.key.as_ref().escape_ascii().to_string();
                        page.attributes.push((key, value));
                    }
                }
                Event::End(_) => open -= 1,
                Event::Text(text) => page.text += &text.decode().unwrap(),
                Event::GeneralRef(name) => {
                    let name = name.decode().unwrap();
                    page.text += &quick_xml::escape::unescape(&format!("&{name};")).unwrap();
                }
                Event::Eof => break,
                Event::DocType(_) => {}
                other => panic!("there is no {other:?} in a page"),
            }
        }
        assert_eq!(open, 0, "everything is closed");
        page
    }
}

#[test]
fn a_page_shows_every_strategy_and_every_world() {
    let results = results();
    let comparison = compare(&results);
    let html = written(|out| write_html(&results, &comparison, out));
    let page = Page::of(&html);
    for name in results.strategies.iter().flat_map(|named| [&named.name, &named.about]) {
        assert!(page.text.contains(name.as_str()), "{name}");
    }
    for (place, world) in results.worlds.iter().enumerate() {
        assert!(page.text.contains(&world.name) && page.text.contains(&world.about));
        for (key, value) in [("id", format!("w{place}")), ("href", format!("#w{place}"))] {
            assert!(page.attributes.contains(&(key.to_owned(), value)), "{key}");
        }
    }
    for strategy in 0..results.strategies.len() {
        let key = ("id".to_owned(), format!("k{strategy}"));
        assert!(page.attributes.contains(&key), "each can be hidden");
        assert!(html.contains(&format!("body:has(#k{strategy}:not(:checked)) main .s{strategy} ")));
    }
    // Trade-offs of three worlds and of each one, two panels over time and latencies of each one,
    // and three metrics over the load of one scenario.
    let figures = page.elements.iter().filter(|element| *element == "figure").count();
    assert_eq!(figures, 3 + 3 + 3 * 3 + 3);
    let shaded = page.attributes.iter().filter(|(key, value)| key == "class" && value == "outage");
    assert_eq!(shaded.count(), 2, "the outage of one world, in both panels");
}

#[test]
fn a_page_asks_for_nothing() {
    let results = hostile();
    let html = written(|out| write_html(&results, &compare(&results), out));
    let page = Page::of(&html);
    for element in &page.elements {
        let known = ["script", "link", "img", "iframe", "object", "use", "image", "base"];
        assert!(!known.contains(&element.as_str()), "{element}");
    }
    for (key, value) in &page.attributes {
        assert!(!key.starts_with("on") && key != "src" && key != "style", "{key}");
        assert!(key != "href" || value.starts_with("#w"), "{value}");
    }
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    for call in ["url(", "@import", "//"] {
        assert!(!style.contains(call), "{call}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let results = hostile();
    let comparison = compare(&results);
    let html = written(|out| write_html(&results, &comparison, out));
    let page = Page::of(&html);
    assert!(page.text.contains(HOSTILE[0]), "as it is written in the file");
    assert!(html.chars().all(|c| !c.is_control() || c == '\n'));
    let json = written(|out| write_json(&results, &comparison, out));
    assert_eq!(json.lines().count(), 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    for (place, name) in HOSTILE.into_iter().enumerate() {
        assert_eq!(json["strategies"][place]["name"], name);
    }
    let csv = written(|out| write_csv(&results, out));
    assert!(csv.contains("\n\"a,\"\"b\"\"\r\n=c]]>--><!--\",\"world of </title>"), "{csv}");
    let shown = terminal(&results, &comparison, Some(100));
    assert!(shown.chars().all(|c| !c.is_control() || c == '\n'), "{shown}");
}

/// Nothing at all, a world without runs, runs without figures, times that are none.
#[test]
fn reports_of_nothing_are_whole_reports() {
    let mut none = results();
    none.strategies.clear();
    none.worlds.clear();
    none.cells.clear();
    let mut without_cells = results();
    without_cells.cells.truncate(4);
    let mut blank = results();
    for cell in &mut blank.cells {
        cell.runs.fill(Figures::default());
        cell.latencies = vec![(0.5, 0.0), (1.0, f64::NAN)];
        cell.course = vec![Moment { at: f64::NAN, calls: f64::INFINITY, ..Moment::default() }];
    }
    blank.worlds[2].outages = vec![(f64::NAN, f64::INFINITY)];
    blank.worlds[1].load = f64::NAN;
    let mut alone = results();
    alone.runs = 1;
    for cell in &mut alone.cells {
        cell.runs.truncate(1);
    }
    for results in [none, without_cells, blank, alone] {
        let comparison = compare(&results);
        let html = written(|out| write_html(&results, &comparison, out));
        Page::of(&html);
        for (key, value) in Page::of(&html).attributes {
            let is_drawn = ["d", "points", "x", "y", "width", "height", "transform"];
            if is_drawn.contains(&key.as_str()) {
                assert!(!value.contains("NaN") && !value.contains("inf"), "{key}={value}");
            }
        }
        let json = written(|out| write_json(&results, &comparison, out));
        serde_json::from_str::<Value>(&json).unwrap();
        let shown =
            terminal(&results, &comparison, Some(100)) + &written(|out| write_csv(&results, out));
        assert!(!shown.contains("NaN") && !shown.contains("inf "), "{shown}");
        assert_eq!(comparison, compare(&results), "the same results, the same comparison");
    }
}
