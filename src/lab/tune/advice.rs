//! What is recommended, and why.

use super::{Better, Goal, Standing, Tune, applies, constraint::Constraint, sheet, space::Choice};
use crate::{
    lab::{
        metric::{Figures, Metric, summary},
        statistics::{Summary, number},
    },
    scenario::Strategy,
};

/// What a search has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The seed of the search.
    pub seed: u64,
    /// How often each finalist was played in each world, with luck of the trial's own.
    pub runs: u32,
    /// How many runs were played in all.
    pub spent: u64,
    /// How many candidates were played.
    pub candidates: usize,
    /// How many more were left out since they contradict themselves.
    pub contradictory: u64,
    /// The worlds by their names.
    pub worlds: Vec<String>,
    /// What had to hold.
    pub constraints: Vec<Constraint>,
    /// What had to be best.
    pub goal: Goal,
    /// Who came to the trial; the strategy as it is comes first, and its place is 0.
    pub finalists: Vec<Finalist>,
    /// The finalists that none of the others beats in everything that counts, the best by the goal first.
    pub front: Vec<usize>,
    /// The best by the goal of those that prove all constraints; none if nobody does.
    pub recommended: Option<usize>,
    /// The next best one; where nothing is recommended, the second nearest.
    pub runner_up: Option<usize>,
    /// Who comes nearest to the constraints; the recommended one if there is one.
    pub nearest: usize,
    /// The constraint, by its place, without which another finalist would be better by the goal.
    pub binding: Option<usize>,
}

/// A candidate in its trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Finalist {
    /// Its settings.
    pub strategy: Strategy,
    /// What differs from the strategy as it is: words with their values.
    pub changes: Vec<(String, String)>,
    /// The goal, as the mean of all worlds; none if some run has no value.
    pub goal: Option<Summary>,
    /// For each constraint, what each world shows of it, in their orders; none where a world cannot.
    pub claims: Vec<Vec<Option<Claim>>>,
}

/// What runs in one world show of a constraint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The mean and its error; none if no run has a value.
    pub summary: Option<Summary>,
    /// What that says.
    pub standing: Standing,
    /// By how much the unfavourable end of the interval misses the bound, as a part of it.
    pub shortfall: f64,
}

impl Finalist {
    /// What a candidate's runs, world by world, come to.
    pub(super) fn new(
        tune: &Tune,
        choice: &Choice,
        strategy: &Strategy,
        shown: &[Vec<Figures>],
    ) -> Self {
        let claim = |constraint: &Constraint| {
            let worlds = tune.worlds.iter().zip(shown);
            worlds
                .map(|(world, runs)| {
                    applies(constraint.metric, world).then(|| Claim {
                        summary: summary(runs, constraint.metric),
                        standing: constraint.standing(runs),
                        shortfall: constraint.shortfall(runs, true),
                    })
                })
                .collect()
        };
        let changes = tune.space.changes(choice).map(|(path, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (path.to_owned(), value)
        });
        let shown: Vec<&[Figures]> = shown.iter().map(Vec::as_slice).collect();
        Self {
            strategy: strategy.clone(),
            changes: changes.collect(),
            goal: goal(tune, &shown),
            claims: tune.constraints.iter().map(claim).collect(),
        }
    }

    /// What the worlds together say of a constraint: what the worst says.
    pub fn standing(&self, constraint: usize) -> Standing {
        let claims = self.claims[constraint].iter().flatten();
        claims.map(|claim| claim.standing).min().unwrap_or(Standing::NotProven)
    }

    /// Whether every constraint is proven in every world.
    pub fn holds(&self) -> bool {
        (0..self.claims.len()).all(|constraint| self.standing(constraint) == Standing::Holds)
    }

    /// What the world shows of a constraint in which it is nearest to being broken.
    pub fn worst(&self, constraint: usize, of: &Constraint) -> Option<(usize, &Claim)> {
        let claims = self.claims[constraint].iter().enumerate();
        let claims = claims.filter_map(|(world, claim)| Some((world, claim.as_ref()?)));
        let excess =
            |claim: &Claim| claim.summary.map_or(f64::INFINITY, |summary| of.excess(summary.mean));
        claims.max_by(|(_, one), (_, other)| excess(one).total_cmp(&excess(other)))
    }

    /// By how much it misses all constraints together.
    fn shortfall(&self) -> f64 {
        self.claims.iter().flatten().flatten().map(|claim| claim.shortfall).sum()
    }
}

impl Goal {
    /// A value of it such that less is better; a missing one is worst.
    fn cost(self, goal: Option<&Summary>) -> f64 {
        goal.map_or(f64::INFINITY, |goal| match self.better {
            Better::High => -goal.mean,
            Better::Low => goal.mean,
        })
    }
}

/// The goal as the mean of all worlds that have it, run by run; none if some run has no value.
pub(super) fn goal(tune: &Tune, shown: &[&[Figures]]) -> Option<Summary> {
    let metric = tune.goal.metric;
    let worlds = tune.worlds.iter().zip(shown).filter(|(world, _)| applies(metric, world));
    let worlds: Vec<&[Figures]> = worlds.map(|(_, runs)| *runs).collect();
    let runs = worlds.iter().map(|runs| runs.len()).min()?;
    let values: Option<Vec<f64>> = (0..runs)
        .map(|run| {
            let values: Option<Vec<f64>> = worlds.iter().map(|w| w[run].get(metric)).collect();
            values.map(|values| values.iter().sum::<f64>() / number(values.len()))
        })
        .collect();
    values.filter(|values| !values.is_empty()).map(|values| Summary::of(&values))
}

/// Whether another one is better in something that counts and worse in nothing; of equals, whoever changes less.
pub(super) fn is_dominated(tune: &Tune, one: &Finalist, other: &Finalist) -> bool {
    let (mine, theirs) = (costs(tune, one), costs(tune, other));
    let no_worse = mine.iter().zip(&theirs).all(|(mine, theirs)| theirs <= mine);
    no_worse && (mine != theirs || other.changes.len() < one.changes.len())
}

/// The goal, and the worst world's value of whatever constraints name, such that less is better.
fn costs(tune: &Tune, finalist: &Finalist) -> Vec<f64> {
    let mut costs = vec![tune.goal.cost(finalist.goal.as_ref())];
    let mut named: Vec<Metric> = vec![tune.goal.metric];
    for (place, constraint) in tune.constraints.iter().enumerate() {
        if !named.contains(&constraint.metric) {
            named.push(constraint.metric);
            let worst = finalist.worst(place, constraint).and_then(|(_, claim)| claim.summary);
            costs.push(worst.map_or(f64::INFINITY, |worst| constraint.excess(worst.mean)));
        }
    }
    costs
}

/// Draws the conclusions of a trial.
pub(super) fn advice(
    tune: &Tune,
    finalists: Vec<Finalist>,
    candidates: usize,
    contradictory: u64,
    spent: u64,
) -> Advice {
    let cost = |place: usize| tune.goal.cost(finalists[place].goal.as_ref());
    let mut order: Vec<usize> = (0..finalists.len()).collect();
    order.sort_by(|&one, &other| {
        let (first, second) = (&finalists[one], &finalists[other]);
        let proof = second.holds().cmp(&first.holds());
        let near = first.shortfall().total_cmp(&second.shortfall());
        let fewer = first.changes.len().cmp(&second.changes.len());
        proof.then(near).then(cost(one).total_cmp(&cost(other))).then(fewer)
    });
    let nearest = order[0];
    let recommended = Some(nearest).filter(|&place| finalists[place].holds());
    let mut front: Vec<usize> = (0..finalists.len())
        .filter(|&one| !finalists.iter().any(|other| is_dominated(tune, &finalists[one], other)))
        .collect();
    front.sort_by(|&one, &other| cost(one).total_cmp(&cost(other)));
    // Whoever would be better by the goal, and misses this constraint alone.
    let binding = recommended.and_then(|best| {
        (0..tune.constraints.len()).find(|&constraint| {
            finalists.iter().enumerate().any(|(place, finalist)| {
                let others = (0..tune.constraints.len()).filter(|&other| other != constraint);
                cost(place) < cost(best)
                    && finalist.standing(constraint) != Standing::Holds
                    && others.into_iter().all(|other| finalist.standing(other) == Standing::Holds)
            })
        })
    });
    Advice {
        seed: tune.seed,
        runs: tune.runs,
        spent,
        candidates,
        contradictory,
        worlds: tune.worlds.iter().map(crate::lab::World::name).collect(),
        constraints: tune.constraints.clone(),
        goal: tune.goal,
        front,
        recommended,
        runner_up: order.get(1).copied(),
        nearest,
        binding,
        finalists,
    }
}

impl Advice {
    /// The settings that are shown: the recommended ones, or the nearest.
    pub fn settings(&self) -> &Finalist {
        &self.finalists[self.recommended.unwrap_or(self.nearest)]
    }

    /// The settings as a file of strategies, under this name.
    pub fn file(&self, name: &str) -> String {
        sheet::file(name, &self.settings().strategy)
    }
}
