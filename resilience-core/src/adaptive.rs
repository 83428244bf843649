//! How much to send when nobody says how much is admitted.
//!
//! Each of these learns from refusals alone, [`crate::Class::slows_down`]: how long an answer takes depends on its length, and says nothing about the load.
//! What they learn is worth something only if it outlives the call, so there is one for all calls to a target.

pub(crate) mod aimd;
pub(crate) mod cubic;
pub(crate) mod shed;
