//! Cases for every op that works on the heap.
//!
//! Most are written as expectations in the `.vm3` files beside this one; those with many combinations are computed here, by
//! native code that knows no engine.

mod caches;
mod cells;
mod churn;
mod dynamic;
pub(crate) mod expected;
mod nulls;
mod numbers;
pub(crate) mod registers;

use crate::Maker;

/// What [`expected::fill`] puts for the letters of `arrays.vm3`: the type, its elements', the ops' name, the ops to an
/// element and back, the op that gives 0 for the element of a fresh array, and the number of its kind.
const ARRAYS: [[(char, &str); 7]; 4] = [
    [('X', "arr.i64"), ('T', "i64"), ('O', "ArrI64"), ('I', "i64.mov"), ('U', "i64.mov"), ('Z', "i64.mov"), ('K', "8")],
    [
        ('X', "arr.f64"),
        ('T', "f64"),
        ('O', "ArrF64"),
        ('I', "i64.to_f64"),
        ('U', "f64.to_i64"),
        ('Z', "f64.bits"),
        ('K', "9"),
    ],
    [('X', "arr.u8"), ('T', "i64"), ('O', "ArrU8"), ('I', "i64.mov"), ('U', "i64.mov"), ('Z', "i64.mov"), ('K', "10")],
    [('X', "list"), ('T', "any"), ('O', "List"), ('I', "box.i64"), ('U', "unbox.i64"), ('Z', "cell.kind"), ('K', "5")],
];

/// The same for `maps.vm3`.
const MAPS: [[(char, &str); 9]; 2] = [
    [
        ('M', "imap"),
        ('O', "IMap"),
        ('K', "i64"),
        ('V', "i64"),
        ('A', "i64.mov"),
        ('B', "i64.mov"),
        ('C', "i64.mov"),
        ('D', "i64.mov"),
        ('Z', "i64.mov"),
    ],
    [
        ('M', "map"),
        ('O', "Map"),
        ('K', "any"),
        ('V', "any"),
        ('A', "box.i64"),
        ('B', "box.i64"),
        ('C', "unbox.i64"),
        ('D', "unbox.i64"),
        ('Z', "cell.kind"),
    ],
];

pub(crate) fn groups(maker: &mut Maker<'_>) {
    for array in &ARRAYS {
        maker.expected(array[0].1, include_str!("arrays.vm3"), array);
    }
    maker.expected("array elements", include_str!("elements.vm3"), &[]);
    maker.expected("arrays in loops", include_str!("views.vm3"), &[]);
    for map in &MAPS {
        maker.expected(map[0].1, include_str!("maps.vm3"), map);
    }
    maker.expected("map keys", include_str!("map_keys.vm3"), &[]);
    maker.expected("strings", include_str!("strings.vm3"), &[]);
    maker.expected("objects", include_str!("objects.vm3"), &[]);
    maker.expected("closures", include_str!("closures.vm3"), &[]);
    caches::groups(maker);
    cells::groups(maker);
    churn::groups(maker);
    dynamic::groups(maker);
    nulls::groups(maker);
    numbers::groups(maker);
}
