//! The x86-64 encoder against two oracles that know nothing of it: LLVM's assembler, which must choose the same bytes for
//! the instruction's text, and the disassembler iced-x86, which must read the bytes as that one instruction.

mod branches;
mod forms;
mod limits;
mod llvm;
mod want;

use forms::Pick;
use opstamp::asm::x64::*;
use opstamp::asm::{Buf, EmitError};
use want::{Address, Want};

/// What `emit` appends to a fresh buffer of `size` bytes.
fn emit(size: usize, emit: impl FnOnce(&mut Asm<'_>)) -> Result<Vec<u8>, EmitError> {
    let mut memory = vec![0xcc; size];
    let mut asm = Asm::new(Buf::new(&mut memory).expect("at least 8 bytes"));
    emit(&mut asm);
    let len = asm.buf.finish()?;
    memory.truncate(len);
    Ok(memory)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

/// Collects instructions, judges each by the disassembler and, at the end, all by the assembler.
#[derive(Default)]
struct Check {
    cases: Vec<(Want, Vec<u8>)>,
    failures: usize,
}

impl Check {
    fn add(&mut self, f: &dyn Fn(&mut Asm<'_>), want: Want) {
        let bytes = emit(40, f).unwrap_or_else(|e| panic!("{want}: {e}"));
        if let Err(why) = want::decodes_to(&bytes, &want) {
            self.fail(&format!("{want}: {}: {why}", hex(&bytes)));
        }
        self.cases.push((want, bytes));
    }

    fn fail(&mut self, why: &str) {
        if self.failures < 20 {
            eprintln!("{why}");
        }
        self.failures += 1;
    }

    /// Compares with the assembler, `name` being the batch's, and panics if anything failed.
    fn finish(mut self, name: &str) {
        assert!(!self.cases.is_empty());
        if let Some(tool) = llvm::find() {
            let mut text = String::new();
            for (want, _) in &self.cases {
                text += &format!("{want}\n");
            }
            let theirs = llvm::lines(&tool, name, &text);
            assert_eq!(theirs.len(), self.cases.len(), "one encoding a line");
            let cases = std::mem::take(&mut self.cases);
            for ((want, ours), theirs) in cases.iter().zip(&theirs) {
                if ours != theirs && !want.is_swapped(theirs) {
                    self.fail(&format!("{want}: {}, but the assembler says {}", hex(ours), hex(theirs)));
                }
            }
            println!("{name}: {} instructions compared", cases.len());
        }
        assert_eq!(self.failures, 0, "instructions that are not what they should be");
    }
}

/// Displacements around every change of form.
const DISPS: [i32; 13] = [0, 1, -1, 127, 128, -128, -129, 255, 256, i32::MAX, i32::MIN, i32::MAX - 127, i32::MIN + 128];
/// Immediates around every change of form.
const IMMS: [i32; 18] =
    [0, 1, -1, 2, 127, 128, -128, -129, 255, 256, -256, 32767, 32768, -32769, 65536, 0x1234_5678, i32::MAX, i32::MIN];
const FACTORS: [u32; 4] = [1, 2, 4, 8];

/// Every address: all bases, all indices and factors, each with the given displacements.
fn addresses(disps: &[i32]) -> Vec<Address> {
    let mut all = Vec::new();
    for &disp in disps {
        for base in 0..16 {
            all.push(Address { base, index: None, disp });
            // rsp, number 4, cannot be an index.
            for index in (0..16).filter(|&i| i != 4) {
                all.extend(FACTORS.map(|factor| Address { base, index: Some((index, factor)), disp }));
            }
        }
    }
    all
}

/// A few addresses that have every length and every REX.X and REX.B, with the bases that are special: rsp, rbp, r12, r13.
fn some_addresses() -> Vec<Address> {
    let mut all = Vec::new();
    for disp in [0, -8, 0x1234] {
        all.extend([0, 4, 5, 7, 8, 12, 13, 15].map(|base| Address { base, index: None, disp }));
        all.extend([(1, 3, 2), (5, 9, 8), (12, 6, 1), (13, 12, 4)].map(|(base, index, factor)| Address {
            base,
            index: Some((index, factor)),
            disp,
        }));
    }
    all
}

const FIRST: Pick =
    Pick { a: 0, b: 1, c: 2, mem: Address { base: 3, index: None, disp: 8 }, imm: 0x1234_5678, count: 5 };

#[test]
fn registers_in_every_position() {
    let mut check = Check::default();
    forms::plain(&mut |f, want| check.add(f, want));
    for a in 0..16 {
        for b in 0..16 {
            forms::registers(&Pick { a, b, ..FIRST }, &mut |f, want| check.add(f, want));
            for c in 0..16 {
                forms::triples(&Pick { a, b, c, ..FIRST }, &mut |f, want| check.add(f, want));
            }
        }
    }
    check.finish("registers");
}

#[test]
fn every_memory_operand_in_every_shape() {
    let mut check = Check::default();
    for (i, mem) in addresses(&DISPS).into_iter().enumerate() {
        // Registers without and with their high bit, alternating independently of the address.
        let (a, b, c) = (i * 7 / 3 % 16, i * 5 / 2 % 16, i / 3 % 16);
        forms::memory_shapes(&Pick { a, b, c, mem, ..FIRST }, &mut |f, want| check.add(f, want));
    }
    check.finish("addresses");
}

#[test]
fn every_instruction_with_memory() {
    let mut check = Check::default();
    for (i, mem) in some_addresses().into_iter().enumerate() {
        for a in 0..16 {
            let b = (a * 5 + i) % 16;
            forms::memory(&Pick { a, b, mem, ..FIRST }, &mut |f, want| check.add(f, want));
        }
    }
    check.finish("memory");
}

#[test]
fn immediates_at_their_edges() {
    let mut check = Check::default();
    let addresses = some_addresses();
    for imm in IMMS {
        for (i, &mem) in addresses.iter().enumerate() {
            let (a, b) = (i % 16, (i / 2 + 5) % 16);
            forms::immediates(&Pick { a, b, mem, imm, ..FIRST }, &mut |f, want| check.add(f, want));
        }
    }
    for count in 0..=255 {
        for a in 0..16 {
            let mem = addresses[(a + usize::from(count)) % addresses.len()];
            let b = (a + 7) % 16;
            forms::counts(&Pick { a, b, mem, count, ..FIRST }, &mut |f, want| check.add(f, want));
        }
    }
    check.finish("immediates");
}

#[test]
fn constants_take_the_shortest_mov() {
    let mut values = vec![0, u64::MAX, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
    for bit in 0..64 {
        let one = 1u64 << bit;
        values.extend([one, one - 1, one + 1, !one, one.wrapping_neg()]);
    }
    let mut check = Check::default();
    for value in values {
        for d in 0..16 {
            forms::constant(d, value, &mut |f, want| check.add(f, want));
        }
    }
    check.finish("constants");
}

#[test]
fn negated_conditions() {
    let setcc = |cc| want::decode(&emit(40, |m| m.setcc(cc, Gpr::Rcx)).expect("room")).expect("setcc");
    for (cc, name) in forms::CC {
        let mut opposite = setcc(cc);
        opposite.negate_condition_code();
        assert_eq!(setcc(cc.negate()).code(), opposite.code(), "the opposite of {name}");
    }
}

/// A small generator (Steele, Lea and Flood, SplitMix64, OOPSLA 2014), so that a seed means the same everywhere.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }

    /// A number whose length in bits is as random as its value.
    fn spread(&mut self) -> i32 {
        let shift = self.below(32);
        self.word() as i32 >> shift
    }
}

/// A number from the environment: `OPSTAMP_SEED`, or how much of everything random to do, `OPSTAMP_COUNT`.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number in decimal, not {text:?}")),
        Err(_) => default,
    }
}

/// The generator that the environment asks for; its seed is printed.
fn random() -> Random {
    let seed = setting("OPSTAMP_SEED", 0x0b57_a3b9);
    println!("OPSTAMP_SEED={seed}");
    Random(seed)
}

#[test]
fn random_round_trips() {
    let mut random = random();
    let mut check = Check::default();
    for _ in 0..setting("OPSTAMP_COUNT", 200) {
        let index = match random.below(16) {
            4 => None,
            index => Some((index, FACTORS[random.below(4)])),
        };
        let pick = Pick {
            a: random.below(16),
            b: random.below(16),
            c: random.below(16),
            mem: Address { base: random.below(16), index, disp: random.spread() },
            imm: random.spread(),
            count: random.word() as u8,
        };
        forms::all(&pick, &mut |f, want| check.add(f, want));
    }
    check.finish("random");
}
