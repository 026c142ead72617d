//! Runs a verb with its operands in every mix of places, on every mix of values.

use crate::bench::{
    Bench, CANARY_IN, CANARY_OUT, Code, FAR, Family, IN, NEAR, OUT, POISON, SITE, all_saved, canary, load_canaries,
    pool, store_canaries,
};
use opstamp::masm::{Any, Calls, Float, FloatReg, Int, IntReg, Masm, PoolReg, Src};
use opstamp::runtime::frame::slot_offset;
use opstamp::runtime::trap::{Trap, TrapKind};
use opstamp::vm3::op::Bank;

/// What a verb must do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Want {
    /// These bits in the destination.
    Bits(u64),
    /// This float in the destination; any NaN stands for all.
    Float(f64),
    /// This trap at the site.
    Trap(TrapKind),
}

/// A verb under test. Operand 0 is its destination, the others its sources.
pub struct Verb<F: Family> {
    pub name: String,
    /// The bank of each operand.
    pub banks: &'static [Bank],
    pub emit: Emit<F>,
    /// The result of the sources.
    pub want: Box<Expected>,
}

type Emit<F> = Box<dyn Fn(&mut <F as Family>::Masm<'_>, &[Any])>;
type Expected = dyn Fn(&[u64]) -> Want;

/// Which kinds of places operands take.
#[derive(Clone, Copy, PartialEq)]
pub enum Places {
    All,
    /// A register and a near slot, where the number of variants is large for another reason.
    Few,
}

/// A place of its own for operand `index`.
fn own_places<F: Family>(bank: Bank, index: usize, places: Places) -> Vec<Any> {
    let nth = |pool: &'static [PoolReg], kept: bool| {
        let reg = pool.iter().filter(|reg| reg.callee_saved == kept).nth(index);
        reg.expect("as many registers as operands").number
    };
    let slots = [NEAR + index as u16, FAR + index as u16].map(slot_offset);
    let mut all: Vec<Any> = match bank {
        Bank::F64 => {
            let pool = <F::Masm<'_> as Masm<'_>>::FLOAT_POOL;
            let regs = [false, true].map(|kept| Any::Float(Float::Reg(FloatReg(nth(pool, kept)))));
            [regs, slots.map(|at| Any::Float(Float::Slot(at)))].concat()
        }
        _ => {
            let pool = <F::Masm<'_> as Masm<'_>>::INT_POOL;
            let regs = [false, true].map(|kept| Any::Int(Int::Reg(IntReg(nth(pool, kept)))));
            [regs, slots.map(|at| Any::Int(Int::Slot(at)))].concat()
        }
    };
    if places == Places::Few {
        all = vec![all[0], all[2]];
    }
    all
}

/// Every mix of places: each operand in a place of its own of each kind, or where an operand before it is.
pub fn mixes<F: Family>(banks: &[Bank], places: Places) -> Vec<Vec<Any>> {
    let mut all: Vec<Vec<Any>> = vec![vec![]];
    for (index, &bank) in banks.iter().enumerate() {
        let mut longer = Vec::new();
        for mix in all {
            let mut choices = own_places::<F>(bank, index, places);
            for &earlier in &mix {
                let same_bank = matches!(earlier, Any::Float(_)) == (bank == Bank::F64);
                if same_bank && !choices.contains(&earlier) {
                    choices.push(earlier);
                }
            }
            longer.extend(choices.into_iter().map(|choice| [&mix[..], &[choice]].concat()));
        }
        all = longer;
    }
    all
}

/// Every tuple of values for the banks of the sources.
pub fn tuples(banks: &[Bank], ints: &[i64], floats: &[f64]) -> Vec<Vec<u64>> {
    let mut all: Vec<Vec<u64>> = vec![vec![]];
    for bank in banks {
        let values: Vec<u64> = match bank {
            Bank::F64 => floats.iter().map(|x| x.to_bits()).collect(),
            _ => ints.iter().map(|&x| x as u64).collect(),
        };
        all = all.iter().flat_map(|tuple| values.iter().map(|&value| [&tuple[..], &[value]].concat())).collect();
    }
    all
}

/// What was done in all.
#[derive(Default)]
pub struct Count {
    pub verbs: usize,
    pub functions: usize,
    pub runs: usize,
    pub bytes: usize,
}

/// Runs the verb in all mixes of places on all tuples of source values.
pub fn check<F: Family>(bench: &mut Bench, verb: &Verb<F>, places: Places, tuples: &[Vec<u64>], count: &mut Count) {
    bench.clear();
    let pool = pool::<F>();
    let saved = all_saved::<F>();
    let functions: Vec<(Vec<Any>, Code)> = mixes::<F>(verb.banks, places)
        .into_iter()
        .enumerate()
        .map(|(number, mix)| {
            let mut bytes = 0;
            let code = bench.emit::<F>(&mut |masm| {
                masm.prologue(number % 2 == 0, SITE, &saved);
                load_canaries::<F>(masm);
                for (slot, &place) in (IN..).zip(&mix) {
                    masm.load(place, slot_offset(slot));
                }
                let start = masm.pos();
                (verb.emit)(masm, &mix);
                bytes = masm.pos() - start;
                for (slot, &place) in (OUT..).zip(&mix) {
                    masm.store(slot_offset(slot), place);
                }
                store_canaries::<F>(masm);
                masm.epilogue(&saved);
            });
            count.bytes += bytes;
            (mix, code)
        })
        .collect();
    bench.publish();
    count.verbs += 1;
    count.functions += functions.len();
    for index in 0..pool.len() {
        bench.set_slot(u32::from(CANARY_IN) + index as u32, canary(index));
    }
    let old = 0x4045_6789_ABCD_EF01;
    for (mix, code) in &functions {
        let in_pool: Vec<Option<usize>> = mix.iter().map(|place| pool.iter().position(|reg| reg == place)).collect();
        for tuple in tuples {
            count.runs += 1;
            // Operands that share a place have the value that was loaded last.
            let loaded = [&[old], &tuple[..]].concat();
            let values: Vec<u64> = mix
                .iter()
                .map(|place| loaded[mix.iter().rposition(|other| other == place).expect("at least itself")])
                .collect();
            for (slot, &value) in (u32::from(IN)..).zip(&loaded) {
                bench.set_slot(slot, value);
                bench.set_slot(slot + u32::from(OUT), POISON);
            }
            let status = bench.run(*code);
            let want = (verb.want)(&values[1..]);
            let failed = |what: &str, found: u64| -> ! {
                panic!("{} of {values:x?} in {mix:?}: {what} is {found:#x}, not {want:x?}", verb.name)
            };
            let d = match want {
                Want::Trap(kind) => {
                    if status != 1 {
                        failed("the status", status);
                    }
                    if bench.context.trap != Trap::new(kind).encode() {
                        failed("the trap", bench.context.trap);
                    }
                    if bench.context.trap_site != u64::from(SITE.0) {
                        failed("the site", bench.context.trap_site);
                    }
                    continue;
                }
                Want::Bits(bits) => bits,
                Want::Float(value) => {
                    let found = bench.slot(OUT.into());
                    if value.is_nan() && f64::from_bits(found).is_nan() { found } else { value.to_bits() }
                }
            };
            if status != 0 {
                failed("the status", status);
            }
            for (index, &place) in mix.iter().enumerate() {
                let wanted = if place == mix[0] { d } else { values[index] };
                let found = bench.slot(u32::from(OUT) + index as u32);
                if found != wanted {
                    failed(&format!("operand {index}"), found);
                }
            }
            for (index, reg) in pool.iter().enumerate() {
                let wanted = match in_pool.iter().position(|&operand| operand == Some(index)) {
                    Some(operand) if mix[operand] == mix[0] => d,
                    Some(operand) => values[operand],
                    None => canary(index),
                };
                let found = bench.slot(u32::from(CANARY_OUT) + index as u32);
                if found != wanted {
                    failed(&format!("{reg:?}"), found);
                }
            }
        }
    }
}

/// The place of an integer operand.
pub fn int(place: Any) -> Int {
    match place {
        Any::Int(place) => place,
        Any::Float(_) => panic!("a float"),
    }
}

/// The place of a float operand.
pub fn float(place: Any) -> Float {
    match place {
        Any::Float(place) => place,
        Any::Int(_) => panic!("an integer"),
    }
}

/// The place of an integer source.
pub fn src(place: Any) -> Src {
    Src::At(int(place))
}
