//! Translation table descriptors: stage 1, granule of 4 KiB (Arm ARM DDI 0487, D8.3.1, "VMSAv8-64 descriptor formats").

/// What a page is for. None can be both written and executed, and none is accessible at EL0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read and executed.
    Code,
    /// Read.
    Constant,
    /// Read and written.
    Data,
    /// Registers of a device: read and written, in program order.
    Device,
}

/// Index in MAIR_EL1 of memory that is cached, write-back, read- and write-allocate.
pub const NORMAL_INDEX: u64 = 0;
/// Index in MAIR_EL1 of Device-nGnRE.
pub const DEVICE_INDEX: u64 = 1;

const VALID: u64 = 1;
/// Bit 1: a table in levels 0 to 2, a page in level 3; a block has it clear.
const TABLE_OR_PAGE: u64 = 1 << 1;
const ATTR_INDEX: u32 = 2;
/// AP\[2\]: not writable.
const READ_ONLY: u64 = 1 << 7;
/// SH: inner shareable.
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AF: clear, the first access would fault.
const ACCESSED: u64 = 1 << 10;
/// PXN: EL1 does not execute.
const NO_EXECUTE_EL1: u64 = 1 << 53;
/// UXN: EL0 does not execute.
const NO_EXECUTE_EL0: u64 = 1 << 54;
/// Bits 47 to 12: the address of the next table or of the memory.
const ADDRESS: u64 = 0x0000_FFFF_FFFF_F000;

/// What a descriptor of the given level says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing is mapped.
    Invalid,
    /// The physical address of the table of the next level.
    Table(u64),
    /// Memory at this physical address.
    Memory {
        /// Where.
        address: u64,
        /// Whether EL1 may write.
        writable: bool,
        /// Whether EL1 may execute.
        executable: bool,
    },
}

/// A descriptor of a table at `address`, a multiple of 4096.
pub const fn table(address: u64) -> u64 {
    address & ADDRESS | TABLE_OR_PAGE | VALID
}

/// The bits beside the address of a descriptor of memory: a page of level 3, or a block of level 1 or 2.
pub const fn attributes(kind: Kind, page: bool) -> u64 {
    let common = VALID | ACCESSED | NO_EXECUTE_EL0 | if page { TABLE_OR_PAGE } else { 0 };
    let normal = common | INNER_SHAREABLE | NORMAL_INDEX << ATTR_INDEX;
    match kind {
        Kind::Code => normal | READ_ONLY,
        Kind::Constant => normal | READ_ONLY | NO_EXECUTE_EL1,
        Kind::Data => normal | NO_EXECUTE_EL1,
        Kind::Device => common | DEVICE_INDEX << ATTR_INDEX | NO_EXECUTE_EL1,
    }
}

/// A descriptor of memory at `address`, a multiple of what it maps.
pub const fn memory(address: u64, kind: Kind, page: bool) -> u64 {
    address & ADDRESS | attributes(kind, page)
}

/// What a descriptor says; `level` is 1, 2 or 3.
pub const fn meaning(descriptor: u64, level: u32) -> Meaning {
    let address = descriptor & ADDRESS;
    match (descriptor & VALID != 0, descriptor & TABLE_OR_PAGE != 0, level) {
        // A level 3 descriptor with bit 1 clear is reserved and treated as invalid.
        (false, ..) | (true, false, 3..) => Meaning::Invalid,
        (true, true, 0..=2) => Meaning::Table(address),
        (true, ..) => Meaning::Memory {
            address,
            writable: descriptor & READ_ONLY == 0,
            executable: descriptor & NO_EXECUTE_EL1 == 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each put together from the figures of D8.3.1 by hand: bits 63 to 52, the address, bits 11 to 0.
    #[test]
    fn descriptors_are_those_of_the_manual() {
        // UXN | PXN 0; AF 1, SH 11, AP 10, AttrIndx 000, page 11: 0111 1000 0011.
        assert_eq!(memory(0x4020_0000, Kind::Code, true), 0x0040_0000_4020_0783);
        // UXN and PXN.
        assert_eq!(memory(0x4020_1000, Kind::Constant, true), 0x0060_0000_4020_1783);
        // AP 00: 0111 0000 0011.
        assert_eq!(memory(0x4020_2000, Kind::Data, true), 0x0060_0000_4020_2703);
        // A block: bit 1 clear.
        assert_eq!(memory(0xFFFF_C000_0000, Kind::Data, false), 0x0060_FFFF_C000_0701);
        // SH 00, AttrIndx 001: 0100 0000 0111.
        assert_eq!(memory(0x0900_0000, Kind::Device, true), 0x0060_0000_0900_0407);
        assert_eq!(table(0x4100_3000), 0x4100_3003);
    }

    #[test]
    fn meanings_by_level() {
        assert_eq!(meaning(0, 1), Meaning::Invalid);
        assert_eq!(meaning(0x4100_3002, 2), Meaning::Invalid, "the valid bit alone decides");
        assert_eq!(meaning(0x4100_3003, 2), Meaning::Table(0x4100_3000));
        let page = Meaning::Memory { address: 0x4100_3000, writable: true, executable: true };
        assert_eq!(meaning(0x4100_3003, 3), page);
        assert_eq!(meaning(0x4100_3001, 3), Meaning::Invalid, "reserved in level 3");
        let block = Meaning::Memory { address: 0x4000_0000, writable: false, executable: false };
        assert_eq!(meaning(0x0060_0000_4000_0781, 1), block);
        let code = Meaning::Memory { address: 0x4020_0000, writable: false, executable: true };
        assert_eq!(meaning(0x0040_0000_4020_0783, 3), code);
    }

    #[test]
    fn no_kind_is_written_and_executed() {
        for kind in [Kind::Code, Kind::Constant, Kind::Data, Kind::Device] {
            for (page, level) in [(true, 3), (false, 2), (false, 1)] {
                let Meaning::Memory { address, writable, executable } = meaning(memory(GIB, kind, page), level) else {
                    panic!("{kind:?} in level {level} is no memory")
                };
                assert_eq!(address, GIB);
                assert_eq!((writable, executable), (matches!(kind, Kind::Data | Kind::Device), kind == Kind::Code));
            }
        }
    }

    const GIB: u64 = 1 << 30;
}
