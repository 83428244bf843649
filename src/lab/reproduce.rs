//! Published results, and whether our models show them too.
//!
//! Each model is written from its description, runs on the client core's own decisions wherever these are what the source is about, and has every constant as a parameter.
//! A model knows neither terminal nor files: it gives [`Claim`]s, which are compared with what was published, and [`Cell`]s, which are exported with the values of every single run.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    crew::{Crew, Progress},
    statistics::{Summary, number},
};

mod atb;
mod aws_jitter;
mod backoff;
mod collapse;
mod cubic;
mod failing_server;
mod gcra;
mod hedging;
mod metastable;
mod netflix;
mod open_closed;
mod retries;
mod retry_budgets;
mod sdk_backoff;
mod sre_throttling;

/// A published result that can be reproduced.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub title: &'static str,
    /// Who published it, and where.
    pub source: &'static str,
    /// Its constants, all of which can be changed.
    pub parameters: &'static [Parameter],
    /// How many independent runs each figure is made of, unless told otherwise.
    pub runs: u32,
    /// The model.
    pub run: fn(&Setup<'_>) -> Reproduction,
}

/// A constant of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in `--set NAME=VALUE`.
    pub name: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
    /// The published values; more than one if results are published for several.
    pub default: &'static [f64],
    /// The smallest value that makes sense.
    pub least: f64,
    /// The largest one.
    pub most: f64,
    /// Whether only whole numbers make sense.
    pub whole: bool,
}

/// How a model is run.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The seed of all its chance.
    pub seed: u64,
    /// How many independent runs each figure is made of.
    pub runs: u32,
    /// Who runs it.
    pub crew: Crew,
    /// What its parameters are.
    pub settings: &'a Settings,
    /// Where runs are counted.
    pub progress: &'a Progress,
}

/// The values of a model's parameters, all of them in their range.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    values: BTreeMap<&'static str, Vec<f64>>,
    changed: bool,
}

/// What a model has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reproduction {
    /// What was published, beside what was found; empty where nothing is published for these parameters.
    pub claims: Vec<Claim>,
    /// Everything that was measured, run by run.
    pub cells: Vec<Cell>,
    /// What a reader should know beside the figures, a sentence each.
    pub notes: Vec<String>,
}

/// One published figure beside ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// What is claimed, such as `calls, 100 clients, full`.
    pub what: String,
    /// The published figure, or the bound that a published statement sets.
    pub published: f64,
    /// What we found.
    pub ours: Summary,
    /// How far the two may be apart.
    pub tolerance: Tolerance,
}

/// How far a figure of ours may be from a published one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// So much, in the figure's own unit.
    Absolute(f64),
    /// Ours is greater.
    Above,
    /// Ours is smaller.
    Below,
    /// So many standard errors of both together; `published` is that of the published figure, 0 if it is exact.
    Errors {
        /// The most standard errors.
        most: f64,
        /// The standard error of the published figure.
        published: f64,
    },
    /// Such a share of the published figure.
    Relative(f64),
}

/// One metric of one combination of parameters, in every run.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What tells it apart from other cells, in the order of the columns.
    pub labels: Vec<(&'static str, String)>,
    /// What was measured, with its unit at the end where it has one.
    pub metric: &'static str,
    /// What each run gave; a run without a value for it is left out.
    pub values: Vec<f64>,
}

/// Why a parameter cannot be set.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SettingMistake {
    /// It is no list of numbers.
    #[error("`{value}` is no number; write `{name}=1.5`, or several with commas between them")]
    NoNumber {
        /// The parameter.
        name: String,
        /// What was written.
        value: String,
    },
    /// It does not lie in its range.
    #[error("`{name}` is {value}, and must be between {least} and {most}")]
    OutOfRange {
        /// The parameter.
        name: String,
        /// The value.
        value: f64,
        /// The smallest that makes sense.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// Half of something that comes only as a whole.
    #[error("`{name}` is {value}, and must be a whole number")]
    NotWhole {
        /// The parameter.
        name: String,
        /// The value.
        value: f64,
    },
    /// There is no such parameter.
    #[error("there is no parameter `{name}`; there is {known}")]
    Unknown {
        /// What was written.
        name: String,
        /// Those that there are.
        known: String,
    },
}

impl Anchor {
    /// The one with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ANCHORS.iter().find(|anchor| anchor.name == name)
    }

    /// Its parameters as they are published, except for those that are given as `(name, values)`, the values with commas between them.
    pub fn settings(&self, given: &[(String, String)]) -> Result<Settings, SettingMistake> {
        let published = self.parameters.iter();
        let published = published.map(|known| (known.name, known.default.to_vec())).collect();
        let mut settings = Settings { values: published, changed: false };
        for (name, text) in given {
            let Some(parameter) = self.parameters.iter().find(|known| known.name == name) else {
                let known: Vec<String> =
                    self.parameters.iter().map(|known| format!("`{}`", known.name)).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(SettingMistake::Unknown { name: name.clone(), known });
            };
            let values = text.split(',').map(|text| parameter.read(text.trim()));
            let values = values.collect::<Result<Vec<f64>, _>>()?;
            settings.changed |= values != parameter.default;
            settings.values.insert(parameter.name, values);
        }
        Ok(settings)
    }
}

impl Parameter {
    fn read(&self, text: &str) -> Result<f64, SettingMistake> {
        let name = self.name.to_owned();
        let value: f64 = match text.parse() {
            Ok(value) => value,
            Err(_) => return Err(SettingMistake::NoNumber { name, value: text.to_owned() }),
        };
        if !(self.least <= value && value <= self.most) {
            let Self { least, most, .. } = *self;
            return Err(SettingMistake::OutOfRange { name, value, least, most });
        }
        if self.whole && value.fract() != 0.0 {
            return Err(SettingMistake::NotWhole { name, value });
        }
        Ok(value)
    }
}

impl Settings {
    /// Whether any parameter differs from what is published: then there is nothing to compare with.
    pub fn are_changed(&self) -> bool {
        self.changed
    }

    /// Every parameter with its values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        self.values.iter().map(|(name, values)| (*name, values.as_slice()))
    }

    /// All values of a parameter.
    ///
    /// # Panics
    ///
    /// If the anchor has no such parameter: models ask for their own.
    pub fn all(&self, name: &str) -> &[f64] {
        self.values.get(name).unwrap_or_else(|| panic!("the model has no parameter `{name}`"))
    }

    /// The value of a parameter, the first if there are several.
    ///
    /// # Panics
    ///
    /// If the anchor has no such parameter: models ask for their own.
    pub fn one(&self, name: &str) -> f64 {
        self.all(name)[0]
    }

    /// All values of a parameter that comes in whole numbers.
    ///
    /// # Panics
    ///
    /// If the anchor has no such parameter, or one that is not whole.
    pub fn all_whole(&self, name: &str) -> Vec<u32> {
        let whole = |value: &f64| format!("{value:.0}").parse().expect("its range fits 32 bits");
        self.all(name).iter().map(whole).collect()
    }

    /// The value of a parameter that comes in whole numbers.
    ///
    /// # Panics
    ///
    /// If the anchor has no such parameter, or one that is not whole.
    pub fn whole(&self, name: &str) -> u32 {
        self.all_whole(name)[0]
    }
}

impl Setup<'_> {
    /// Runs a simulation of each case as often as asked, on all threads: for each case, what its runs gave.
    pub fn runs<C: Sync, T: Send>(
        &self,
        cases: &[C],
        run: impl Fn(&C, u64) -> T + Sync,
    ) -> Vec<Vec<T>> {
        let runs = usize::try_from(self.runs).unwrap_or(usize::MAX);
        let job = |job: usize| {
            let number = u64::try_from(job % runs).unwrap_or(u64::MAX);
            run(&cases[job / runs], number)
        };
        let mut results = self.crew.work(cases.len() * runs, job, self.progress).into_iter();
        cases.iter().map(|_| results.by_ref().take(runs).collect()).collect()
    }
}

impl Reproduction {
    /// Whether everything that was published was found.
    pub fn holds(&self) -> bool {
        self.claims.iter().all(Claim::holds)
    }
}

impl Claim {
    /// A figure that must be greater than a bound, such as how many standard errors one mean is above another.
    pub fn above(what: impl Into<String>, bound: f64, ours: f64) -> Self {
        Self { tolerance: Tolerance::Above, ..Self::exact(what, bound, ours) }
    }

    /// A figure that must be smaller than a bound.
    pub fn below(what: impl Into<String>, bound: f64, ours: f64) -> Self {
        Self { tolerance: Tolerance::Below, ..Self::exact(what, bound, ours) }
    }

    /// A figure without any chance in it, which must agree to nine digits.
    pub fn exact(what: impl Into<String>, published: f64, ours: f64) -> Self {
        let tolerance = Tolerance::Relative(1e-9);
        let ours = Summary { count: 1, mean: ours, deviation: 0.0, error: 0.0 };
        Self { what: what.into(), published, ours, tolerance }
    }

    /// A figure that several runs give.
    pub fn of_runs(
        what: impl Into<String>,
        published: f64,
        values: &[f64],
        tolerance: Tolerance,
    ) -> Self {
        Self { what: what.into(), published, ours: Summary::of(values), tolerance }
    }

    /// That at most one of these figures is more than 3 standard errors off.
    ///
    /// By chance alone one in 370 is, so that one among a few dozen is no reproach, and two are.
    pub fn close_together(claims: &[Self]) -> Self {
        let judged = |claim: &&Self| matches!(claim.tolerance, Tolerance::Errors { .. });
        let all = claims.iter().filter(judged).count();
        let far = claims.iter().filter(judged).filter(|claim| claim.difference().abs() > 3.0);
        let what = format!("figures more than 3 standard errors off, of {all}");
        Self::below(what, 2.0, number(far.count()))
    }

    /// How far ours is from the published figure, in the measure of its tolerance.
    pub fn difference(&self) -> f64 {
        let difference = self.ours.mean - self.published;
        match self.tolerance {
            Tolerance::Absolute(_) | Tolerance::Above | Tolerance::Below => difference,
            Tolerance::Errors { published, .. } => {
                let exact =
                    Summary { error: published, ..Summary::published(self.published, 0.0, 1) };
                self.ours.z(&exact)
            }
            Tolerance::Relative(_) if difference == 0.0 => 0.0,
            Tolerance::Relative(_) => difference / self.published.abs(),
        }
    }

    /// Whether the two are close enough; what is no number never is.
    pub fn holds(&self) -> bool {
        let difference = self.difference();
        match self.tolerance {
            Tolerance::Above => difference > 0.0,
            Tolerance::Below => difference < 0.0,
            Tolerance::Absolute(most)
            | Tolerance::Relative(most)
            | Tolerance::Errors { most, .. } => difference.abs() <= most,
        }
    }
}

impl Cell {
    /// What the runs come to.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.values)
    }
}

/// Everything that can be reproduced, by name.
pub const ANCHORS: &[Anchor] = &[
    atb::ANCHOR,
    aws_jitter::ANCHOR,
    backoff::ANCHOR,
    collapse::ANCHOR,
    cubic::ANCHOR,
    gcra::ANCHOR,
    hedging::ANCHOR,
    metastable::ANCHOR,
    netflix::ANCHOR,
    open_closed::ANCHOR,
    retries::ANCHOR,
    retry_budgets::ANCHOR,
    sdk_backoff::ANCHOR,
    sre_throttling::ANCHOR,
];

/// What an anchor shows with so many runs and threads, and these parameters.
#[cfg(test)]
fn shown(anchor: &Anchor, runs: u32, threads: usize, given: &[(&str, &str)]) -> Reproduction {
    let given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let settings = anchor.settings(&given.collect::<Vec<_>>()).unwrap();
    let crew = Crew::new(threads.try_into().unwrap());
    let progress = Progress::default();
    (anchor.run)(&Setup { seed: 1, runs, crew, settings: &settings, progress: &progress })
}

/// The claims that do not hold.
#[cfg(test)]
fn broken(shown: &Reproduction) -> Vec<String> {
    let broken = shown.claims.iter().filter(|claim| !claim.holds());
    let words = |claim: &Claim| {
        format!("{}: {} {:?} {}", claim.what, claim.published, claim.tolerance, claim.ours.mean)
    };
    broken.map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: Anchor = Anchor {
        name: "coin",
        title: "a coin",
        source: "nobody",
        parameters: &[
            Parameter {
                name: "clients",
                about: "how many",
                default: &[10.0, 20.0],
                least: 1.0,
                most: 1e6,
                whole: true,
            },
            Parameter {
                name: "base",
                about: "in ms",
                default: &[5.0],
                least: 0.0,
                most: 1e3,
                whole: false,
            },
        ],
        runs: 3,
        run: |setup| {
            let cases = setup.settings.all_whole("clients");
            let runs = setup.runs(&cases, |clients, run| number(u64::from(*clients) + run));
            let cells = cases.iter().zip(runs).map(|(clients, values)| Cell {
                labels: vec![("clients", clients.to_string())],
                metric: "sum",
                values,
            });
            Reproduction { cells: cells.collect(), ..Reproduction::default() }
        },
    };

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn parameters_are_the_published_ones_unless_told_otherwise() {
        let published = ANCHOR.settings(&[]).unwrap();
        assert!(!published.are_changed());
        assert_eq!(published.all_whole("clients"), [10, 20]);
        let same = ANCHOR.settings(&given(&[("clients", "10, 20")])).unwrap();
        assert_eq!(same, published);
        let other = ANCHOR.settings(&given(&[("clients", "7"), ("base", "0.5")])).unwrap();
        assert!(other.are_changed());
        assert_eq!((other.whole("clients"), other.one("base")), (7, 0.5));
        assert_eq!(other.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["base", "clients"]);
    }

    #[test]
    fn a_wrong_setting_is_refused_with_the_way_out() {
        for (name, text, expected) in [
            ("cliens", "7", "there is no parameter `cliens`; there is `clients`, `base`"),
            ("clients", "0", "`clients` is 0, and must be between 1 and 1000000"),
            ("clients", "10,2.5", "`clients` is 2.5, and must be a whole number"),
            (
                "base",
                "x",
                "`x` is no number; write `base=1.5`, or several with commas between them",
            ),
            ("base", "NaN", "`base` is NaN, and must be between 0 and 1000"),
        ] {
            let refused = ANCHOR.settings(&given(&[(name, text)])).unwrap_err();
            assert_eq!(refused.to_string(), expected);
        }
    }

    #[test]
    fn every_run_of_every_case_has_its_number_and_is_counted() {
        let (settings, progress) = (ANCHOR.settings(&[]).unwrap(), Progress::default());
        let crew = Crew::of_this_machine();
        let setup = Setup { seed: 1, runs: 3, crew, settings: &settings, progress: &progress };
        let shown = (ANCHOR.run)(&setup);
        let values: Vec<&[f64]> = shown.cells.iter().map(|cell| cell.values.as_slice()).collect();
        assert_eq!(values, [[10.0, 11.0, 12.0], [20.0, 21.0, 22.0]]);
        assert!((shown.cells[0].summary().mean - 11.0).abs() < 1e-12);
        assert_eq!(progress.counts(), (6, 6));
        assert!(shown.holds());
    }

    #[test]
    fn a_claim_holds_only_inside_its_tolerance() {
        let ours = |mean, error| Summary { count: 100, mean, deviation: error * 10.0, error };
        let claim =
            |published, ours, tolerance| Claim { what: String::new(), published, ours, tolerance };
        for (tolerance, inside, outside) in [
            (Tolerance::Absolute(0.5), 10.5, 10.6),
            (Tolerance::Relative(0.02), 10.2, 10.21),
            (Tolerance::Errors { most: 4.0, published: 0.0 }, 10.39, 10.41),
            (Tolerance::Errors { most: 4.0, published: 0.1 }, 10.56, 10.57),
            (Tolerance::Above, 10.001, 10.0),
            (Tolerance::Below, 9.999, 10.0),
        ] {
            assert!(claim(10.0, ours(inside, 0.1), tolerance).holds(), "{tolerance:?}");
            assert!(!claim(10.0, ours(outside, 0.1), tolerance).holds(), "{tolerance:?}");
            assert!(!claim(10.0, ours(f64::NAN, 0.1), tolerance).holds(), "{tolerance:?}");
        }
        let far =
            |mean| claim(10.0, ours(mean, 0.1), Tolerance::Errors { most: 4.0, published: 0.0 });
        let exact = Claim::exact("", 10.0, 11.0);
        assert!(Claim::close_together(&[far(10.31), far(10.29), exact.clone()]).holds());
        assert!(!Claim::close_together(&[far(10.31), far(9.69), exact]).holds());
        assert!(Claim::exact("", 0.0, 0.0).holds());
        assert!(!Claim::exact("", 0.0, 1e-12).holds());
        assert!(Claim::above("", 5.0, 5.1).holds() && Claim::below("", 5.0, 4.9).holds());
    }
}
