//! The inline caches of property accesses and of calls of closures: what they have seen is what ran, and however many
//! shapes or closures come by, an op gives what the interpreter gives.

mod common;

use common::{Room, engines};
use opstamp::runtime::cache::{CacheKind, CacheStats};
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

/// Words of VM stack: few enough for it to end before the native one.
const STACK: usize = 4096;

/// Calls a function of integers.
fn call(instance: &mut Instance<'_>, func: &str, args: &[i64]) -> i64 {
    let args: Vec<Value> = args.iter().map(|&arg| Value::I64(arg)).collect();
    match instance.call(func, &args) {
        Ok(Some(Value::I64(value))) => value,
        other => panic!("{func} of {args:?} gives {other:?}"),
    }
}

/// Runs `work` with an instance of the source on every engine that compiles at once, and on the interpreter.
fn on_engines(source: &str, work: impl Fn(&mut Instance<'_>, &Module<'_>, bool)) {
    let sizes = text::sizes(source);
    for engine in engines().iter().filter(|engine| !engine.tiered) {
        let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
        let len = text::assemble(source, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
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
        let stack = &mut memory.stack[..STACK];
        let memory = InstanceMemory { stack, state: &mut state, heap, seed: 1, native_stack };
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
    on_engines(&source(), |instance, module, caches| {
        assert_eq!(instance.cache_stats().count(), 4, "read, write, set and many have one site each");
        assert!(instance.cache_stats().all(|site| site.shapes == [None; 4] && site.misses == 0));
        for _ in 0..3 {
            for shape in [2, 0, 2, 2] {
                assert_eq!(call(instance, "get", &[shape]), shape);
            }
        }
        let [read] = sites(instance, module, "read")[..] else { panic!("one site") };
        assert_eq!((read.op, read.kind), (0, CacheKind::Get));
        let (shapes, misses) = if caches { ([Some(2), Some(0), None, None], 2) } else { ([None; 4], 0) };
        assert_eq!((read.shapes, read.misses), (shapes, misses), "two shapes miss once each");
        for (shape, value) in [(1, 77), (1, -5), (3, 1 << 46)] {
            assert_eq!(call(instance, "set", &[shape, value]), value);
        }
        let [write] = sites(instance, module, "write")[..] else { panic!("one site") };
        assert_eq!((write.op, write.kind), (0, CacheKind::Set));
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
    on_engines(&source(), |instance, module, caches| {
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
    on_engines(&source(), |instance, _, _| {
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

/// `apply(f, x)` calls every closure through one site. `make(which, k)` makes one: `x - k`, `x * 3`, or what binds four and
/// six values.
const CALLS: &str = "
shape P { x: i64 }
func minus(k: i64, x: i64) -> i64
  i64.sub   x, x, k
  ret       x
end
func triple(x: i64) -> i64
  i64.mul   x, x, 3
  ret       x
end
func four(a: i64, b: f64, c: any, d: i64, x: i64) -> i64
  local e: i64
  f64.to_i64 e, b
  i64.add   x, x, e
  unbox.i64 e, c
  i64.mul   x, x, 10
  i64.add   x, x, e
  i64.mul   x, x, 10
  i64.add   x, x, a
  i64.sub   x, x, d
  ret       x
end
func six(a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, x: i64) -> i64
  i64.mul   a, a, 10
  i64.add   a, a, b
  i64.mul   a, a, 10
  i64.add   a, a, c
  i64.mul   a, a, 10
  i64.add   a, a, d
  i64.mul   a, a, 10
  i64.add   a, a, e
  i64.mul   a, a, 10
  i64.add   a, a, f
  i64.add   a, a, x
  ret       a
end
func apply(f: fn(i64) -> i64, x: i64) -> i64
  nop
  fn.call   x, f(x)
  ret       x
end
func make(which: i64, k: i64) -> fn(i64) -> i64
  local f: fn(i64) -> i64, y: f64, c: any, p: obj P, u: i64, v: i64, w: i64, s: i64, t: i64
  switch    which, [minus, triple, four, six], none
minus:
  fn.new    f, minus(k)
  ret       f
triple:
  fn.new    f, triple()
  ret       f
four:
  i64.to_f64 y, k
  i64.add   k, k, 1
  box.i64   c, k
  fn.new    f, four(k, y, c, k)
  ret       f
six:
  i64.add   s, k, 1
  i64.add   t, k, 2
  i64.add   u, k, 3
  i64.add   v, k, 4
  i64.add   w, k, 5
  fn.new    f, six(k, s, t, u, v, w)
none:
  ret       f
end
func repeat(which: i64, k: i64, n: i64) -> i64
  local f: fn(i64) -> i64, s: i64, t: i64, i: i64
  call      f, make(which, k)
loop:
  call      t, apply(f, i)
  i64.add   s, s, t
  i64.add   i, i, 1
  br.i64.lt i, n, loop
  ret       s
end
func alternate(n: i64) -> i64
  local f: fn(i64) -> i64, g: fn(i64) -> i64, s: i64, i: i64, zero: i64, one: i64
  i64.const one, 1
  call      f, make(zero, one)
  call      g, make(one, one)
loop:
  call      s, apply(f, s)
  call      s, apply(g, s)
  i64.add   i, i, 1
  br.i64.lt i, n, loop
  ret       s
end
func deep(f: fn(i64) -> i64, n: i64) -> i64
  br.i64.le n, 0, last
  i64.sub   n, n, 1
  call      n, deep(f, n)
last:
  fn.call   n, f(n)
  ret       n
end
func reader() -> i64
  local c: any, v: i64, p: obj P, f: fn(i64) -> i64
  obj.new   p
  cell.mov  c, p
  prop.get  c, c, \"x\"
  fn.new    f, triple()
  i64.const v, 14
  fn.call   v, f(v)
  ret       v
end
";

/// The sum of what `which` gives for 0 to n - 1.
fn repeated(which: i64, k: i64, n: i64) -> i64 {
    let of = |x: i64| match which {
        0 => x - k,
        1 => 3 * x,
        2 => ((x + k) * 10 + k + 1) * 10 + (k + 1) - (k + 1),
        _ => (0..6).fold(0, |sum, place| 10 * sum + k + place) + x,
    };
    (0..n).map(of).sum()
}

#[test]
fn statistics_tell_what_was_called() {
    on_engines(CALLS, |instance, module, caches| {
        let all: Vec<_> = instance.cache_stats().map(|site| (site.func, site.op, site.kind)).collect();
        let of = |name: &str| module.func_index(name).expect("a function");
        let sites_of_all = [
            (of("apply"), 1, CacheKind::Call),
            (of("deep"), 3, CacheKind::Call),
            (of("reader"), 2, CacheKind::Get),
            (of("reader"), 5, CacheKind::Call),
        ];
        assert_eq!(all, sites_of_all);
        assert!(instance.cache_stats().all(|site| site.misses == 0 && site.callee.is_none()));
        let mut misses = 0;
        let mut expect = |instance: &Instance<'_>, more: u64, callee: &str| {
            let [site] = sites(instance, module, "apply")[..] else { panic!("one site") };
            assert_eq!(site.shapes, [None; 4]);
            misses += more;
            let want = if caches { (misses, Some(of(callee))) } else { (0, None) };
            assert_eq!((site.misses, site.callee), want, "{callee}");
        };
        // Each call makes a closure of its own, which misses once, whatever was called before.
        for (which, callee) in [(0, "minus"), (0, "minus"), (1, "triple"), (2, "four"), (3, "six"), (2, "four")] {
            for k in [1, 4] {
                assert_eq!(call(instance, "repeat", &[which, k, 10]), repeated(which, k, 10), "{callee}");
                expect(instance, 1, callee);
            }
        }
        // 0, -1, -3; -4, -12; -13, -39.
        assert_eq!(call(instance, "alternate", &[3]), -39);
        expect(instance, 6, "triple");
        let null = instance.call("repeat", &[Value::I64(9), Value::I64(0), Value::I64(1)]).expect_err("no closure");
        assert!(null.to_string().contains("null_reference in function 4 at op 1"), "{null}");
        expect(instance, 0, "triple");
        assert_eq!(call(instance, "reader", &[]), 42);
        let [get, called] = sites(instance, module, "reader")[..] else { panic!("two sites") };
        let seen = if caches { (1, 1, Some(0), Some(of("triple"))) } else { (0, 0, None, None) };
        assert_eq!((get.misses, called.misses, get.shapes[0], called.callee), seen);
        // A collection forgets closures, but not shapes, and the statistics stay.
        instance.objects().collect();
        assert_eq!(sites(instance, module, "reader"), [get, called]);
        assert_eq!(call(instance, "reader", &[]), 42);
        let misses = sites(instance, module, "reader").iter().map(|site| site.misses).collect::<Vec<_>>();
        assert_eq!(misses, if caches { [1, 2] } else { [0, 0] });
    });
}

/// What the host holds goes through the same site.
fn apply(instance: &mut Instance<'_>, closure: Value, x: i64) -> i64 {
    match instance.call("apply", &[closure, Value::I64(x)]) {
        Ok(Some(Value::I64(value))) => value,
        other => panic!("apply gives {other:?}"),
    }
}

fn make(instance: &mut Instance<'_>, which: i64, k: i64) -> Value {
    let made = instance.call("make", &[Value::I64(which), Value::I64(k)]);
    made.expect("no trap").expect("a closure")
}

#[test]
fn a_collection_forgets_closures() {
    on_engines(CALLS, |instance, module, caches| {
        // The closure is not in its place any more: what it binds is found anew.
        for which in 0..4 {
            let garbage = instance.objects().new_i64s(&[7; 100]).expect("room");
            let closure = make(instance, which, 2);
            assert_eq!(apply(instance, closure, 5), repeated(which, 2, 6) - repeated(which, 2, 5));
            let root = instance.objects().root(closure.cell().expect("a cell")).expect("room");
            assert!(instance.objects().i64s(garbage).is_ok());
            instance.objects().collect();
            assert!(instance.objects().i64s(garbage).is_err(), "it was collected");
            assert_eq!(apply(instance, closure, 6), repeated(which, 2, 7) - repeated(which, 2, 6));
            instance.objects().unroot(root).expect("a root");
        }
        let [site] = sites(instance, module, "apply")[..] else { panic!("one site") };
        assert_eq!(site.misses, if caches { 8 } else { 0 });
        // A handle that is used again, for another function: its record has 4096 generations.
        instance.objects().collect();
        let first = make(instance, 1, 0);
        assert_eq!(apply(instance, first, 100), 300);
        let mut again = None;
        for _ in 0..10_000 {
            instance.objects().collect();
            let closure = make(instance, 0, 1);
            if closure == first {
                again = Some(closure);
                break;
            }
        }
        let again = again.expect("handles are used again");
        assert_eq!(apply(instance, again, 100), 99);
    });
}

#[test]
fn the_stack_ends_at_the_same_depth_for_a_closure_that_was_called_before() {
    let depths = std::cell::RefCell::new(Vec::new());
    on_engines(CALLS, |instance, module, caches| {
        let mut found = Vec::new();
        for (which, step) in [(0, -2), (1, 0), (3, 234_567)] {
            let closure = make(instance, which, 2);
            // The result, which is that of the closure as often as there are frames; or the trap.
            let mut run = |n: i64| match instance.call("deep", &[closure, Value::I64(n)]) {
                Ok(value) => {
                    assert_eq!(value, Some(Value::I64(step * (n + 1))));
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            // The least depth at which the stack has no room.
            let (mut fits, mut too_deep) = (0, 1 << 40);
            assert_eq!(run(0), None);
            while too_deep - fits > 1 {
                let middle = fits + (too_deep - fits) / 2;
                *(if run(middle).is_none() { &mut fits } else { &mut too_deep }) = middle;
            }
            found.push((too_deep, run(too_deep).expect("it is too deep")));
        }
        let [site] = sites(instance, module, "deep")[..] else { panic!("one site") };
        assert_eq!((site.misses, site.callee), if caches { (3, module.func_index("six")) } else { (0, None) });
        depths.borrow_mut().push(found);
    });
    // A frame of `deep` is 3 words, one of the callees 3, 2 and 8, and the host's call is one of `deep`.
    let depth = |callee: i64| (STACK as i64 - callee) / 3;
    let want = [3, 8].map(|callee| (depth(callee), "trap: stack_overflow in function 8 at op 3".to_string()));
    for found in depths.into_inner() {
        assert_eq!(found[0], want[0]);
        assert_eq!(found[2], want[1]);
        // The frame of `triple` is smaller than that of `deep`, which may be the one that does not fit.
        assert_eq!(found[1].0, depth(2).min((STACK as i64) / 3));
    }
}
