//! Objects of declared shapes: their fields by number, and by name.

use super::{Heap, Kind, Roots, is_cell};
use crate::runtime::cell::{Cell, Content};
use crate::runtime::trap::TrapKind;
use crate::vm3::container::Container;
use crate::vm3::types::TypeId;

/// A field of an object, as a search by name finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    /// Its number in the shape.
    pub field: u32,
    /// Its type.
    pub ty: TypeId,
}

impl Heap {
    /// An object with all fields zero or null.
    pub fn object_new(
        &mut self,
        shape: u32,
        container: &Container<'_>,
        roots: &mut dyn Roots,
    ) -> Result<Cell, TrapKind> {
        let record = container.shape(shape).ok_or(TrapKind::TypeMismatch)?;
        let cell = self.allocate(Kind::Obj, shape, record.count as usize, roots)?;
        let fields = (0..record.count).map(|field| container.field(record.fields.wrapping_add(field)));
        for (place, field) in self.payload_mut(cell, Kind::Obj).unwrap_or(&mut []).iter_mut().zip(fields) {
            if field.is_some_and(|field| is_cell(field.ty)) {
                *place = Cell::NULL.bits();
            }
        }
        Ok(cell)
    }

    /// Field `field`.
    #[cfg_attr(not(small), inline(always))]
    pub fn field(&self, cell: Cell, field: u32) -> Result<u64, TrapKind> {
        let fields = self.payload(cell, Kind::Obj).ok_or(TrapKind::NullReference)?;
        fields.get(field as usize).copied().ok_or(TrapKind::TypeMismatch)
    }

    /// Writes field `field`.
    #[cfg_attr(not(small), inline(always))]
    pub fn set_field(&mut self, cell: Cell, field: u32, value: u64) -> Result<(), TrapKind> {
        let fields = self.payload_mut(cell, Kind::Obj).ok_or(TrapKind::NullReference)?;
        *fields.get_mut(field as usize).ok_or(TrapKind::TypeMismatch)? = value;
        Ok(())
    }

    /// The shape of an object, if the cell is one; null is `null_reference`, everything else `type_mismatch`.
    pub fn shape_of(&self, cell: Cell) -> Result<u32, TrapKind> {
        if cell == Cell::NULL {
            return Err(TrapKind::NullReference);
        }
        self.record(cell, Kind::Obj).map(|record| record.len).ok_or(TrapKind::TypeMismatch)
    }

    /// The value of a field of any type as a cell. The object need not be a root.
    pub fn property(&mut self, cell: Cell, property: Property, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        let bits = self.field(cell, property.field)?;
        match property.ty {
            TypeId::I64 => Ok(self.int(bits as i64, roots)?),
            TypeId::F64 => Ok(Cell::float(f64::from_bits(bits))),
            _ => Ok(Cell::from_slot(bits)),
        }
    }

    /// Writes a cell to a field of any type, if it fits.
    pub fn set_property(
        &mut self,
        cell: Cell,
        property: Property,
        value: Cell,
        container: &Container<'_>,
    ) -> Result<(), TrapKind> {
        let bits = match property.ty {
            TypeId::I64 => self.int_of(value).ok_or(TrapKind::TypeMismatch)? as u64,
            TypeId::F64 => match value.content() {
                Some(Content::Float(value)) => value.to_bits(),
                _ => return Err(TrapKind::TypeMismatch),
            },
            ty if self.is_a(value, ty, container) => value.bits(),
            _ => return Err(TrapKind::TypeMismatch),
        };
        self.set_field(cell, property.field, bits)
    }

    /// The value of an int, boxed or not.
    pub fn int_of(&self, cell: Cell) -> Option<i64> {
        match cell.content() {
            Some(Content::Int(value)) => Some(value),
            Some(_) => None,
            None => self.record(cell, Kind::Int).map(|record| record.word as i64),
        }
    }
}

/// The field of a shape with the name that is string `name`.
pub(crate) fn property_of(container: &Container<'_>, shape: u32, name: u32) -> Result<Property, TrapKind> {
    let shape = container.shape(shape).ok_or(TrapKind::TypeMismatch)?;
    let wanted = container.bytes(name);
    for number in 0..shape.count {
        let Some(field) = container.field(shape.fields.wrapping_add(number)) else { break };
        if field.name == name || container.bytes(field.name) == wanted {
            return Ok(Property { field: number, ty: field.ty });
        }
    }
    Err(TrapKind::TypeMismatch)
}
