//! What the compiler emits for every ISA, on whatever host this runs: the same bytes wherever they are written to. Each
//! line that begins with `emission:` is the same on every host; `tests/arm64.sh` compares them.

mod common;

use common::Room;
use opstamp::asm::EmitError;
use opstamp::jit::{self, CompileError};
use opstamp::masm::{FUNCTION_ALIGN, Features, Isa, Place};
use opstamp::vm3::op::Op;
use opstamp::vm3::text;
use opstamp::{Engine, Module};
use opstamp_tests::driver::CacheRoom;
use opstamp_tests::{SOURCE_BYTES, suite};
use std::fmt::Write;
use std::path::Path;

/// FNV-1a, 64 bits.
fn hash(mut state: u64, bytes: &[u8]) -> u64 {
    for &byte in bytes {
        state = (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    }
    state
}

#[derive(Clone, Copy)]
struct Total {
    functions: usize,
    ops: usize,
    /// Of the functions: prologues, templates, rare halves.
    bytes: usize,
    /// Of the stubs, one set a module.
    stub_bytes: usize,
    hash: u64,
}

impl Total {
    const NONE: Self = Self { functions: 0, ops: 0, bytes: 0, stub_bytes: 0, hash: 0xCBF2_9CE4_8422_2325 };

    fn line(&self, what: &str, isa: Isa, how: &str) {
        let Self { functions, ops, bytes, hash, .. } = self;
        let each = *bytes as f64 / *ops as f64;
        println!(
            "emission: {what}, {isa:?}, {how}: {functions} functions, {ops} ops, {bytes} bytes, {each:.2} an op, {hash:#x}"
        );
    }
}

/// Ways to compile.
const WAYS: [(&str, Features, usize); 3] = [
    (
        "baseline CPU",
        Features { popcnt: false, lzcnt: false, bmi1: false, bmi2: false, sse41: false, avx: false, fma: false },
        usize::MAX,
    ),
    ("all features", Features::ALL, usize::MAX),
    ("nothing pinned", Features::ALL, 0),
];

/// Compiles all functions of a module one behind the other.
fn compile(module: &Module<'_>, isa: Isa, features: Features, max_pinned: usize, memory: &mut [u8], total: &mut Total) {
    let stubs = jit::stubs(isa, memory, features, jit::most_floats(module)).expect("the stubs fit");
    total.stub_bytes += stubs.end;
    let mut scratch = vec![0; jit::scratch_words(module)];
    let mut offset = stubs.end.next_multiple_of(FUNCTION_ALIGN);
    for func in 0..Engine::functions_needed(module) as u16 {
        let place = Place::new(offset, features, stubs, func);
        let listing = jit::function(isa, module, func, &mut memory[offset..], place, &mut scratch, max_pinned);
        let (len, end) = listing.map(|listing| (listing.len(), listing.end())).expect("compiles");
        total.functions += 1;
        total.bytes += len;
        offset += end;
    }
    let code = module.container().section(opstamp::vm3::container::Section::Code);
    total.ops += code.iter().filter(|&&word| Op::from_code(word as u8).is_some_and(|op| op != Op::Args)).count();
    total.hash = hash(total.hash, &memory[..offset]);
}

/// Compiles a source for all ISAs in all ways, twice at different addresses.
fn compile_source(source: &str, totals: &mut [[Total; WAYS.len()]; Isa::ALL.len()]) {
    let sizes = text::sizes(source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(source, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
    let mut scratch = vec![0; Module::scratch_words(&words[..used]).expect("a container")];
    let module = Module::verify(&words[..used], &mut scratch).expect("verifies");
    for (isa, totals) in Isa::ALL.into_iter().zip(totals) {
        for ((_, features, max_pinned), total) in WAYS.into_iter().zip(totals) {
            let mut again = *total;
            compile(&module, isa, features, max_pinned, &mut vec![0; 8 << 20], total);
            let mut memory = vec![0xFF; (8 << 20) + 4096];
            compile(&module, isa, features, max_pinned, &mut memory[4096 - 24..], &mut again);
            assert_eq!(total.hash, again.hash, "{isa:?}: the bytes depend on where they are written");
        }
    }
}

fn report(what: &str, totals: &[[Total; WAYS.len()]; Isa::ALL.len()]) {
    for (isa, totals) in Isa::ALL.into_iter().zip(totals) {
        for ((how, ..), total) in WAYS.into_iter().zip(totals) {
            total.line(what, isa, how);
        }
    }
}

/// The most bytes of machine code an op that may be made of all programs together, the stubs of each counted; in the
/// order of [`Isa::ALL`].
const BYTES_PER_OP: [f64; Isa::ALL.len()] = [17.0, 20.0];

#[test]
fn programs() {
    let mut totals = [[Total::NONE; WAYS.len()]; Isa::ALL.len()];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let paths = std::fs::read_dir(folder).expect("the programs").map(|entry| entry.expect("a file").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|ext| ext == "vm3")).collect();
    paths.sort();
    for path in paths {
        compile_source(&std::fs::read_to_string(path).expect("readable"), &mut totals);
    }
    report("programs", &totals);
    for ((isa, totals), most) in Isa::ALL.into_iter().zip(totals).zip(BYTES_PER_OP) {
        for ((how, ..), Total { ops, bytes, stub_bytes, .. }) in WAYS.into_iter().zip(totals) {
            let each = (bytes + stub_bytes) as f64 / ops as f64;
            println!("size: programs, {isa:?}, {how}: {each:.2} bytes an op with the stubs");
            assert!(
                how == "nothing pinned" || each <= most,
                "{isa:?}, {how}: {each} bytes an op, expected {most} at most"
            );
        }
    }
}

#[test]
fn shared_suite() {
    let mut totals = [[Total::NONE; WAYS.len()]; Isa::ALL.len()];
    suite(&mut vec![0; SOURCE_BYTES], &mut |group| compile_source(group.text, &mut totals));
    report("suite", &totals);
}

/// A function whose machine code is larger than arm64's conditional branches reach (1 MiB), with branches of every kind
/// over most of it: `f(n, x)` runs its body twice, forward into it by n and back by a loop.
fn large() -> String {
    // Slots so far from the frame's start that each access takes two instructions on arm64.
    let mut text = "func f(n: i64, x: f64) -> i64\n  local turn: i64, sum: i64, zero: f64".to_owned();
    for index in 0..8000 {
        let _ = write!(text, ", v{index}: i64");
    }
    text.push_str("\n  i64.add sum, n, 7\n  i64.div sum, n, sum\nagain:\n  i64.add turn, turn, 1\n");
    for (number, branch) in [
        "br.i64.eq n, 1, L0",
        "br.i64.gt n, 900, L3",
        "br.i64.eq n, 0, L3",
        "br.f64.lt x, zero, L3",
        "br.f64.ne x, x, L3",
        "switch n, [L3, L3, L0, L1, L2], L3",
    ]
    .iter()
    .enumerate()
    {
        let _ = writeln!(text, "  i64.add sum, sum, {}\n  {branch}", number + 1);
    }
    for index in 0..40_000 {
        if let Some(label) = [0, 13_000, 26_000, 39_500].iter().position(|&place| place == index) {
            let _ = writeln!(text, "L{label}:");
        }
        let (a, b, c) = (index % 500, index % 499 + 500, index % 497 + 1000);
        let _ = writeln!(text, "  i64.add v{}, v{}, v{}", a + 7000, b + 6000, c + 5000);
        if index % 5000 == 0 {
            let _ = writeln!(text, "  i64.add sum, sum, 1000\n  i64.div v1, sum, sum\n  i64.add v7000, v7000, 1");
        }
    }
    text.push_str("  i64.add sum, sum, v7000\n  br.i64.lt turn, 2, again\n  br.f64.lt x, zero, neg\n  ret sum\nneg:\n");
    text.push_str("  i64.sub n, n, 100\n  i64.add turn, turn, 1\n  br.i64.ge n, 0, again\n  ret sum\nend\n");
    text
}

/// The compiler takes far branches by itself where this function needs them.
fn far_branches_are_found_out(module: &Module<'_>) {
    let mut scratch = vec![0; jit::scratch_words(module)];
    let mut memory = vec![vec![0; 8 << 20]; 2];
    for (memory, far_branches) in memory.iter_mut().zip([false, true]) {
        let stubs = jit::stubs(Isa::Arm64, memory, Features::ALL, usize::MAX).expect("the stubs fit");
        let place = Place { far_branches, ..Place::new(8192, Features::ALL, stubs, 0) };
        jit::function(Isa::Arm64, module, 0, &mut memory[8192..], place, &mut scratch, usize::MAX).expect("compiles");
    }
    assert!(memory[0] == memory[1], "the short forms reached");
}

#[test]
fn large_functions() {
    let source = large();
    let mut totals = [[Total::NONE; WAYS.len()]; Isa::ALL.len()];
    compile_source(&source, &mut totals);
    report("large function", &totals);
    let [_, [arm64, ..]] = totals;
    assert!(arm64.bytes > 1 << 20, "{} bytes are within reach", arm64.bytes);

    let sizes = text::sizes(&source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(&source, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
    far_branches_are_found_out(&Module::verify(&words[..used], &mut scratch).expect("verifies"));
    common::with_stack(|| {
        let mut results = Vec::new();
        for engine in common::engines() {
            let mut room = Room::new();
            let (memory, code) = room.parts();
            let module = Module::verify(&words[..used], &mut scratch).expect("verifies");
            let mut cache = CacheRoom::new();
            let engine = engine.make(module, memory.functions, code, &mut cache, memory.scratch);
            let engine = engine.expect("an engine");
            let place = opstamp::InstanceMemory {
                heap: &mut [],
                seed: 0,
                stack: memory.stack,
                state: memory.state,
                native_stack: memory.native_stack,
            };
            let mut instance = opstamp::Instance::new(&engine, place, &[]).expect("an instance");
            let mut found = Vec::new();
            for n in [0, 1, 2, 3, 4, 5, -1, 250, 1000, -7] {
                for x in [1.0, -1.0, f64::NAN] {
                    found.push(instance.call("f", &[n.into(), x.into()]));
                }
            }
            results.push(found);
        }
        for found in &results {
            assert_eq!(*found, results[0]);
        }
        println!("large function: {} results on {} engines", results[0].len(), results.len());
    });
}

/// Ops that one instruction does on arm64, and what they would be by themselves.
const SHARED: &str = "
func sums(a: i64, b: i64) -> i64
  local t: i64
again:
  i64.mul t, a, b
  nop
  i64.add t, a, t
  i64.sub a, a, 1
  br.i64.ne a, b, again
  ret t
end

func loads(xs: arr.f64, ys: arr.f64, n: i64) -> f64
  local i: i64, j: i64, x: f64, y: f64
again:
  arr.f64.get x, xs, i
  arr.f64.get y, ys, i
  f64.add x, x, y
  arr.f64.get y, xs, j
  i64.add i, i, 1
  br.i64.ne i, n, again
  ret x
end
";

/// Where a listing says that ops start which share instructions.
#[test]
fn ops_that_share_instructions() {
    let sizes = text::sizes(SHARED);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(SHARED, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
    let module = Module::verify(&words[..used], &mut scratch).expect("verifies");
    let mut memory = vec![0; 65_536];
    let stubs = jit::stubs(Isa::Arm64, &mut memory, Features::ALL, usize::MAX).expect("the stubs fit");
    let place = Place::new(16_384, Features::ALL, stubs, 0);
    let mut scratch = vec![0; jit::scratch_words(&module)];
    // A poll of two instructions and `madd`, or a comparison of three pairs in four and a load, then one instruction an op
    // but for branches and what follows the last.
    let want: [&[usize]; 2] = [&[0, 8, 8, 12, 16, 24], &[0, 28, 32, 36, 40, 44, 52]];
    for (func, want) in (0..).zip(want) {
        let listing = jit::function(Isa::Arm64, &module, func, &mut memory[16_384..], place, &mut scratch, usize::MAX)
            .expect("compiles");
        let starts: Vec<usize> =
            (0..want.len()).map(|word| listing.op(word).expect("an op") - listing.body()).collect();
        assert_eq!(starts, want, "function {func}");
    }
}

/// A loop that counts, on arm64, as GNU as 2.40 assembles what it should be.
#[test]
fn loop_that_counts() {
    const SOURCE: &str = "
func sum(n: i64) -> i64
  local i: i64, t: i64, s: i64
  br.i64.le n, 0, done
loop:
  i64.shl t, s, 1
  i64.xor t, i, t
  i64.add s, s, t
  i64.add i, i, 1
  br.i64.lt i, n, loop
done:
  ret s
end
";
    // From the loop's head on; 0 is a call of a stub.
    const WANT: [u32; 27] = [
        0xF940_0260, //        ldr x0, [x19]
        0x3700_02A0, //        tbnz w0, #0, poll
        0x9110_0067, // limit: add x7, x3, #1024
        0xEB06_00FF, //        cmp x7, x6
        0x9A86_B0E7, //        csel x7, x7, x6, lt
        0xCA05_0464, // body:  eor x4, x3, x5, lsl #1
        0x8B04_00A5, //        add x5, x5, x4
        0x9100_0463, //        add x3, x3, #1
        0xEB07_007F, //        cmp x3, x7
        0x54FF_FF8B, //        b.lt body
        0xEB06_007F, //        cmp x3, x6
        0x5400_006B, //        b.lt pace
        0xAA05_03E0, //        mov x0, x5
        0xD65F_03C0, //        ret
        0xF940_0260, // pace:  ldr x0, [x19]
        0x3700_0040, //        tbnz w0, #0, asked
        0x17FF_FFF2, //        b limit
        0xF81F_0FFE, // asked: str x30, [sp, #-16]!
        0xD280_0022, //        mov x2, #1
        0,           //        bl
        0xF841_07FE, //        ldr x30, [sp], #16
        0x17FF_FFED, //        b limit
        0xF81F_0FFE, // poll:  str x30, [sp, #-16]!
        0xD280_0022, //        mov x2, #1
        0,           //        bl
        0xF841_07FE, //        ldr x30, [sp], #16
        0x17FF_FFE8, //        b limit
    ];
    let sizes = text::sizes(SOURCE);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(SOURCE, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
    let module = Module::verify(&words[..used], &mut scratch).expect("verifies");
    let mut memory = vec![0; 65_536];
    let stubs = jit::stubs(Isa::Arm64, &mut memory, Features::ALL, usize::MAX).expect("the stubs fit");
    let place = Place::new(16_384, Features::ALL, stubs, 0);
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let listing = jit::function(Isa::Arm64, &module, 0, &mut memory[16_384..], place, &mut scratch, usize::MAX);
    let start = 16_384 + listing.expect("compiles").op(1).expect("an op");
    for (index, (found, want)) in memory[start..].as_chunks().0.iter().zip(WANT).enumerate() {
        let found = u32::from_le_bytes(*found);
        if want == 0 {
            assert_eq!(found >> 26, 0x25, "word {index} is {found:#x}, expected bl");
        } else {
            assert_eq!(found, want, "word {index}: {found:#x}, expected {want:#x}");
        }
    }
}

/// Where the memory ends in the middle of a function, emission says so for every ISA.
#[test]
fn too_little_memory() {
    for isa in Isa::ALL {
        let mut memory = vec![0; 65_536];
        let stubs = jit::stubs(isa, &mut memory, Features::ALL, usize::MAX).expect("the stubs fit");
        for len in 0..stubs.end {
            let short = jit::stubs(isa, &mut memory[..len], Features::ALL, usize::MAX);
            assert!(
                matches!(short, Err(CompileError::Emit { func: None, error: EmitError::Full { .. } })),
                "{short:?}"
            );
        }
    }
}
