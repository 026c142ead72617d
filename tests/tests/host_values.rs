//! Heap values in the hands of the host: made, read, kept alive, and refused when they are gone; by the interpreter and by
//! machine code, with a collection at every allocation and without.

mod support;

use opstamp::jit::{self, Options};
use opstamp::runtime::context::Entry;
use opstamp::{
    CallError, Cell, CellKind, Engine, HeapError, HostCall, HostFn, Instance, InstanceMemory, Module, Objects, Root,
    Trap, TrapKind, TypeId, Value,
};
use opstamp_platform::{HostCode, features};
use std::cell::{Cell as Shared, RefCell};
use support::assemble;

const SOURCE: &str = r#"
shape Pair { left: any, number: i64, float: f64, right: str }
global kept: any
import make(i64) -> str
import late(i64) -> list
import again(str) -> str
import stale() -> any
import wrong() -> str

func greet(name: str) -> str
  local s: str
  cell.const s, "hello, "
  str.concat s, s, name
  ret s
end

func keep(x: any)
  global.set kept, x
  ret
end

func waste(n: i64) -> i64
  local i: i64, s: str, xs: list
again:
  br.i64.ge i, n, out
  str.from_i64 s, i
  str.concat s, s, s
  list.new xs, 2
  list.push xs, s
  i64.add i, i, 1
  jump again
out:
  ret i
end

func sum(xs: arr.i64) -> i64
  local i: i64, n: i64, x: i64, s: i64
  arr.i64.len n, xs
again:
  br.i64.ge i, n, out
  arr.i64.get x, xs, i
  i64.add s, s, x
  i64.add i, i, 1
  jump again
out:
  ret s
end

func pair(left: any, right: str) -> obj Pair
  local p: obj Pair
  obj.new p
  obj.set p, left, left
  obj.set p, right, right
  ret p
end

func first(xs: list) -> any
  local x: any, i: i64
  list.get x, xs, i
  ret x
end

func len(m: map) -> i64
  local n: i64
  map.len n, m
  ret n
end

func same(x: any) -> any
  ret x
end

func call_make(n: i64) -> str
  local s: str, t: str
  host s, make(n)
  host t, make(n)
  str.concat s, s, t
  ret s
end

func call_late(n: i64) -> i64
  local xs: list, k: i64
  host xs, late(n)
  list.len k, xs
  ret k
end

func call_again(s: str) -> str
  local t: str
  host t, again(s)
  ret t
end

func call_stale() -> any
  local x: any
  host x, stale()
  ret x
end

func call_wrong() -> str
  local x: str
  host x, wrong()
  ret x
end
"#;

/// Hands an instance of `source` with a heap of `words` words to `test`, for each engine, without stress and with it.
fn each(source: &str, words: usize, imports: &[HostFn<'_>], test: impl Fn(&mut Instance<'_>)) {
    let container = assemble(source);
    let mut scratch = vec![0; Module::scratch_words(&container).unwrap()];
    let module = Module::verify(&container, &mut scratch).unwrap();
    let run = |engine: &Engine<'_>| {
        for stress in [false, true] {
            let (mut stack, mut heap) = (vec![0; 10_000], vec![0xDEAD_BEEF_DEAD_BEEF; words]);
            let mut state = vec![0; Instance::state_words(&module)];
            let memory = InstanceMemory {
                heap: &mut heap,
                seed: 7,
                stack: &mut stack,
                state: &mut state,
                native_stack: 1 << 20,
            };
            let mut instance = Instance::new(engine, memory, imports).unwrap();
            instance.set_heap_stress(stress);
            test(&mut instance);
        }
    };
    let entries = || {
        let mut entries = Vec::new();
        entries.resize_with(Engine::functions_needed(&module), Entry::default);
        entries
    };
    run(&Engine::interpreter(module, &mut entries()).unwrap());
    let mut code = HostCode::new(1 << 20).unwrap();
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let options = Options { features: features(), ..Options::default() };
    run(&Engine::machine_code(module, &mut entries(), &mut code, &mut scratch, &options).unwrap());
}

/// The imports, of which a test uses those that it wants.
macro_rules! imports {
    ($($name:ident: $run:expr),* $(,)?) => {{
        fn nothing(_: &mut HostCall<'_>) -> Result<(), Trap> {
            Ok(())
        }
        #[allow(unused_mut)]
        let mut imports = [
            HostFn { name: "make", params: &[TypeId::I64], result: TypeId::STR, run: &nothing },
            HostFn { name: "late", params: &[TypeId::I64], result: TypeId::LIST, run: &nothing },
            HostFn { name: "again", params: &[TypeId::STR], result: TypeId::STR, run: &nothing },
            HostFn { name: "stale", params: &[], result: TypeId::ANY, run: &nothing },
            HostFn { name: "wrong", params: &[], result: TypeId::STR, run: &nothing },
        ];
        $(imports.iter_mut().find(|import| import.name == stringify!($name)).unwrap().run = $run;)*
        imports
    }};
}

fn cell(result: Result<Option<Value>, CallError>) -> Cell {
    result.unwrap().unwrap().cell().unwrap()
}

fn printed(objects: &Objects<'_>, value: impl Into<Value>) -> String {
    let mut bytes = Vec::new();
    objects.print(value.into(), &mut |piece| bytes.extend_from_slice(piece)).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn values_made_by_the_host_are_what_the_guest_reads_and_the_other_way_round() {
    each(SOURCE, 4096, &imports!(), |instance| {
        let name = instance.objects().new_str(b"a long name").unwrap();
        let greeting = cell(instance.call("greet", &[name.into()]));
        assert_eq!(instance.objects().str(&greeting), Ok(&b"hello, a long name"[..]));
        assert_eq!(instance.objects().kind(greeting), Ok(CellKind::Str));
        let short = instance.objects().new_str(b"you").unwrap();
        assert_eq!(instance.objects().str(&short), Ok(&b"you"[..]));
        assert_eq!(instance.objects().str(&Cell::str(b"").unwrap()), Ok(&b""[..]));

        let numbers = instance.objects().new_i64s(&[1, 20, 300, i64::MIN]).unwrap();
        assert_eq!(instance.call("sum", &[numbers.into()]), Ok(Some(Value::I64(i64::MIN + 321))));
        instance.objects().i64s_mut(numbers).unwrap()[3] = 0;
        assert_eq!(instance.call("sum", &[numbers.into()]), Ok(Some(Value::I64(321))));
        assert_eq!(instance.objects().i64s(numbers), Ok(&[1, 20, 300, 0][..]));

        let floats = [1.5, f64::from_bits(0xFFF0_0000_0000_0001), -0.0];
        let array = instance.objects().new_f64s(&floats).unwrap();
        let read: Vec<u64> = instance.objects().f64s(array).unwrap().map(f64::to_bits).collect();
        assert_eq!(read, [1.5_f64.to_bits(), 0x7FF8_0000_0000_0000, (-0.0_f64).to_bits()]);

        let bytes = instance.objects().new_u8s(&[0, 1, 254, 255, 7, 7, 7, 7, 9]).unwrap();
        instance.objects().u8s_mut(bytes).unwrap()[0] = 3;
        assert_eq!(instance.objects().u8s(bytes), Ok(&[3, 1, 254, 255, 7, 7, 7, 7, 9][..]));

        let large = instance.objects().new_int(i64::MAX).unwrap();
        assert_eq!(instance.objects().int(large), Ok(i64::MAX));
        assert_eq!(instance.objects().int(Cell::int(-5).unwrap()), Ok(-5));
        let list = instance.objects().new_list(&[large, Cell::TRUE]).unwrap();
        assert_eq!(cell(instance.call("first", &[list.into()])), large);
        assert_eq!(instance.objects().cells(list), Ok(&[large, Cell::TRUE][..]));
        instance.objects().set_cell(list, 0, Cell::FALSE).unwrap();
        assert_eq!(cell(instance.call("first", &[list.into()])), Cell::FALSE);
        let beyond = instance.objects().set_cell(list, 2, Cell::NULL);
        assert_eq!(beyond, Err(HeapError::Index { index: 2, len: 2 }));

        let left = instance.objects().new_int(i64::MIN).unwrap();
        let pair = cell(instance.call("pair", &[left.into(), Cell::str(b"right").unwrap().into()]));
        let mut objects = instance.objects();
        assert_eq!(objects.field(pair, "number"), Ok(Value::I64(0)));
        assert_eq!(objects.field(pair, "right"), Ok(Value::Cell(Cell::str(b"right").unwrap())));
        let held = objects.field(pair, "left").unwrap().cell().unwrap();
        assert_eq!(objects.int(held), Ok(i64::MIN));
        assert_eq!(objects.set_field(pair, "number", 12), Ok(()));
        assert_eq!(objects.field(pair, "number"), Ok(Value::I64(12)));
        for (name, value) in [
            ("number", Value::F64(1.0)),
            ("right", Cell::TRUE.into()),
            ("float", Cell::TRUE.into()),
            ("other", 1.into()),
        ] {
            assert_eq!(objects.set_field(pair, name, value), Err(HeapError::NoField), "{name}");
        }
        assert_eq!(objects.field(pair, "other"), Err(HeapError::NoField));
        assert_eq!(
            objects.field(Cell::NULL, "left"),
            Err(HeapError::Kind { expected: CellKind::Obj, found: CellKind::Null })
        );
    });
}

#[test]
fn maps_can_be_filled_and_read() {
    each(SOURCE, 4096, &imports!(), |instance| {
        let mut objects = instance.objects();
        let map = objects.new_map().unwrap();
        let map = objects.root(map).unwrap();
        for (key, value) in [(&b"one"[..], 1), (b"twenty-two", 22), (b"three hundred", 300), (b"one", 11)] {
            let key = objects.new_str(key).unwrap();
            let map = objects.get(&map).unwrap();
            objects.map_set(map, key, Cell::int(value).unwrap()).unwrap();
        }
        let cell = objects.get(&map).unwrap();
        assert_eq!(instance.call("len", &[cell.into()]), Ok(Some(Value::I64(3))));
        let mut objects = instance.objects();
        assert_eq!(objects.map_len(cell), Ok(3));
        let mut all = Vec::new();
        let mut cursor = 0;
        while let Some((key, value, next)) = objects.map_next(cell, cursor).unwrap() {
            all.push((printed(&objects, key), printed(&objects, value)));
            cursor = next;
        }
        let expected = [("one", "11"), ("twenty-two", "22"), ("three hundred", "300")];
        assert!(all.iter().map(|(key, value)| (&**key, &**value)).eq(expected));
        let key = objects.new_str(b"twenty-two").unwrap();
        assert_eq!(objects.map_get(cell, key), Ok(Cell::int(22)));
        assert_eq!(objects.map_get(cell, Cell::NULL), Ok(None));
        let float = HeapError::Key { found: CellKind::Float };
        assert_eq!(objects.map_get(cell, Cell::float(1.0)), Err(float));
        assert_eq!(objects.map_set(cell, Cell::float(1.0), cell), Err(float));
        assert_eq!(objects.map_set(cell, Cell::NULL, cell), Ok(()));
        let map = objects.unroot(map).unwrap();
        let imap = objects.new_imap().unwrap();
        (0..100).for_each(|key| objects.imap_set(imap, key * key, key).unwrap());
        assert_eq!((objects.imap_get(imap, 81), objects.imap_get(imap, 80)), (Ok(Some(9)), Ok(None)));
        assert_eq!(objects.imap_next(imap, 50), Ok(Some((2500, 50, 51))));
        assert_eq!(objects.map_len(imap), Ok(100));
        // Nothing has kept it since it lost its root.
        objects.collect();
        assert_eq!(objects.map_len(map), Err(HeapError::Stale));
    });
}

#[test]
fn what_prints_is_what_vm3_md_says() {
    each(SOURCE, 4096, &imports!(), |instance| {
        let mut objects = instance.objects();
        assert_eq!(printed(&objects, -7), "-7");
        assert_eq!(printed(&objects, 1e16), "1e16");
        assert_eq!(printed(&objects, f64::NAN), "nan");
        assert_eq!(printed(&objects, Cell::NULL), "null");
        assert_eq!(printed(&objects, Cell::TRUE), "true");
        assert_eq!(printed(&objects, Cell::FALSE), "false");
        assert_eq!(printed(&objects, Cell::float(-0.0)), "-0.0");
        assert_eq!(printed(&objects, Cell::int(12).unwrap()), "12");
        let large = objects.new_int(i64::MIN).unwrap();
        assert_eq!(printed(&objects, large), "-9223372036854775808");
        let text = objects.new_str(b"of more than five bytes").unwrap();
        assert_eq!(printed(&objects, text), "of more than five bytes");
        let made = [
            (objects.new_list(&[]).unwrap(), "<list>"),
            (objects.new_map().unwrap(), "<map>"),
            (objects.new_imap().unwrap(), "<imap>"),
            (objects.new_i64s(&[]).unwrap(), "<arr.i64>"),
            (objects.new_f64s(&[]).unwrap(), "<arr.f64>"),
            (objects.new_u8s(&[]).unwrap(), "<arr.u8>"),
        ];
        let last = made.last().unwrap().0;
        assert_eq!(printed(&objects, last), "<arr.u8>");
        for (cell, text) in made.into_iter().filter(|(cell, _)| objects.kind(*cell).is_ok()) {
            assert_eq!(printed(&objects, cell), text);
        }
        objects.collect();
        assert_eq!(objects.print(last.into(), &mut |_| panic!("nothing is to be written")), Err(HeapError::Stale));
        let pair = cell(instance.call("pair", &[Cell::NULL.into(), Cell::NULL.into()]));
        assert_eq!(printed(&instance.objects(), pair), "<obj>");
    });
}

#[test]
fn a_root_keeps_and_a_cell_alone_does_not() {
    each(SOURCE, 4096, &imports!(), |instance| {
        let mut objects = instance.objects();
        let text = objects.new_str(b"kept by a root").unwrap();
        let root = objects.root(text).unwrap();
        let list = objects.new_list(&[text]).unwrap();
        let list = objects.root(list).unwrap();
        let lost = objects.new_i64s(&[1, 2, 3]).unwrap();
        assert_eq!(instance.call("waste", &[Value::I64(3000)]), Ok(Some(Value::I64(3000))));
        assert!(instance.heap_stats().collections > 0);
        let mut objects = instance.objects();
        let text = objects.get(&root).unwrap();
        assert_eq!(objects.str(&text), Ok(&b"kept by a root"[..]));
        // What nothing kept is refused wherever it is handed in.
        assert_eq!(objects.kind(lost), Err(HeapError::Stale));
        assert_eq!(objects.i64s(lost), Err(HeapError::Stale));
        assert_eq!(objects.i64s_mut(lost), Err(HeapError::Stale));
        assert_eq!(objects.new_list(&[Cell::NULL, lost]), Err(HeapError::Stale));
        assert_eq!(objects.root(lost), Err(HeapError::Stale));
        let list = objects.unroot(list).unwrap();
        assert_eq!(objects.set_cell(list, 0, lost), Err(HeapError::Stale));
        assert_eq!(objects.print(lost.into(), &mut |_| ()), Err(HeapError::Stale));
        for func in ["sum", "same", "keep"] {
            let refused = instance.call(func, &[lost.into()]).unwrap_err();
            assert_eq!(refused, CallError::ArgStale { index: 0 });
            assert_eq!(
                refused.to_string(),
                "argument 1 is the handle of an object that is gone or of another instance, expected one that is alive: a \
                 root keeps it so"
            );
        }
        // The root ends, and the string with it.
        let mut objects = instance.objects();
        assert_eq!(objects.unroot(root), Ok(text));
        assert_eq!(instance.call("waste", &[Value::I64(3000)]), Ok(Some(Value::I64(3000))));
        assert_eq!(instance.objects().str(&text), Err(HeapError::Stale));
        // A global keeps as well.
        let text = instance.objects().new_str(b"kept by a global").unwrap();
        instance.call("keep", &[text.into()]).unwrap();
        assert_eq!(instance.call("waste", &[Value::I64(3000)]), Ok(Some(Value::I64(3000))));
        assert_eq!(instance.objects().str(&text), Ok(&b"kept by a global"[..]));
        assert_eq!(instance.global(0), Some(Value::Cell(text)));
    });
}

#[test]
fn the_kind_of_a_cell_is_checked() {
    each(SOURCE, 4096, &imports!(), |instance| {
        let mut objects = instance.objects();
        let list = objects.new_list(&[]).unwrap();
        let wrong = |expected| HeapError::Kind { expected, found: CellKind::List };
        assert_eq!(objects.i64s(list), Err(wrong(CellKind::ArrI64)));
        assert_eq!(objects.u8s(list), Err(wrong(CellKind::ArrU8)));
        assert_eq!(objects.f64s(list).map(|_| ()), Err(wrong(CellKind::ArrF64)));
        assert_eq!(objects.str(&list), Err(wrong(CellKind::Str)));
        assert_eq!(objects.int(list), Err(wrong(CellKind::Int)));
        assert_eq!(objects.map_len(list), Err(wrong(CellKind::Map)));
        assert_eq!(objects.imap_get(list, 0), Err(wrong(CellKind::IMap)));
        assert_eq!(wrong(CellKind::ArrI64).to_string(), "the cell is of kind list, expected arr.i64");
        let expected = Err(CallError::ArgType { index: 0, expected: TypeId::ARR_I64 });
        assert_eq!(instance.call("sum", &[list.into()]), expected);
    });
}

#[test]
fn a_root_of_another_instance_is_refused() {
    let other: RefCell<Option<Root>> = RefCell::new(None);
    each(SOURCE, 4096, &imports!(), |instance| {
        let mut objects = instance.objects();
        let text = objects.new_str(b"some text").unwrap();
        let root = objects.root(text).unwrap();
        // Each instance here has a region of its own, those before it are gone, so an address may come again.
        if let Some(other) = other.take()
            && other != root
        {
            assert_eq!(objects.get(&other), Err(HeapError::ForeignRoot));
            assert_eq!(objects.unroot(other), Err(HeapError::ForeignRoot));
        }
        assert_eq!(objects.get(&root), Ok(text));
        other.replace(Some(root));
    });
}

#[test]
fn host_functions_make_values_while_the_guest_waits() {
    let calls = Shared::new(0);
    let make = |call: &mut HostCall<'_>| {
        calls.set(calls.get() + 1);
        let text = format!("text number {}", call.i64(0));
        let cell = call.objects().new_str(text.as_bytes())?;
        call.set_result(cell);
        // The result stays, whatever comes behind it.
        for _ in 0..200 {
            call.objects().new_str(b"garbage, more and more of it")?;
        }
        call.call("waste", &[Value::I64(100)]).map_err(CallError::as_trap)?;
        Ok(())
    };
    let late = |call: &mut HostCall<'_>| {
        // Elements made one by one need roots until they are in the list.
        let mut roots = Vec::new();
        for number in 0..call.i64(0) {
            let cell = call.objects().new_int(i64::MAX - number)?;
            roots.push(call.objects().root(cell)?);
        }
        let mut objects = call.objects();
        let cells: Vec<Cell> = roots.iter().map(|root| objects.get(root).unwrap()).collect();
        let list = objects.new_list(&cells)?;
        for root in roots {
            objects.unroot(root)?;
        }
        assert_eq!(objects.int(objects.cells(list)?[0]), Ok(i64::MAX));
        call.set_result(list);
        Ok(())
    };
    each(SOURCE, 1 << 13, &imports!(make: &make, late: &late), |instance| {
        let text = cell(instance.call("call_make", &[Value::I64(5)]));
        assert_eq!(instance.objects().str(&text), Ok(&b"text number 5text number 5"[..]));
        assert_eq!(instance.call("call_late", &[Value::I64(50)]), Ok(Some(Value::I64(50))));
        instance.objects().collect();
        // The null record and those of the constants alone are left.
        assert!(instance.heap_stats().used < 200, "{:?}", instance.heap_stats());
    });
    assert_eq!(calls.get(), 8);
}

#[test]
fn host_functions_nest_with_a_result_each() {
    let depth = Shared::new(0);
    let again = |call: &mut HostCall<'_>| {
        let text = call.cell(0);
        let doubled = [call.objects().str(&text)?, b"+"].concat();
        let cell = call.objects().new_str(&doubled)?;
        call.set_result(cell);
        if depth.get() < 8 {
            depth.set(depth.get() + 1);
            // The one below sets a result of its own, and makes garbage.
            let inner = call.call("call_again", &[cell.into()]).map_err(CallError::as_trap)?;
            let inner = inner.and_then(Value::cell).unwrap_or(Cell::NULL);
            assert_eq!(call.objects().str(&inner), Ok(&[&doubled[..], b"+"].concat()[..]));
        }
        call.call("waste", &[Value::I64(50)]).map_err(CallError::as_trap)?;
        Ok(())
    };
    each(SOURCE, 1 << 13, &imports!(again: &again), |instance| {
        depth.set(4);
        let text = instance.objects().new_str(b"nested").unwrap();
        let result = cell(instance.call("call_again", &[text.into()]));
        assert_eq!(instance.objects().str(&result), Ok(&b"nested+"[..]));
    });
}

#[test]
fn a_stale_or_wrong_result_is_a_type_mismatch() {
    let kept: Shared<Option<Cell>> = Shared::new(None);
    let stale = |call: &mut HostCall<'_>| {
        let text = call.objects().new_str(b"made, and not kept").unwrap();
        call.objects().collect();
        assert_eq!(call.objects().kind(text), Err(HeapError::Stale));
        kept.set(Some(text));
        call.set_result(text);
        Ok(())
    };
    let wrong = |call: &mut HostCall<'_>| {
        let list = call.objects().new_list(&[])?;
        call.set_result(list);
        Ok(())
    };
    each(SOURCE, 4096, &imports!(stale: &stale, wrong: &wrong), |instance| {
        for func in ["call_stale", "call_wrong"] {
            let Err(CallError::Trap(report)) = instance.call(func, &[]) else { panic!("no trap") };
            assert_eq!(report.trap, Trap::new(TrapKind::TypeMismatch));
            assert_eq!((report.func, report.op), (instance.engine().module().func_index(func).unwrap(), 0));
        }
        assert!(kept.get().is_some());
        // The instance stays usable.
        assert_eq!(instance.call("waste", &[Value::I64(10)]), Ok(Some(Value::I64(10))));
    });
}

#[test]
fn a_full_heap_is_told_and_leaves_the_instance_usable() {
    let make = |call: &mut HostCall<'_>| {
        let cell = call.objects().new_str(&[b'x'; 100_000])?;
        call.set_result(cell);
        Ok(())
    };
    each(SOURCE, 4096, &imports!(make: &make), |instance| {
        assert_eq!(instance.objects().new_i64s(&[0; 5000]), Err(HeapError::OutOfMemory));
        let Err(CallError::Trap(report)) = instance.call("call_make", &[Value::I64(0)]) else { panic!("no trap") };
        assert_eq!(report.trap, Trap::new(TrapKind::OutOfMemory));
        let mut roots = Vec::new();
        let failed = loop {
            let mut objects = instance.objects();
            match objects.new_int(i64::MAX).and_then(|cell| objects.root(cell)) {
                Ok(root) => roots.push(root),
                Err(error) => break error,
            }
        };
        assert_eq!(failed, HeapError::OutOfMemory);
        // An int and a root are a record of two words each.
        assert!((900..1024).contains(&roots.len()), "{}", roots.len());
        for root in roots {
            instance.objects().unroot(root).unwrap();
        }
        assert_eq!(instance.call("waste", &[Value::I64(10)]), Ok(Some(Value::I64(10))));
        // The n-th allocation fails, for every n.
        for allocations in 0.. {
            instance.set_heap_fuse(Some(allocations));
            let result = instance.call("waste", &[Value::I64(3)]);
            instance.set_heap_fuse(None);
            if result.is_ok() {
                // The numbers' texts are short: a list each.
                assert_eq!(allocations, 3);
                break;
            }
            let Err(CallError::Trap(report)) = result else { panic!("{result:?}") };
            assert_eq!(report.trap, Trap::new(TrapKind::OutOfMemory));
            assert_eq!(instance.call("waste", &[Value::I64(3)]), Ok(Some(Value::I64(3))));
        }
    });
}

#[test]
fn collections_are_timed_by_the_hosts_clock() {
    fn clock() -> u64 {
        std::sync::atomic::AtomicU64::fetch_add(&TICKS, 5, std::sync::atomic::Ordering::Relaxed)
    }
    static TICKS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    each(SOURCE, 4096, &imports!(), |instance| {
        instance.objects().collect();
        assert_eq!(instance.heap_stats().pause_total, 0);
        instance.set_clock(Some(clock));
        (0..3).for_each(|_| instance.objects().collect());
        assert_eq!((instance.heap_stats().pause_total, instance.heap_stats().pause_max), (15, 5));
    });
}
