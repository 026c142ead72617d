//! The verbs of cells and objects, on a heap that is laid out by hand: records, headers and payloads as the heap's
//! documentation has them, and cells as vm3.md has them.

use crate::bench::{
    Bench, CANARY_IN, CANARY_OUT, Code, FAR, FUNC, Family, IN, NEAR, OUT, SITE, all_saved, canary, load_canaries, pool,
    store_canaries,
};
use crate::cases::{Count, Places, float, int, mixes};
use crate::services::{ANSWER, Noted, take_noted};
use opstamp::masm::{
    Any, Calls, Cast, DynCond, DynOp, Element, Float, FloatReg, Int, IntReg, Masm, Object, Objects, Saved, Slow,
};
use opstamp::runtime::cache::call::{self, ENTRY as ENTRY_WORD, LIMIT, MISSES};
use opstamp::runtime::cache::{Access, BLOCK_WORDS, CacheSite, EMPTY};
use opstamp::runtime::context::{Context, Entry};
use opstamp::runtime::frame::slot_offset;
use opstamp::runtime::trap::{Site, Trap, TrapKind};
use opstamp::vm3::op::Bank::{self, F64, I64};

const NULL: u64 = 0xFFFC << 48;
const NAN: u64 = 0x7FF8 << 48;
/// The slot of the first cell operand, near and far.
const CELLS: [u16; 2] = [NEAR + 20, FAR + 20];

fn handle(kind: u64, index: u64) -> u64 {
    0xFFFF << 48 | kind << 44 | 0x123 << 32 | index
}

fn short(text: &[u8]) -> u64 {
    text.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)) | (text.len() as u64) << 40 | 0xFFF9 << 48
}

fn boxed(value: i64) -> u64 {
    0xFFFA << 48 | value as u64 & 0xFFFF_FFFF_FFFF
}

/// A table of records, the null record last in memory, and a payload for each behind its header.
struct Heap {
    records: Vec<[u64; 2]>,
    payloads: Vec<Vec<u64>>,
}

const RECORDS: usize = 70_000;

impl Heap {
    fn new(bench: &mut Bench) -> Self {
        let heap = Self { records: vec![[0; 2]; RECORDS], payloads: vec![vec![]; RECORDS] };
        bench.context.records = &raw const heap.records[RECORDS - 1] as u64;
        heap
    }

    /// Makes object `index`.
    fn set(&mut self, index: usize, len: u32, payload: &[u64]) {
        let header = payload.len() as u64 | (index as u64) << 32;
        self.payloads[index] = [&[header], payload].concat();
        let meta = 0xABCD_u64;
        self.records[RECORDS - 1 - index] = [&raw const self.payloads[index][1] as u64, u64::from(len) | meta << 32];
    }

    fn len(&self, index: usize) -> u32 {
        let [_, len] = self.records[RECORDS - 1 - index];
        assert_eq!(len >> 32, 0xABCD, "what is beside the length is untouched");
        len as u32
    }

    fn payload(&self, index: usize) -> &[u64] {
        assert_eq!(self.payloads[index][0] as u32 as usize, self.payloads[index].len() - 1, "the header is untouched");
        &self.payloads[index][1..]
    }
}

/// What a verb must do with the values of its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    /// These bits in operand 0.
    Bits(u64),
    /// This float in operand 0.
    Float(f64),
    /// Nothing to any operand.
    Done,
    /// Its service, which then does the op.
    Service,
}

type Emit<F> = Box<dyn Fn(&mut <F as Family>::Masm<'_>, &[Any], Object, &[u32], Slow)>;

/// A verb on operands of these banks, an object or cells.
struct Verb<F: Family> {
    name: String,
    banks: &'static [Bank],
    /// Which operands are written, and whether the others are read: as bits.
    writes: u8,
    reads: u8,
    /// What its service is told.
    operand: u64,
    emit: Emit<F>,
}

/// Whether a verb is tried with the record of its object pinned too.
#[derive(Clone, Copy, PartialEq)]
enum Records {
    None,
    /// Of an object of a known type, or null.
    Typed,
    /// Of an array, or null; then also with its payload and length pinned instead.
    Array,
    /// Of any cell.
    Any,
}

/// A verb in all mixes of places, ready to run.
struct Compiled {
    name: String,
    writes: u8,
    reads: u8,
    operand: u64,
    mixes: Vec<(Vec<Any>, [u16; 3], Code)>,
}

fn compile<F: Family>(bench: &mut Bench, verb: &Verb<F>, records: Records) -> Compiled {
    let pool = pool::<F>();
    let saved = all_saved::<F>();
    let mut all = Vec::new();
    for (number, mix) in mixes::<F>(verb.banks, Places::All).into_iter().enumerate() {
        // The last registers of the pool that no operand is in.
        let ints = <F::Masm<'_> as Masm<'_>>::INT_POOL.iter().rev().map(|reg| IntReg(reg.number));
        let free: Vec<IntReg> = ints.filter(|&reg| !mix.contains(&Any::Int(Int::Reg(reg)))).take(2).collect();
        let (record, len) = (free[0], free[1]);
        for first in CELLS {
            let slots = [first, first + 1, first + 2];
            let offsets = slots.map(slot_offset);
            // An op's operands have a slot each, where a pinned one goes for the service.
            let mut slow = Slow::new(SITE);
            for (index, &place) in mix.iter().enumerate() {
                let (reads, writes) = (verb.reads >> index & 1 != 0, verb.writes >> index & 1 != 0);
                assert!(slow.add(place, home(place, index), reads, writes));
            }
            let pins = match records {
                Records::None => 1,
                Records::Typed | Records::Any => 2,
                Records::Array => 3,
            };
            for pinned in 0..pins {
                let leaf = number % 2 == 0;
                let code = bench.emit::<F>(&mut |masm| {
                    masm.prologue(leaf, SITE, &saved);
                    load_canaries::<F>(masm);
                    for (slot, &place) in (IN..).zip(&mix) {
                        masm.load(place, slot_offset(slot));
                    }
                    let mut object = Object::Cell(offsets[0]);
                    if pinned == 1 {
                        match records {
                            Records::Any => masm.object_record(record, offsets[0]),
                            _ => masm.record(record, offsets[0]),
                        }
                        object = Object::Record(record);
                    } else if pinned == 2 {
                        masm.view(record, len, offsets[0]);
                        object = Object::View { payload: record, len };
                    }
                    (verb.emit)(masm, &mix, object, &offsets, slow);
                    for (slot, &place) in (OUT..).zip(&mix) {
                        masm.store(slot_offset(slot), place);
                    }
                    for reg in free.iter().take(pinned).map(|&reg| Any::Int(Int::Reg(reg))) {
                        let index = pool.iter().position(|&other| other == reg).expect("in the pool");
                        masm.load(reg, slot_offset(CANARY_IN + index as u16));
                    }
                    store_canaries::<F>(masm);
                    masm.epilogue(&saved);
                });
                all.push((mix.clone(), slots, code));
            }
        }
    }
    Compiled { name: verb.name.clone(), writes: verb.writes, reads: verb.reads, operand: verb.operand, mixes: all }
}

/// The slot that an operand goes to for the service: its own if it is in one.
fn home(place: Any, index: usize) -> u16 {
    match place {
        Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at)) => (at / 8 - 1) as u16,
        _ => 400 + index as u16,
    }
}

/// Runs the verb in one mix of places. Gives what its operands hold then, and checks that nothing else changed: where
/// the service is wanted, that it finds what the op reads and that what it writes arrives.
fn run(
    bench: &mut Bench,
    verb: &Compiled,
    which: usize,
    values: &[u64],
    cells: &[u64],
    pool: &[Any],
    want: &dyn Fn(&[u64]) -> Want,
) -> Vec<u64> {
    let (mix, slots, code) = &verb.mixes[which];
    for index in 0..pool.len() {
        bench.set_slot(u32::from(CANARY_IN) + index as u32, canary(index));
    }
    for (slot, &value) in (u32::from(IN)..).zip(values) {
        bench.set_slot(slot, value);
    }
    for (&slot, &cell) in slots.iter().zip(cells) {
        bench.set_slot(slot.into(), cell);
    }
    // Operands that share a place have the value that was loaded last.
    let held: Vec<u64> = mix
        .iter()
        .map(|place| values[mix.iter().rposition(|other| other == place).expect("at least itself")])
        .collect();
    let want = want(&held);
    let what = format!("{} of {held:x?} and {cells:x?} in {mix:?}", verb.name);
    if want == Want::Service {
        let homes: Vec<u16> = mix.iter().enumerate().map(|(index, &place)| home(place, index)).collect();
        let (held, what) = (held.clone(), what.clone());
        let (reads, writes, operand) = (verb.reads, verb.writes, verb.operand);
        ANSWER.set(Some(Box::new(move |_: *mut Context, noted: Noted| {
            assert_eq!((noted.service, noted.site, noted.operand), ("op", SITE.0, operand), "{what}");
            for (index, &home) in homes.iter().enumerate() {
                // SAFETY: the frame is the bench's stack, which has the slot.
                let slot = unsafe { (noted.frame as *mut u64).add(1 + usize::from(home)) };
                if reads >> index & 1 != 0 {
                    // SAFETY: as above.
                    assert_eq!(unsafe { slot.read() }, held[index], "{what}: operand {index} for the service");
                }
            }
            for (index, &home) in homes.iter().enumerate().filter(|(index, _)| writes >> index & 1 != 0) {
                // SAFETY: as above.
                unsafe { (noted.frame as *mut u64).add(1 + usize::from(home)).write(0x7700 + index as u64) };
            }
            0
        })));
    }
    assert_eq!(bench.run(*code), 0, "{what}");
    ANSWER.set(None);
    let noted = take_noted();
    assert_eq!(noted.len(), usize::from(want == Want::Service), "{what}: services");
    let found: Vec<u64> = (0..mix.len() as u32).map(|index| bench.slot(u32::from(OUT) + index)).collect();
    let changed = |index: usize| match want {
        Want::Bits(_) | Want::Float(_) => mix[index] == mix[0],
        Want::Done => false,
        Want::Service => (0..mix.len()).any(|other| verb.writes >> other & 1 != 0 && mix[other] == mix[index]),
    };
    for (index, &found) in found.iter().enumerate() {
        let wanted = match want {
            _ if !changed(index) => held[index],
            Want::Bits(bits) => bits,
            Want::Float(value) if value.is_nan() && f64::from_bits(found).is_nan() => found,
            Want::Float(value) => value.to_bits(),
            Want::Done => held[index],
            Want::Service => {
                let last = (0..mix.len()).rfind(|&other| verb.writes >> other & 1 != 0 && mix[other] == mix[index]);
                0x7700 + last.expect("one is written") as u64
            }
        };
        assert_eq!(found, wanted, "{what}: operand {index}");
    }
    for (index, reg) in pool.iter().enumerate() {
        if mix.contains(reg) {
            continue;
        }
        let found = bench.slot(u32::from(CANARY_OUT) + index as u32);
        assert_eq!(found, canary(index), "{what}: {reg:?}");
    }
    found
}

/// Compiles a verb and runs it on all these values and cells in all mixes.
fn check<F: Family>(
    bench: &mut Bench,
    verb: Verb<F>,
    records: Records,
    values: &[Vec<u64>],
    cells: &[Vec<u64>],
    want: &dyn Fn(&[u64], &[u64]) -> Want,
    count: &mut Count,
) {
    bench.clear();
    let compiled = compile(bench, &verb, records);
    bench.publish();
    let pool = pool::<F>();
    for which in 0..compiled.mixes.len() {
        for cells in cells {
            for values in values {
                count.runs += 1;
                run(bench, &compiled, which, values, cells, &pool, &|held| want(held, cells));
            }
        }
    }
    count.functions += compiled.mixes.len();
    count.verbs += 1;
}

fn verb<F: Family>(
    name: &str,
    banks: &'static [Bank],
    (writes, reads): (u8, u8),
    emit: impl Fn(&mut F::Masm<'_>, &[Any], Object, &[u32], Slow) + 'static,
) -> Verb<F> {
    Verb { name: name.into(), banks, writes, reads, operand: 0, emit: Box::new(emit) }
}

/// Indices of records that need few and many bits.
const INDICES: [usize; 3] = [1, 300, 69_999];

/// Elements that differ in every byte.
fn element(index: usize) -> u64 {
    0x0101_0101_0101_0101_u64.wrapping_mul(index as u64 + 1) ^ 0x8070_6050_4030_2010
}

/// Arrays: length, elements, push and pop.
pub fn arrays<F: Family>(bench: &mut Bench, count: &mut Count) {
    let mut heap = Heap::new(bench);
    let payload: Vec<u64> = (0..10).map(element).collect();
    for index in INDICES {
        heap.set(index, 9, &payload);
    }
    heap.set(2, 0, &payload);
    let objects = [1, 2, 300, 69_999].map(|index| vec![handle(8, index)]).to_vec();
    let with_null = [&objects[..], &[vec![NULL]]].concat();
    let is_long = |cells: &[u64]| cells[0] != NULL && cells[0] as u32 != 2;

    let len = verb::<F>("len", &[I64], (1, 0), |m, p, o, _, slow| m.len(int(p[0]), o, slow));
    let want = |_: &[u64], cells: &[u64]| if is_long(cells) { Want::Bits(9) } else { Want::Service };
    check(bench, len, Records::Array, &[vec![5]], &with_null, &want, count);

    let indices: Vec<Vec<u64>> = [0, 1, 7, 8, 9, 10, 1 << 31, 1 << 32, 1 << 61, u64::MAX, (1 << 32) + 1]
        .map(|index| vec![0x4045_6789_ABCD_EF01, index])
        .to_vec();
    for (element_is, bank) in [(Element::Word, I64), (Element::Word, F64), (Element::Byte, I64)] {
        let banks: &'static [Bank] = if bank == I64 { &[I64, I64] } else { &[F64, I64] };
        for index in INDICES {
            heap.set(index, 9, &payload);
        }
        let get = verb::<F>("get_element", banks, (1, 2), move |m, p, o, _, slow| {
            m.get_element(element_is, p[0], o, int(p[1]), Some(slow));
        });
        let bytes: Vec<u8> = payload.iter().flat_map(|word| word.to_le_bytes()).collect();
        let payload = payload.clone();
        let want = move |held: &[u64], cells: &[u64]| match held[1] {
            index if is_long(cells) && index < 9 => Want::Bits(match element_is {
                Element::Word => payload[index as usize],
                Element::Byte => bytes[index as usize].into(),
            }),
            _ => Want::Service,
        };
        check(bench, get, Records::Array, &indices, &with_null, &want, count);
        changes::<F>(bench, &mut heap, element_is, bank, count);
    }
}

/// `set_element`, `push` and `pop`, which change the object.
fn changes<F: Family>(bench: &mut Bench, heap: &mut Heap, element_is: Element, bank: Bank, count: &mut Count) {
    let pool = pool::<F>();
    let per_word = if element_is == Element::Byte { 8 } else { 1 };
    let fresh: Vec<u64> = (0..3).map(element).collect();
    let value = 0x3FF8_7766_5544_33A5_u64;
    // What the payload is with that element changed.
    let with = |index: usize, value: u64| {
        let mut bytes: Vec<u8> = fresh.iter().flat_map(|word| word.to_le_bytes()).collect();
        match element_is {
            Element::Byte => bytes[index] = value as u8,
            Element::Word => bytes[8 * index..8 * index + 8].copy_from_slice(&value.to_le_bytes()),
        }
        bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect::<Vec<_>>()
    };
    bench.clear();
    let set = verb::<F>("set_element", if bank == I64 { &[I64, I64] } else { &[I64, F64] }, (0, 3), {
        move |m, p, o, _, slow| m.set_element(element_is, o, int(p[0]), p[1], Some(slow))
    });
    let push = verb::<F>("push", if bank == I64 { &[I64] } else { &[F64] }, (0, 1), {
        move |m, p, o, _, slow| m.push(element_is, o, p[0], slow)
    });
    let pop = verb::<F>("pop", if bank == I64 { &[I64] } else { &[F64] }, (1, 0), {
        move |m, p, o, _, slow| m.pop(element_is, p[0], o, slow)
    });
    let set = compile(bench, &set, Records::Array);
    let [push, pop] = [push, pop].map(|verb| compile(bench, &verb, Records::Typed));
    bench.publish();
    for record in INDICES {
        let cells = [handle(10, record as u64)];
        for which in 0..set.mixes.len() {
            for index in [0, 1, 2, 3, 15, 16, u64::MAX, 1 << 32] {
                let len = if element_is == Element::Byte { 16 } else { 2 };
                heap.set(record, len, &fresh);
                let fits = std::cell::Cell::new(None);
                run(bench, &set, which, &[index, value], &cells, &pool, &|held| {
                    fits.set((held[0] < len.into()).then(|| (held[0] as usize, held[1])));
                    if fits.get().is_some() { Want::Done } else { Want::Service }
                });
                let wanted = fits.get().map_or(fresh.clone(), |(index, value)| with(index, value));
                assert_eq!(heap.payload(record), wanted, "set_element {index} in {:?}", set.mixes[which]);
                assert_eq!(heap.len(record), len);
                count.runs += 1;
            }
        }
        for len in [0, 1, 2, 3, 8, 23, 24_u32] {
            let (most, size) = (3 * per_word, len as usize);
            if size > most {
                continue;
            }
            for which in 0..push.mixes.len() {
                heap.set(record, len, &fresh);
                let want = if size < most { Want::Done } else { Want::Service };
                run(bench, &push, which, &[value], &cells, &pool, &|_| want);
                let (wanted, grown) = if size < most { (with(size, value), len + 1) } else { (fresh.clone(), len) };
                assert_eq!((heap.payload(record), heap.len(record)), (&wanted[..], grown), "push at {len}");
                count.runs += 1;
            }
            for which in 0..pop.mixes.len() {
                heap.set(record, len, &fresh);
                let bytes: Vec<u8> = fresh.iter().flat_map(|word| word.to_le_bytes()).collect();
                let want = match (size.checked_sub(1), element_is) {
                    (None, _) => Want::Service,
                    (Some(last), Element::Word) => Want::Bits(fresh[last]),
                    (Some(last), Element::Byte) => Want::Bits(bytes[last].into()),
                };
                run(bench, &pop, which, &[value], &cells, &pool, &|_| want);
                assert_eq!((heap.payload(record), heap.len(record)), (&fresh[..], len.saturating_sub(1)));
                count.runs += 1;
            }
        }
    }
    for verb in [&push, &pop] {
        for which in 0..verb.mixes.len() {
            run(bench, verb, which, &[value], &[NULL], &pool, &|_| Want::Service);
        }
    }
    // More bytes than 32 bits count: what the capacity seems to be is what is left of it.
    if element_is == Element::Byte {
        for (words, len, fits) in [(1_u64 << 29, 5, false), ((1 << 29) + 1, 7, true), ((1 << 29) + 1, 8, false)] {
            heap.set(1, len, &fresh);
            heap.payloads[1][0] = words;
            run(bench, &push, 0, &[value], &[handle(10, 1)], &pool, &|_| if fits { Want::Done } else { Want::Service });
        }
    }
    bench.clear();
}

/// Fields of objects.
pub fn fields<F: Family>(bench: &mut Bench, count: &mut Count) {
    let mut heap = Heap::new(bench);
    let payload: Vec<u64> = (0..65_536).map(element).collect();
    let cells = [vec![handle(11, 1)], vec![handle(11, 69_999)], vec![NULL]];
    for field in [0, 1, 15, 16, 31, 4095, 4096, 65_535_u16] {
        for bank in [I64, F64] {
            let banks: &[Bank] = if bank == I64 { &[I64] } else { &[F64] };
            heap.set(1, 77, &payload);
            heap.set(69_999, 0, &payload);
            let get = verb::<F>("get_field", banks, (1, 0), move |m, p, o, _, slow| m.get_field(p[0], o, field, slow));
            let want = |_: &[u64], cells: &[u64]| match cells[0] {
                NULL => Want::Service,
                _ => Want::Bits(element(field.into())),
            };
            check(bench, get, Records::Typed, &[vec![3]], &cells, &want, count);
            let set = verb::<F>("set_field", banks, (0, 1), move |m, p, o, _, slow| m.set_field(o, field, p[0], slow));
            let want = |_: &[u64], cells: &[u64]| if cells[0] == NULL { Want::Service } else { Want::Done };
            check(bench, set, Records::Typed, &[vec![0x1234_5678_9ABC_DEF0]], &cells, &want, count);
            for record in [1, 69_999] {
                let mut wanted = payload.clone();
                wanted[usize::from(field)] = 0x1234_5678_9ABC_DEF0;
                assert!(heap.payload(record) == wanted, "field {field}");
            }
        }
    }
}

/// Strings: their length and their bytes.
pub fn strings<F: Family>(bench: &mut Bench, count: &mut Count) {
    let mut heap = Heap::new(bench);
    let text = b"seventeen letters";
    let words = |text: &[u8]| {
        let mut bytes = text.to_vec();
        bytes.resize(text.len().next_multiple_of(8), 0);
        bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect::<Vec<_>>()
    };
    heap.set(1, 17, &words(text));
    heap.set(69_999, 6, &words(b"\xFFthree"));
    let texts: [&[u8]; 8] = [b"", b"a", b"\xFF\xFE", b"abc", b"four", b"\0\0\0\0\0", text, b"\xFFthree"];
    let mut cells: Vec<Vec<u64>> = texts[..6].iter().map(|text| vec![short(text)]).collect();
    cells.extend([vec![handle(4, 1)], vec![handle(4, 69_999)], vec![NULL]]);
    let text_of = {
        let cells = cells.clone();
        move |cell: &[u64]| texts.get(cells.iter().position(|other| other == cell).expect("one of them")).copied()
    };
    let len = verb::<F>("str_len", &[I64], (1, 0), |m, p, _, c, slow| m.str_len(int(p[0]), c[0], slow));
    let want = |_: &[u64], cells: &[u64]| text_of(cells).map_or(Want::Service, |text| Want::Bits(text.len() as u64));
    check(bench, len, Records::None, &[vec![1]], &cells, &want, count);
    let byte =
        verb::<F>("str_byte", &[I64, I64], (1, 2), |m, p, _, c, slow| m.str_byte(int(p[0]), c[0], int(p[1]), slow));
    let indices = [0, 1, 2, 3, 4, 5, 6, 16, 17, 1 << 32, u64::MAX, 1 << 63].map(|index| vec![9, index]);
    let want = |held: &[u64], cells: &[u64]| {
        let byte = text_of(cells).and_then(|text| text.get(usize::try_from(held[1]).ok()?));
        byte.map_or(Want::Service, |&byte| Want::Bits(byte.into()))
    };
    check(bench, byte, Records::None, &indices, &cells, &want, count);
}

/// One of each sort of cell, and the number of its kind in vm3.md.
const SORTS: [(u64, u64); 22] = [
    (NULL, 0),
    (0xFFFB << 48, 1),
    (0xFFFB << 48 | 1, 1),
    (0xFFFA << 48, 2),
    (0xFFFA_7FFF_FFFF_FFFF, 2),
    (0xFFFA_8000_0000_0000, 2),
    (0xFFFA_FFFF_FFFF_FFFF, 2),
    (0, 3),
    (1 << 63, 3),
    (0x3FF8 << 48, 3),
    (0xC02E << 48, 3),
    (0x7FF0 << 48, 3),
    (0xFFF0 << 48, 3),
    (NAN, 3),
    (0xFFF9 << 48, 4),
    (0xFFF9_05FF_FFFF_FFFF, 4),
    (0xFFFF_2123_0000_0001, 2),
    (0xFFFF_4123_0000_0001, 4),
    (0xFFFF_5FFF_FFFF_FFFF, 5),
    (0xFFFF_8123_0000_0001, 8),
    (0xFFFF_B123_0000_0002, 11),
    (0xFFFF_C000_0000_0000, 12),
];

/// Boxing, unboxing and kinds.
pub fn boxes<F: Family>(bench: &mut Bench, count: &mut Count) {
    let sorts: Vec<Vec<u64>> = SORTS.iter().map(|&(cell, _)| vec![cell]).collect();
    let kind = verb::<F>("kind", &[I64], (1, 0), |m, p, _, c, _| m.kind(int(p[0]), c[0]));
    let want =
        |_: &[u64], cells: &[u64]| Want::Bits(SORTS.iter().find(|(cell, _)| *cell == cells[0]).expect("one of them").1);
    check(bench, kind, Records::None, &[vec![77]], &sorts, &want, count);

    let unbox = verb::<F>("unbox_int", &[I64], (1, 0), |m, p, _, c, slow| m.unbox_int(int(p[0]), c[0], slow));
    let want = |_: &[u64], cells: &[u64]| match cells[0] >> 48 {
        0xFFFA => Want::Bits(((cells[0] << 16) as i64 >> 16) as u64),
        _ => Want::Service,
    };
    check(bench, unbox, Records::None, &[vec![77]], &sorts, &want, count);
    let unbox = verb::<F>("unbox_float", &[F64], (1, 0), |m, p, _, c, slow| m.unbox_float(float(p[0]), c[0], slow));
    let want = |_: &[u64], cells: &[u64]| {
        let float = SORTS.iter().any(|&(cell, kind)| cell == cells[0] && kind == 3);
        if float { Want::Float(f64::from_bits(cells[0])) } else { Want::Service }
    };
    check(bench, unbox, Records::None, &[vec![77]], &sorts, &want, count);
    let unbox = verb::<F>("unbox_bool", &[I64], (1, 0), |m, p, _, c, slow| m.unbox_bool(int(p[0]), c[0], slow));
    let want = |_: &[u64], cells: &[u64]| match cells[0] >> 48 {
        0xFFFB => Want::Bits(cells[0] & 1),
        _ => Want::Service,
    };
    check(bench, unbox, Records::None, &[vec![77]], &sorts, &want, count);

    // What is boxed is read back from the cell's slot.
    let edge = 1_i64 << 47;
    let ints = [0, 1, -1, 5, 1 << 40, edge - 1, edge, -edge, -edge - 1, 1 << 48, i64::MAX, i64::MIN, 1 << 62]
        .map(|value| vec![3, value as u64]);
    let emit = |m: &mut F::Masm<'_>, p: &[Any], _: Object, c: &[u32], slow: Slow| {
        m.box_int(c[0], int(p[1]), slow);
        m.load(p[0], c[0]);
    };
    let fits = |value: u64| (value << 16) as i64 >> 16 == value as i64;
    let mut wide: Vec<Vec<u64>> = ints.to_vec();
    let narrow: Vec<Vec<u64>> = ints.iter().filter(|values| fits(values[1])).cloned().collect();
    wide.retain(|values| !fits(values[1]));
    let verb_of = || verb::<F>("box_int", &[I64, I64], (0, 2), emit);
    let want = |held: &[u64], _: &[u64]| Want::Bits(boxed(held[1] as i64));
    check(bench, verb_of(), Records::None, &narrow, &[vec![9]], &want, count);
    let only = verb::<F>("box_int", &[I64], (0, 1), |m, p, _, c, slow| m.box_int(c[0], int(p[0]), slow));
    let wide: Vec<Vec<u64>> = wide.into_iter().map(|values| vec![values[1]]).collect();
    check(bench, only, Records::None, &wide, &[vec![9]], &|_, _| Want::Service, count);
    let bools = verb::<F>("box_bool", &[I64, I64], (0, 2), |m, p, _, c, _| {
        m.box_bool(c[0], int(p[1]));
        m.load(p[0], c[0]);
    });
    let want = |held: &[u64], _: &[u64]| Want::Bits(0xFFFB << 48 | u64::from(held[1] != 0));
    let values = [0, 1, 2, 1 << 63, u64::MAX, 1 << 32].map(|value| vec![3, value]);
    check(bench, bools, Records::None, &values, &[vec![9]], &want, count);
}

/// Casts: what is a handle of the kind, and of the length where one is asked for.
pub fn casts<F: Family>(bench: &mut Bench, count: &mut Count) {
    let mut heap = Heap::new(bench);
    heap.set(1, 0, &[5]);
    heap.set(2, 77, &[5]);
    heap.set(69_999, 65_535, &[5]);
    let handles = [5, 8, 11, 12].iter().flat_map(|&kind| [1, 2, 69_999].map(|index| handle(kind, index)));
    let others = [NULL, short(b"ab"), boxed(-1), 0, NAN, 0xFFFB << 48, 1 << 63 | 69_999];
    for (kind, len) in [(5, None), (8, None), (11, Some(0)), (11, Some(77)), (12, Some(65_535)), (12, Some(78))] {
        let holds = |cell: u64| {
            let long = [(1, 0), (2, 77), (69_999, 65_535)].iter().find(|(index, _)| *index == cell as u32);
            cell >> 44 == 0xF_FFF0 | kind && len.is_none_or(|len| long.is_some_and(|&(_, found)| found == len))
        };
        let (done, served): (Vec<_>, Vec<_>) =
            handles.clone().chain(others).map(|cell| vec![cell, 99]).partition(|cells| holds(cells[0]));
        let to = Cast { kind: kind as u8, len };
        for d in [0, 1] {
            let cast = verb::<F>("cast", &[I64], (0, 0), move |m, p, _, c, slow| {
                m.cast(c[d], c[0], to, slow);
                m.load(p[0], c[d]);
            });
            check(bench, cast, Records::None, &[vec![5]], &done, &|_, cells| Want::Bits(cells[0]), count);
            let cast = verb::<F>("cast", &[], (0, 0), move |m, _, _, c, slow| m.cast(c[d], c[0], to, slow));
            check(bench, cast, Records::None, &[vec![]], &served, &|_, _| Want::Service, count);
        }
    }
}

/// Property accesses by what an inline cache holds, and by the service where it does not.
pub fn properties<F: Family>(bench: &mut Bench, count: &mut Count) {
    const FIELDS: [usize; 4] = [0, 5, 900, 7];
    const SHAPES: [u32; 4] = [7, 0, 65_535, 300];
    let mut heap = Heap::new(bench);
    let mut state = vec![0_u64; 200_000];
    bench.context.globals = state.as_mut_ptr() as u64;
    // What is no object, some of it with a low half that would lead far out of the table.
    let others = [NULL, 0, NAN, 0x3FFF_FFFF_FFFF_FFFF, boxed(-1), short(b"abcde"), handle(8, 6), 0xFFFB << 48 | 1];
    for (access, mark) in [(Access::Cell, 0), (Access::Int, 1 << 16), (Access::Float, 2 << 16)] {
        for (place, filled) in [(0, 4), (300, 3), (150_000, 1), (70_000, 0)] {
            for (index, word) in state[place..place + 4].iter_mut().enumerate() {
                let entry = u64::from(SHAPES[index] | mark) | (8 * FIELDS[index] as u64) << 32;
                *word = if index < filled { entry } else { u64::MAX };
            }
            // An entry of the same shape with another access is not this one's.
            state[place + 4] = u64::from(SHAPES[3]);
            let cache = CacheSite { operand: 0x1234_5678, offset: 8 * place as u32, access };
            let values: &[u64] = match access {
                Access::Cell => &[boxed(5), NULL, handle(11, 1), 1.5_f64.to_bits()],
                Access::Int => &[0, 5, -6_i64 as u64, (1 << 47) - 1, -(1_i64 << 47) as u64, 1 << 47, 1 << 62],
                Access::Float => &[0, 1.5_f64.to_bits(), f64::NEG_INFINITY.to_bits(), NAN, 0xFFF8 << 48 | 7],
            };
            for &value in values {
                for (index, shape) in SHAPES.into_iter().chain([8]).enumerate() {
                    let mut fields: Vec<u64> = (0..901).map(element).collect();
                    fields[FIELDS[index % 4]] = value;
                    heap.set(1 + index, shape, &fields);
                }
                let get = Verb {
                    operand: 0x1234_5678,
                    ..verb::<F>("get_property", &[I64], (0, 0), move |m, p, o, c, slow| {
                        m.get_property(c[1], o, cache, slow);
                        m.load(p[0], c[1]);
                    })
                };
                let as_cell = match access {
                    Access::Cell => Some(value),
                    Access::Int => Some(boxed(value as i64)).filter(|_| (value << 16) as i64 >> 16 == value as i64),
                    Access::Float => Some(value).filter(|&bits| !f64::from_bits(bits).is_nan()),
                };
                let found = |cells: &[u64]| {
                    let index = (cells[0] as u32).wrapping_sub(1) as usize;
                    if cells[0] >> 44 == 0xF_FFFB && index < filled { as_cell } else { None }
                };
                let cells: Vec<Vec<u64>> =
                    (1..=5).map(|index| handle(11, index)).chain(others).map(|cell| vec![cell, 99]).collect();
                let (done, served): (Vec<_>, Vec<_>) = cells.into_iter().partition(|cells| found(cells).is_some());
                let want = |_: &[u64], cells: &[u64]| Want::Bits(found(cells).expect("it is in the cache"));
                check(bench, get, Records::Any, &[vec![5]], &done, &want, count);
                let get = Verb {
                    operand: 0x1234_5678,
                    ..verb::<F>("get_property", &[], (0, 0), move |m, _, o, c, slow| {
                        m.get_property(c[1], o, cache, slow);
                    })
                };
                check(bench, get, Records::Any, &[vec![]], &served, &|_, _| Want::Service, count);
            }
            sets::<F>(bench, &mut heap, cache, filled, (SHAPES, FIELDS), count);
        }
    }
}

/// `set_property` through the same caches.
fn sets<F: Family>(
    bench: &mut Bench,
    heap: &mut Heap,
    cache: CacheSite,
    filled: usize,
    (shapes, places): ([u32; 4], [usize; 4]),
    count: &mut Count,
) {
    let set = Verb {
        operand: u64::from(cache.operand),
        ..verb::<F>("set_property", &[], (0, 0), move |m, _, o, c, slow| m.set_property(o, c[1], cache, slow))
    };
    bench.clear();
    let set = compile(bench, &set, Records::Any);
    bench.publish();
    let pool = pool::<F>();
    let fields: Vec<u64> = (0..901).map(element).collect();
    for &(value, kind) in &SORTS {
        let bits = match cache.access {
            Access::Cell => Some(value),
            Access::Int if value >> 48 == 0xFFFA => Some(((value << 16) as i64 >> 16) as u64),
            Access::Float if kind == 3 => Some(value),
            _ => None,
        };
        for index in 0..5 {
            for which in 0..set.mixes.len() {
                heap.set(1 + index, shapes.get(index).copied().unwrap_or(8), &fields);
                let hit = bits.filter(|_| index < filled);
                let want = if hit.is_some() { Want::Done } else { Want::Service };
                run(bench, &set, which, &[], &[handle(11, 1 + index as u64), value], &pool, &|_| want);
                let mut wanted = fields.clone();
                if let Some(bits) = hit {
                    wanted[places[index]] = bits;
                }
                assert!(heap.payload(1 + index) == wanted, "set_property of {value:#x} in shape {index}");
                count.runs += 1;
            }
        }
        for which in 0..set.mixes.len() {
            run(bench, &set, which, &[], &[NULL, value], &pool, &|_| Want::Service);
            run(bench, &set, which, &[], &[0x3FFF_FFFF_FFFF_FFFF, value], &pool, &|_| Want::Service);
        }
    }
}

/// Verbs on two cells.
pub fn pairs<F: Family>(bench: &mut Bench, count: &mut Count) {
    let edge = 1_i64 << 47;
    let ints = [0, 1, -1, 2, -7, 1 << 24, -(1 << 23), edge - 1, -edge, 1 << 46, 46_341].map(boxed);
    let floats = [0, 1 << 63, 0x3FF8 << 48, 0xC02E << 48, 0x7FF0 << 48, 0xFFF0 << 48, NAN, 0x7FEF << 48, 1];
    let others = [NULL, 0xFFFB << 48 | 1, short(b"ab"), handle(2, 1), handle(4, 1), handle(5, 1), handle(11, 2)];
    let all: Vec<u64> = ints.into_iter().chain(floats).chain(others).collect();
    let cells: Vec<Vec<u64>> = all.iter().flat_map(|&x| all.iter().map(move |&y| vec![x, y])).collect();
    let int_of = |cell: u64| (cell >> 48 == 0xFFFA).then_some((cell << 16) as i64 >> 16);
    let float_of = |cell: u64| (cell >> 48 < 0xFFF9).then_some(f64::from_bits(cell));

    let same = verb::<F>("same", &[I64], (1, 0), |m, p, _, c, slow| m.same(int(p[0]), c[0], c[1], slow));
    let want = |_: &[u64], cells: &[u64]| match (cells[0], cells[1]) {
        (x, y) if x == y => Want::Bits(1),
        // Boxed integers and long strings are compared by their service.
        (x, _) if matches!(x >> 44, 0xFFFF2 | 0xFFFF4) => Want::Service,
        _ => Want::Bits(0),
    };
    check(bench, same, Records::None, &[vec![5]], &cells, &want, count);

    for cond in [DynCond::Eq, DynCond::Lt, DynCond::Le] {
        let compare = verb::<F>("dynamic_compare", &[I64], (1, 0), move |m, p, _, c, slow| {
            m.dynamic_compare(cond, int(p[0]), c[0], c[1], slow);
        });
        let want = move |_: &[u64], cells: &[u64]| {
            let order = match ((int_of(cells[0]), int_of(cells[1])), (float_of(cells[0]), float_of(cells[1]))) {
                ((Some(x), Some(y)), _) => x.partial_cmp(&y),
                (_, (Some(x), Some(y))) => x.partial_cmp(&y),
                _ => return Want::Service,
            };
            Want::Bits(u64::from(match cond {
                DynCond::Eq => order.is_some_and(|order| order.is_eq()),
                DynCond::Lt => order.is_some_and(|order| order.is_lt()),
                DynCond::Le => order.is_some_and(|order| order.is_le()),
            }))
        };
        check(bench, compare, Records::None, &[vec![5]], &cells, &want, count);
    }
    for op in [DynOp::Add, DynOp::Sub, DynOp::Mul] {
        // The destination is a cell: once one of its own, once each operand; what is in it is read back.
        for d in 0..3 {
            let arithmetic = verb::<F>("dynamic", &[I64], (0, 0), move |m, p, _, c, slow| {
                m.dynamic(op, c[[2, 0, 1][d]], c[0], c[1], slow);
                m.load(p[0], c[[2, 0, 1][d]]);
            });
            let want = move |_: &[u64], cells: &[u64]| {
                let value = match ((int_of(cells[0]), int_of(cells[1])), (float_of(cells[0]), float_of(cells[1]))) {
                    ((Some(x), Some(y)), _) => {
                        let (x, y) = (i128::from(x), i128::from(y));
                        let value = match op {
                            DynOp::Add => x + y,
                            DynOp::Sub => x - y,
                            DynOp::Mul => x * y,
                        };
                        i64::try_from(value).ok().filter(|value| value << 16 >> 16 == *value).map(boxed)
                    }
                    (_, (Some(x), Some(y))) => {
                        let value = match op {
                            DynOp::Add => x + y,
                            DynOp::Sub => x - y,
                            DynOp::Mul => x * y,
                        };
                        (!value.is_nan()).then_some(value.to_bits())
                    }
                    _ => None,
                };
                value.map_or(Want::Service, Want::Bits)
            };
            let (done, served): (Vec<_>, Vec<_>) =
                cells.iter().cloned().partition(|cells| want(&[], cells) != Want::Service);
            check(bench, arithmetic, Records::None, &[vec![5]], &done, &want, count);
            let only = verb::<F>("dynamic", &[], (0, 0), move |m, _, _, c, slow| {
                m.dynamic(op, c[[2, 0, 1][d]], c[0], c[1], slow);
            });
            check(bench, only, Records::None, &[vec![]], &served, &want, count);
        }
    }
}

/// `op` by itself: all that an op may read and write, and what a trap does.
pub fn services<F: Family>(bench: &mut Bench, count: &mut Count) {
    let banks: &[Bank] = &[I64, F64, I64, F64];
    for (writes, reads) in [(0, 0b1111), (0b1111, 0), (0b0110, 0b1011), (0b1001, 0b1001)] {
        let op = verb::<F>("op", banks, (writes, reads), |m, _, _, _, slow| m.op(slow));
        bench.clear();
        let mixes: Vec<_> = mixes::<F>(banks, Places::Few);
        let mut compiled = compile(bench, &op, Records::None);
        // Operands that share a place have one slot in a real op, so these are left out.
        compiled
            .mixes
            .retain(|(mix, ..)| mixes.contains(mix) && (0..mix.len()).all(|index| !mix[..index].contains(&mix[index])));
        bench.publish();
        let pool = pool::<F>();
        for which in 0..compiled.mixes.len() {
            run(bench, &compiled, which, &[1, 2, 3, 4], &[5], &pool, &|_| Want::Service);
            ANSWER.set(Some(Box::new(|context: *mut Context, noted: Noted| {
                // SAFETY: the stub passes the running context, to which no reference exists.
                unsafe {
                    (*context).trap = Trap::new(TrapKind::OutOfMemory).encode();
                    (*context).trap_site = noted.site.into();
                }
                1
            })));
            assert_eq!(bench.run(compiled.mixes[which].2), 1);
            ANSWER.set(None);
            take_noted();
            assert_eq!(bench.context.trap, Trap::new(TrapKind::OutOfMemory).encode());
            assert_eq!(bench.context.trap_site, u64::from(SITE.0));
            count.runs += 2;
        }
    }
}

/// Words of an entry of the function table, and the place of the frame's size in it, in the high half.
const ENTRY: usize = size_of::<Entry>() / 8;
const FRAME_BYTES: usize = 4;

/// Empties the cache of a call.
fn clear_cache(bench: &mut Bench, place: usize) {
    let words = &mut bench.context.words[place..place + call::BLOCKS as usize * BLOCK_WORDS];
    words.fill(EMPTY);
    (words[MISSES], words[ENTRY_WORD]) = (0, 0);
}

/// Calls of closures: what the callee is given, the traps before it, and what comes back.
pub fn closures<F: Family>(bench: &mut Bench, count: &mut Count) {
    let mut heap = Heap::new(bench);
    let mut table = vec![0_u64; 65_536 * ENTRY];
    bench.context.entries = table.as_mut_ptr() as u64;
    bench.clear();
    let saved = all_saved::<F>();
    // Result: nothing; all is in its frame.
    let callee = bench.emit::<F>(&mut |masm| {
        masm.prologue(true, SITE, &Saved::default());
        masm.result(Any::Int(Int::Slot(slot_offset(0))));
        masm.epilogue(&Saved::default());
    });
    let ints = <F::Masm<'_> as Masm<'_>>::INT_POOL;
    let floats = <F::Masm<'_> as Masm<'_>>::FLOAT_POOL;
    // Named arguments from registers of both banks and slots near and far.
    let places: Vec<Any> = (0..255)
        .map(|index| match index % 5 {
            0 => Any::Int(Int::Reg(IntReg(ints[index % ints.len()].number))),
            1 => Any::Float(Float::Reg(FloatReg(floats[index % floats.len()].number))),
            2 => Any::Int(Int::Slot(slot_offset(NEAR + index as u16))),
            3 => Any::Float(Float::Slot(slot_offset(FAR + index as u16))),
            _ => Any::Int(Int::Slot(slot_offset(FAR))),
        })
        .collect();
    let pool = pool::<F>();
    let mut callers = Vec::new();
    let mut places_of_caches = [0, 300, 4000, 30_000].into_iter().cycle();
    for frame in [8200, slot_offset(FAR) + 4096] {
        for named in [0, 1, 2, 5, 255] {
            for closure in CELLS {
                let site = Site::new(FUNC, named as u16);
                let place = places_of_caches.next().expect("it has no end");
                let cache = CacheSite { operand: 0, offset: 8 * place as u32, access: Access::Cell };
                let code = bench.emit::<F>(&mut |masm| {
                    masm.prologue(false, SITE, &saved);
                    load_canaries::<F>(masm);
                    let args = places[..named].iter().copied();
                    masm.call_closure(slot_offset(closure), args, frame, cache, site);
                    masm.take_result(Any::Int(Int::Slot(slot_offset(OUT))));
                    store_canaries::<F>(masm);
                    masm.result(Any::Int(Int::Slot(slot_offset(IN))));
                    masm.epilogue(&saved);
                });
                callers.push((code, frame, named, closure, place, site));
            }
        }
    }
    bench.publish();
    let bounds = [0, 1, 2, 300, 3, 4, 5, 6, 7, 8, 9];
    for (func, bound) in [0_usize, 1, 65_535, 900, 2, 3, 40_000, 4, 5, 6, 7].into_iter().zip(bounds) {
        table[ENTRY * func] = callee.address;
        let size = slot_offset((bound + 300) as u16);
        table[ENTRY * func + FRAME_BYTES] = u64::from(size) << 32;
        let payload: Vec<u64> =
            [func as u64 | (bound as u64) << 16].into_iter().chain((0..bound).map(element)).collect();
        // Two closures that are the same but for their handles.
        heap.set(69_999, 16, &payload);
        heap.set(3, 16, &payload);
        for &(code, frame, named, closure, place, site) in &callers {
            clear_cache(bench, place);
            let slots = (0..pool.len()).map(|index| (u32::from(CANARY_IN) + index as u32, canary(index)));
            for (slot, value) in slots {
                bench.set_slot(slot, value);
            }
            for index in 0..255 {
                bench.set_slot(u32::from(NEAR) + index, 0x4E00 + u64::from(index));
                bench.set_slot(u32::from(FAR) + index, 0xFA00 + u64::from(index));
            }
            bench.set_slot(closure.into(), handle(12, 69_999));
            bench.set_slot(IN.into(), 99);
            let value_of = |bench: &Bench, place: Any| match place {
                Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at)) => bench.slot(at / 8 - 1),
                reg => canary(pool.iter().position(|&other| other == reg).expect("a register")),
            };
            let wanted: Vec<u64> =
                (0..bound).map(element).chain(places[..named].iter().map(|&place| value_of(bench, place))).collect();
            let first = frame as usize / 8;
            bench.stack[first] = 0x7777_0000_0000;
            let real = bench.context.stack_end;
            let start = bench.stack.as_ptr() as u64;
            // Room, the closure, whether that is what the cache holds before, and the times that it was filled behind it.
            let cases = [
                (size - 8, 69_999, true, 0),
                (size, 69_999, true, 1),
                (size, 69_999, false, 1),
                (size, 3, false, 2),
                (size, 3, false, 2),
                (size - 8, 69_999, false, 2),
                (size, 69_999, false, 3),
                (size, 69_999, true, 4),
            ];
            for (room, index, forget, misses) in cases {
                let fits = room == size;
                bench.context.stack_end = start + u64::from(frame) + u64::from(room);
                bench.set_slot(closure.into(), handle(12, index));
                if forget {
                    bench.context.words[place] = EMPTY;
                }
                let before = bench.stack[first..first + 600].to_vec();
                let status = bench.run(code);
                count.runs += 1;
                assert_eq!(bench.context.words[place + MISSES], misses, "{bound} bound, {named} named");
                if fits {
                    assert_eq!(status, 0);
                    assert_eq!(bench.stack[first], u64::from(site.0), "the header, which names no tail");
                    assert_eq!(bench.stack[first + 1..][..wanted.len()], wanted, "{bound} bound, {named} named");
                    let after = &bench.stack[first + 1 + wanted.len()..first + 600];
                    assert_eq!(after, &before[1 + wanted.len()..], "nothing behind the arguments is written");
                    let result = wanted.first().copied().unwrap_or(before[1]);
                    assert_eq!((bench.slot(OUT.into()), bench.context.result), (result, 99));
                    let kept = ints.iter().chain(floats).enumerate().filter(|(_, reg)| reg.callee_saved);
                    for (index, reg) in kept {
                        assert_eq!(bench.slot(u32::from(CANARY_OUT) + index as u32), canary(index), "{reg:?}");
                    }
                    // What a hit has to write again.
                    bench.stack[first..][..1 + wanted.len()].fill(0x5555_0000);
                } else {
                    assert_eq!(status, 1);
                    assert_eq!(bench.context.trap, Trap::new(TrapKind::StackOverflow).encode());
                    assert_eq!(bench.context.trap_site, u64::from(site.0));
                    assert!(bench.stack[first..first + 600] == before, "nothing is written before the check");
                }
            }
            // A frame one word behind the limit has no room, also for the closure that was called last.
            let limit = std::mem::replace(&mut bench.context.words[place + LIMIT], start - 8);
            bench.context.stack_end -= 8;
            assert_eq!(limit, start, "the room is just enough");
            assert_eq!(bench.run(code), 1);
            assert_eq!(bench.context.trap, Trap::new(TrapKind::StackOverflow).encode());
            assert_eq!(bench.context.trap_site, u64::from(site.0));
            // A stack that ends lower than the frame is long.
            bench.context.stack_end = u64::from(frame) + u64::from(size) - 8;
            bench.context.words[place] = EMPTY;
            assert_eq!(bench.run(code), 1);
            assert_eq!(bench.context.trap, Trap::new(TrapKind::StackOverflow).encode());
            count.runs += 2;
            // Null is found first, also where there is no room.
            bench.set_slot(closure.into(), NULL);
            for end in [start, real] {
                bench.context.stack_end = end;
                assert_eq!(bench.run(code), 1);
                assert_eq!(bench.context.trap, Trap::new(TrapKind::NullReference).encode());
                assert_eq!(bench.context.trap_site, u64::from(site.0));
                count.runs += 1;
            }
            assert_eq!(bench.context.words[place + MISSES], 4, "null is no miss");
            bench.context.stack_end = real;
        }
    }
}
