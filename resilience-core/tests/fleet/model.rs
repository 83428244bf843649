//! What the script is meant to do, in exact numbers and without its short cuts.

use std::collections::BTreeMap;

/// A quota on a server, as the script keeps it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    run: u64,
    /// Level and when, for each field.
    fields: BTreeMap<String, (i128, i128)>,
}

/// What is asked of one dimension.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) field: String,
    pub(crate) unit: i128,
    pub(crate) rate: i128,
    pub(crate) full: i128,
    pub(crate) need: i128,
    pub(crate) want: i128,
    pub(crate) owed: i128,
}

/// What the script answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    Granted(Vec<i128>),
    Refused { wait: i128, dimension: usize },
}

impl Model {
    /// Takes from all dimensions or from none.
    pub(crate) fn admit(
        &mut self,
        demands: &[Demand],
        hold: i128,
        known: Option<u64>,
        run: u64,
        now: i128,
    ) -> Reply {
        let mut dirty = self.run != run;
        if dirty {
            *self = Self { run, fields: BTreeMap::new() };
        }
        let before = self.fields.clone();
        let mut refusal: Option<(i128, usize)> = None;
        for (index, demand) in demands.iter().enumerate() {
            let Demand { unit, rate, full, need, owed, .. } = *demand;
            let known_past = self.fields.get(&demand.field).copied();
            let (mut level, mut at) = known_past.unwrap_or((0, now + hold));
            if at - now > hold + (full + rate - 1) / rate {
                (level, at) = (level.min(0), now + hold);
            }
            if now > at {
                level = full.min(level + (now - at) * rate);
                at = now;
            }
            if known == Some(run) && known_past.is_some() {
                level = (level - owed * unit).max(-full);
                dirty |= owed > 0;
            }
            dirty |= known_past.is_none();
            self.fields.insert(demand.field.clone(), (level, at));
            let lacks = need * unit - level;
            if need > 0 && lacks > 0 {
                let wait = at - now + (lacks + rate - 1) / rate;
                if refusal.is_none_or(|(longest, _)| wait > longest) {
                    refusal = Some((wait, index + 1));
                }
            }
        }
        if let Some((wait, dimension)) = refusal {
            if !dirty {
                self.fields = before;
            }
            return Reply::Refused { wait, dimension };
        }
        let mut granted = Vec::new();
        for demand in demands {
            let (level, _) = self.fields.get_mut(&demand.field).unwrap();
            let rest = (*level - demand.need * demand.unit) / (2 * demand.unit);
            let give = demand.need + (demand.want - demand.need).min(rest).max(0);
            *level -= give * demand.unit;
            granted.push(give);
        }
        Reply::Granted(granted)
    }
}
