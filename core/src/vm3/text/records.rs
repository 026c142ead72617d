//! The records of the container as they grow: types, signatures, strings and constants, each stored once.

use super::assemble::{Assembler, MAX_TYPE_PARTS, Result, float_bits};
use super::error::ErrorKind;
use super::lexer::Tok;
use super::literal::{Literal, StrLit};
use super::symbols::Kind;
use super::tables::{Full, Hash};
use crate::vm3::container::{CellConst, Section, Sig, Str};
use crate::vm3::types::{Composite, TypeId};

impl<'a> Assembler<'a, '_> {
    /// Parameter types and the result, behind the opening parenthesis.
    pub fn sig_rest(&mut self, depth: u32) -> Result<'a, u32> {
        let start = self.open_params.len();
        if self.cursor.peek().tok != Tok::Punct(')') {
            loop {
                let ty = self.parse_type(depth)?;
                self.open_params.push(ty.0.into())?;
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.punct(')', "`,` or `)` behind the type")?;
        self.sig_end(start, depth)
    }

    /// The result, and the signature whose parameters are the open ones from `start` on.
    pub fn sig_end(&mut self, start: usize, depth: u32) -> Result<'a, u32> {
        let token = self.cursor.peek();
        let result = if self.cursor.take_if(Tok::Arrow) { self.parse_type(depth)? } else { TypeId::NONE };
        let count = self.open_params.len() - start;
        if count > usize::from(u16::MAX) {
            let limit = usize::from(u16::MAX);
            return Err(self.error(token, ErrorKind::TooMany { what: "parameters", limit }));
        }
        let params = self.open_params.as_slice().get(start..).unwrap_or(&[]);
        let hash = params.iter().fold(Hash::new(1).number(result.0.into()), |hash, &ty| hash.number(ty)).finish();
        let (sigs, lists) = (&self.sigs, &self.lists);
        let found = self.sig_index.find(hash, |place| {
            let Some(sig) = sigs.get(place).map(Sig::decode) else { return false };
            sig.result == result
                && usize::from(sig.count) == count
                && (sig.params as usize..).zip(params).all(|(at, &ty)| lists.get(at) == Some(ty as u16))
        });
        let sig = match found {
            Ok(place) => place,
            Err(vacant) => {
                let first = self.lists.len() as u32;
                for &ty in params {
                    self.lists.push(ty as u16)?;
                }
                let [word] = Sig { params: first, count: count as u16, result }.encode();
                let place = self.sigs.push(word)?;
                self.sig_index.insert(vacant, place)?;
                place
            }
        };
        self.open_params.truncate(start);
        Ok(sig as u32)
    }

    /// A type. `depth` function types are around it.
    pub fn parse_type(&mut self, depth: u32) -> Result<'a, TypeId> {
        const EXPECTED: &str =
            "a type: i64, f64, any, str, arr.i64, arr.f64, arr.u8, list, imap, map, `obj NAME` or `fn(...)`";
        let token = self.cursor.peek();
        self.type_parts = if depth == 0 { 1 } else { self.type_parts.saturating_add(1) };
        if self.type_parts > MAX_TYPE_PARTS {
            let limit = MAX_TYPE_PARTS as usize;
            return Err(self.error(token, ErrorKind::TooMany { what: "types in one type", limit }));
        }
        let Tok::Name(name) = token.tok else { return self.expected(EXPECTED) };
        if let Some(number) = TypeId::SIMPLE.iter().position(|&simple| simple == name) {
            self.cursor.take();
            return Ok(TypeId(number as u16));
        }
        let composite = match name {
            "obj" => {
                self.cursor.take();
                let (name, token) = self.name("the name of a shape")?;
                let Some(shape) = self.lookup(Kind::Shape, 0, name) else {
                    let hint = "the name of a declared shape";
                    return Err(self.undefined(Kind::Shape, 0, name, token.at, hint));
                };
                Composite::Obj(shape.index)
            }
            "fn" => {
                if depth >= u32::from(Composite::DEPTH) {
                    return Err(self.error(token, ErrorKind::TooDeep { limit: Composite::DEPTH.into() }));
                }
                self.cursor.take();
                self.punct('(', "`(` and the types of the function's parameters")?;
                let sig = self.sig_rest(depth + 1)?;
                if self.sig(sig).count > Composite::PARAMS {
                    let limit = Composite::PARAMS.into();
                    return Err(self.error(token, ErrorKind::TooMany { what: "parameters of a function type", limit }));
                }
                Composite::Fn(sig)
            }
            _ => return self.expected(EXPECTED),
        };
        let [word] = composite.encode();
        let types = &self.types;
        let hash = Hash::new(2).number(word).finish();
        let number = match self.type_index.find(hash, |place| types.get(place) == Some(word)) {
            Ok(place) => place,
            Err(vacant) => {
                let limit = Section::Types.limit() as usize;
                if self.types.len() >= limit {
                    return Err(self.error(token, ErrorKind::TooMany { what: "different obj and fn types", limit }));
                }
                let place = self.types.push(word)?;
                self.type_index.insert(vacant, place)?;
                place
            }
        };
        Ok(TypeId(TypeId::FIRST_COMPOSITE.0 + number as u16))
    }

    /// A string's index.
    pub fn string(&mut self, content: impl Iterator<Item = u8> + Clone) -> core::result::Result<u32, Full> {
        let hash = Hash::new(3).bytes(content.clone()).finish();
        let (strings, bytes) = (&self.strings, &self.bytes);
        let found = self.string_index.find(hash, |place| {
            let (start, len) = strings.get(place).map_or((0, 0), |word| (word as u32 as usize, (word >> 32) as usize));
            let held = (start..start + len).map(|at| bytes.get(at).unwrap_or(0) as u8);
            held.eq(content.clone())
        });
        let place = match found {
            Ok(place) => place,
            Err(vacant) => {
                let start = self.bytes.len();
                for byte in content {
                    self.bytes.push(byte.into())?;
                }
                let [word] = Str { start: start as u32, len: (self.bytes.len() - start) as u32 }.encode();
                let place = self.strings.push(word)?;
                self.string_index.insert(vacant, place)?;
                place
            }
        };
        Ok(place as u32)
    }

    pub fn literal_string(&mut self, text: StrLit<'a>) -> core::result::Result<u32, Full> {
        self.string(text.bytes())
    }

    /// The index of a 64-bit constant.
    pub fn constant(&mut self, bits: u64) -> core::result::Result<u32, Full> {
        let consts = &self.consts;
        let place =
            match self.const_index.find(Hash::new(4).number(bits).finish(), |place| consts.get(place) == Some(bits)) {
                Ok(place) => place,
                Err(vacant) => {
                    let place = self.consts.push(bits)?;
                    self.const_index.insert(vacant, place)?;
                    place
                }
            };
        Ok(place as u32)
    }

    /// The index of a cell constant; of null, which has none, that of `false`.
    pub fn cell_constant(&mut self, literal: Literal<'a>) -> core::result::Result<u32, Full> {
        let record = match literal {
            Literal::Int(value) => CellConst::Int(self.constant(value as u64)?),
            Literal::Float(value) => CellConst::Float(self.constant(float_bits(value))?),
            Literal::Bool(value) => CellConst::Bool(value),
            Literal::Null => CellConst::Bool(false),
            Literal::Str(text) => CellConst::Str(self.literal_string(text)?),
        };
        let [word] = record.encode();
        let held = &self.cell_consts;
        let place =
            match self.cell_const_index.find(Hash::new(5).number(word).finish(), |place| held.get(place) == Some(word))
            {
                Ok(place) => place,
                Err(vacant) => {
                    let place = self.cell_consts.push(word)?;
                    self.cell_const_index.insert(vacant, place)?;
                    place
                }
            };
        Ok(place as u32)
    }

    /// A signature.
    pub fn sig(&self, index: u32) -> Sig {
        let none = Sig { params: 0, count: 0, result: TypeId::NONE };
        self.sigs.get(index as usize).map_or(none, Sig::decode)
    }

    /// What a composite type describes.
    pub fn composite(&self, ty: TypeId) -> Option<Composite> {
        self.types.get(ty.composite()?).and_then(Composite::decode)
    }

    /// The type of parameter `number` of a signature.
    pub fn param(&self, sig: &Sig, number: usize) -> TypeId {
        self.lists.get(sig.params as usize + number).map_or(TypeId::NONE, TypeId)
    }
}
