//! Finding memory that nothing uses.

use core::ops::Range;

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
    use super::largest;

    #[test]
    fn free_memory_overlaps_nothing_used() {
        let usable = [0x0..0x9_F000, 0x10_0000..0x800_0000];
        let used = [0..0x1000, 0x10_0000..0x20_0123, 0x700_0000..0x710_0000, 0..0];
        assert_eq!(largest(usable.iter().cloned(), &used, 0x1000), 0x20_1000..0x700_0000);
        // The initrd at the end, and nothing used at all.
        assert_eq!(largest(usable.iter().cloned(), &[0x10_0000..0x20_0000], 0x1000), 0x20_0000..0x800_0000);
        assert_eq!(largest(usable.iter().cloned(), &[], 0x1000), 0x10_0000..0x800_0000);
        // What is used reaches over an area's edges, or covers all.
        assert_eq!(largest([0x1000..0x9000].into_iter(), &[0..0x2000, 0x8000..0xA000], 0x1000), 0x2000..0x8000);
        assert!(largest([0x1000..0x9000].into_iter(), core::slice::from_ref(&(0..0x9000)), 0x1000).is_empty());
        assert!(largest([0x1001..0x1FFF].into_iter(), &[], 0x1000).is_empty());
    }
}
