//! What a property access costs beside a field access: `prop.get` by its inline cache, `obj.get` by the declared shape,
//! in loops that are the same but for this op.
//!
//! Both loops are measured in each round, and so is the loop without an access, which all of them contain.

#[allow(dead_code, reason = "other benchmarks use the rest")]
mod support;

use opstamp::jit::{self, Options as Compile};
use opstamp::runtime::context::Entry;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value};
use opstamp_platform::HostCode;
use support::{Options, Spread, assemble, timed};

/// Each function runs one access a turn; `list` has objects in it, `walk` takes them out one after the other.
const SOURCE: &str = r#"
shape Node { weight: i64, next: any, mass: f64 }
func empty(n: i64) -> i64
  local i: i64
loop:
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        i
end
func static_cell(n: i64) -> i64
  local i: i64, o: obj Node, c: any
  obj.new    o
loop:
  obj.get    c, o, next
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        i
end
func property_cell(n: i64) -> i64
  local i: i64, o: obj Node, c: any, any: any
  obj.new    o
  cell.mov   any, o
loop:
  prop.get   c, any, "next"
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        i
end
func static_int(n: i64) -> i64
  local i: i64, o: obj Node, v: i64, c: any
  obj.new    o
loop:
  obj.get    v, o, weight
  box.i64    c, v
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        i
end
func property_int(n: i64) -> i64
  local i: i64, o: obj Node, c: any, any: any
  obj.new    o
  cell.mov   any, o
loop:
  prop.get   c, any, "weight"
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        i
end
func list() -> list
  local i: i64, o: obj Node, all: list
  list.new   all, 1024
fill:
  obj.new    o
  list.push  all, o
  i64.add    i, i, 1
  br.i64.lt  i, 1024, fill
  ret        all
end
func static_walk(n: i64) -> i64
  local i: i64, k: i64, all: list, any: any, o: obj Node, c: any
  call       all, list()
loop:
  i64.and    k, i, 1023
  list.get   any, all, k
  cell.cast  o, any
  obj.get    c, o, next
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        i
end
func property_walk(n: i64) -> i64
  local i: i64, k: i64, all: list, any: any, c: any
  call       all, list()
loop:
  i64.and    k, i, 1023
  list.get   any, all, k
  prop.get   c, any, "next"
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        i
end
"#;

/// Pairs of functions, and what their accesses have in common.
const PAIRS: [(&str, &str, &str); 3] = [
    ("a cell field of one object", "static_cell", "property_cell"),
    ("an i64 field, boxed by both", "static_int", "property_int"),
    ("objects out of a list, cast for obj.get", "static_walk", "property_walk"),
];

fn main() {
    let options = Options::read(15, &[], &[]);
    let turns = if options.measure { 20_000_000 } else { 1000 };
    let words = assemble("properties", SOURCE);
    let mut scratch = vec![0; Module::scratch_words(&words).expect("a container")];
    let module = Module::verify(&words, &mut scratch).expect("verifies");
    let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
    let mut code = HostCode::new(1 << 20).expect("code memory");
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let compile = Compile { features: opstamp_platform::features(), ..Compile::default() };
    let engine = Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &compile).expect("machine code");
    let (mut stack, mut heap) = (vec![0; 4096], vec![0; 1 << 16]);
    let mut state = vec![0; Instance::state_words(&module)];
    let memory =
        InstanceMemory { stack: &mut stack, state: &mut state, heap: &mut heap, seed: 0, native_stack: 512 * 1024 };
    let mut instance = Instance::new(&engine, memory, &[]).expect("an instance");
    let mut time = |func: &str| {
        let (nanoseconds, result) = timed(|| instance.call(func, &[Value::I64(turns)]));
        assert_eq!(result, Ok(Some(Value::I64(turns))), "{func}");
        nanoseconds / turns as f64
    };
    for (what, plain, property) in PAIRS {
        let rounds = if options.measure { options.rounds } else { 1 };
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            for (times, func) in times.iter_mut().zip(["empty", plain, property]) {
                times.push(time(func));
            }
        }
        let [empty, plain, property] = times;
        let ratio = Spread::of_ratios(&property, &plain);
        let each = [empty, plain, property].map(|times| Spread::of(times).median);
        println!(
            "{what}: prop.get / obj.get {:.2} ({}); ns a turn: loop {:.2}, obj.get {:.2}, prop.get {:.2}",
            ratio.median,
            ratio.quartiles(),
            each[0],
            each[1],
            each[2]
        );
    }
}
