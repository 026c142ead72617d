//! A plain evaluator of programs: what every engine must agree with, and where executed ops are counted. It knows vm3.md,
//! the suite's oracle and the size of a frame; it shares no code with an engine.

use crate::objects::Object;
use crate::program::{BACK, GLOBALS, IMPORTS, Init, Ins, Lowered, Program, Ty, constant, pures};
use opstamp::vm3::op::Bank;
use opstamp::{Cell, Trap, TrapKind, Value};
use opstamp_tests::host::fold;
use opstamp_tests::oracle::canonical;

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The bits of the result.
    Returns(Option<u64>),
    /// The trap, its function and its op.
    Traps(Trap, usize, usize),
}

/// The evaluator gave up: the program takes too long.
pub struct TooLong;

pub struct Machine<'p> {
    program: &'p Program,
    lowered: &'p [Lowered],
    pub globals: Vec<u64>,
    pub objects: Vec<Object>,
    /// Bytes allocated in this call.
    pub allocated: usize,
    /// The call needs more memory than the engines may have.
    pub gives_up: bool,
    /// An op of a function, and which execution of it fails for want of memory.
    pub fuse: Option<(usize, usize, u32)>,
    stack: Vec<u64>,
    stack_words: usize,
    steps: u64,
    /// For each op of each function, what the straight run costs that starts there; 0 if none does.
    runs: Vec<Vec<u64>>,
    /// The fuel that is left, if it is counted.
    pub fuel: Option<u64>,
    /// How often each op of each function was executed.
    pub counts: Vec<Vec<u32>>,
    /// The words of stack that calls, tail calls and host calls asked for; whether it was a tail call.
    pub demands: Vec<(usize, bool)>,
}

struct Frame {
    func: usize,
    at: usize,
    base: usize,
}

/// Ops that one call may execute.
const MAX_STEPS: u64 = 20_000;
/// Demands that are recorded.
const MAX_DEMANDS: usize = 4000;

/// vm3.md: a straight run goes from the entry, a branch target, or behind a branch or call, to the next of these. Here it
/// ends with an op that nothing follows, too.
fn runs(code: &[Ins]) -> Vec<u64> {
    let mut starts = vec![false; code.len() + 1];
    starts[0] = true;
    for (at, ins) in code.iter().enumerate() {
        match ins {
            Ins::Branch { target, .. } | Ins::BrNull { target, .. } | Ins::Jump { target } => {
                starts[*target] = true;
                starts[at + 1] = true;
            }
            Ins::Switch { targets, default, .. } => {
                targets.iter().chain([default]).for_each(|&target| starts[target] = true);
                starts[at + 1] = true;
            }
            Ins::Call { .. } | Ins::Tail { .. } | Ins::Host { .. } | Ins::FnCall { .. } => starts[at + 1] = true,
            Ins::Ret { .. } | Ins::Unreachable | Ins::User { .. } => starts[at + 1] = true,
            _ => {}
        }
    }
    // What goes on from each op to the end of its run, from the last op backward.
    let mut costs = vec![0; code.len()];
    let mut rest = 0;
    for at in (0..code.len()).rev() {
        rest = if starts[at + 1] { 1 } else { rest + 1 };
        costs[at] = if starts[at] { rest } else { 0 };
    }
    costs
}

impl<'p> Machine<'p> {
    pub fn new(program: &'p Program, lowered: &'p [Lowered], stack_words: usize) -> Self {
        let counts = lowered.iter().map(|lowered| vec![0; lowered.code.len()]).collect();
        Self {
            program,
            lowered,
            globals: vec![],
            objects: vec![],
            allocated: 0,
            gives_up: false,
            fuse: None,
            stack: vec![0; stack_words],
            stack_words,
            steps: 0,
            runs: lowered.iter().map(|lowered| runs(&lowered.code)).collect(),
            fuel: None,
            counts,
            demands: vec![],
        }
    }

    /// Calls the first function with all globals at their initial values.
    pub fn call(&mut self, args: &[u64]) -> Result<Outcome, TooLong> {
        self.objects.clear();
        self.allocated = 0;
        self.gives_up = false;
        self.globals = self.program.globals.iter().map(|&init| self.initial(init)).collect();
        self.steps = 0;
        self.fuel = self.program.fuel;
        let outcome = self.run(0, args, 0)?;
        if self.gives_up { Err(TooLong) } else { Ok(outcome) }
    }

    fn initial(&mut self, init: Init) -> u64 {
        match init {
            Init::Bits(bits) => bits,
            Init::Constant(index) => self.constant(constant(index)),
        }
    }

    /// Words of a frame: a header and the slots.
    fn frame_words(&self, func: usize) -> usize {
        1 + self.program.funcs[func].slots.len()
    }

    fn fits(&mut self, end: usize, tail: bool) -> bool {
        if self.demands.len() < MAX_DEMANDS {
            self.demands.push((end, tail));
        }
        end <= self.stack_words
    }

    /// Places a frame: arguments, then zeros and nulls.
    fn enter(&mut self, func: usize, base: usize, args: &[u64]) {
        let func = &self.program.funcs[func];
        for (slot, &ty) in func.slots.iter().enumerate() {
            let empty = if ty.bank() == Bank::Cell { Cell::NULL.bits() } else { 0 };
            self.stack[base + 1 + slot] = args.get(slot).copied().unwrap_or(empty);
        }
    }

    fn run(&mut self, func: usize, args: &[u64], base: usize) -> Result<Outcome, TooLong> {
        let overflow = Trap::new(TrapKind::StackOverflow);
        if !self.fits(base + self.frame_words(func), false) {
            return Ok(Outcome::Traps(overflow, func, 0));
        }
        self.enter(func, base, args);
        let mut frames = vec![Frame { func, at: 0, base }];
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS || self.gives_up {
                return Err(TooLong);
            }
            let Some(frame) = frames.last_mut() else { unreachable!("a frame is running") };
            let (func, at, base) = (frame.func, frame.at, frame.base);
            let lowered = self.lowered;
            let ins = &lowered[func].code[at];
            if let Some(fuel) = &mut self.fuel {
                match fuel.checked_sub(self.runs[func][at]) {
                    Some(left) => *fuel = left,
                    None => return Ok(Outcome::Traps(Trap::new(TrapKind::OutOfFuel), func, at)),
                }
            }
            self.counts[func][at] += 1;
            frame.at += 1;
            let get = |machine: &Self, slot: u16| machine.stack[base + 1 + usize::from(slot)];
            let gets = |machine: &Self, slots: &[u16]| slots.iter().map(|&slot| get(machine, slot)).collect::<Vec<_>>();
            let stop = |trap| Ok(Outcome::Traps(trap, func, at));
            let compute = |machine: &Self, index: usize, sources: &[u16; 3], literal: u64| {
                let pure = &pures()[index];
                let count = pure.source_count();
                let mut bits = [0; 4];
                (0..count).for_each(|at| bits[at] = get(machine, sources[at]));
                bits[count] = literal;
                (pure.eval)(&bits)
            };
            if let Some((fails, place, left)) = &mut self.fuse
                && (*fails, *place) == (func, at)
            {
                if *left == 0 {
                    return stop(Trap::new(TrapKind::OutOfMemory));
                }
                *left -= 1;
            }
            let mut set = None;
            match ins {
                Ins::Pure { index, dest, sources, literal } => match compute(self, *index, sources, *literal) {
                    Ok(value) => set = Some((*dest, value)),
                    Err(kind) => return stop(Trap::new(kind)),
                },
                Ins::Branch { index, sources, literal, target } => {
                    if compute(self, *index, sources, *literal) == Ok(1) {
                        frame.at = *target;
                    }
                }
                Ins::BrNull { nonnull, source, target } => {
                    if (get(self, *source) == Cell::NULL.bits()) != *nonnull {
                        frame.at = *target;
                    }
                }
                Ins::Jump { target } => frame.at = *target,
                Ins::Switch { source, targets, default } => {
                    let index = usize::try_from(get(self, *source)).ok();
                    frame.at = index.and_then(|index| targets.get(index)).copied().unwrap_or(*default);
                }
                Ins::Nop | Ins::Deopt => {}
                Ins::CellMov { dest, source } => set = Some((*dest, get(self, *source))),
                Ins::CellNull { dest } => set = Some((*dest, Cell::NULL.bits())),
                Ins::CellConst { dest, value } => set = Some((*dest, self.constant(constant(*value)))),
                Ins::Table { dest, table, source } => {
                    let index = usize::try_from(get(self, *source)).ok();
                    match index.and_then(|index| self.program.tables[*table].get(index)) {
                        Some(&element) => set = Some((*dest, element as u64)),
                        None => return stop(Trap::new(TrapKind::OutOfBounds)),
                    }
                }
                Ins::GlobalGet { dest, global } => set = Some((*dest, self.globals[*global])),
                Ins::GlobalSet { global, source } => {
                    let bits = get(self, *source);
                    self.globals[*global] = if GLOBALS[*global] == Ty::F64 { canonical(bits) } else { bits };
                }
                Ins::Call { func: callee, args, .. } => {
                    let args = gets(self, args);
                    let start = base + self.frame_words(func);
                    if !self.fits(start + self.frame_words(*callee), false) {
                        return stop(overflow);
                    }
                    self.enter(*callee, start, &args);
                    frames.push(Frame { func: *callee, at: 0, base: start });
                }
                Ins::Tail { func: callee, args } => {
                    let args = gets(self, args);
                    if !self.fits(base + self.frame_words(*callee), true) {
                        return stop(overflow);
                    }
                    self.enter(*callee, base, &args);
                    (frame.func, frame.at) = (*callee, 0);
                }
                Ins::Host { dest, import, args } => {
                    let args = gets(self, args);
                    let end = base + self.frame_words(func) + 1 + args.len().max(1);
                    if !self.fits(end, false) {
                        return stop(overflow);
                    }
                    match self.host(*import, &args, end)? {
                        Ok(value) => set = dest.map(|dest| (dest, value)),
                        Err(trap) => return stop(trap),
                    }
                }
                Ins::Heap { op, args } => {
                    let slots = &self.program.funcs[func].slots;
                    let frame: Vec<u64> = (0..slots.len() as u16).map(|slot| get(self, slot)).collect();
                    let found =
                        self.heap_op(*op, args, &|slot| frame[usize::from(slot)], &|slot| slots[usize::from(slot)]);
                    match found {
                        Ok(written) => {
                            for (slot, bits) in written {
                                self.stack[base + 1 + usize::from(slot)] = bits;
                            }
                        }
                        Err(kind) => return stop(Trap::new(kind)),
                    }
                }
                Ins::FnNew { dest, func: callee, args } => {
                    let bound = gets(self, args);
                    let Ty::Fn(ty) = self.program.funcs[func].slots[usize::from(*dest)] else {
                        unreachable!("a register of a closure")
                    };
                    set = Some((*dest, self.closure(*callee, bound, ty)));
                }
                Ins::FnCall { closure, args, .. } => {
                    let (callee, mut bound) = match self.callee(get(self, *closure)) {
                        Ok(found) => found,
                        Err(kind) => return stop(Trap::new(kind)),
                    };
                    bound.extend(gets(self, args));
                    let start = base + self.frame_words(func);
                    if !self.fits(start + self.frame_words(callee), false) {
                        return stop(overflow);
                    }
                    self.enter(callee, start, &bound);
                    frames.push(Frame { func: callee, at: 0, base: start });
                }
                Ins::Ret { source } => {
                    let value = source.map(|source| get(self, source));
                    frames.pop();
                    let Some(caller) = frames.last() else {
                        let is_float = self.program.funcs[func].result == Some(Ty::F64);
                        let value = value.map(|value| if is_float { canonical(value) } else { value });
                        return Ok(Outcome::Returns(value));
                    };
                    let call = &self.lowered[caller.func].code[caller.at - 1];
                    if let (Ins::Call { dest: Some(dest), .. } | Ins::FnCall { dest: Some(dest), .. }, Some(value)) =
                        (call, value)
                    {
                        self.stack[caller.base + 1 + usize::from(*dest)] = value;
                    }
                }
                Ins::Unreachable => return stop(Trap::new(TrapKind::Unreachable)),
                Ins::User { number } => return stop(Trap::user(*number)),
            }
            if let Some((dest, value)) = set {
                self.stack[base + 1 + usize::from(dest)] = value;
            }
        }
    }

    /// What the host functions of the suite do. `end` is where the host frame ends.
    fn host(&mut self, import: usize, args: &[u64], end: usize) -> Result<Result<u64, Trap>, TooLong> {
        let trap_unless_zero = |empty| if args[0] == 0 { Ok(empty) } else { Err(Trap::host(args[0] as u32)) };
        Ok(match IMPORTS[import] {
            "h_none" => Ok(0),
            "h_mix" => Ok(args[0].wrapping_mul(31).wrapping_add(args[1])),
            "h_scale" => Ok((f64::from_bits(args[0]) * (args[1] as i64) as f64).to_bits()),
            "h_same" => Ok(args[0]),
            "h_silent" => Ok(Cell::NULL.bits()),
            "h_many" => {
                let (types, _) = crate::program::import(import);
                // All that is seen of a cell is whether it is null.
                let values = types.iter().zip(args).map(|(ty, &bits)| match ty.bank() {
                    Bank::I64 => Value::I64(bits as i64),
                    Bank::F64 => Value::F64(f64::from_bits(bits)),
                    Bank::Cell => Value::Cell(if bits == Cell::NULL.bits() { Cell::NULL } else { Cell::TRUE }),
                });
                Ok(values.fold(0, fold) as u64)
            }
            "h_trap" | "h_trap_none" | "h_trap_f64" => trap_unless_zero(0),
            "h_trap_any" => trap_unless_zero(Cell::NULL.bits()),
            "h_back" => {
                let args = [args[0], canonical(args[1])];
                match self.program.funcs.iter().position(|func| func.name == BACK) {
                    None => Err(Trap::host(0)),
                    Some(func) => match self.run(func, &args, end)? {
                        Outcome::Returns(value) => Ok(value.unwrap_or(0)),
                        Outcome::Traps(trap, ..) => Err(trap),
                    },
                }
            }
            other => unreachable!("{other} is no host function"),
        })
    }
}
