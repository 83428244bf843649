//! The machines that a client is made of, for those who build another one.
//!
//! Each takes the time and the draw as arguments, decides one thing, and knows nothing of the others.
//! A [`Pool`](crate::Pool) has one set of them for each target, and [`Call`](crate::Call) asks them in order; a [`Throttle`](crate::Throttle) is a [`Line`] with a clock.
//! Their settings stand beside the [`Policy`](crate::Policy) and the [`Quota`](crate::Quota) that hold them.
//!
//! | question | machine |
//! | --- | --- |
//! | Is there room, and when? | [`Limiter`] |
//! | Whose turn is it? | [`Queue`], and [`Line`] for threads or tasks |
//! | May a failed attempt be repeated? | [`Budget`] |
//! | Is the target worth asking? | [`Breaker`], [`Shedder`] |
//! | How much at a time, how fast? | [`Aimd`], [`Cubic`] |
//! | Is it time for a second attempt beside the first? | [`Hedger`], over a [`Race`] |

pub use crate::adaptive::aimd::Aimd;
pub use crate::adaptive::cubic::{Cubic, CubicSettings};
pub use crate::adaptive::shed::{Shed, Shedder};
pub use crate::breaker::{Breaker, BreakerState, Pass, Rejection, Tally};
pub use crate::budget::{Budget, Empty, Withdrawal};
pub use crate::draw::scale;
pub use crate::hedge::{Hedge, Hedger, Hindrance, NoHedge};
pub use crate::limiter::{Limiter, SendMark};
pub use crate::line::Line;
pub use crate::queue::{Queue, Taken, Ticket};
pub use crate::race::{Entrant, Fate, Race, RaceVerdict, Sample};
pub use crate::reservation::Reservation;
