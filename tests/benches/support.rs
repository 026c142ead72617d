//! What the benchmarks share: modules from text, time, statistics, options.
//!
//! The harness is its own because engines are compared with each other, and a shared machine drifts by more than they
//! differ: in every round each competitor runs once, and a ratio is the median of the rounds' ratios. Criterion and
//! divan finish one benchmark before they start the next, and state no ratios with their spread.

use opstamp::vm3::text;
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};

/// Processor time of this thread in nanoseconds, so that what others run meanwhile does not count.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The nanoseconds that `work` takes, and what it gives.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = now();
    let result = work();
    ((now() - start).max(1) as f64, result)
}

/// The middle half of some numbers.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// Of at least one number: the quartiles by linear interpolation.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    /// Of the quotients of pairs of numbers that were measured in the same round.
    pub fn of_ratios(numbers: &[f64], others: &[f64]) -> Self {
        Self::of(numbers.iter().zip(others).map(|(number, other)| number / other))
    }

    /// The quartiles, for a table.
    pub fn quartiles(&self) -> String {
        format!("{:.3}-{:.3}", self.low, self.high)
    }

    /// The median and the quartiles, for a table.
    pub fn cell(&self) -> String {
        format!("{:.2} ({:.2}-{:.2})", self.median, self.low, self.high)
    }

    /// For a file.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "lower_quartile": self.low, "median": self.median, "upper_quartile": self.high })
    }
}

/// The geometric mean; `None` of nothing.
pub fn geometric_mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = numbers.map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// The folder of the shared programs.
pub fn programs_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

/// Assembles a module; the words of its container.
pub fn assemble(name: &str, source: &str) -> Vec<u64> {
    let sizes = text::sizes(source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(source, &mut words, &mut scratch, &mut |_| {})
        .unwrap_or_else(|error| panic!("{name} does not assemble: {error}"));
    words.truncate(used);
    words
}

/// The command line of a benchmark.
#[derive(Debug)]
pub struct Options {
    /// Only what has this in its name.
    filter: Option<String>,
    /// How often everything is measured.
    pub rounds: usize,
    /// Where to write the numbers as JSON.
    pub json: Option<PathBuf>,
    /// Whether Cargo runs this as a benchmark. As a test, everything runs once, with little work.
    pub measure: bool,
    /// The flags of this benchmark that were given.
    given: Vec<&'static str>,
    /// This benchmark's own settings that were given, and their values.
    values: Vec<(&'static str, String)>,
}

impl Options {
    /// Reads the command line, or says what is wrong with it and ends the process. `flags` are this benchmark's own, and
    /// so are `settings`, each with the values that it takes; any, if there are none.
    pub fn read(rounds: usize, flags: &[&'static str], settings: &[(&'static str, &[&str])]) -> Self {
        Self::parse(rounds, flags, settings).unwrap_or_else(|error| {
            let flags: String = flags.iter().map(|flag| format!(" --{flag}")).collect();
            let setting = |&(name, values): &(_, &[&str])| match values {
                [] => format!(" --{name} VALUE"),
                values => format!(" --{name} {}", values.join("|")),
            };
            let settings: String = settings.iter().map(setting).collect();
            eprintln!("error: {error}; the options are: --filter NAME --rounds N --json FILE{flags}{settings}");
            std::process::exit(2);
        })
    }

    fn parse(
        rounds: usize,
        flags: &[&'static str],
        settings: &[(&'static str, &[&str])],
    ) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options =
            Self { filter: None, rounds, json: None, measure: false, given: Vec::new(), values: Vec::new() };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("filter") => options.filter = Some(parser.value()?.string()?),
                Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("json") => options.json = Some(parser.value()?.into()),
                Long("bench") => options.measure = true,
                Long(name) => {
                    let flag = flags.iter().find(|&&flag| flag == name);
                    let setting = settings.iter().find(|&&(setting, _)| setting == name);
                    match (flag, setting) {
                        (Some(flag), _) => options.given.push(flag),
                        (None, Some(&(setting, known))) => {
                            let value = parser.value()?.string()?;
                            if !known.is_empty() && !known.contains(&value.as_str()) {
                                return Err(format!("unknown --{setting} `{value}`").into());
                            }
                            options.values.push((setting, value));
                        }
                        (None, None) => return Err(arg.unexpected()),
                    }
                }
                _ => return Err(arg.unexpected()),
            }
        }
        if !options.measure {
            options.rounds = 1;
        }
        Ok(options)
    }

    /// Whether one of this benchmark's own flags was given.
    pub fn has(&self, flag: &str) -> bool {
        self.given.contains(&flag)
    }

    /// Whether something of that name is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }

    /// Whether that name, and no other that has it as a part, is asked for.
    pub fn names(&self, name: &str) -> bool {
        self.filter.as_deref() == Some(name)
    }

    /// The value of one of this benchmark's own settings.
    pub fn value(&self, setting: &str) -> Option<&str> {
        self.values.iter().rev().find(|(name, _)| *name == setting).map(|(_, value)| value.as_str())
    }

    /// Writes the numbers where `--json` says.
    pub fn write_json(&self, value: &serde_json::Value) {
        let Some(path) = &self.json else { return };
        let text = serde_json::to_string_pretty(value).expect("values of plain types");
        std::fs::write(path, text + "\n").unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}
