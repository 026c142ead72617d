//! What other engines reach, and what opstamp means to reach.

use crate::support::geometric_mean;

/// The figures of the field, from `field.json`.
pub struct Field {
    /// How they were measured.
    pub measured: String,
    /// The kernels, in the order of all ratios.
    pub kernels: Vec<String>,
    pub engines: Vec<Engine>,
}

/// One engine, and its times over those of `gcc -O2`.
pub struct Engine {
    pub name: String,
    /// Whether it is a baseline compiler, which opstamp means to be ahead of.
    pub baseline: bool,
    pub ratios: Vec<f64>,
}

/// The highest geometric mean that is good enough.
const MEAN: f64 = 1.3;
/// The highest ratio of a kernel, and of a kernel that is all calls.
const MOST: f64 = 2.0;
const MOST_OF_CALLS: (&str, f64) = ("fib_rec", 2.5);
/// How far above the best baseline compiler a kernel may be.
const ABOVE_BEST: f64 = 1.05;

/// An aim, and whether it is met.
pub struct Bar {
    pub what: String,
    pub met: bool,
}

impl Field {
    pub fn read() -> Self {
        let json: serde_json::Value = serde_json::from_str(include_str!("field.json")).expect("JSON");
        let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
        let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
        let kernels: Vec<String> = list(&json["kernels"]).iter().map(text).collect();
        let engine = |value: &serde_json::Value| Engine {
            name: text(&value["name"]),
            baseline: value["baseline"].as_bool().expect("a bool"),
            ratios: list(&value["ratios"]).iter().map(|ratio| ratio.as_f64().expect("a number")).collect(),
        };
        let engines: Vec<Engine> = list(&json["engines"]).iter().map(engine).collect();
        assert!(engines.iter().all(|engine| engine.ratios.len() == kernels.len()), "a ratio for each kernel");
        Self { measured: text(&json["measured"]), kernels, engines }
    }

    /// The bars, for ratios in the order of the kernels.
    pub fn bars(&self, ratios: &[f64]) -> Vec<Bar> {
        let mean = geometric_mean(ratios.iter().copied()).unwrap_or(f64::NAN);
        let mut bars = vec![Bar { what: format!("geometric mean {mean:.3}, at most {MEAN}"), met: mean <= MEAN }];
        for (index, (kernel, &ratio)) in self.kernels.iter().zip(ratios).enumerate() {
            let most = if kernel == MOST_OF_CALLS.0 { MOST_OF_CALLS.1 } else { MOST };
            let best = self
                .engines
                .iter()
                .filter(|engine| engine.baseline)
                .min_by(|one, other| one.ratios[index].total_cmp(&other.ratios[index]));
            let best = best.expect("a baseline compiler");
            let limit = best.ratios[index] * ABOVE_BEST;
            bars.push(Bar { what: format!("{kernel} {ratio:.3}, at most {most}"), met: ratio <= most });
            bars.push(Bar {
                what: format!("{kernel} {ratio:.3}, at most {limit:.3} (5% above {})", best.name),
                met: ratio <= limit,
            });
        }
        bars
    }
}
