//! Tables by the code of an op, which the scans over code look into at every op. Many ops have the same entry. Where size
//! counts it is kept once; where speed does each code has its own, because a second look-up would show in the time.

/// The entries by code, or `N` that differ, and which one each code has.
pub(crate) struct ByCode<T, const N: usize> {
    /// Below `N`.
    pub index: [u8; 256],
    pub entries: [T; N],
}

impl<T, const N: usize> ByCode<T, N> {
    /// The entry of a code.
    #[inline(always)]
    pub const fn get(&self, code: u8) -> &T {
        let index = if cfg!(small) { self.index[code as usize] } else { code };
        // `N` is a power of two, so this is no bound check.
        &self.entries[index as usize & (N - 1)]
    }
}

/// Defines a static [`ByCode`], worked out at build time from an array of all entries, whose type has a constant function
/// `same`. The second name becomes the constant `N`.
macro_rules! by_code {
    ($(#[$doc:meta])* $vis:vis static $name:ident: [$entry:ty; $count:ident] = $all:expr;) => {
        const $count: usize = {
            const ALL: &[$entry; 256] = &$all;
            let (mut count, mut code) = (0_usize, 0);
            while code < 256 {
                let mut other = 0;
                while !ALL[other].same(&ALL[code]) {
                    other += 1;
                }
                count += (other == code) as usize;
                code += 1;
            }
            if cfg!(small) { count.next_power_of_two() } else { 256 }
        };
        $(#[$doc])*
        $vis static $name: $crate::vm3::by_code::ByCode<$entry, $count> = {
            const ALL: &[$entry; 256] = &$all;
            let mut table = $crate::vm3::by_code::ByCode { index: [0; 256], entries: [ALL[0]; $count] };
            let (mut count, mut code) = (0, 0);
            while code < 256 {
                let mut other = 0;
                while cfg!(small) && !ALL[other].same(&ALL[code]) {
                    other += 1;
                }
                if !cfg!(small) {
                    other = code;
                }
                table.index[code] = table.index[other];
                if other == code {
                    table.index[code] = count as u8;
                    table.entries[count] = ALL[code];
                    count += 1;
                }
                code += 1;
            }
            table
        };
    };
}
pub(crate) use by_code;
