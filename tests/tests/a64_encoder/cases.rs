//! Every instruction with its operands and its assembly text.
#![allow(clippy::type_complexity, reason = "the signatures of the encoder's functions, in lists")]

use crate::draw::Draw;
use opstamp::asm::a64::{self, *};
use opstamp::asm::{Buf, EmitError, Label};
use std::cell::Cell;
use std::fmt::Debug;

/// What the encoder did, and the text of the same instruction; no text if the encoder must refuse it.
pub struct Case {
    pub text: Option<String>,
    pub word: Result<u32, EmitError>,
}

pub type Build = Box<dyn Fn(&mut Draw) -> Case>;

thread_local! {
    /// Bytes of memory that [`emit`] lends.
    static LENT: Cell<usize> = const { Cell::new(64) };
}

/// Runs `body` with this many bytes (8 to 64) in which [`emit`] emits.
pub fn with_memory(bytes: usize, body: impl FnOnce()) {
    let before = LENT.replace(bytes);
    body();
    LENT.set(before);
}

/// Emits one instruction at offset 0.
pub fn emit(emit: impl FnOnce(&mut Buf)) -> Result<u32, EmitError> {
    let mut memory = [0xA5; 64];
    let mut buf = Buf::new(&mut memory[..LENT.get()]).expect("8 bytes are enough");
    emit(&mut buf);
    assert_eq!(buf.finish()?, 4, "one instruction is four bytes");
    Ok(u32::from_le_bytes([memory[0], memory[1], memory[2], memory[3]]))
}

fn case(text: String, put: impl FnOnce(&mut Buf)) -> Case {
    Case { text: Some(text), word: emit(put) }
}

/// The name of a register, condition or option in lower case. `Debug` gives the variant's name, not its number.
pub fn lower(name: impl Debug) -> String {
    format!("{name:?}").to_lowercase()
}

/// A general-purpose register by size.
pub fn r(size: Size, x: X) -> String {
    match (size, x) {
        (Size::X, X::Zr) => "xzr".into(),
        (Size::W, X::Zr) => "wzr".into(),
        (Size::X, _) => lower(x),
        (Size::W, _) => lower(x).replace('x', "w"),
    }
}

/// A general-purpose register or the stack pointer, by size.
fn rs(size: Size, x: XSp) -> String {
    match (size, x) {
        (Size::X, XSp::Sp) => "sp".into(),
        (Size::W, XSp::Sp) => "wsp".into(),
        (Size::X, _) => lower(x),
        (Size::W, _) => lower(x).replace('x', "w"),
    }
}

/// A SIMD and floating-point register under another letter.
fn v(letter: &str, d: D) -> String {
    lower(d).replace('d', letter)
}

impl Draw<'_> {
    pub fn x(&mut self) -> X {
        self.pick(&X::ALL)
    }

    fn xsp(&mut self) -> XSp {
        self.pick(&XSp::ALL)
    }

    pub fn d(&mut self) -> D {
        self.pick(&D::ALL)
    }

    pub fn size(&mut self) -> Size {
        self.pick(&[Size::W, Size::X])
    }

    pub fn cond(&mut self) -> Cond {
        self.pick(&Cond::ALL)
    }

    /// A bit number or shift amount: every one is visited, in both sizes.
    pub fn shift6(&mut self) -> (Shift6, Size, u64) {
        let all: Vec<(Size, u64)> = (0..32).map(|n| (Size::W, n)).chain((0..64).map(|n| (Size::X, n))).collect();
        let (size, amount) = self.pick(&all);
        (Shift6::new(amount, size).expect("in range"), size, amount)
    }

    fn shift(&mut self) -> (Shift, Size, String) {
        let (by, size, amount) = self.shift6();
        let (shift, name) = self.pick(&[(Shift::Lsl(by), "lsl"), (Shift::Lsr(by), "lsr"), (Shift::Asr(by), "asr")]);
        (shift, size, format!("{name} #{amount}"))
    }

    fn logical_shift(&mut self) -> (LogicalShift, Size, String) {
        let (by, size, amount) = self.shift6();
        let (shift, name) = self.pick(&[
            (LogicalShift::Shift(Shift::Lsl(by)), "lsl"),
            (LogicalShift::Shift(Shift::Lsr(by)), "lsr"),
            (LogicalShift::Shift(Shift::Asr(by)), "asr"),
            (LogicalShift::Ror(by), "ror"),
        ]);
        (shift, size, format!("{name} #{amount}"))
    }

    /// An extension, the text of register `m` under it, and its own text.
    fn extended(&mut self, size: Size, m: X) -> (Extended, String, String) {
        use a64::Extend::*;
        let extend = self.pick(&[Uxtb, Uxth, Uxtw, Uxtx, Sxtb, Sxth, Sxtw, Sxtx]);
        let lsl = self.pick(&[0, 1, 2, 3, 4]);
        let m_size = if size == Size::X && matches!(extend, Uxtx | Sxtx) { Size::X } else { Size::W };
        (Extended::new(extend, lsl).expect("in range"), r(m_size, m), format!("{} #{lsl}", lower(extend)))
    }

    fn imm12(&mut self) -> (Imm12, String) {
        let value = self.number(0, 4095, 1);
        if self.pick(&[false, true]) {
            // 0 shifted is 0, which is encoded without the shift.
            let text = if value == 0 { "#0".into() } else { format!("#{value}, lsl #12") };
            (Imm12::new(value as u64 * 4096).expect("in range"), text)
        } else {
            (Imm12::new(value as u64).expect("in range"), format!("#{value}"))
        }
    }

    /// An address in one of the forms 0 to 4. The form is no draw, because the operands depend on it.
    fn mem<const SCALE: u32>(&mut self, form: u32) -> Address<Mem<SCALE>> {
        let base = self.xsp();
        let b = rs(Size::X, base);
        let (mem, text, form) = match form {
            0 => {
                let offset = self.number(0, 4095 << SCALE, 1 << SCALE);
                let mem = Mem::offset(base, Offset12::new(offset as u64).expect("in range"));
                (mem, format!("[{b}, #{offset}]"), Form::Plain)
            }
            1 => {
                use IndexExtend::*;
                let (index, scaled) = (self.x(), self.pick(&[false, true]));
                let extend = self.pick(&[Uxtw, Lsl, Sxtw, Sxtx]);
                let i = r(if matches!(extend, Lsl | Sxtx) { Size::X } else { Size::W }, index);
                let text = match (extend, scaled) {
                    (Lsl, false) => format!("[{b}, {i}]"),
                    (_, false) => format!("[{b}, {i}, {}]", lower(extend)),
                    (_, true) => format!("[{b}, {i}, {} #{SCALE}]", lower(extend)),
                };
                (Mem::index(base, index, extend, scaled), text, Form::Plain)
            }
            form => {
                let bytes = self.number(-256, 255, 1);
                let offset = Offset9::new(bytes).expect("in range");
                match form {
                    2 => (Mem::unscaled(base, offset), format!("[{b}, #{bytes}]"), Form::Unscaled),
                    3 => (Mem::pre(base, offset), format!("[{b}, #{bytes}]!"), Form::Writeback),
                    _ => (Mem::post(base, offset), format!("[{b}], #{bytes}"), Form::Writeback),
                }
            }
        };
        Address { mem, text, form, base }
    }

    fn pair_mem<const SCALE: u32>(&mut self) -> Address<PairMem<SCALE>> {
        let base = self.xsp();
        let b = rs(Size::X, base);
        let bytes = self.number(-64 << SCALE, 63 << SCALE, 1 << SCALE);
        let offset = Offset7::new(bytes).expect("in range");
        let (mem, text, form) = self.pick(&[
            (PairMem::offset(base, offset), [", ", "]"], Form::Plain),
            (PairMem::pre(base, offset), [", ", "]!"], Form::Writeback),
            (PairMem::post(base, offset), ["], ", ""], Form::Writeback),
        ]);
        Address { mem, text: format!("[{b}{}#{bytes}{}", text[0], text[1]), form, base }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Unscaled,
    Writeback,
}

struct Address<M> {
    mem: M,
    text: String,
    form: Form,
    base: XSp,
}

impl<M> Address<M> {
    /// `ldr` is `ldur` in the unscaled form, and so on.
    fn mnemonic(&self, mnemonic: &str) -> String {
        let (operation, access) = mnemonic.split_at(2);
        let unscaled = if self.form == Form::Unscaled { "u" } else { "" };
        format!("{operation}{unscaled}{access}")
    }

    /// Whether the base is written back and is also `t`. The stack pointer is no other register's base.
    fn clashes(&self, t: X) -> bool {
        self.form == Form::Writeback && lower(self.base) == lower(t)
    }
}

fn add_sub(list: &mut Vec<(String, Build)>) {
    type Plain = fn(&mut Buf, Size, X, X, X);
    type Shifted = fn(&mut Buf, X, X, X, Shift);
    let plain: [(&str, Plain, Shifted); 4] = [
        ("add", a64::add, a64::add_shifted),
        ("adds", a64::adds, a64::adds_shifted),
        ("sub", a64::sub, a64::sub_shifted),
        ("subs", a64::subs, a64::subs_shifted),
    ];
    for (name, plain, shifted) in plain {
        push(list, name, move |g| {
            let (s, d, n, m) = (g.size(), g.x(), g.x(), g.x());
            case(format!("{name} {}, {}, {}", r(s, d), r(s, n), r(s, m)), |b| plain(b, s, d, n, m))
        });
        push(list, name, move |g| {
            let ((shift, s, text), d, n, m) = (g.shift(), g.x(), g.x(), g.x());
            case(format!("{name} {}, {}, {}, {text}", r(s, d), r(s, n), r(s, m)), |b| shifted(b, d, n, m, shift))
        });
    }
    type ToSp = (fn(&mut Buf, Size, XSp, XSp, X, Extended), fn(&mut Buf, Size, XSp, XSp, Imm12));
    let to_sp: [(&str, ToSp); 2] =
        [("add", (a64::add_extended, a64::add_imm)), ("sub", (a64::sub_extended, a64::sub_imm))];
    for (name, (extended, imm)) in to_sp {
        push(list, name, move |g| {
            let (s, d, n, m) = (g.size(), g.xsp(), g.xsp(), g.x());
            let (extend, m_text, text) = g.extended(s, m);
            let text = format!("{name} {}, {}, {m_text}, {text}", rs(s, d), rs(s, n));
            case(text, |b| extended(b, s, d, n, m, extend))
        });
        push(list, name, move |g| {
            let (s, d, n, (value, text)) = (g.size(), g.xsp(), g.xsp(), g.imm12());
            case(format!("{name} {}, {}, {text}", rs(s, d), rs(s, n)), |b| imm(b, s, d, n, value))
        });
    }
    type ToX = (fn(&mut Buf, Size, X, XSp, X, Extended), fn(&mut Buf, Size, X, XSp, Imm12));
    let to_x: [(&str, ToX); 2] =
        [("adds", (a64::adds_extended, a64::adds_imm)), ("subs", (a64::subs_extended, a64::subs_imm))];
    for (name, (extended, imm)) in to_x {
        push(list, name, move |g| {
            let (s, d, n, m) = (g.size(), g.x(), g.xsp(), g.x());
            let (extend, m_text, text) = g.extended(s, m);
            let text = format!("{name} {}, {}, {m_text}, {text}", r(s, d), rs(s, n));
            case(text, |b| extended(b, s, d, n, m, extend))
        });
        push(list, name, move |g| {
            let (s, d, n, (value, text)) = (g.size(), g.x(), g.xsp(), g.imm12());
            case(format!("{name} {}, {}, {text}", r(s, d), rs(s, n)), |b| imm(b, s, d, n, value))
        });
    }
    push(list, "cmp shifted", |g| {
        let ((shift, s, text), n, m) = (g.shift(), g.x(), g.x());
        case(format!("cmp {}, {}, {text}", r(s, n), r(s, m)), |b| a64::cmp_shifted(b, n, m, shift))
    });
    push(list, "cmp extended", |g| {
        let (s, n, m) = (g.size(), g.xsp(), g.x());
        let (extend, m_text, text) = g.extended(s, m);
        case(format!("cmp {}, {m_text}, {text}", rs(s, n)), |b| a64::cmp_extended(b, s, n, m, extend))
    });
    let imm: [(&str, fn(&mut Buf, Size, XSp, Imm12)); 2] = [("cmp", a64::cmp_imm), ("cmn", a64::cmn_imm)];
    for (name, put) in imm {
        push(list, name, move |g| {
            let (s, n, (value, text)) = (g.size(), g.xsp(), g.imm12());
            case(format!("{name} {}, {text}", rs(s, n)), |b| put(b, s, n, value))
        });
    }
    push(list, "mov sp", |g| {
        let (s, d, n) = (g.size(), g.xsp(), g.xsp());
        let (d_text, n_text) = (rs(s, d), rs(s, n));
        let text = if d == XSp::Sp || n == XSp::Sp {
            format!("mov {d_text}, {n_text}")
        } else {
            format!("add {d_text}, {n_text}, #0")
        };
        case(text, |b| a64::mov_sp(b, s, d, n))
    });
}

fn logical(list: &mut Vec<(String, Build)>) {
    type Shifted = fn(&mut Buf, X, X, X, LogicalShift);
    let shifted: [(&str, Shifted); 8] = [
        ("and", a64::and_shifted),
        ("bic", a64::bic_shifted),
        ("orr", a64::orr_shifted),
        ("orn", a64::orn_shifted),
        ("eor", a64::eor_shifted),
        ("eon", a64::eon_shifted),
        ("ands", a64::ands_shifted),
        ("bics", a64::bics_shifted),
    ];
    for (name, put) in shifted {
        push(list, name, move |g| {
            let ((shift, s, text), d, n, m) = (g.logical_shift(), g.x(), g.x(), g.x());
            case(format!("{name} {}, {}, {}, {text}", r(s, d), r(s, n), r(s, m)), |b| put(b, d, n, m, shift))
        });
    }
    // The immediates themselves are swept in `immediates`; here, the registers.
    let values = [(Size::X, 1), (Size::X, 0x5555_5555_5555_5555), (Size::W, 0xFF00), (Size::W, 0x8000_0001)];
    let to_sp: [(&str, fn(&mut Buf, XSp, X, LogicalImm)); 3] =
        [("and", a64::and_imm), ("orr", a64::orr_imm), ("eor", a64::eor_imm)];
    for (name, put) in to_sp {
        push(list, name, move |g| {
            let ((s, value), d, n) = (g.pick(&values), g.xsp(), g.x());
            let imm = LogicalImm::new(value, s).expect("a logical immediate");
            case(format!("{name} {}, {}, #{value:#x}", rs(s, d), r(s, n)), |b| put(b, d, n, imm))
        });
    }
    push(list, "ands", move |g| {
        let ((s, value), d, n) = (g.pick(&values), g.x(), g.x());
        let imm = LogicalImm::new(value, s).expect("a logical immediate");
        case(format!("ands {}, {}, #{value:#x}", r(s, d), r(s, n)), |b| a64::ands_imm(b, d, n, imm))
    });
    push(list, "tst", move |g| {
        let ((s, value), n) = (g.pick(&values), g.x());
        let imm = LogicalImm::new(value, s).expect("a logical immediate");
        case(format!("tst {}, #{value:#x}", r(s, n)), |b| a64::tst_imm(b, n, imm))
    });
}

fn integer(list: &mut Vec<(String, Build)>) {
    let three: [(&str, fn(&mut Buf, Size, X, X, X)); 15] = [
        ("and", a64::and),
        ("bic", a64::bic),
        ("orr", a64::orr),
        ("orn", a64::orn),
        ("eor", a64::eor),
        ("eon", a64::eon),
        ("ands", a64::ands),
        ("bics", a64::bics),
        ("mul", a64::mul),
        ("udiv", a64::udiv),
        ("sdiv", a64::sdiv),
        ("lslv", a64::lslv),
        ("lsrv", a64::lsrv),
        ("asrv", a64::asrv),
        ("rorv", a64::rorv),
    ];
    for (name, put) in three {
        push(list, name, move |g| {
            let (s, d, n, m) = (g.size(), g.x(), g.x(), g.x());
            case(format!("{name} {}, {}, {}", r(s, d), r(s, n), r(s, m)), |b| put(b, s, d, n, m))
        });
    }
    let two: [(&str, fn(&mut Buf, Size, X, X)); 12] = [
        ("cmp", a64::cmp),
        ("cmn", a64::cmn),
        ("tst", a64::tst),
        ("neg", a64::neg),
        ("negs", a64::negs),
        ("mvn", a64::mvn),
        ("mov", a64::mov),
        ("rbit", a64::rbit),
        ("rev16", a64::rev16),
        ("rev", a64::rev),
        ("clz", a64::clz),
        ("cls", a64::cls),
    ];
    for (name, put) in two {
        push(list, name, move |g| {
            let (s, d, n) = (g.size(), g.x(), g.x());
            case(format!("{name} {}, {}", r(s, d), r(s, n)), |b| put(b, s, d, n))
        });
    }
    let wide: [(&str, fn(&mut Buf, X, MoveImm)); 3] = [("movn", a64::movn), ("movz", a64::movz), ("movk", a64::movk)];
    for (name, put) in wide {
        push(list, name, move |g| {
            let (d, value) = (g.x(), g.number(0, 0xFFFF, 1));
            let (s, lsl) =
                g.pick(&[(Size::W, 0), (Size::W, 16), (Size::X, 0), (Size::X, 16), (Size::X, 32), (Size::X, 48)]);
            let imm = MoveImm::new(value as u16, lsl, s).expect("in range");
            case(format!("{name} {}, #{value}, lsl #{lsl}", r(s, d)), |b| put(b, d, imm))
        });
    }
    let fields: [(&str, fn(&mut Buf, X, X, BitField)); 3] =
        [("sbfm", a64::sbfm), ("bfm", a64::bfm), ("ubfm", a64::ubfm)];
    for (name, put) in fields {
        for (s, top) in [(Size::W, 31), (Size::X, 63)] {
            push(list, name, move |g| {
                let (d, n, immr, imms) = (g.x(), g.x(), g.number(0, top, 1), g.number(0, top, 1));
                let bits = BitField::new(immr as u32, imms as u32, s).expect("in range");
                case(format!("{name} {}, {}, #{immr}, #{imms}", r(s, d), r(s, n)), |b| put(b, d, n, bits))
            });
        }
    }
    let shifts: [(&str, fn(&mut Buf, X, X, Shift6)); 4] =
        [("lsl", a64::lsl_imm), ("lsr", a64::lsr_imm), ("asr", a64::asr_imm), ("ror", a64::ror_imm)];
    for (name, put) in shifts {
        push(list, name, move |g| {
            let (d, n, (by, s, amount)) = (g.x(), g.x(), g.shift6());
            case(format!("{name} {}, {}, #{amount}", r(s, d), r(s, n)), |b| put(b, d, n, by))
        });
    }
    push(list, "extr", |g| {
        let (d, n, m, (lsb, s, amount)) = (g.x(), g.x(), g.x(), g.shift6());
        let text = format!("extr {}, {}, {}, #{amount}", r(s, d), r(s, n), r(s, m));
        case(text, |b| a64::extr(b, d, n, m, lsb))
    });
    let signed: [(&str, fn(&mut Buf, Size, X, X)); 2] = [("sxtb", a64::sxtb), ("sxth", a64::sxth)];
    for (name, put) in signed {
        push(list, name, move |g| {
            let (s, d, n) = (g.size(), g.x(), g.x());
            case(format!("{name} {}, {}", r(s, d), r(Size::W, n)), |b| put(b, s, d, n))
        });
    }
    let narrow: [(&str, Size, fn(&mut Buf, X, X)); 3] =
        [("sxtw", Size::X, a64::sxtw), ("uxtb", Size::W, a64::uxtb), ("uxth", Size::W, a64::uxth)];
    for (name, s, put) in narrow {
        push(list, name, move |g| {
            let (d, n) = (g.x(), g.x());
            case(format!("{name} {}, {}", r(s, d), r(Size::W, n)), |b| put(b, d, n))
        });
    }
    let multiply: [(&str, fn(&mut Buf, Size, X, X, X, X)); 2] = [("madd", a64::madd), ("msub", a64::msub)];
    for (name, put) in multiply {
        push(list, name, move |g| {
            let (s, d, n, m, a) = (g.size(), g.x(), g.x(), g.x(), g.x());
            let text = format!("{name} {}, {}, {}, {}", r(s, d), r(s, n), r(s, m), r(s, a));
            case(text, |b| put(b, s, d, n, m, a))
        });
    }
    let high: [(&str, fn(&mut Buf, X, X, X)); 2] = [("smulh", a64::smulh), ("umulh", a64::umulh)];
    for (name, put) in high {
        push(list, name, move |g| {
            let (d, n, m) = (g.x(), g.x(), g.x());
            let text = format!("{name} {}, {}, {}", r(Size::X, d), r(Size::X, n), r(Size::X, m));
            case(text, |b| put(b, d, n, m))
        });
    }
    let select: [(&str, fn(&mut Buf, Size, X, X, X, Cond)); 4] =
        [("csel", a64::csel), ("csinc", a64::csinc), ("csinv", a64::csinv), ("csneg", a64::csneg)];
    for (name, put) in select {
        push(list, name, move |g| {
            let (s, d, n, m, c) = (g.size(), g.x(), g.x(), g.x(), g.cond());
            let text = format!("{name} {}, {}, {}, {}", r(s, d), r(s, n), r(s, m), lower(c));
            case(text, |b| put(b, s, d, n, m, c))
        });
    }
    let set: [(&str, fn(&mut Buf, Size, X, Cond)); 2] = [("cset", a64::cset), ("csetm", a64::csetm)];
    for (name, put) in set {
        push(list, name, move |g| {
            let (s, d, c) = (g.size(), g.x(), g.cond());
            case(format!("{name} {}, {}", r(s, d), lower(c)), |b| put(b, s, d, c))
        });
    }
    push(list, "ccmp", |g| {
        let (s, n, m, flags, c) = (g.size(), g.x(), g.x(), g.number(0, 15, 1), g.cond());
        let nzcv = Nzcv::new(flags as u32).expect("in range");
        let text = format!("ccmp {}, {}, #{flags}, {}", r(s, n), r(s, m), lower(c));
        case(text, |b| a64::ccmp(b, s, n, m, nzcv, c))
    });
    push(list, "ccmp imm", |g| {
        let (s, n, value, flags, c) = (g.size(), g.x(), g.number(0, 31, 1), g.number(0, 15, 1), g.cond());
        let (imm, nzcv) = (Imm5::new(value as u64).expect("in range"), Nzcv::new(flags as u32).expect("in range"));
        let text = format!("ccmp {}, #{value}, #{flags}, {}", r(s, n), lower(c));
        case(text, |b| a64::ccmp_imm(b, s, n, imm, nzcv, c))
    });
}

fn access<const SCALE: u32>(
    list: &mut Vec<(String, Build)>,
    name: &'static str,
    s: Size,
    put: fn(&mut Buf, X, Mem<SCALE>),
) {
    for form in 0..5 {
        push(list, name, move |g| {
            let (t, to) = (g.x(), g.mem::<SCALE>(form));
            let text = (!to.clashes(t)).then(|| format!("{} {}, {}", to.mnemonic(name), r(s, t), to.text));
            Case { text, word: emit(|b| put(b, t, to.mem)) }
        });
    }
}

fn access_fp<const SCALE: u32>(
    list: &mut Vec<(String, Build)>,
    name: &'static str,
    letter: &'static str,
    put: fn(&mut Buf, D, Mem<SCALE>),
) {
    for form in 0..5 {
        push(list, name, move |g| {
            let (t, to) = (g.d(), g.mem::<SCALE>(form));
            case(format!("{} {}, {}", to.mnemonic(name), v(letter, t), to.text), |b| put(b, t, to.mem))
        });
    }
}

type Pair<const SCALE: u32> = fn(&mut Buf, X, X, PairMem<SCALE>);
type PairFp<const SCALE: u32> = fn(&mut Buf, D, D, PairMem<SCALE>);

fn pair<const SCALE: u32>(list: &mut Vec<(String, Build)>, s: Size, store: Pair<SCALE>, load: Pair<SCALE>) {
    for (name, put) in [("stp", store), ("ldp", load)] {
        push(list, name, move |g| {
            let (t, u, to) = (g.x(), g.x(), g.pair_mem::<SCALE>());
            let refused = to.clashes(t) || to.clashes(u) || name == "ldp" && t == u;
            let text = (!refused).then(|| format!("{name} {}, {}, {}", r(s, t), r(s, u), to.text));
            Case { text, word: emit(|b| put(b, t, u, to.mem)) }
        });
    }
}

fn pair_fp<const SCALE: u32>(
    list: &mut Vec<(String, Build)>,
    letter: &'static str,
    store: PairFp<SCALE>,
    load: PairFp<SCALE>,
) {
    for (name, put) in [("stp", store), ("ldp", load)] {
        push(list, name, move |g| {
            let (t, u, to) = (g.d(), g.d(), g.pair_mem::<SCALE>());
            let refused = name == "ldp" && t == u;
            let text = (!refused).then(|| format!("{name} {}, {}, {}", v(letter, t), v(letter, u), to.text));
            Case { text, word: emit(|b| put(b, t, u, to.mem)) }
        });
    }
}

fn memory(list: &mut Vec<(String, Build)>) {
    access(list, "str", Size::X, a64::str_x);
    access(list, "ldr", Size::X, a64::ldr_x);
    access(list, "str", Size::W, a64::str_w);
    access(list, "ldr", Size::W, a64::ldr_w);
    access(list, "ldrsw", Size::X, a64::ldrsw);
    access(list, "strh", Size::W, a64::strh);
    access(list, "ldrh", Size::W, a64::ldrh);
    access(list, "strb", Size::W, a64::strb);
    access(list, "ldrb", Size::W, a64::ldrb);
    access::<1>(list, "ldrsh", Size::W, |b, t, to| a64::ldrsh(b, Size::W, t, to));
    access::<1>(list, "ldrsh", Size::X, |b, t, to| a64::ldrsh(b, Size::X, t, to));
    access::<0>(list, "ldrsb", Size::W, |b, t, to| a64::ldrsb(b, Size::W, t, to));
    access::<0>(list, "ldrsb", Size::X, |b, t, to| a64::ldrsb(b, Size::X, t, to));
    access_fp(list, "str", "d", a64::str_d);
    access_fp(list, "ldr", "d", a64::ldr_d);
    access_fp(list, "str", "q", a64::str_q);
    access_fp(list, "ldr", "q", a64::ldr_q);
    pair(list, Size::W, a64::stp_w, a64::ldp_w);
    pair(list, Size::X, a64::stp_x, a64::ldp_x);
    pair_fp(list, "d", a64::stp_d, a64::ldp_d);
    pair_fp(list, "q", a64::stp_q, a64::ldp_q);
}

/// A draw of a distance forward, within the reach of a signed field of `bits` bits, and a label bound there. Distances
/// backward, and `b` and `bl`, are in `labels`.
fn ahead(g: &mut Draw, bits: u32, step: i64) -> (Label, i64) {
    let distance = g.number(0, ((1 << (bits - 1)) - 1) * step, step);
    (Label::bound_at(distance as usize), distance)
}

fn control(list: &mut Vec<(String, Build)>) {
    let far: [(&str, fn(&mut Buf, BranchOffset), fn(BranchOffset) -> u32); 2] =
        [("b", a64::b_by, a64::b_word), ("bl", a64::bl_by, a64::bl_word)];
    for (name, put, word) in far {
        push(list, name, move |g| {
            let bytes = g.number(-(1 << 27), (1 << 27) - 4, 4);
            let offset = BranchOffset::new(bytes).expect("in range");
            let case = case(format!("{name} #{bytes}"), |b| put(b, offset));
            assert!(
                case.word.is_err() || case.word == Ok(word(offset)),
                "the word of a site is that of the instruction"
            );
            case
        });
    }
    push(list, "b.cond", |g| {
        let (c, (mut label, distance)) = (g.cond(), ahead(g, 19, 4));
        case(format!("b.{} #{distance}", lower(c)), |b| a64::b_cond(b, c, &mut label))
    });
    let zero: [(&str, fn(&mut Buf, Size, X, &mut Label)); 2] = [("cbz", a64::cbz), ("cbnz", a64::cbnz)];
    for (name, put) in zero {
        push(list, name, move |g| {
            let (s, t, (mut label, distance)) = (g.size(), g.x(), ahead(g, 19, 4));
            case(format!("{name} {}, #{distance}", r(s, t)), |b| put(b, s, t, &mut label))
        });
    }
    let bit: [(&str, fn(&mut Buf, X, Shift6, &mut Label)); 2] = [("tbz", a64::tbz), ("tbnz", a64::tbnz)];
    for (name, put) in bit {
        push(list, name, move |g| {
            let (t, (bit, _, n), (mut label, distance)) = (g.x(), g.shift6(), ahead(g, 14, 4));
            let t_text = r(if n < 32 { Size::W } else { Size::X }, t);
            case(format!("{name} {t_text}, #{n}, #{distance}"), |b| put(b, t, bit, &mut label))
        });
    }
    push(list, "ldr literal", |g| {
        let (t, (mut label, distance)) = (g.x(), ahead(g, 19, 4));
        case(format!("ldr {}, #{distance}", r(Size::X, t)), |b| a64::ldr_literal_x(b, t, &mut label))
    });
    push(list, "ldr literal", |g| {
        let (t, (mut label, distance)) = (g.d(), ahead(g, 19, 4));
        case(format!("ldr {}, #{distance}", lower(t)), |b| a64::ldr_literal_d(b, t, &mut label))
    });
    push(list, "adr", |g| {
        let (d, (mut label, distance)) = (g.x(), ahead(g, 21, 1));
        case(format!("adr {}, #{distance}", r(Size::X, d)), |b| a64::adr(b, d, &mut label))
    });
    push(list, "adr by", |g| {
        let (d, bytes) = (g.x(), g.number(-(1 << 20), (1 << 20) - 1, 1));
        let offset = AdrOffset::new(bytes).expect("in range");
        case(format!("adr {}, #{bytes}", r(Size::X, d)), |b| a64::adr_by(b, d, offset))
    });
    push(list, "adrp by", |g| {
        let (d, bytes) = (g.x(), g.number(-(1 << 32), (1 << 32) - 4096, 4096));
        let offset = PageOffset::new(bytes).expect("in range");
        case(format!("adrp {}, #{bytes}", r(Size::X, d)), |b| a64::adrp_by(b, d, offset))
    });
    let indirect: [(&str, fn(&mut Buf, X)); 5] =
        [("br", a64::br), ("blr", a64::blr), ("ret", a64::ret), ("dc cvau,", a64::dc_cvau), ("ic ivau,", a64::ic_ivau)];
    for (name, put) in indirect {
        push(list, name, move |g| {
            let n = g.x();
            case(format!("{name} {}", r(Size::X, n)), |b| put(b, n))
        });
    }
    let exceptions: [(&str, fn(&mut Buf, u16)); 2] = [("brk", a64::brk), ("udf", a64::udf)];
    for (name, put) in exceptions {
        push(list, name, move |g| {
            let imm = g.number(0, 0xFFFF, 1);
            case(format!("{name} #{imm}"), |b| put(b, imm as u16))
        });
    }
    let plain: [(&str, fn(&mut Buf)); 6] = [
        ("nop", a64::nop),
        ("yield", a64::yield_),
        ("bti c", a64::bti_c),
        ("bti j", a64::bti_j),
        ("bti jc", a64::bti_jc),
        ("isb", a64::isb),
    ];
    for (name, put) in plain {
        push(list, name, move |_| case(name.into(), put));
    }
    let barriers: [(&str, fn(&mut Buf, Barrier)); 2] = [("dsb", a64::dsb), ("dmb", a64::dmb)];
    for (name, put) in barriers {
        push(list, name, move |g| {
            use Barrier::*;
            let option = g.pick(&[Oshld, Oshst, Osh, Nshld, Nshst, Nsh, Ishld, Ishst, Ish, Ld, St, Sy]);
            case(format!("{name} {}", lower(option)), |b| put(b, option))
        });
    }
    let system = [SysReg::Nzcv, SysReg::Fpcr, SysReg::Fpsr];
    push(list, "mrs", move |g| {
        let (t, reg) = (g.x(), g.pick(&system));
        case(format!("mrs {}, {}", r(Size::X, t), lower(reg)), |b| a64::mrs(b, t, reg))
    });
    push(list, "msr", move |g| {
        let (t, reg) = (g.x(), g.pick(&system));
        case(format!("msr {}, {}", lower(reg), r(Size::X, t)), |b| a64::msr(b, reg, t))
    });
    push(list, "mrs ctr_el0", |g| {
        let t = g.x();
        case(format!("mrs {}, ctr_el0", r(Size::X, t)), |b| a64::mrs_ctr_el0(b, t))
    });
}

fn float(list: &mut Vec<(String, Build)>) {
    type Three = fn(&mut Buf, D, D, D);
    let three: [(&str, Three); 9] = [
        ("fmul", a64::fmul),
        ("fdiv", a64::fdiv),
        ("fadd", a64::fadd),
        ("fsub", a64::fsub),
        ("fmax", a64::fmax),
        ("fmin", a64::fmin),
        ("fmaxnm", a64::fmaxnm),
        ("fminnm", a64::fminnm),
        ("fnmul", a64::fnmul),
    ];
    for (name, put) in three {
        push(list, name, move |g| {
            let (d, n, m) = (g.d(), g.d(), g.d());
            case(format!("{name} {}, {}, {}", lower(d), lower(n), lower(m)), |b| put(b, d, n, m))
        });
    }
    let vector: [(&str, Three); 3] = [("bsl", a64::bsl_8b), ("bit", a64::bit_8b), ("bif", a64::bif_8b)];
    for (name, put) in vector {
        push(list, name, move |g| {
            let (d, n, m) = (g.d(), g.d(), g.d());
            let text = format!("{name} {}.8b, {}.8b, {}.8b", v("v", d), v("v", n), v("v", m));
            case(text, |b| put(b, d, n, m))
        });
    }
    let two: [(&str, fn(&mut Buf, D, D)); 8] = [
        ("fmov", a64::fmov),
        ("fabs", a64::fabs),
        ("fneg", a64::fneg),
        ("fsqrt", a64::fsqrt),
        ("frintn", a64::frintn),
        ("frintp", a64::frintp),
        ("frintm", a64::frintm),
        ("frintz", a64::frintz),
    ];
    for (name, put) in two {
        push(list, name, move |g| {
            let (d, n) = (g.d(), g.d());
            case(format!("{name} {}, {}", lower(d), lower(n)), |b| put(b, d, n))
        });
    }
    push(list, "cnt", |g| {
        let (d, n) = (g.d(), g.d());
        case(format!("cnt {}.8b, {}.8b", v("v", d), v("v", n)), |b| a64::cnt_8b(b, d, n))
    });
    push(list, "addv", |g| {
        let (d, n) = (g.d(), g.d());
        case(format!("addv {}, {}.8b", v("b", d), v("v", n)), |b| a64::addv_8b(b, d, n))
    });
    let fused: [(&str, fn(&mut Buf, D, D, D, D)); 4] =
        [("fmadd", a64::fmadd), ("fmsub", a64::fmsub), ("fnmadd", a64::fnmadd), ("fnmsub", a64::fnmsub)];
    for (name, put) in fused {
        push(list, name, move |g| {
            let (d, n, m, a) = (g.d(), g.d(), g.d(), g.d());
            let text = format!("{name} {}, {}, {}, {}", lower(d), lower(n), lower(m), lower(a));
            case(text, |b| put(b, d, n, m, a))
        });
    }
    type Compare = (fn(&mut Buf, D, D), fn(&mut Buf, D));
    let compare: [(&str, Compare); 2] =
        [("fcmp", (a64::fcmp, a64::fcmp_zero)), ("fcmpe", (a64::fcmpe, a64::fcmpe_zero))];
    for (name, (put, zero)) in compare {
        push(list, name, move |g| {
            let (n, m) = (g.d(), g.d());
            case(format!("{name} {}, {}", lower(n), lower(m)), |b| put(b, n, m))
        });
        push(list, name, move |g| {
            let n = g.d();
            case(format!("{name} {}, #0.0", lower(n)), |b| zero(b, n))
        });
    }
    push(list, "fcsel", |g| {
        let (d, n, m, c) = (g.d(), g.d(), g.d(), g.cond());
        let text = format!("fcsel {}, {}, {}, {}", lower(d), lower(n), lower(m), lower(c));
        case(text, |b| a64::fcsel(b, d, n, m, c))
    });
    let to_int: [(&str, fn(&mut Buf, Size, X, D)); 2] = [("fcvtzs", a64::fcvtzs), ("fcvtzu", a64::fcvtzu)];
    for (name, put) in to_int {
        push(list, name, move |g| {
            let (s, d, n) = (g.size(), g.x(), g.d());
            case(format!("{name} {}, {}", r(s, d), lower(n)), |b| put(b, s, d, n))
        });
    }
    let from_int: [(&str, fn(&mut Buf, Size, D, X)); 2] = [("scvtf", a64::scvtf), ("ucvtf", a64::ucvtf)];
    for (name, put) in from_int {
        push(list, name, move |g| {
            let (s, d, n) = (g.size(), g.d(), g.x());
            case(format!("{name} {}, {}", lower(d), r(s, n)), |b| put(b, s, d, n))
        });
    }
    push(list, "fmov to x", |g| {
        let (d, n) = (g.x(), g.d());
        case(format!("fmov {}, {}", r(Size::X, d), lower(n)), |b| a64::fmov_to_x(b, d, n))
    });
    push(list, "fmov from x", |g| {
        let (d, n) = (g.d(), g.x());
        case(format!("fmov {}, {}", lower(d), r(Size::X, n)), |b| a64::fmov_from_x(b, d, n))
    });
    push(list, "fmov imm", |g| {
        let (d, value) = (g.d(), g.pick(&[1.0_f64, -31.0, 0.125]));
        let imm = FpImm8::new(value.to_bits()).expect("representable");
        case(format!("fmov {}, #{value:?}", lower(d)), |b| a64::fmov_imm(b, d, imm))
    });
    push(list, "movi zero", |g| {
        let d = g.d();
        case(format!("movi {}, #0", lower(d)), |b| a64::movi_zero(b, d))
    });
}

fn push(list: &mut Vec<(String, Build)>, name: &str, build: impl Fn(&mut Draw) -> Case + 'static) {
    list.push((name.to_owned(), Box::new(build)));
}

/// Every instruction of the encoder.
pub fn all() -> Vec<(String, Build)> {
    let mut list = Vec::new();
    add_sub(&mut list);
    logical(&mut list);
    integer(&mut list);
    memory(&mut list);
    control(&mut list);
    float(&mut list);
    list
}
