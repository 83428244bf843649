//! Who is played how often, and who is left.

use std::{cmp::Ordering, collections::BTreeSet};

use mock_server::draw::{Draws, Purpose};

use super::{
    Tune,
    advice::{Advice, Finalist, advice, goal, is_dominated},
    applies,
    space::Choice,
};
use crate::{
    lab::{
        Crew, Progress,
        experiment::{figures, seed_of},
        metric::{Better, Figures},
    },
    scenario::Strategy,
};

/// Candidates with what they have shown so far.
struct Search<'a> {
    tune: &'a Tune,
    crew: Crew,
    progress: &'a Progress,
    players: Vec<Player>,
    /// Whoever has been drawn, also those who contradict themselves.
    known: BTreeSet<Choice>,
    contradictory: u64,
    spent: u64,
}

/// A candidate.
struct Player {
    choice: Choice,
    strategy: Strategy,
    /// The figures of its runs, world by world.
    shown: Vec<Vec<Figures>>,
}

/// How good somebody is; less is better.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Merit {
    shortfall: f64,
    goal: f64,
    changes: usize,
}

/// Searches as the module says.
pub(super) fn search(tune: &Tune, crew: Crew, progress: &Progress) -> Advice {
    let mut search = Search {
        tune,
        crew,
        progress,
        players: Vec::new(),
        known: BTreeSet::new(),
        contradictory: 0,
        spent: 0,
    };
    let whole = search.whole();
    // What the trial needs is not spent on the way to it.
    let finalists = (tune.budget * 3 / 10 / whole).clamp(2, FINALISTS_MAX);
    let until_trial = tune.budget.saturating_sub(finalists * whole);
    let left = search.sieve(until_trial * 6 / 10);
    let best = search.climb(&left, until_trial);
    search.trial(best, usize::try_from(finalists).unwrap_or(usize::MAX))
}

impl Search<'_> {
    /// How many runs a candidate costs that is played to the end.
    fn whole(&self) -> u64 {
        u64::from(self.tune.runs) * length(self.tune.worlds.len())
    }

    /// Draws candidates and halves them until few are left, each played to the end.
    fn sieve(&mut self, budget: u64) -> Vec<usize> {
        let rungs = self.rungs();
        let worlds = length(self.tune.worlds.len());
        let cost = |candidates: u64| {
            let (mut left, mut before, mut cost) = (candidates, 0, 0);
            for &rung in &rungs {
                cost += left * (rung - before) * worlds;
                (left, before) = (left.div_ceil(2), rung);
            }
            cost
        };
        let mut candidates = 1;
        while candidates < CANDIDATES_MAX && cost(candidates + 1) <= budget {
            candidates += 1;
        }
        let as_it_is = self.tune.space.as_it_is();
        self.join(as_it_is);
        let draws = Draws::new(self.tune.seed);
        for number in 0..candidates * DRAWS_FOR_EACH {
            if length(self.players.len()) >= candidates {
                break;
            }
            let choice = self.tune.space.draw(draws, number);
            self.join(choice);
        }
        let mut left: Vec<usize> = (0..self.players.len()).collect();
        for (place, &rung) in rungs.iter().enumerate() {
            self.play(&left, rung);
            self.rank(&mut left, rung, false);
            if place + 1 < rungs.len() {
                left.truncate(left.len().div_ceil(2));
            }
        }
        left
    }

    /// Looks beside the best one for a better one, again and again; who was best at the end.
    fn climb(&mut self, left: &[usize], budget: u64) -> usize {
        let rungs = self.rungs();
        let (first, last) = (rungs[0], rungs[rungs.len() - 1]);
        let mut ranked = left.to_vec();
        self.rank(&mut ranked, last, true);
        let mut best = ranked.first().copied().unwrap_or(0);
        for step in 0.. {
            let worlds = length(self.tune.worlds.len());
            // Half of what is left: the better ones of a step must be played to the end, too.
            let room = budget.saturating_sub(self.spent) / 2 / (first * worlds);
            let mut beside = self.beside(best, step, room);
            if beside.is_empty() {
                return best;
            }
            for &rung in &rungs {
                let worlds = length(self.tune.worlds.len());
                let affordable = budget.saturating_sub(self.spent) / (rung * worlds);
                beside.truncate(usize::try_from(affordable).unwrap_or(usize::MAX));
                self.play(&beside, rung);
                let proven = rung == last;
                let bar = self.merit(best, rung, proven);
                beside.retain(|&player| self.merit(player, rung, proven).cmp(&bar).is_lt());
                self.rank(&mut beside, rung, proven);
                beside.truncate(CLIMBERS_MAX);
            }
            match beside.first() {
                Some(&better) => best = better,
                None => return best,
            }
        }
        best
    }

    /// New candidates beside one, as many as there is room for: those that take something back, then others by luck.
    fn beside(&mut self, player: usize, step: u64, room: u64) -> Vec<usize> {
        let choice = self.players[player].choice.clone();
        let draws = Draws::new(self.tune.seed);
        let changes = |choice: &Choice| choice.iter().filter(|&&place| place > 0).count();
        let mut all: Vec<(bool, u64, Choice)> = (0..)
            .zip(self.tune.space.neighbours(&choice))
            .map(|(index, other)| {
                let adds = changes(&other) >= changes(&choice);
                (adds, draws.draw("neighbour", Purpose::Id, step, index), other)
            })
            .collect();
        all.sort();
        let mut beside = Vec::new();
        for (_, _, other) in all {
            if length(beside.len()) >= room {
                break;
            }
            beside.extend(self.join(other));
        }
        beside
    }

    /// Plays finalists with luck of their own.
    fn trial(&mut self, best: usize, finalists: usize) -> Advice {
        let runs = u64::from(self.tune.runs);
        let is_whole = |player: &Player| player.shown.iter().all(|w| length(w.len()) >= runs);
        let mut played: Vec<usize> =
            (0..self.players.len()).filter(|&player| is_whole(&self.players[player])).collect();
        self.rank(&mut played, runs, true);
        let ends: Vec<(usize, Finalist)> = played
            .iter()
            .map(|&player| (player, self.finalist(player, &self.players[player].shown)))
            .collect();
        let on_front = ends
            .iter()
            .filter(|(_, one)| !ends.iter().any(|(_, other)| is_dominated(self.tune, one, other)));
        // The strategy as it is, the best, the next two, and whoever is best at something.
        let chosen = [0, best].into_iter().chain(played.iter().copied().take(3));
        let mut chosen: Vec<usize> = chosen.chain(on_front.map(|(player, _)| *player)).collect();
        let mut seen = BTreeSet::new();
        chosen.retain(|player| seen.insert(*player));
        chosen.truncate(finalists);
        let jobs: Vec<(usize, usize, u64)> = self.jobs(&chosen, |_, _| TRIAL..TRIAL + runs);
        let mut all = self.perform(&jobs).into_iter();
        let finalists = chosen.iter().map(|&player| {
            let shown: Vec<Vec<Figures>> = self
                .tune
                .worlds
                .iter()
                .map(|_| (0..runs).filter_map(|_| all.next()).collect())
                .collect();
            self.finalist(player, &shown)
        });
        let finalists = finalists.collect();
        advice(
            self.tune,
            finalists,
            self.players.len(),
            self.contradictory,
            self.spent + length(jobs.len()),
        )
    }

    fn finalist(&self, player: usize, shown: &[Vec<Figures>]) -> Finalist {
        let Player { choice, strategy, .. } = &self.players[player];
        Finalist::new(self.tune, choice, strategy, shown)
    }

    /// Adds a candidate, if it is a new one and does not contradict itself.
    fn join(&mut self, choice: Choice) -> Option<usize> {
        if !self.known.insert(choice.clone()) {
            return None;
        }
        let Ok(strategy) = self.tune.space.strategy(&choice) else {
            self.contradictory += 1;
            return None;
        };
        let shown = vec![Vec::new(); self.tune.worlds.len()];
        self.players.push(Player { choice, strategy, shown });
        Some(self.players.len() - 1)
    }

    /// Plays some candidates until each has had so many runs in each world.
    fn play(&mut self, players: &[usize], runs: u64) {
        let jobs = self.jobs(players, |search, (player, world)| {
            length(search.players[player].shown[world].len())..runs
        });
        let results = self.perform(&jobs);
        self.spent += length(jobs.len());
        for ((player, world, _), figures) in jobs.into_iter().zip(results) {
            self.players[player].shown[world].push(figures);
        }
    }

    /// The runs of some candidates in all worlds, in order.
    fn jobs(
        &self,
        players: &[usize],
        runs: impl Fn(&Self, (usize, usize)) -> std::ops::Range<u64>,
    ) -> Vec<(usize, usize, u64)> {
        let worlds = 0..self.tune.worlds.len();
        let pairs = players.iter().flat_map(|&player| worlds.clone().map(move |w| (player, w)));
        pairs
            .flat_map(|(player, world)| {
                runs(self, (player, world)).map(move |run| (player, world, run))
            })
            .collect()
    }

    fn perform(&self, jobs: &[(usize, usize, u64)]) -> Vec<Figures> {
        let job = |job: usize| {
            let (player, world, run) = jobs[job];
            let (world, strategy) = (&self.tune.worlds[world], &self.players[player].strategy);
            figures(world, strategy, seed_of(self.tune.seed, run))
        };
        self.crew.work(jobs.len(), job, self.progress)
    }

    /// Sets the best first, by so many runs of each.
    fn rank(&self, players: &mut [usize], runs: u64, proven: bool) {
        players.sort_by(|&one, &other| {
            self.merit(one, runs, proven).cmp(&self.merit(other, runs, proven))
        });
    }

    fn merit(&self, player: usize, runs: u64, proven: bool) -> Merit {
        let runs = usize::try_from(runs).unwrap_or(usize::MAX);
        let Player { choice, shown, .. } = &self.players[player];
        let shown: Vec<&[Figures]> = shown.iter().map(|w| &w[..runs.min(w.len())]).collect();
        let shortfalls = self.tune.worlds.iter().zip(&shown).flat_map(|(world, runs)| {
            let here = self.tune.constraints.iter().filter(|c| applies(c.metric, world));
            here.map(|constraint| constraint.shortfall(runs, proven))
        });
        let better = self.tune.goal.better;
        let goal = goal(self.tune, &shown).map_or(f64::INFINITY, |goal| match better {
            Better::High => -goal.mean,
            Better::Low => goal.mean,
        });
        let changes = choice.iter().filter(|&&place| place > 0).count();
        Merit { shortfall: shortfalls.sum(), goal, changes }
    }

    /// After how many runs candidates are compared.
    fn rungs(&self) -> Vec<u64> {
        let last = u64::from(self.tune.runs);
        let doubled = std::iter::successors(Some(FIRST_RUNS), |runs| Some(runs * 2));
        doubled.take_while(|&runs| runs < last).chain([last]).collect()
    }
}

impl Merit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.shortfall
            .total_cmp(&other.shortfall)
            .then(self.goal.total_cmp(&other.goal))
            .then(self.changes.cmp(&other.changes))
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// How many runs a candidate is first seen in: the fewest whose mean says something.
const FIRST_RUNS: u64 = 4;

/// The most candidates that are drawn: more would be seen once and dropped.
const CANDIDATES_MAX: u64 = 5_000;

/// How many draws are made for each candidate before the space is taken to be small.
const DRAWS_FOR_EACH: u64 = 20;

/// How many of a step's better neighbours are looked at more closely.
const CLIMBERS_MAX: usize = 4;

/// The most finalists: a table that can be read.
const FINALISTS_MAX: u64 = 8;

/// The number of the trial's first run: beyond any of the search.
const TRIAL: u64 = 1 << 32;
