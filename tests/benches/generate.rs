//! A large module drawn from a seeded generator, for measuring what passes over code cost.
//!
//! Functions have 16 to 1,000 ops, evenly in the logarithm, some 6 to 16 registers, loops up to three deep, branches over
//! a few ops and calls of earlier functions. It is compiled and never run.

use fastrand::Rng;
use std::fmt::Write;

/// The text of a module of at least `ops` ops.
pub fn module(ops: usize, seed: u64) -> String {
    let mut text =
        String::from("table primes = [2, 3, 5, 7, 11, 13]\nglobal count: i64 = 1\nglobal ratio: f64 = 0.5\n");
    let mut rng = Rng::with_seed(seed);
    let (mut made, mut functions) = (0, 0);
    while made < ops {
        let left = 2f64.powf(4.0 + 6.0 * rng.f64()) as usize;
        let mut function = Function {
            ints: rng.usize(4..=10),
            floats: rng.usize(2..=6),
            functions,
            made: 0,
            labels: 0,
            rng: &mut rng,
            text: &mut text,
        };
        function.write(left);
        made += function.made;
        functions += 1;
    }
    text
}

struct Function<'g> {
    ints: usize,
    floats: usize,
    /// The number of functions before this one.
    functions: usize,
    made: usize,
    labels: usize,
    rng: &'g mut Rng,
    text: &'g mut String,
}

impl Function<'_> {
    fn write(&mut self, ops: usize) {
        let Self { ints, floats, functions, .. } = *self;
        let list = |bank: char, ty: &str, registers: std::ops::Range<usize>| {
            registers.map(|k| format!("{bank}{k}: {ty}")).collect::<Vec<_>>().join(", ")
        };
        let locals = [list('i', "i64", 2..ints), list('f', "f64", 1..floats)].join(", ");
        self.line(format_args!("func g{functions}(i0: i64, i1: i64, f0: f64) -> i64\n  local {locals}"));
        self.body(ops.saturating_sub(1), 0);
        let result = self.int();
        self.op(format_args!("ret i{result}"));
        self.line(format_args!("end\n"));
    }

    /// A run of that many ops or a few more.
    fn body(&mut self, ops: usize, depth: u32) {
        let end = self.made + ops;
        while self.made < end {
            let left = end - self.made;
            match self.rng.u32(0..100) {
                0..=2 if depth < 3 && left >= 8 => self.repeat(left / 2, depth),
                3..=10 if left >= 4 => self.skip(depth),
                11..=14 if self.functions > 0 => self.call(),
                15..=30 => self.float_op(),
                _ => self.int_op(),
            }
        }
    }

    /// A loop.
    fn repeat(&mut self, ops: usize, depth: u32) {
        let (label, counter) = (self.label(), self.int());
        let size = self.rng.usize(4..=ops.max(4));
        self.op(format_args!("i64.const i{counter}, 100"));
        self.line(format_args!("l{label}:"));
        self.body(size, depth + 1);
        self.op(format_args!("i64.sub i{counter}, i{counter}, 1"));
        self.op(format_args!("br.i64.gt i{counter}, 0, l{label}"));
    }

    /// A branch over a few ops.
    fn skip(&mut self, depth: u32) {
        let (label, x, y, k) = (self.label(), self.int(), self.int(), self.literal());
        let condition = *self.rng.choice(&["eq", "ne", "lt", "le", "gt", "ge", "ult"]).expect("not empty");
        match self.rng.u32(0..10) {
            0..=4 => self.op(format_args!("br.i64.{condition} i{x}, {k}, l{label}")),
            5..=7 => self.op(format_args!("br.i64.{condition} i{x}, i{y}, l{label}")),
            _ => {
                let (f, g) = (self.float(), self.float());
                self.op(format_args!("br.f64.lt f{f}, f{g}, l{label}"));
            }
        }
        let size = self.rng.usize(1..=6);
        self.body(size, depth);
        self.line(format_args!("l{label}:"));
    }

    fn call(&mut self) {
        let (callee, d) = (self.rng.usize(0..self.functions), self.int());
        let (x, y, f) = (self.int(), self.int(), self.float());
        self.op(format_args!("call i{d}, g{callee}(i{x}, i{y}, f{f})"));
    }

    fn int_op(&mut self) {
        let (d, x, y, k) = (self.int(), self.int(), self.int(), self.literal());
        match self.rng.u32(0..100) {
            0..=34 => {
                let name = self.pick(&["add", "add", "add", "sub", "sub", "mul", "and", "or", "xor", "shl", "ushr"]);
                self.op(format_args!("i64.{name} i{d}, i{x}, i{y}"));
            }
            35..=64 => {
                let name = self.pick(&["add", "add", "add", "add", "sub", "mul", "and", "xor"]);
                self.op(format_args!("i64.{name} i{d}, i{x}, {k}"));
            }
            65..=69 => {
                let (name, count) = (self.pick(&["shl", "shr", "ushr", "rotl"]), self.rng.u32(1..63));
                self.op(format_args!("i64.{name} i{d}, i{x}, {count}"));
            }
            70..=77 => self.op(format_args!("i64.mov i{d}, i{x}")),
            78..=85 => self.op(format_args!("i64.const i{d}, {k}")),
            86..=89 => {
                let name = self.pick(&["eq", "lt", "ge", "ult"]);
                self.op(format_args!("i64.{name} i{d}, i{x}, i{y}"));
            }
            90 => {
                let c = self.int();
                self.op(format_args!("i64.select i{d}, i{c}, i{x}, i{y}"));
            }
            91 => {
                let name = self.pick(&["div", "rem", "udiv"]);
                self.op(format_args!("i64.{name} i{d}, i{x}, i{y}"));
            }
            92 => self.op(format_args!("i64.rem i{d}, i{x}, 10")),
            93..=95 => self.op(format_args!("global.get i{d}, count")),
            96..=97 => self.op(format_args!("global.set count, i{x}")),
            _ => self.op(format_args!("table.get i{d}, primes, i{x}")),
        }
    }

    fn float_op(&mut self) {
        let (d, x, y, i) = (self.float(), self.float(), self.float(), self.int());
        match self.rng.u32(0..20) {
            0..=12 => {
                let name = self.pick(&["add", "add", "sub", "mul", "mul", "div"]);
                self.op(format_args!("f64.{name} f{d}, f{x}, f{y}"));
            }
            13..=14 => self.op(format_args!("f64.mov f{d}, f{x}")),
            15 => self.op(format_args!("f64.const f{d}, 1.5")),
            16 => self.op(format_args!("i64.to_f64 f{d}, i{i}")),
            17 => self.op(format_args!("f64.to_i64 i{i}, f{x}")),
            18 => self.op(format_args!("f64.sqrt f{d}, f{x}")),
            _ => self.op(format_args!("global.get f{d}, ratio")),
        }
    }

    fn pick(&mut self, names: &[&'static str]) -> &'static str {
        names[self.rng.usize(0..names.len())]
    }

    /// A register, the first ones more often than the last, as in code that people write.
    fn int(&mut self) -> usize {
        self.rng.usize(0..self.ints).min(self.rng.usize(0..self.ints))
    }

    fn float(&mut self) -> usize {
        self.rng.usize(0..self.floats).min(self.rng.usize(0..self.floats))
    }

    /// Small as a rule.
    fn literal(&mut self) -> i64 {
        if self.rng.u32(0..8) == 0 { self.rng.i64(-32_768..32_768) } else { self.rng.i64(-2..64) }
    }

    fn label(&mut self) -> usize {
        self.labels += 1;
        self.labels
    }

    fn op(&mut self, text: std::fmt::Arguments<'_>) {
        self.made += 1;
        self.line(format_args!("  {text}"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{text}").expect("strings take all");
    }
}
