//! What `opstamp run` says of a run beside its result: the stack trace of a trap, and the statistics.

use opstamp::runtime::cache::CacheKind;
use opstamp::{Engine, Event, Instance, Module, Walk};
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// The callers of a trace that are told at either end.
const ENDS: usize = 10;

/// The callers of the function that trapped, a line each, as what follows the line that tells of the trap. Of a long
/// trace the middle is only counted.
pub fn callers(trace: Walk<'_>) -> String {
    // A frame's op is looked for in the function, so only for those that are told.
    let (mut text, mut last, mut count) = (String::new(), VecDeque::with_capacity(ENDS), 0_usize);
    for frame in trace.skip(1) {
        count += 1;
        if count <= ENDS {
            let _ = write!(text, "\n  called from {frame}");
            continue;
        }
        if last.len() == ENDS {
            last.pop_front();
        }
        last.push_back(frame);
    }
    let left_out = count.saturating_sub(2 * ENDS);
    if left_out != 0 {
        let _ = write!(text, "\n  ... {left_out} more ...");
    }
    for frame in last {
        let _ = write!(text, "\n  called from {frame}");
    }
    text
}

/// What an engine has done.
#[derive(Default)]
pub struct Counters {
    compiled: AtomicU64,
    bytes: AtomicU64,
    evicted: AtomicU64,
    deoptimized: AtomicU64,
}

impl Counters {
    /// Counts an event.
    pub fn count(&self, event: Event) {
        let add = |counter: &AtomicU64, more| {
            counter.fetch_add(more, Ordering::Relaxed);
        };
        match event {
            Event::Compiled { code, .. } => {
                add(&self.compiled, 1);
                add(&self.bytes, code.len() as u64);
            }
            Event::Evicted { .. } => add(&self.evicted, 1),
            Event::Deoptimized { .. } => add(&self.deoptimized, 1),
            _ => {}
        }
    }
}

/// The statistics of a run: a line each, with a name and a number; then a line for each inline cache that missed, with
/// the op, how often, and what is in it.
pub fn statistics(engine: &Engine<'_>, counters: &Counters, instance: &Instance<'_>) -> String {
    let module: &Module<'_> = engine.module();
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (heap, caches) = (instance.heap_stats(), instance.cache_stats());
    let (mut sites, mut shapes, mut misses, mut calls, mut call_misses) = (0, 0, 0, 0, 0);
    let mut seen = String::new();
    for cache in caches {
        let (count, missed, what) = match cache.kind {
            CacheKind::Get => (&mut sites, &mut misses, "prop.get"),
            CacheKind::Set => (&mut sites, &mut misses, "prop.set"),
            CacheKind::Call => (&mut calls, &mut call_misses, "fn.call"),
        };
        *count += 1;
        *missed += cache.misses;
        shapes += cache.shapes.iter().flatten().count() as u64;
        if cache.misses != 0 {
            let of = |index: u16| module.func(index.into()).map_or("", |func| func.name);
            let _ = write!(seen, "{what} in {} at op {}: {} misses", of(cache.func), cache.op, cache.misses);
            if let Some(callee) = cache.callee {
                let _ = write!(seen, ", last of {}", of(callee));
            }
            for shape in cache.shapes.into_iter().flatten() {
                let name = module.container().shape(shape).and_then(|shape| module.container().text(shape.name));
                let _ = write!(seen, ", {}", name.unwrap_or(""));
            }
            seen.push('\n');
        }
    }
    let lines = [
        ("functions", module.func_count().into()),
        ("functions compiled", of(&counters.compiled)),
        ("functions evicted", of(&counters.evicted)),
        ("bytes of machine code made", of(&counters.bytes)),
        ("returns to the interpreter", of(&counters.deoptimized)),
        ("inline caches", sites),
        ("shapes in inline caches", shapes),
        ("misses of inline caches", misses),
        ("inline caches of calls", calls),
        ("misses of inline caches of calls", call_misses),
        ("bytes of heap", heap.size),
        ("bytes of heap used", heap.used),
        ("bytes of heap used at most", heap.peak.max(heap.used)),
        ("allocations", heap.allocations),
        ("collections", heap.collections),
    ];
    let mut text = String::new();
    for (name, number) in lines {
        let _ = writeln!(text, "{name}: {number}");
    }
    text + &seen
}
