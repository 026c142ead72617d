//! Finding memory that nothing uses, and dividing it.

use core::ops::Range;

/// Memory that is given away piece by piece and never comes back: what a kernel needs that has no allocator.
#[derive(Debug)]
pub struct Region(&'static mut [u8]);

impl Region {
    /// All of this memory.
    pub fn new(memory: &'static mut [u8]) -> Self {
        Self(memory)
    }

    /// The bytes that are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Bytes that start at a multiple of `align`, which is a power of two.
    ///
    /// # Panics
    ///
    /// If less is left: the kernel was made for more memory.
    pub fn bytes(&mut self, count: usize, align: usize) -> &'static mut [u8] {
        let memory = core::mem::take(&mut self.0);
        let skip = memory.as_ptr().align_offset(align);
        let (left, wanted) = (memory.len(), skip.saturating_add(count));
        assert!(wanted <= left, "{count} bytes of memory are needed, {left} are left");
        let (_, memory) = memory.split_at_mut(skip);
        let (taken, rest) = memory.split_at_mut(count);
        self.0 = rest;
        taken
    }

    /// Values, each as `default` makes it.
    ///
    /// # Panics
    ///
    /// If less memory is left.
    pub fn values<T: Default>(&mut self, count: usize) -> &'static mut [T] {
        let bytes = self.bytes(count.saturating_mul(size_of::<T>()), align_of::<T>());
        let first = bytes.as_mut_ptr().cast::<T>();
        for index in 0..count {
            // SAFETY: the memory is aligned and large enough for `count` values, and nobody else has it.
            unsafe { first.add(index).write(T::default()) };
        }
        // SAFETY: as above, and all values have just been written. The memory is never taken back.
        unsafe { core::slice::from_raw_parts_mut(first, count) }
    }
}

/// The largest piece of the usable memory that overlaps nothing used, from and to a multiple of `align`, which is a power of
/// two. Empty if there is none.
pub fn largest(
    usable: impl Iterator<Item = Range<usize>> + Clone,
    used: &[Range<usize>],
    align: usize,
) -> Range<usize> {
    let mut best = 0..0;
    let mut consider = |start: usize, end: usize| {
        let Some(start) = start.checked_next_multiple_of(align) else { return };
        let end = end & !(align - 1);
        if end > start && end - start > best.len() {
            best = start..end;
        }
    };
    for area in usable {
        // A free piece starts where the area does, or where something used ends.
        let starts = used.iter().filter(|used| !used.is_empty()).map(|used| used.end);
        for start in starts.chain([area.start]) {
            let inside = used.iter().any(|used| used.contains(&start));
            if start < area.start || start >= area.end || inside {
                continue;
            }
            let next = used.iter().filter(|used| !used.is_empty() && used.start >= start).map(|used| used.start).min();
            consider(start, next.map_or(area.end, |next| next.min(area.end)));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Region, largest};
    use std::boxed::Box;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_region_gives_each_byte_once() {
        let memory: &'static mut [u8] = Box::leak(vec![7; 4096].into_boxed_slice());
        let (start, end) = (memory.as_ptr() as usize, memory.as_ptr() as usize + memory.len());
        let mut region = Region::new(memory);
        let odd = region.bytes(3, 1);
        let words = region.values::<u64>(5);
        let page = region.bytes(100, 64);
        assert_eq!((odd.len(), words, page.len()), (3, &mut [0; 5][..], 100));
        assert!((page.as_ptr() as usize).is_multiple_of(64) && odd.as_ptr() as usize == start);
        let left = region.left();
        let rest = region.bytes(left, 1);
        assert_eq!(rest.as_ptr() as usize, page.as_ptr() as usize + 100);
        assert_eq!(rest.as_ptr() as usize + left, end);
    }

    #[test]
    #[should_panic(expected = "9 bytes of memory are needed, 8 are left")]
    fn a_region_gives_no_more_than_it_has() {
        Region::new(Box::leak(vec![0; 8].into_boxed_slice())).bytes(9, 1);
    }

    #[test]
    fn free_memory_overlaps_nothing_used() {
        let free = |usable: &[(usize, usize)], used: &[(usize, usize)]| {
            let used: Vec<_> = used.iter().map(|&(start, end)| start..end).collect();
            let found = largest(usable.iter().map(|&(start, end)| start..end), &used, 0x1000);
            (found.start, found.end)
        };
        let usable = [(0x0, 0x9_F000), (0x10_0000, 0x800_0000)];
        let used = [(0, 0x1000), (0x10_0000, 0x20_0123), (0x700_0000, 0x710_0000), (0, 0)];
        assert_eq!(free(&usable, &used), (0x20_1000, 0x700_0000));
        // The image at the start, and nothing used at all.
        assert_eq!(free(&usable, &[(0x10_0000, 0x20_0000)]), (0x20_0000, 0x800_0000));
        assert_eq!(free(&usable, &[]), (0x10_0000, 0x800_0000));
        // What is used reaches over an area's edges, or covers all.
        assert_eq!(free(&[(0x1000, 0x9000)], &[(0, 0x2000), (0x8000, 0xA000)]), (0x2000, 0x8000));
        assert_eq!(free(&[(0x1000, 0x9000)], &[(0, 0x9000)]), (0, 0));
        assert_eq!(free(&[(0x1001, 0x1FFF)], &[]), (0, 0));
    }
}
