//! The operations that x86-64 makes by table: for every operation with its operands in every mix of places the same bytes
//! as its verb, which the other tests execute, and whose instructions the encoder's tests compare with an assembler.

use opstamp::asm::{Buf, Label};
use opstamp::masm::x64::{X64, lane};
use opstamp::masm::{
    Any, Cond, ContextWord, Features, Float, FloatCond, FloatOp, FloatReg, FloatUnary, Floats, Flow, Int, IntOp,
    IntReg, IntUnary, Ints, Masm, Place, Plain, PlainOp, Run, Src, Stubs,
};
use opstamp::masm::{Calls, x64::convention};
use opstamp::runtime::frame::slot_offset;

const INT_OPS: [IntOp; 12] = [
    IntOp::Add,
    IntOp::Sub,
    IntOp::Mul,
    IntOp::And,
    IntOp::Or,
    IntOp::Xor,
    IntOp::Shl,
    IntOp::Shr,
    IntOp::Ushr,
    IntOp::Rotl,
    IntOp::Min,
    IntOp::Max,
];
const UNARY: [IntUnary; 5] = [IntUnary::Neg, IntUnary::Not, IntUnary::Clz, IntUnary::Ctz, IntUnary::Popcnt];
const CONDS: [Cond; 10] =
    [Cond::Eq, Cond::Ne, Cond::Lt, Cond::Le, Cond::Gt, Cond::Ge, Cond::Ult, Cond::Ule, Cond::Ugt, Cond::Uge];
const FLOAT_OPS: [FloatOp; 4] = [FloatOp::Add, FloatOp::Sub, FloatOp::Mul, FloatOp::Div];
const FLOAT_CONDS: [FloatCond; 4] = [FloatCond::Lt, FloatCond::Le, FloatCond::Gt, FloatCond::Ge];

fn all() -> Vec<Plain> {
    let mut all = vec![Plain::Mov, Plain::FloatMov, Plain::Const, Plain::Sqrt, Plain::IntToFloat, Plain::FloatFromBits];
    all.extend([Plain::FloatNeg, Plain::FloatAbs, Plain::FloatBits, Plain::GetInt, Plain::GetFloat, Plain::SetInt]);
    all.extend(INT_OPS.map(Plain::Int));
    all.extend(INT_OPS.into_iter().filter(|op| !matches!(op, IntOp::Min | IntOp::Max)).map(Plain::IntK));
    all.extend(UNARY.map(Plain::IntUnary));
    all.extend(CONDS.into_iter().flat_map(|cond| [Plain::Compare(cond), Plain::CompareK(cond)]));
    all.extend(CONDS.into_iter().flat_map(|cond| [Plain::Branch(cond), Plain::BranchK(cond)]));
    all.extend(FLOAT_OPS.map(Plain::Float));
    all.extend(FLOAT_CONDS.into_iter().flat_map(|cond| [Plain::FloatCompare(cond), Plain::FloatBranch(cond)]));
    all
}

/// What the three fields of an operation are.
#[derive(Clone, Copy, PartialEq)]
enum Field {
    Int,
    Float,
    Literal,
    /// The lower half of a literal of 32 bits; the next field is the upper half.
    Wide,
    Global,
    Unused,
}

fn fields(plain: Plain) -> [Field; 3] {
    use Field::*;
    match plain {
        Plain::Mov | Plain::IntUnary(_) => [Int, Int, Unused],
        Plain::FloatMov | Plain::FloatNeg | Plain::FloatAbs | Plain::Sqrt => [Float, Float, Unused],
        Plain::Const => [Int, Wide, Unused],
        Plain::Int(_) | Plain::Compare(_) => [Int, Int, Int],
        Plain::IntK(_) | Plain::CompareK(_) => [Int, Int, Literal],
        Plain::Float(_) => [Float, Float, Float],
        Plain::FloatCompare(_) => [Int, Float, Float],
        Plain::IntToFloat | Plain::FloatFromBits => [Float, Int, Unused],
        Plain::FloatBits => [Int, Float, Unused],
        Plain::GetInt => [Int, Global, Unused],
        Plain::GetFloat => [Float, Global, Unused],
        Plain::SetInt => [Global, Int, Unused],
        Plain::Branch(_) => [Int, Int, Unused],
        Plain::BranchK(_) => [Int, Literal, Unused],
        Plain::FloatBranch(_) => [Float, Float, Unused],
    }
}

/// Every pooled register, and slots on both sides of where displacements change their length.
fn places() -> Vec<Any> {
    let slots = [8, 120, 128, 4096, 0x7_FFF8];
    let ints = convention::INT_POOL.iter().map(|reg| Int::Reg(IntReg(reg.number))).chain(slots.map(Int::Slot));
    let floats =
        convention::FLOAT_POOL.iter().map(|reg| Float::Reg(FloatReg(reg.number))).chain(slots.map(Float::Slot));
    ints.map(Any::Int).chain(floats.map(Any::Float)).collect()
}

/// Around every change of form, and powers of two and their neighbours.
const LITERALS: [i16; 25] =
    [0, 1, -1, 2, 3, 4, 5, 7, 8, 9, 10, 31, 32, 62, 63, 64, 65, 127, 128, -127, -128, -129, 1024, i16::MAX, i16::MIN];
const WIDE: [i32; 9] = [0, 1, -1, 127, 128, -128, 0x1234_5678, i32::MAX, i32::MIN];
const GLOBALS: [u16; 6] = [0, 1, 15, 16, 32_768, 65_535];

/// What may stand in a field: the halves of a literal are drawn together.
fn choices(field: Field, places: &[Any]) -> Vec<u16> {
    let of = |float: bool| {
        let is = move |place: &Any| matches!(place, Any::Float(_)) == float;
        places.iter().enumerate().filter(move |(_, place)| is(place)).map(|(number, _)| number as u16).collect()
    };
    match field {
        Field::Int => of(false),
        Field::Float => of(true),
        Field::Literal => LITERALS.map(|literal| literal as u16).to_vec(),
        Field::Wide => (0..WIDE.len() as u16).collect(),
        Field::Global => GLOBALS.to_vec(),
        // The lane must not look: any number, also of a place.
        Field::Unused => vec![0, 7, 0xFFFF],
    }
}

fn emit(features: Features, size: usize, verb: impl FnOnce(&mut X64<'_>) -> bool) -> Option<Vec<u8>> {
    let mut memory = vec![0xEE; size];
    let mut masm =
        X64::new(Buf::new(&mut memory).expect("at least 8 bytes"), Place::new(0, features, Stubs::default(), 0));
    if !verb(&mut masm) {
        assert_eq!(masm.pos(), 0, "refused with code");
        return None;
    }
    masm.check().expect("fits");
    let len = masm.pos();
    memory.truncate(len);
    Some(memory)
}

/// The verb of an operation.
fn verb(masm: &mut X64<'_>, plain: Plain, places: &[Any], word: u64) {
    let field = |index: u32| (word >> (16 + 16 * index)) as u16;
    let int = |index: u32| match places[usize::from(field(index))] {
        Any::Int(place) => place,
        Any::Float(_) => panic!("a float"),
    };
    let float = |index: u32| match places[usize::from(field(index))] {
        Any::Float(place) => place,
        Any::Int(_) => panic!("an integer"),
    };
    let literal = |index: u32| Src::Imm(i64::from(field(index) as i16));
    let mut label = Label::new();
    match plain {
        Plain::Mov => masm.mov(int(0), Src::At(int(1))),
        Plain::FloatMov => masm.float_mov(float(0), float(1)),
        Plain::Const => masm.mov(int(0), Src::Imm(i64::from((word >> 32) as i32))),
        Plain::Int(op) => masm.int(op, int(0), int(1), Src::At(int(2))),
        Plain::IntK(op) => masm.int(op, int(0), int(1), literal(2)),
        Plain::IntUnary(op) => masm.int_unary(op, int(0), int(1)),
        Plain::Compare(cond) => masm.compare(cond, int(0), int(1), Src::At(int(2))),
        Plain::CompareK(cond) => masm.compare(cond, int(0), int(1), literal(2)),
        Plain::Float(op) => masm.float(op, float(0), float(1), float(2)),
        Plain::FloatNeg => masm.float_unary(FloatUnary::Neg, float(0), float(1)),
        Plain::FloatAbs => masm.float_unary(FloatUnary::Abs, float(0), float(1)),
        Plain::Sqrt => masm.float_unary(FloatUnary::Sqrt, float(0), float(1)),
        Plain::FloatCompare(cond) => masm.float_compare(cond, int(0), float(1), float(2)),
        Plain::IntToFloat => masm.int_to_float(float(0), int(1)),
        Plain::FloatBits => masm.float_bits(int(0), float(1)),
        Plain::FloatFromBits => masm.float_from_bits(float(0), int(1)),
        Plain::GetInt => masm.load_word(Any::Int(int(0)), ContextWord::Globals, field(1).into()),
        Plain::GetFloat => masm.load_word(Any::Float(float(0)), ContextWord::Globals, field(1).into()),
        Plain::SetInt => masm.store_word(ContextWord::Globals, field(0).into(), Any::Int(int(1))),
        Plain::Branch(cond) => masm.branch(cond, int(0), Src::At(int(1)), &mut label),
        Plain::BranchK(cond) => masm.branch(cond, int(0), literal(1), &mut label),
        Plain::FloatBranch(cond) => masm.float_branch(cond, float(0), float(1), &mut label),
    }
}

/// Operations that were made by table, and those that were left to the verb.
#[derive(Default)]
struct Count {
    made: usize,
    left: usize,
}

/// Compares what `table` makes of an operation, with any of these in its fields, with its verb.
fn check(
    plain: Plain,
    features: Features,
    places: &[Any],
    choices: [Vec<u16>; 3],
    table: impl Fn(&mut X64<'_>, u64) -> bool,
) -> Count {
    let mut count = Count::default();
    let [first, second, third] = choices;
    for &a in &first {
        for &b in &second {
            for &c in &third {
                let mut word = 0xA5A5 | u64::from(a) << 16 | u64::from(b) << 32 | u64::from(c) << 48;
                if fields(plain)[1] == Field::Wide {
                    word = word & 0xFFFF_FFFF | (WIDE[usize::from(b)] as u64) << 32;
                }
                match emit(features, 512, |masm| table(masm, word)) {
                    None => count.left += 1,
                    Some(found) => {
                        let wanted = emit(features, 512, |masm| {
                            verb(masm, plain, places, word);
                            true
                        });
                        let [a, b, c] = [a, b, c].map(|number| places.get(usize::from(number)));
                        assert_eq!(Some(found), wanted, "{plain:?}, {word:#x}: {a:?}, {b:?}, {c:?}, {features:?}");
                        count.made += 1;
                    }
                }
            }
        }
    }
    count
}

#[test]
fn bytes_are_those_of_the_verbs() {
    let places = places();
    let prepared: Vec<_> = places.iter().map(|&place| X64::prepare(place)).collect();
    let some = Features { bmi1: true, lzcnt: true, popcnt: true, ..Features::default() };
    let (mut made, mut left) = (0, 0);
    for plain in all() {
        for features in [Features::ALL, some, Features::default()] {
            let choices = fields(plain).map(|field| choices(field, &places));
            let count = check(plain, features, &places, choices, |masm, word| {
                masm.plain(lane::recipe(plain), PlainOp { word, places: &prepared })
            });
            if features == Features::ALL {
                assert!(count.made > 0, "{plain:?} is never made by table");
                made += count.made;
                left += count.left;
            }
        }
    }
    println!("lane: {made} operations by table, {left} left to their verbs");
    assert!(left * 10 < made, "{left} operations of {} are left to their verbs", made + left);
}

/// Bytecode registers as a run finds them: all machine registers of the pools, and slots at their own offsets, on both
/// sides of where displacements change their length and at the end of what a byte numbers.
fn numbered() -> Vec<Any> {
    let mut places: Vec<_> = (0..256).map(|slot| Any::Int(Int::Slot(slot_offset(slot)))).collect();
    for slot in [2, 3, 15, 31, 255] {
        places[slot] = Any::Float(Float::Slot(slot_offset(slot as u16)));
    }
    for (place, reg) in places[4..].iter_mut().zip(&convention::INT_POOL) {
        *place = Any::Int(Int::Reg(IntReg(reg.number)));
    }
    for (place, reg) in places[16..].iter_mut().zip(&convention::FLOAT_POOL) {
        *place = Any::Float(Float::Reg(FloatReg(reg.number)));
    }
    places
}

/// Makes an operation as a run of its own.
fn run_of(masm: &mut X64<'_>, plain: Plain, places: &[Any], word: u64) -> bool {
    for (number, &place) in (0..=255).zip(places) {
        masm.pin(number, place);
    }
    let mut run = masm.run();
    let Some(len) = run.put(lane::recipe(plain), word, 0) else { return false };
    run.advance(len);
    true
}

/// What of an operation runs make, with any of these bytecode registers in its fields.
fn runs(plain: Plain, features: Features, places: &[Any], is_wanted: impl Fn(u16) -> bool) -> Count {
    let choices = fields(plain).map(|field| {
        let mut numbers = choices(field, places);
        if matches!(field, Field::Int | Field::Float) {
            numbers.retain(|&number| is_wanted(number));
        }
        numbers
    });
    check(plain, features, places, choices, |masm, word| run_of(masm, plain, places, word))
}

#[test]
fn bytes_of_runs_are_those_of_the_verbs() {
    let places = numbered();
    let is_near = |number: u16| !(31..=253).contains(&number);
    let in_register =
        |number: u16| matches!(places[usize::from(number)], Any::Int(Int::Reg(_)) | Any::Float(Float::Reg(_)));
    let some = Features { bmi1: true, lzcnt: true, popcnt: true, ..Features::default() };
    let (mut made, mut left) = (0, 0);
    for plain in all() {
        for features in [Features::ALL, some, Features::default()] {
            runs(plain, features, &places, is_near);
        }
        let count = runs(plain, Features::ALL, &places, in_register);
        assert!(count.made > 0, "{plain:?} is never made in a run");
        made += count.made;
        left += count.left;
    }
    println!("runs: {made} operations on registers, {left} left to the lane");
    assert!(left * 8 < made, "{left} operations on registers of {} are not made in runs", made + left);
}

/// An operation is made by table only if there is room for the longest one, and then it stays inside the memory.
#[test]
fn too_little_room() {
    let places = places();
    let prepared: Vec<_> = places.iter().map(|&place| X64::prepare(place)).collect();
    let op = PlainOp { word: 0x0001_0001_0000_0000, places: &prepared };
    let recipe = lane::recipe(Plain::Int(IntOp::And));
    let mut shortest = None;
    for size in 8..512 {
        let made = emit(Features::ALL, size, |masm| masm.plain(recipe, op)).is_some();
        assert!(!made || shortest.is_none_or(|shortest| size > shortest), "{size} bytes");
        if made && shortest.is_none() {
            shortest = Some(size);
        }
        if let Some(shortest) = shortest {
            assert!(made, "{size} bytes are too few, {shortest} were not");
        }
    }
    assert_eq!(shortest, Some(opstamp::asm::ROOM), "the least memory for an operation by table");
    assert!(emit(Features::ALL, 512, |masm| masm.plain(recipe, PlainOp { word: 0, places: &[] })).is_none());
    let places = numbered();
    for (size, made) in [(8, false), (opstamp::asm::ROOM - 1, false), (opstamp::asm::ROOM, true), (512, true)] {
        for plain in [Plain::Int(IntOp::And), Plain::FloatMov, Plain::Branch(Cond::Lt)] {
            let run = emit(Features::ALL, size, |masm| run_of(masm, plain, &places, 4 << 48 | 5 << 32 | 6 << 16));
            assert_eq!(run.is_some(), made, "{plain:?} in {size} bytes");
        }
    }
}

/// Open branches hold what was said, each in its own displacement, until they get their targets.
#[test]
fn branches_are_resolved() {
    let places = places();
    let prepared: Vec<_> = places.iter().map(|&place| X64::prepare(place)).collect();
    let mut memory = vec![0; 512];
    let mut masm = X64::new(Buf::new(&mut memory).expect("room"), Place::new(0, Features::ALL, Stubs::default(), 0));
    let recipe = lane::recipe(Plain::BranchK(Cond::Lt));
    // On the first register of the pool and 5: cmp (4 bytes), jl (6 bytes).
    let op = PlainOp { word: 5 << 32, places: &prepared };
    let links = [0, 1, 77, 65_536];
    masm.pin(0, places[0]);
    for (index, link) in links.into_iter().enumerate() {
        // By turns on its own and in a run.
        if index % 2 == 0 {
            masm.set_link(link);
            assert!(masm.plain(recipe, op));
        } else {
            let mut run = masm.run();
            let len = run.put(recipe, op.word, link).expect("on a register");
            run.advance(len);
        }
    }
    let ends = [10, 20, 30, 40];
    assert_eq!(masm.pos(), 40);
    for ((end, link), target) in ends.into_iter().zip(links).zip([40, 0, 30, 17]) {
        assert_eq!(masm.resolve(end, target), link);
    }
    masm.check().expect("fits");
    for (end, disp) in ends.into_iter().zip([30, -20, 0, -23_i32]) {
        assert_eq!(memory[end - 6..end - 4], [0x0F, 0x8C]);
        assert_eq!(memory[end - 4..end], disp.to_le_bytes());
    }
}
