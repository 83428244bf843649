//! What the strategy lab has shown: as a table, as files for programs, and as a page with pictures.
//!
//! A report is a function of the results and of their comparison, and names in it are whatever a file says: each form writes them in a way that they cannot break.

mod csv;
mod json;
pub(super) mod number;
mod page;
mod real;
mod terminal;
mod words;

pub use csv::{write as write_csv, write_runs as write_csv_runs};
pub use json::write as write_json;
pub use page::write as write_html;
pub use real::{write_json as write_real_json, write_terminal as write_real_terminal};
pub use terminal::write as write_terminal;
