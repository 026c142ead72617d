//! Every verb of the macro assembler of this host's ISA, executed by itself with its operands in every mix of places, and
//! compared with Rust. There is no module and no engine: only a buffer, code memory and a context.

mod bench;
mod cases;
mod control;
mod far;
#[cfg(feature = "stencils")]
mod lane;
#[cfg(feature = "heap")]
mod objects;
mod paced;
mod services;
mod state;
mod tails;
mod values;

use bench::{Bench, Family, FamilyA64, FamilyX64};
use cases::Count;
use opstamp::masm::{Features, Isa};

/// The sets of CPU features to try: none and all that this CPU has.
fn feature_sets() -> Vec<Features> {
    let mut sets = vec![Features::default(), opstamp_platform::features()];
    sets.dedup();
    sets
}

/// Runs a test with the macro assembler of this host.
macro_rules! on_host {
    ($test:ident) => {
        match Isa::HOST {
            Some(Isa::X86_64) => $test::<FamilyX64>(),
            Some(Isa::Arm64) => $test::<FamilyA64>(),
            None => panic!("no backend"),
        }
    };
}

#[test]
fn values_agree_with_rust() {
    fn test<F: Family>() {
        for features in feature_sets() {
            let mut count = Count::default();
            let mut bench = Bench::new::<F>(features);
            values::check_all::<F>(&mut bench, &mut count);
            println!(
                "values: {} verbs in {} functions, {} runs agree, {:.1} bytes a verb, {features:?}",
                count.verbs,
                count.functions,
                count.runs,
                count.bytes as f64 / count.functions as f64,
            );
        }
    }
    on_host!(test);
}

#[test]
fn control_agrees_with_rust() {
    fn test<F: Family>() {
        let mut count = Count::default();
        let mut bench = Bench::new::<F>(Features::default());
        control::calls::<F>(&mut bench, &mut count);
        control::services::<F>(&mut bench, &mut count);
        control::few_floats::<F>(&mut count);
        control::frame::<F>(&mut bench, &mut count);
        control::memory::<F>(&mut bench, &mut count);
        control::traps::<F>(&mut bench, &mut count);
        control::fuel::<F>(&mut bench, &mut count);
        control::many_cold::<F>(&mut bench);
        state::check::<F>(&mut bench);
        println!("control: {} runs agree", count.runs);
    }
    on_host!(test);
}

#[test]
#[cfg(feature = "heap")]
fn objects_are_as_laid_out() {
    fn test<F: Family>() {
        let mut count = Count::default();
        let mut bench = Bench::new::<F>(Features::default());
        objects::arrays::<F>(&mut bench, &mut count);
        objects::fields::<F>(&mut bench, &mut count);
        objects::strings::<F>(&mut bench, &mut count);
        objects::boxes::<F>(&mut bench, &mut count);
        objects::pairs::<F>(&mut bench, &mut count);
        objects::casts::<F>(&mut bench, &mut count);
        objects::properties::<F>(&mut bench, &mut count);
        objects::services::<F>(&mut bench, &mut count);
        objects::closures::<F>(&mut bench, &mut count);
        println!("objects: {} verbs in {} functions, {} runs agree", count.verbs, count.functions, count.runs);
    }
    on_host!(test);
}

#[test]
fn large_functions_branch_far() {
    fn test<F: Family>() {
        let mut bench = Bench::new::<F>(Features::default());
        far::check::<F>(&mut bench);
        far::many_arguments::<F>(&mut bench);
    }
    on_host!(test);
}

#[test]
fn verbs_together_agree_with_rust() {
    fn test<F: Family>() {
        let mut count = Count::default();
        let mut bench = Bench::new::<F>(Features::default());
        tails::pairs::<F>(&mut bench, &mut count);
        tails::forwarded::<F>(&mut bench, &mut count);
        tails::early::<F>(&mut bench, &mut count);
        tails::stack::<F>(&mut bench, &mut count);
        paced::check::<F>(&mut bench, &mut count);
        #[cfg(feature = "heap")]
        tails::accesses::<F>(&mut bench, &mut count);
        println!("together: {} runs agree", count.runs);
    }
    on_host!(test);
}

/// The page for porters names every verb, and nothing else.
#[test]
fn porting_page_is_complete() {
    const TRAITS: [&str; 2] =
        [include_str!("../../../core/src/masm/mod.rs"), include_str!("../../../core/src/masm/objects.rs")];
    const PAGE: &str = include_str!("../../../core/src/masm/PORTING.md");
    for name in ["Masm", "Ints", "Floats", "Flow", "Calls", "Objects"] {
        let body = TRAITS.iter().find_map(|page| page.split(&format!("\npub trait {name}")).nth(1)).expect("the trait");
        let body = body.split("\n}\n").next().expect("its body");
        let verbs = body.split("    fn ").skip(1).map(|rest| rest.split(['(', '<']).next().expect("a name"));
        let table = PAGE.split(&format!("| `{name}` | look out for |")).nth(1).expect("the trait's table");
        let rows = table.split("\n\n").next().expect("its rows").lines().skip(2);
        let named = rows.map(|row| row.split('`').nth(1).expect("a verb"));
        assert_eq!(named.collect::<Vec<_>>(), verbs.collect::<Vec<_>>(), "{name}");
    }
}
