//! The inline caches of property accesses: what they have seen is what ran, and however many shapes come by, an access
//! gives what the interpreter gives.

mod common;

use common::{Room, engines};
use opstamp::runtime::cache::CacheStats;
use opstamp::vm3::text;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value};
use opstamp_platform::HostCode;
use std::fmt::Write;

/// Shapes whose `x` is in different places and of different types; that of shape number i starts as i, where it can.
const SHAPES: [(&str, &str); 7] = [
    ("A { x: i64, y: f64, z: any }", "i64"),
    ("B { y: f64, x: i64, z: any }", "i64"),
    ("C { p: any, q: any, r: any, x: i64 }", "i64"),
    ("D { a: i64, b: i64, c: i64, d: i64, x: i64 }", "i64"),
    ("E { e: i64, x: any }", "any"),
    ("F { f: f64, x: f64 }", "f64"),
    ("G { g: str, h: str, x: i64 }", "i64"),
];

/// `get(i)` reads `x` of an object of shape i, `set(i, v)` writes it and reads it back by its declared field, both for
/// all functions through one site each.
fn source() -> String {
    let mut source = String::new();
    let mut make = String::from("func make(shape: i64) -> any\n  local o: any, v: i64, f: f64, c: any");
    let mut body = String::from("\n  switch shape, [");
    for (index, (shape, _)) in SHAPES.iter().enumerate() {
        let name = &shape[..1];
        writeln!(source, "shape {shape}").unwrap();
        write!(make, ", o{index}: obj {name}").unwrap();
        let separator = if index == 0 { "" } else { ", " };
        write!(body, "{separator}l{index}").unwrap();
    }
    body += "], other\n";
    for (index, (_, ty)) in SHAPES.iter().enumerate() {
        let value = match *ty {
            "i64" => "v",
            "f64" => "f",
            _ => "c",
        };
        write!(
            body,
            "l{index}:\n  obj.new o{index}\n  i64.const v, {index}\n  i64.to_f64 f, v\n  box.i64 c, v\n  \
             obj.set o{index}, x, {value}\n  cell.mov o, o{index}\n  ret o\n"
        )
        .unwrap();
    }
    source += &make;
    source += &body;
    source += "other:\n  ret o\nend\n";
    source += "func number(c: any) -> i64
  local kind: i64, f: f64
  cell.kind  kind, c
  br.i64.eq  kind, 3, float
  unbox.i64  kind, c
  ret        kind
float:
  unbox.f64  f, c
  f64.to_i64 kind, f
  ret        kind
end
func read(o: any) -> i64
  local c: any, v: i64
  prop.get   c, o, \"x\"
  call       v, number(c)
  ret        v
end
func write(o: any, c: any)
  prop.set   o, \"x\", c
  ret
end
func get(shape: i64) -> i64
  local o: any, v: i64
  call       o, make(shape)
  call       v, read(o)
  ret        v
end
func set(shape: i64, v: i64) -> i64
  local o: any, c: any, f: f64
  call       o, make(shape)
  box.i64    c, v
  br.i64.ne  shape, 5, ready
  i64.to_f64 f, v
  box.f64    c, f
ready:
  call       write(o, c)
  prop.get   c, o, \"x\"
  call       v, number(c)
  ret        v
end
func many(n: i64, shapes: i64) -> i64
  local i: i64, k: i64, v: i64, sum: i64, o: any, c: any, all: list
  list.new   all, 7
fill:
  call       o, make(i)
  list.push  all, o
  i64.add    i, i, 1
  br.i64.lt  i, shapes, fill
  i64.const  i, 0
loop:
  i64.rem    k, i, shapes
  list.get   o, all, k
  prop.get   c, o, \"x\"
  call       v, number(c)
  i64.add    sum, sum, v
  i64.add    i, i, 1
  br.i64.lt  i, n, loop
  ret        sum
end
";
    source
}

/// Calls a function of integers.
fn call(instance: &mut Instance<'_>, func: &str, args: &[i64]) -> i64 {
    let args: Vec<Value> = args.iter().map(|&arg| Value::I64(arg)).collect();
    match instance.call(func, &args) {
        Ok(Some(Value::I64(value))) => value,
        other => panic!("{func} of {args:?} gives {other:?}"),
    }
}

/// Runs `work` with an instance of the source on every engine that compiles at once, and on the interpreter.
fn on_engines(work: impl Fn(&mut Instance<'_>, &Module<'_>, bool)) {
    let source = source();
    let sizes = text::sizes(&source);
    for engine in engines().iter().filter(|engine| !engine.tiered) {
        let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
        let len = text::assemble(&source, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
        let mut scratch = vec![0; Module::scratch_words(&words[..len]).expect("a container")];
        let module = Module::verify(&words[..len], &mut scratch).expect("verifies");
        let mut room = Room::new();
        let memory = room.memory();
        let mut code = HostCode::new(1 << 20).expect("code memory");
        let made = match &engine.options {
            None => Engine::interpreter(module, memory.functions),
            Some(options) => Engine::machine_code(module, memory.functions, &mut code, &mut vec![0; 1 << 16], options),
        };
        let running = made.expect("an engine");
        let mut state = vec![0; Instance::state_words(&module)];
        let (heap, native_stack) = (&mut vec![0; 1 << 16], 512 * 1024);
        let memory = InstanceMemory { stack: memory.stack, state: &mut state, heap, seed: 1, native_stack };
        let mut instance = Instance::new(&running, memory, &[]).expect("an instance");
        work(&mut instance, &module, engine.options.is_some());
    }
}

/// The statistics of the sites of a function.
fn sites(instance: &Instance<'_>, module: &Module<'_>, func: &str) -> Vec<CacheStats> {
    let index = module.func_index(func).expect("a function");
    instance.cache_stats().filter(|site| site.func == index).collect()
}

#[test]
fn statistics_tell_what_ran() {
    on_engines(|instance, module, caches| {
        assert_eq!(instance.cache_stats().count(), 4, "read, write, set and many have one site each");
        assert!(instance.cache_stats().all(|site| site.shapes == [None; 4] && site.misses == 0));
        for _ in 0..3 {
            for shape in [2, 0, 2, 2] {
                assert_eq!(call(instance, "get", &[shape]), shape);
            }
        }
        let [read] = sites(instance, module, "read")[..] else { panic!("one site") };
        assert_eq!((read.op, read.writes), (0, false));
        let (shapes, misses) = if caches { ([Some(2), Some(0), None, None], 2) } else { ([None; 4], 0) };
        assert_eq!((read.shapes, read.misses), (shapes, misses), "two shapes miss once each");
        for (shape, value) in [(1, 77), (1, -5), (3, 1 << 46)] {
            assert_eq!(call(instance, "set", &[shape, value]), value);
        }
        let [write] = sites(instance, module, "write")[..] else { panic!("one site") };
        assert_eq!((write.op, write.writes), (0, true));
        let (shapes, misses) = if caches { ([Some(1), Some(3), None, None], 2) } else { ([None; 4], 0) };
        assert_eq!((write.shapes, write.misses), (shapes, misses));
        let [set] = sites(instance, module, "set")[..] else { panic!("one site") };
        assert_eq!((set.op, set.shapes, set.misses), (6, shapes, misses));
        let [many] = sites(instance, module, "many")[..] else { panic!("one site") };
        assert_eq!((many.shapes, many.misses), ([None; 4], 0), "what did not run has seen nothing");
    });
}

#[test]
fn any_number_of_shapes_comes_by() {
    on_engines(|instance, module, caches| {
        let mut before = 0;
        for shapes in 1..=SHAPES.len() as i64 {
            let turns = 40 * shapes;
            assert_eq!(call(instance, "many", &[turns, shapes]), 40 * (0..shapes).sum::<i64>());
            let [many] = sites(instance, module, "many")[..] else { panic!("one site") };
            let seen = many.shapes.iter().flatten().count() as i64;
            let misses = many.misses as i64 - before;
            before = many.misses as i64;
            if caches && shapes <= 4 {
                assert_eq!((seen, misses), (shapes, 1), "a chain of four holds {shapes}, of which one is new");
            } else if caches {
                assert!(seen == 4 && misses > shapes, "a chain of four does not hold {shapes}: {misses} misses");
            }
        }
    });
}

#[test]
fn values_that_need_more_than_the_cache() {
    on_engines(|instance, _, _| {
        for _ in 0..3 {
            for (shape, value) in [(0, 1 << 47), (0, -(1 << 47)), (1, i64::MAX), (4, i64::MIN), (5, -3), (4, 9), (6, 0)]
            {
                assert_eq!(call(instance, "set", &[shape, value]), value, "shape {shape}");
            }
        }
        let null = instance.call("get", &[Value::I64(100)]).expect_err("there is no such shape");
        assert!(null.to_string().contains("null_reference"), "{null}");
    });
}
