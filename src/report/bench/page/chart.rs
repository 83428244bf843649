//! A frame with two axes, and what is drawn into it.
//!
//! Drawn by hand, because a plotting library writes colours into every line: here they are classes, so that a page can follow light and dark, hide a strategy, and show it alike everywhere.

use std::io;

use super::{
    markup::{Pixel, Text},
    scale::Scale,
};

/// The frame of one picture.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Its width and height in pixels.
    pub size: (f64, f64),
    /// From left to right.
    pub x: Axis<'a>,
    /// From bottom to top.
    pub y: Axis<'a>,
}

/// One axis, with what it counts and the unit.
#[derive(Clone, Debug)]
pub(super) struct Axis<'a> {
    /// Its values.
    pub scale: Scale,
    /// What it says.
    pub title: &'a str,
}

impl Chart<'_> {
    /// The whole picture: frame, grid, axes, and what is drawn inside.
    pub(super) fn draw(
        &self,
        out: &mut dyn io::Write,
        inside: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.frame(out)?;
        inside(out)?;
        writeln!(out, "</svg></figure>")
    }

    fn frame(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let (width, height) = self.size;
        let (right, bottom) = (width - RIGHT, height - BOTTOM);
        writeln!(out, "<figure><figcaption>{}</figcaption>", Text(self.title))?;
        writeln!(
            out,
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
            Text(self.title)
        )?;
        for (value, text) in &self.x.scale.ticks {
            let at = Pixel(self.across(*value));
            write!(out, "<path class=\"grid\" d=\"M{at} {TOP}V{bottom}\"/>")?;
            writeln!(out, "<text class=\"tick\" x=\"{at}\" y=\"{}\">{text}</text>", bottom + 15.0)?;
        }
        for (value, text) in &self.y.scale.ticks {
            let at = self.up(*value);
            write!(out, "<path class=\"grid\" d=\"M{LEFT} {}H{right}\"/>", Pixel(at))?;
            let (x, y) = (LEFT - 6.0, Pixel(at + 4.0));
            writeln!(out, "<text class=\"tick up\" x=\"{x}\" y=\"{y}\">{text}</text>")?;
        }
        let (middle, below) = (f64::midpoint(LEFT, right), height - 6.0);
        writeln!(
            out,
            "<text class=\"axis\" x=\"{middle}\" y=\"{below}\">{}</text>",
            Text(self.x.title)
        )?;
        let middle = f64::midpoint(TOP, bottom);
        writeln!(
            out,
            "<text class=\"axis\" transform=\"translate(11 {middle})rotate(-90)\">{}</text>",
            Text(self.y.title)
        )
    }

    /// A span of the x axis, shaded.
    pub(super) fn shade(
        &self,
        (from, until): (f64, f64),
        title: &str,
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let (left, right) = (self.across(from), self.across(until));
        writeln!(
            out,
            "<rect class=\"outage\" x=\"{}\" y=\"{TOP}\" width=\"{}\" height=\"{}\">\
             <title>{}</title></rect>",
            Pixel(left),
            Pixel((right - left).max(1.0)),
            Pixel(self.size.1 - BOTTOM - TOP),
            Text(title)
        )
    }

    /// A line through points of an axis each, of a class.
    pub(super) fn line(
        &self,
        class: &str,
        points: &[(f64, f64)],
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        write!(out, "<polyline class=\"{class}\" points=\"")?;
        for (number, (x, y)) in points.iter().enumerate() {
            let space = if number > 0 { " " } else { "" };
            write!(out, "{space}{},{}", Pixel(self.across(*x)), Pixel(self.up(*y)))?;
        }
        writeln!(out, "\"/>")
    }

    /// A strategy's mark at a point.
    pub(super) fn mark(
        &self,
        strategy: usize,
        (x, y): (f64, f64),
        out: &mut dyn io::Write,
    ) -> io::Result<()> {
        let (across, up) = (Pixel(self.across(x)), Pixel(self.up(y)));
        writeln!(
            out,
            "<path class=\"mark\" transform=\"translate({across} {up})\" d=\"{}\"/>",
            mark(strategy)
        )
    }

    /// Whether a box, given by its left, top, right and bottom, lies between the axes and the edges.
    pub(super) fn holds(&self, [left, top, right, bottom]: [f64; 4]) -> bool {
        let (width, height) = self.size;
        left > LEFT && top > 0.0 && right < width && bottom < height - BOTTOM
    }

    /// Where a value of the x axis is, in pixels from the left.
    pub(super) fn across(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (self.size.0 - LEFT - RIGHT)
    }

    /// Where a value of the y axis is, in pixels from the top.
    pub(super) fn up(&self, value: f64) -> f64 {
        let room = self.size.1 - TOP - BOTTOM;
        TOP + (1.0 - self.y.scale.place(value)) * room
    }
}

/// The outline of a strategy's mark; there are as many as there are colours.
pub(super) const fn mark(strategy: usize) -> &'static str {
    MARKS[strategy % MARKS.len()]
}

/// Circle, square, triangle, diamond, triangle upside down, plus, cross, bar.
pub(super) const MARKS: [&str; 8] = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.6L4.4 3.4H-4.4z",
    "M0-5L5 0L0 5L-5 0z",
    "M0 4.6L4.4-3.4H-4.4z",
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "M0-2.1L2.6-4.7L4.7-2.6L2.1 0L4.7 2.6L2.6 4.7L0 2.1L-2.6 4.7L-4.7 2.6L-2.1 0L-4.7-2.6L-2.6-4.7z",
    "M-1.8-5h3.6v10h-3.6z",
];

/// Room for the values and the title of the y axis.
const LEFT: f64 = 58.0;

/// Room for half of the last value.
const RIGHT: f64 = 16.0;

/// Room for half of the highest value.
const TOP: f64 = 8.0;

/// Room for the values and the title of the x axis.
const BOTTOM: f64 = 40.0;
