//! The plot of the programs, as SVG.

use crate::field::Field;
use crate::programs::Row;
use crate::support::{Spread, geometric_mean};
use std::fmt::Write;

/// One thing that is compared: its name, its colour, and its ratio in each group of bars.
struct Series {
    name: String,
    colour: &'static str,
    ratios: Vec<Option<Spread>>,
}

/// Colours of the field's engines.
const COLOURS: [&str; 8] = ["#555555", "#7a7a7a", "#9c755f", "#b6992d", "#d4a6c8", "#b07aa1", "#86bcb6", "#499894"];
const MACHINE_CODE: &str = "#1f5fbf";
const TIERED: &str = "#7fb2f0";
const RUST: &str = "#e8833a";

const MARGIN: f64 = 60.0;
const HEIGHT: f64 = 360.0;
/// Space above and below the bars of a panel.
const ABOVE: f64 = 70.0;
const BELOW: f64 = 80.0;
const WIDTH: f64 = 1280.0;
const LEGEND: f64 = 230.0;

/// What stands below the legend of each panel.
const KEY: [&str; 6] = [
    "bars: medians; thin lines: quartiles",
    "from cold: interpreter first,",
    "compiling is part of the time",
    "numbers: opstamp, machine code",
    "red line: gcc -O2, 1 by definition;",
    "bars below it are faster than that",
];

/// The whole plot: the kernels of the field beside the field's figures, and below it the other programs. `machine` says
/// what it was measured on.
pub fn svg(rows: &[Row], field: &Field, machine: &str) -> String {
    let of_field = |row: &&Row| field.kernels.iter().any(|name| name == row.name);
    let first: Vec<&Row> = rows.iter().filter(of_field).collect();
    let rest: Vec<&Row> = rows.iter().filter(|row| !of_field(row) && !row.is_void()).collect();
    let mut panels = Vec::new();
    if first.len() == field.kernels.len() {
        let mut series = own(&first);
        for (engine, colour) in field.engines.iter().zip(COLOURS.into_iter().cycle()) {
            let ratios = engine.ratios.iter().map(|&ratio| Some(single(ratio))).collect();
            series.push(with_mean(Series { name: engine.name.clone(), colour, ratios }));
        }
        let note = format!("opstamp and safe Rust measured on {machine}; the others {}", field.measured);
        panels.push(("Kernels of the field", note, names(&first), series));
    }
    if !rest.is_empty() {
        panels.push(("Other programs", format!("measured on {machine}"), names(&rest), own(&rest)));
    }
    let panel_height = ABOVE + HEIGHT + BELOW;
    let height = panel_height * panels.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, (title, note, groups, series)) in panels.iter().enumerate() {
        let _ = writeln!(
            text,
            "<text x=\"{MARGIN}\" y=\"{:.1}\" fill=\"#555555\">{}</text>",
            panel_height * index as f64 + 52.0,
            escaped(note)
        );
        panel(&mut text, panel_height * index as f64, title, groups, series);
    }
    text += "</svg>\n";
    text
}

/// Text as it stands in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The names of the groups.
fn names(rows: &[&Row]) -> Vec<String> {
    rows.iter().map(|row| row.name.to_owned()).chain(["geometric mean".into()]).collect()
}

/// What was measured now.
fn own(rows: &[&Row]) -> Vec<Series> {
    let series = |name: &str, colour, of: fn(&Row) -> Spread| {
        let ratios = rows.iter().map(|row| Some(of(row))).collect();
        with_mean(Series { name: name.into(), colour, ratios })
    };
    vec![
        series("opstamp, machine code", MACHINE_CODE, |row| row.machine_code),
        series("opstamp, from cold", TIERED, |row| row.tiered),
        series("safe Rust", RUST, |row| row.native),
    ]
}

fn single(ratio: f64) -> Spread {
    Spread { low: ratio, median: ratio, high: ratio }
}

fn with_mean(mut series: Series) -> Series {
    let mean = geometric_mean(series.ratios.iter().flatten().map(|ratio| ratio.median));
    series.ratios.push(mean.map(single));
    series
}

/// Draws the bars of a panel on a logarithmic scale, up or down from the line of 1.
fn panel(text: &mut String, top: f64, title: &str, groups: &[String], series: &[Series]) {
    let all = || series.iter().flat_map(|series| series.ratios.iter().flatten());
    // Powers of two that enclose all bars.
    let lowest = all().map(|ratio| ratio.low).fold(0.5, f64::min).log2().floor();
    let highest = all().map(|ratio| ratio.high).fold(2.0, f64::max).log2().ceil();
    let y = |ratio: f64| top + ABOVE + HEIGHT * (highest - ratio.log2()) / (highest - lowest);
    let right = WIDTH - LEGEND;
    let mut add = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("strings take all");
    add(format_args!(
        "<text x=\"{MARGIN}\" y=\"{:.1}\" font-size=\"18\">{title}: time over that of gcc -O2, lower is better</text>",
        top + 34.0
    ));
    let (middle, below) = (top + ABOVE + HEIGHT / 2.0, top + ABOVE + HEIGHT);
    add(format_args!(
        "<text x=\"16\" y=\"{middle:.1}\" text-anchor=\"middle\" fill=\"#555555\" transform=\"rotate(-90 16 {middle:.1})\">\
         time / time of gcc -O2, logarithmic</text>"
    ));
    let group_width = (right - MARGIN) / groups.len() as f64;
    // The mean, which is the last group, stands apart; the others alternate.
    for index in 0..groups.len() {
        let (last, odd) = (index + 1 == groups.len(), index % 2 == 1);
        if last || odd {
            add(format_args!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{group_width:.1}\" height=\"{HEIGHT:.1}\" fill=\"{}\"/>",
                MARGIN + group_width * index as f64,
                top + ABOVE,
                if last { "#eef3fb" } else { "#f7f7f7" }
            ));
        }
    }
    for power in lowest as i32..=highest as i32 {
        let ratio = f64::from(power).exp2();
        let (colour, width) = if power == 0 { ("#c00000", 1.6) } else { ("#dddddd", 1.0) };
        let at = y(ratio);
        add(format_args!(
            "<line x1=\"{MARGIN}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        ));
        add(format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{ratio}</text>", MARGIN - 6.0, at + 4.0));
    }
    let bar_width = group_width * 0.86 / series.len() as f64;
    for (index, group) in groups.iter().enumerate() {
        let left = MARGIN + group_width * (index as f64 + 0.07);
        for (place, series) in series.iter().enumerate() {
            let Some(ratio) = series.ratios[index] else { continue };
            let (x, end, one) = (left + bar_width * place as f64, y(ratio.median), y(1.0));
            add(format_args!(
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"><title>{}, {group}: {:.2}</title></rect>",
                end.min(one),
                bar_width * 0.92,
                (end - one).abs().max(0.8),
                series.colour,
                series.name,
                ratio.median
            ));
            if ratio.low < ratio.high {
                let middle = x + bar_width * 0.46;
                add(format_args!(
                    "<line x1=\"{middle:.1}\" x2=\"{middle:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"black\" stroke-width=\"0.8\"/>",
                    y(ratio.low),
                    y(ratio.high)
                ));
            }
            // What this plot is about is told as a number too.
            if place == 0 {
                add(format_args!(
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\" fill=\"{}\">{:.2}</text>",
                    x + bar_width * 0.46,
                    y(ratio.high).min(one) - 4.0,
                    series.colour,
                    ratio.median
                ));
            }
        }
        let (x, at) = (left + group_width * 0.43, below + 16.0);
        let weight = if index + 1 == groups.len() { "bold" } else { "normal" };
        add(format_args!(
            "<text x=\"{x:.1}\" y=\"{at:.1}\" text-anchor=\"end\" font-weight=\"{weight}\" transform=\"rotate(-30 {x:.1} {at:.1})\">{group}</text>"
        ));
    }
    for (place, series) in series.iter().enumerate() {
        let at = top + ABOVE + 20.0 * place as f64;
        add(format_args!(
            "<rect x=\"{:.1}\" y=\"{at:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>",
            right + 14.0,
            series.colour
        ));
        add(format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", right + 32.0, at + 10.5, series.name));
    }
    let at = top + ABOVE + 20.0 * series.len() as f64 + 10.0;
    for (line, words) in KEY.into_iter().enumerate() {
        add(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#555555\">{words}</text>",
            right + 14.0,
            at + 16.0 * line as f64
        ));
    }
}
