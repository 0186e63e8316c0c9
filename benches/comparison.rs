//! A comparison of two sides, which are measured in turns.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 21;
/// The duration of a turn.
const TURN: Duration = Duration::from_millis(10);

/// Runs one side's work a number of times, and returns the duration.
pub type Side = Box<dyn FnMut(u32) -> Duration>;

pub struct Comparison {
    pub ours: Side,
    pub baseline: Side,
    pub unit: Unit,
}

/// The unit of a comparison.
#[derive(Clone, Copy)]
pub enum Unit {
    /// A ratio of speeds for this number of bytes.
    Speed { bytes: usize },
    /// A ratio of speeds for this number of items.
    Rate { items: u32 },
    /// A difference of times, of which each is divided by this number.
    Time { count: u32 },
}

/// The names of the comparisons, with functions that create them.
pub type Comparisons = Vec<(String, Box<dyn Fn() -> Comparison>)>;

/// Measures the comparisons that the command line selects, and prints a line for each. With `cargo test`, runs each side
/// once without a measurement.
pub fn run(comparisons: Comparisons) {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let has_flag = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let is_measured = has_flag("--bench") && !has_flag("--test");
    arguments.retain(|argument| !argument.starts_with('-'));
    let patterns = arguments;
    println!("{:<58}{:>10}{:>12}{:>8}  quartiles", "", "ours", "baseline", "ratio");
    for (name, create) in comparisons {
        let is_selected =
            patterns.is_empty() || patterns.iter().any(|pattern| name.contains(pattern.as_str()));
        if !is_selected {
            continue;
        }
        let mut comparison = create();
        if is_measured {
            println!("{name:<58}{}", comparison.measure());
        } else {
            black_box((comparison.ours)(1));
            black_box((comparison.baseline)(1));
            println!("{name:<58} works");
        }
    }
}

pub fn timed(mut work: impl FnMut() + 'static) -> Side {
    Box::new(move |runs| {
        let begin = Instant::now();
        (0..runs).for_each(|_| work());
        begin.elapsed()
    })
}

/// Measures the work, and not its preparation, which is done anew for each run.
pub fn timed_prepared<T>(mut prepare: impl FnMut() -> T + 'static, work: impl Fn(&mut T) + 'static) -> Side {
    /// Few enough that the heap reuses the memory of earlier runs.
    const MAX_BATCH: u32 = 16;
    Box::new(move |runs| {
        let mut duration = Duration::ZERO;
        for batch_start in (0..runs).step_by(MAX_BATCH as usize) {
            let batch_len = MAX_BATCH.min(runs - batch_start);
            let mut prepared: Vec<T> = (0..batch_len).map(|_| prepare()).collect();
            let begin = Instant::now();
            prepared.iter_mut().for_each(&work);
            duration += begin.elapsed();
        }
        duration
    })
}

impl Comparison {
    /// Measures both sides in turns, and returns the columns of the line.
    pub fn measure(&mut self) -> String {
        let our_runs = runs_per_turn(&mut self.ours);
        let baseline_runs = runs_per_turn(&mut self.baseline);
        let seconds_per_run = |side: &mut Side, runs: u32| side(runs).as_secs_f64() / f64::from(runs);
        let mut our_times = Vec::new();
        let mut baseline_times = Vec::new();
        for _ in 0..ROUNDS {
            our_times.push(seconds_per_run(&mut self.ours, our_runs));
            baseline_times.push(seconds_per_run(&mut self.baseline, baseline_runs));
        }
        let our_median = Quartiles::of(our_times.clone()).median;
        let baseline_median = Quartiles::of(baseline_times.clone()).median;
        match self.unit {
            Unit::Speed { bytes } => {
                let speed = |seconds: f64| format!("{:.2} GB/s", bytes as f64 / seconds / 1e9);
                let columns = format!("{:>10}{:>12}", speed(our_median), speed(baseline_median));
                columns + &format_ratios(&our_times, &baseline_times)
            }
            Unit::Rate { items } => {
                let rate = |seconds: f64| format!("{:.0}/s", f64::from(items) / seconds);
                let columns = format!("{:>10}{:>12}", rate(our_median), rate(baseline_median));
                columns + &format_ratios(&our_times, &baseline_times)
            }
            Unit::Time { count } => {
                let nanoseconds = |seconds: f64| format!("{:.1} ns", seconds * 1e9 / f64::from(count));
                let difference = |(ours, baseline): (&f64, &f64)| (ours - baseline) * 1e9 / f64::from(count);
                let differences = our_times.iter().zip(&baseline_times).map(difference).collect();
                let Quartiles { lower, median, upper } = Quartiles::of(differences);
                let columns = format!("{:>10}{:>12}", nanoseconds(our_median), nanoseconds(baseline_median));
                format!("{columns}{median:>8.1}  {lower:.1}–{upper:.1}")
            }
        }
    }
}

/// Returns the columns of the ratios of speeds.
fn format_ratios(our_times: &[f64], baseline_times: &[f64]) -> String {
    let ratios = our_times.iter().zip(baseline_times).map(|(ours, baseline)| baseline / ours).collect();
    let Quartiles { lower, median, upper } = Quartiles::of(ratios);
    format!("{median:>8.2}  {lower:.2}–{upper:.2}")
}

/// Doubles the number of runs until they take a turn. This also warms the caches.
fn runs_per_turn(side: &mut Side) -> u32 {
    let mut runs = 1;
    while side(runs) < TURN {
        runs *= 2;
    }
    runs
}

struct Quartiles {
    lower: f64,
    median: f64,
    upper: f64,
}

impl Quartiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Self { lower: at(1), median: at(2), upper: at(3) }
    }
}
