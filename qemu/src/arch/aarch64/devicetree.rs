//! What the kernel takes from the device tree (Devicetree Specification 0.4; the bindings of Linux for the timer, the
//! interrupt controller and PSCI).

use crate::arch::MAX_CORES;
use core::fmt;
use core::ops::Range;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// How firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// By `hvc`.
    Hvc,
    /// By `smc`.
    Smc,
}

/// The registers of a GICv2: physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gic {
    /// The distributor.
    pub distributor: usize,
    /// The interface of the CPU that accesses it.
    pub cpu_interface: usize,
}

/// What the device tree says. Addresses are physical.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The largest region of memory.
    pub memory: Range<usize>,
    /// The initrd; empty if there is none.
    pub initrd: Range<usize>,
    /// The command line, without the zero behind it.
    pub command_line: &'a [u8],
    /// The interrupt controller.
    pub gic: Gic,
    /// The number of the private interrupt (PPI) of the virtual timer.
    pub timer: u32,
    /// How PSCI is called.
    pub psci: Conduit,
    /// MPIDR_EL1's affinity fields of the first cores.
    pub cores: [Option<u64>; MAX_CORES],
}

/// What the device tree lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacks(&'static str);

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the device tree lacks {}", self.0)
    }
}

impl<'a> Found<'a> {
    /// Reads a tree.
    pub fn read(tree: Fdt<'a>) -> Result<Self, Lacks> {
        let root = tree.root();
        let compatible = |name| compatible(tree, name);
        let memory = root
            .children()
            .filter(|node| text(*node, "device_type") == Some("memory"))
            .flat_map(|node| regions(node))
            .max_by_key(|region| region.end - region.start);
        let gic = ["arm,cortex-a15-gic", "arm,gic-400"].into_iter().find_map(compatible).and_then(|node| {
            let mut regions = regions(node);
            Some(Gic { distributor: regions.next()?.start, cpu_interface: regions.next()?.start })
        });
        let psci = ["arm,psci-1.0", "arm,psci-0.2"].into_iter().find_map(compatible).and_then(|node| {
            match text(node, "method") {
                Some("hvc") => Some(Conduit::Hvc),
                Some("smc") => Some(Conduit::Smc),
                _ => None,
            }
        });
        let chosen = root.child("chosen");
        let chosen_value = |name| chosen.and_then(|node| property(node, name));
        let address = |name| chosen_value(name).and_then(number);
        let initrd = match (address("linux,initrd-start"), address("linux,initrd-end")) {
            (Some(start), Some(end)) if start < end => start as usize..end as usize,
            _ => 0..0,
        };
        let command_line = chosen_value("bootargs").unwrap_or_default();
        let mut cores = [None; MAX_CORES];
        let nodes = root.child("cpus").into_iter().flat_map(|cpus| cpus.children());
        let ids = nodes.filter(|node| text(*node, "device_type") == Some("cpu")).filter_map(|node| {
            // One or two cells, with no size: bits 39 to 32 of the register lie in the first of two.
            property(node, "reg").and_then(number)
        });
        for (place, id) in cores.iter_mut().zip(ids) {
            *place = Some(id);
        }
        Ok(Self {
            memory: memory.ok_or(Lacks("memory"))?,
            initrd,
            command_line: command_line.strip_suffix(b"\0").unwrap_or(command_line),
            gic: gic.ok_or(Lacks("an interrupt controller that is compatible with arm,gic-400"))?,
            timer: compatible("arm,armv8-timer")
                .and_then(virtual_timer)
                .ok_or(Lacks("the interrupt of the virtual timer"))?,
            psci: psci.ok_or(Lacks("PSCI 0.2 or later"))?,
            cores,
        })
    }
}

/// The registers of the PL011 that the tree names as the console, or else of the first one.
pub fn console(tree: Fdt<'_>) -> Result<usize, Lacks> {
    const PL011: &str = "arm,pl011";
    // Options may follow the path behind a colon.
    let path = tree.root().child("chosen").and_then(|node| text(node, "stdout-path"));
    let named = path.and_then(|path| tree.find_node(path.split(':').next()?)).filter(|node| node.is_compatible(PL011));
    let registers = named.or_else(|| compatible(tree, PL011)).and_then(|node| regions(node).next());
    Ok(registers.ok_or(Lacks("a serial port that is compatible with arm,pl011"))?.start)
}

/// The ranges of memory that the tree reserves: where the loader, firmware or devices keep something.
pub fn reserved<'a>(tree: Fdt<'a>) -> impl Iterator<Item = Range<usize>> + 'a {
    let reservations =
        tree.memory_reservations().map(|range| range.address() as usize..(range.address() + range.size()) as usize);
    let nodes = tree.root().child("reserved-memory").into_iter().flat_map(|node| node.children());
    reservations.chain(nodes.flat_map(|node| regions(node)))
}

/// The first device that is compatible with what has this name, of those that the kernel may use.
fn compatible<'a>(tree: Fdt<'a>, name: &str) -> Option<FdtNode<'a>> {
    tree.root().children().find(|node| enabled(*node) && node.is_compatible(name))
}

/// Whether a node's device is there for this kernel (Devicetree Specification, 2.3.4, "status").
fn enabled(node: FdtNode<'_>) -> bool {
    text(node, "status").is_none_or(|status| matches!(status, "okay" | "ok"))
}

/// A property's bytes.
fn property<'a>(node: FdtNode<'a>, name: &str) -> Option<&'a [u8]> {
    node.properties().find(|property| property.name() == name)?.value_as().ok()
}

/// A property that is a string.
fn text<'a>(node: FdtNode<'a>, name: &str) -> Option<&'a str> {
    core::str::from_utf8(property(node, name)?.strip_suffix(b"\0")?).ok()
}

/// A number of one or two cells.
fn number(bytes: &[u8]) -> Option<u64> {
    match bytes.len() {
        4 => bytes.first_chunk().map(|&bytes| u32::from_be_bytes(bytes).into()),
        8 => bytes.first_chunk().map(|&bytes| u64::from_be_bytes(bytes)),
        _ => None,
    }
}

/// The regions of a node's `reg` that are not empty.
fn regions<'a>(node: FdtNode<'a>) -> impl Iterator<Item = Range<usize>> + 'a {
    let regions = node.reg().ok().flatten().into_iter().flatten();
    let regions = regions.filter_map(|region| {
        let (start, size) = (region.address::<u64>().ok()? as usize, region.size::<u64>().ok()? as usize);
        Some(start..start.checked_add(size)?)
    });
    regions.filter(|region| !region.is_empty())
}

/// The number of the private interrupt of the virtual timer: the third that the binding lists, each of three cells
/// (kind, number, flags), the kind of private interrupts being 1.
fn virtual_timer(node: FdtNode<'_>) -> Option<u32> {
    let (cells, _) = property(node, "interrupts")?.as_chunks::<4>();
    let cell = |index| cells.get(index).map(|&bytes| u32::from_be_bytes(bytes));
    (cell(6)? == 1).then_some(())?;
    cell(7).filter(|&number| number < 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What QEMU 7.2 gives a kernel on `virt` with two cores, an initrd of 5 bytes and the command line `f 7`.
    const VIRT: &[u8] = include_bytes!("testdata/virt.dtb");
    /// `testdata/other.dts` as `dtc` makes it.
    const OTHER: &[u8] = include_bytes!("testdata/other.dtb");

    #[test]
    fn the_virt_machine() {
        let tree = Fdt::new(VIRT).expect("a tree");
        let mut cores = [None; MAX_CORES];
        (cores[0], cores[1]) = (Some(0), Some(1));
        // The memory map of QEMU's hw/arm/virt.c.
        let found = Found {
            memory: 0x4000_0000..0x5000_0000,
            initrd: 0x4800_0000..0x4800_0005,
            command_line: b"f 7",
            gic: Gic { distributor: 0x0800_0000, cpu_interface: 0x0801_0000 },
            timer: 11,
            psci: Conduit::Hvc,
            cores,
        };
        assert_eq!(Found::read(tree), Ok(found));
        assert_eq!(console(tree), Ok(0x0900_0000));
        assert_eq!(reserved(tree).count(), 0);
    }

    #[test]
    fn another_machine() {
        let tree = Fdt::new(OTHER).expect("a tree");
        let found = Found::read(tree).expect("complete");
        assert_eq!(found.memory, 0x8000_0000..0xC000_0000, "the larger of two");
        assert_eq!((found.initrd, found.command_line), (0..0, &b""[..]), "no chosen node");
        assert_eq!(console(tree), Ok(0x1C09_0000), "the one that is not disabled");
        assert_eq!(found.gic, Gic { distributor: 0x2C00_1000, cpu_interface: 0x2C00_2000 });
        assert_eq!((found.timer, found.psci), (4, Conduit::Smc));
        assert_eq!(found.cores[..3], [Some(0x100), Some(0x1_0000_0002), None]);
        let reserved: [_; 2] = core::array::from_fn(|index| reserved(tree).nth(index).expect("two"));
        assert_eq!(reserved, [0x9000_0000..0x9000_1000, 0xA000_0000..0xA010_0000]);
    }
}
