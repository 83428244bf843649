//! The line by which a bench tells a comparison that criterion cannot make.

/// Prints what ours and the baseline came to, in one unit, and the ratio with its interval if there is one; `benches/report` reads it.
#[expect(clippy::print_stdout, reason = "the comparison is what this is for")]
pub(crate) fn tell(
    name: &str,
    [ours, baseline]: [f64; 2],
    unit: &str,
    ratio: f64,
    interval: Option<[f64; 2]>,
) {
    let interval =
        interval.map_or_else(String::new, |[least, most]| format!(" [{least:.4}, {most:.4}]"));
    println!("{name}: {ours:.2} {unit} beside {baseline:.2} {unit}, ratio {ratio:.4}{interval}");
}
