//! The lanes of one server: which request goes to which, and how many there may be.
//!
//! A request names its lane in its path (`/lane/test-7/v1/…`, so that a base URL is all that a
//! client needs), else in a header, else, if the plan says so, by its key. Whatever names none goes
//! to the default lane. A lane is made by its first request, and plays the server's plan from the
//! beginning, unless the server's owner has given it another one.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    draw::Draws,
    lane::Lane,
    plan::{LaneKey, Plan},
    request::{Fingerprint, Headers},
};

/// The header in which a request names its lane.
pub const LANE_HEADER: &str = "x-brownout-lane";

/// All lanes of a server; clones share them.
#[derive(Clone, Debug)]
pub struct Lanes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    default: Lane,
    others: Mutex<BTreeMap<LaneName, Lane>>,
}

/// The name of a lane: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LaneName(Cow<'static, str>);

/// Why a request gets no lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum LaneRefusal {
    /// Connection rules hold for a port, and a port that has them has one lane.
    #[error("the scenario has `connections`, which hold for the whole port: it has no other lane")]
    Connections,
    /// The default lane's plan is the port's.
    #[error("the default lane plays what the server was started with: name another one")]
    Default,
    /// There are as many lanes as there may be.
    #[error("there are {0} lanes (`lanes-max`), and no room for one more")]
    Full(usize),
    /// The name cannot be one.
    #[error("a lane's name has 1 to 64 letters, digits, `.`, `_` or `-`, and no others")]
    Name,
}

/// How a lane stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LaneCount {
    /// Which one.
    pub lane: LaneName,
    /// How many attempts it has seen.
    pub attempts: u64,
    /// How many entries its journal has.
    pub entries: usize,
    /// Whether its journal is full.
    pub journal_full: bool,
}

impl LaneRefusal {
    /// The status of the answer to a request that gets no lane: none that a client should repeat,
    /// except that room for a lane can be had later.
    pub fn status(self) -> u16 {
        match self {
            Self::Connections | Self::Default => 421,
            Self::Full(_) => 503,
            Self::Name => 400,
        }
    }
}

/// Which lane a request asks for, and what is left of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) lane: LaneName,
    pub(crate) path: &'a str,
}

impl Lanes {
    /// The lanes of a server whose default one is this.
    pub fn new(default: Lane) -> Self {
        Self { shared: Arc::new(Shared { default, others: Mutex::default() }) }
    }

    /// The lane of whoever names none.
    pub fn default_lane(&self) -> &Lane {
        &self.shared.default
    }

    /// A lane that has been made, by its name.
    pub fn find(&self, name: &LaneName) -> Option<Lane> {
        if *name == LaneName::default() {
            return Some(self.shared.default.clone());
        }
        self.others().get(name).cloned()
    }

    /// A lane by its name; it is made if there is none.
    pub fn open(&self, name: &LaneName) -> Result<Lane, LaneRefusal> {
        let default = &self.shared.default;
        if *name == LaneName::default() {
            return Ok(default.clone());
        }
        let mut others = self.others();
        if let Some(lane) = others.get(name) {
            return Ok(lane.clone());
        }
        let lane = self.make(&others, default.shared_plan(), name.draws(default.draws()))?;
        others.insert(name.clone(), lane.clone());
        Ok(lane)
    }

    /// Makes a lane with a plan of its own, in place of the one of that name.
    ///
    /// Attempts of the replaced lane that are under way are played to their end, and appear in no
    /// journal.
    pub fn place(
        &self,
        name: &LaneName,
        plan: Arc<Plan>,
        draws: Draws,
    ) -> Result<Lane, LaneRefusal> {
        if *name == LaneName::default() {
            return Err(LaneRefusal::Default);
        } else if !plan.connections.is_empty() {
            return Err(LaneRefusal::Connections);
        }
        let mut others = self.others();
        others.remove(name);
        let lane = self.make(&others, plan, name.draws(draws))?;
        others.insert(name.clone(), lane.clone());
        Ok(lane)
    }

    /// How each lane stands: the default one, then the others by their names.
    pub fn counts(&self) -> Vec<LaneCount> {
        let count = |name: &LaneName, lane: &Lane| lane.count(name.clone());
        let default = count(&LaneName::default(), &self.shared.default);
        let others = self.others();
        let others = others.iter().map(|(name, lane)| count(name, lane));
        [default].into_iter().chain(others).collect()
    }

    /// Every lane with its name: the default one, then the others by their names.
    pub fn all(&self) -> Vec<(LaneName, Lane)> {
        let default = (LaneName::default(), self.shared.default.clone());
        let others = self.others();
        let others = others.iter().map(|(name, lane)| (name.clone(), lane.clone()));
        [default].into_iter().chain(others).collect()
    }

    /// Which lane a request asks for.
    pub(crate) fn address<'a>(
        &self,
        path: &'a str,
        query: &str,
        headers: &Headers,
    ) -> Result<Address<'a>, LaneRefusal> {
        let (named, path) = split(path);
        let named = named.or_else(|| headers.get(LANE_HEADER)).map(str::parse).transpose()?;
        let by_key = || match self.shared.default.plan().lanes {
            LaneKey::ByAddress => None,
            LaneKey::ByKey => key(headers, query).map(|key| LaneName::of_key(&key)),
        };
        Ok(Address { lane: named.or_else(by_key).unwrap_or_default(), path })
    }

    /// Tells that attempts from now on end because the server does.
    pub(crate) fn stop(&self) {
        self.all().iter().for_each(|(_, lane)| lane.stop());
    }

    /// Tells every lane that a connection is closed: any of them may have used it.
    pub(crate) fn disconnect(&self, connection: u64) {
        self.all().iter().for_each(|(_, lane)| lane.disconnect(connection));
    }

    fn make(
        &self,
        others: &BTreeMap<LaneName, Lane>,
        plan: Arc<Plan>,
        draws: Draws,
    ) -> Result<Lane, LaneRefusal> {
        let default = &self.shared.default;
        let most = default.plan().limits.lanes_max;
        if !default.plan().connections.is_empty() {
            Err(LaneRefusal::Connections)
        } else if others.len() + 1 >= most {
            Err(LaneRefusal::Full(most))
        } else {
            Ok(Lane::new(plan, draws, default.clock()))
        }
    }

    fn others(&self) -> MutexGuard<'_, BTreeMap<LaneName, Lane>> {
        self.shared.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Lane> for Lanes {
    fn from(default: Lane) -> Self {
        Self::new(default)
    }
}

impl LaneName {
    /// The lane of a key: its fingerprint, which does not hold it.
    fn of_key(key: &str) -> Self {
        Self(Fingerprint::of(key).to_string().into())
    }

    /// The draws of the lane: the same name gives the same draws, whenever the lane is made.
    fn draws(&self, draws: Draws) -> Draws {
        draws.of(&format!("lane {self}"))
    }
}

impl Default for LaneName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for LaneName {
    type Err = LaneRefusal;

    fn from_str(text: &str) -> Result<Self, LaneRefusal> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned().into()))
        } else {
            Err(LaneRefusal::Name)
        }
    }
}

impl TryFrom<String> for LaneName {
    type Error = LaneRefusal;

    fn try_from(text: String) -> Result<Self, LaneRefusal> {
        text.parse()
    }
}

impl From<LaneName> for String {
    fn from(name: LaneName) -> Self {
        name.0.into_owned()
    }
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lane in a tidy path, and what is behind it.
fn split(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix("/lane/") else { return (None, path) };
    let (name, _) = rest.split_once('/').unwrap_or((rest, ""));
    (Some(name), &rest[name.len()..])
}

/// The key of a request, in whatever way its provider wants it.
fn key(headers: &Headers, query: &str) -> Option<String> {
    let text = |name| headers.get(name).map(str::to_owned);
    let own = ["x-api-key", "api-key", "x-goog-api-key"].into_iter().find_map(text);
    let authorization = || {
        let value = text("authorization")?;
        // AWS signs each request anew, with a key that it names.
        let named = value.split_once("Credential=").map(|(_, key)| key.split('/').next());
        let token = value.split_once(' ').map_or(value.as_str(), |(_, token)| token);
        Some(named.flatten().unwrap_or(token).trim().to_owned())
    };
    let in_query = || {
        let mut fields = query.split('&').filter_map(|field| field.strip_prefix("key="));
        fields.next().map(str::to_owned)
    };
    own.or_else(authorization).or_else(in_query).filter(|key| !key.is_empty())
}

/// The longest name: long enough for a test's own, short enough for a line of a list.
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        draw::Purpose,
        plan::{ConnectionAct, ConnectionRule, Limits},
    };

    fn lanes(plan: Plan) -> Lanes {
        Lanes::new(Lane::new(Arc::new(plan), Draws::new(1), Clock::simulated()))
    }

    fn name(text: &str) -> LaneName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_short_and_plain_or_refused() {
        for good in ["a", "test-7", "A.b_c-0", &"x".repeat(64)] {
            assert_eq!(good.parse::<LaneName>().map(String::from).as_deref(), Ok(good));
        }
        for bad in ["", " ", "a b", "a/b", "a%20b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(bad.parse::<LaneName>(), Err(LaneRefusal::Name), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_path_names_the_lane_before_the_header_and_the_header_before_the_key() {
        let by_key = lanes(Plan { lanes: LaneKey::ByKey, ..Plan::default() });
        let plain = lanes(Plan::default());
        let of_key = LaneName::of_key("sk-1");
        let key = ("authorization", "Bearer sk-1");
        let lane = (LANE_HEADER, "b");
        let headers: [&[(&str, &str)]; 4] = [&[], &[key], &[lane], &[key, lane]];
        for (path, rest, in_path) in [
            ("/v1/messages", "/v1/messages", false),
            ("/lane/a/v1/messages", "/v1/messages", true),
            ("/lane/a", "", true),
            ("/lanes/a/v1", "/lanes/a/v1", false),
        ] {
            for sent in headers {
                let headers: Headers = sent.iter().copied().collect();
                for (lanes, keyed) in [(&plain, false), (&by_key, true)] {
                    let expected = match (in_path, sent.contains(&lane), sent.contains(&key)) {
                        (true, ..) => name("a"),
                        (_, true, _) => name("b"),
                        (.., true) if keyed => of_key.clone(),
                        _ => LaneName::default(),
                    };
                    let address = lanes.address(path, "", &headers).unwrap();
                    assert_eq!(address, Address { lane: expected, path: rest });
                }
            }
        }
    }

    #[test]
    fn every_providers_key_names_its_lane() {
        let aws = "AWS4-HMAC-SHA256 Credential=sk-1/20260101/us-east-1/bedrock/aws4_request, x";
        for (header, value) in [
            ("authorization", "Bearer sk-1"),
            ("authorization", aws),
            ("x-api-key", "sk-1"),
            ("api-key", "sk-1"),
            ("x-goog-api-key", "sk-1"),
        ] {
            let headers = Headers::from_iter([(header, value)]);
            assert_eq!(key(&headers, "").as_deref(), Some("sk-1"), "{header}: {value}");
        }
        let none = Headers::default();
        assert_eq!(key(&none, "alt=sse&key=sk-1").as_deref(), Some("sk-1"));
        assert_eq!((key(&none, "monkey=1"), key(&none, "key=")), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_have_a_limit_and_draws_by_their_names_alone() {
        let limits = Limits { lanes_max: 3, ..Limits::default() };
        let (one, other) = (lanes(Plan { limits, ..Plan::default() }), lanes(Plan::default()));
        let draw = |lane: Lane| lane.draws().draw("x", Purpose::Id, 0, 0);
        let of_one = ["a", "b"].map(|text| draw(one.open(&name(text)).unwrap()));
        let of_other = ["b", "a"].map(|text| draw(other.open(&name(text)).unwrap()));
        assert_eq!(of_one, [of_other[1], of_other[0]]);
        assert_ne!(of_one[0], of_one[1]);
        assert_eq!(one.open(&name("c")).unwrap_err(), LaneRefusal::Full(3));
        // Those that are there stay, and one may be replaced.
        assert!(one.open(&name("a")).is_ok() && one.find(&name("c")).is_none());
        assert!(one.place(&name("a"), Arc::default(), Draws::new(1)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_with_connection_rules_has_one_lane() {
        let rule =
            ConnectionRule { from: None, until: None, nth: None, act: ConnectionAct::Refuse };
        let plan = Plan { connections: vec![rule], ..Plan::default() };
        let refused = lanes(plan.clone()).open(&name("a")).unwrap_err();
        assert_eq!(refused, LaneRefusal::Connections);
        let refused = lanes(Plan::default()).place(&name("a"), Arc::new(plan), Draws::new(1));
        assert_eq!(refused.unwrap_err(), LaneRefusal::Connections);
        assert!(lanes(Plan::default()).open(&LaneName::default()).is_ok());
    }
}
