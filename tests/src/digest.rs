//! A checksum of a cell and of what can be reached from it: computed by a guest over its heap, and by native code over
//! whatever model of the heap a test has.
//!
//! It walks [`DEPTH`] objects deep and looks at the first [`BREADTH`] elements of each, so it ends on rings too. Of an
//! object it reads the fields [`FIELDS`], which every shape of a module with this guest has to have.

/// Objects within objects that the checksum covers.
pub const DEPTH: i64 = 3;
/// Elements or entries of an object that it covers; of a string, this times 8.
pub const BREADTH: i64 = 8;
/// The fields that it reads.
pub const FIELDS: [&str; 3] = ["i", "f", "a"];

/// The step of the checksum.
pub fn mix(sum: i64, value: i64) -> i64 {
    (sum ^ value).wrapping_mul(31).rotate_left(29).wrapping_add(7)
}

/// The checksum of an integer, a bool, or a float by its bits; `kind` is what `cell.kind` gives.
pub fn scalar(kind: i64, value: i64) -> i64 {
    mix(kind, value)
}

/// The checksum of null.
pub const NULL: i64 = 0;

/// The checksum of a string.
pub fn text(bytes: &[u8]) -> i64 {
    let sum = mix(4, bytes.len() as i64);
    bytes.iter().take(8 * BREADTH as usize).fold(sum, |sum, &byte| mix(sum, byte.into()))
}

/// The functions of the guest: `digest(any, i64) -> i64` with the cell and the depth. The shapes of the module have the
/// fields [`FIELDS`].
pub const GUEST: &str = "
func digest(c: any, depth: i64) -> i64
  local kind: i64, h: i64, n: i64, i: i64, v: i64, k: i64, f: f64, s: str, l: list, m: map, p: imap
  local x: arr.i64, y: arr.f64, z: arr.u8, e: any, g: any
  cell.kind kind, c
  i64.mov h, kind
  switch kind, [nil, bool, int, float, str, list, map, imap, i64s, f64s, u8s, obj], other
nil:
  ret h
bool:
  unbox.bool v, c
  jump last
int:
  unbox.i64 v, c
  jump last
float:
  unbox.f64 f, c
  f64.bits v, f
last:
  i64.xor h, h, v
  i64.mul h, h, 31
  i64.rotl h, h, 29
  i64.add h, h, 7
other:
  ret h
str:
  cell.cast s, c
  str.len n, s
  call h, mix(h, n)
  i64.const v, 64
  i64.min n, n, v
bytes:
  br.i64.ge i, n, other
  str.byte v, s, i
  call h, mix(h, v)
  i64.add i, i, 1
  jump bytes
list:
  cell.cast l, c
  list.len n, l
  call h, mix(h, n)
  call n, bound(n, depth)
  i64.sub depth, depth, 1
elements:
  br.i64.ge i, n, other
  list.get e, l, i
  call v, digest(e, depth)
  call h, mix(h, v)
  i64.add i, i, 1
  jump elements
map:
  cell.cast m, c
  map.len n, m
  call h, mix(h, n)
  call n, bound(n, depth)
  i64.sub depth, depth, 1
  i64.const k, 0
entries:
  br.i64.ge i, n, other
  map.next e, g, m, k
  call v, digest(e, depth)
  call h, mix(h, v)
  call v, digest(g, depth)
  call h, mix(h, v)
  i64.add i, i, 1
  jump entries
imap:
  cell.cast p, c
  imap.len n, p
  call h, mix(h, n)
  call n, bound(n, depth)
  i64.const depth, 0
pairs:
  br.i64.ge i, n, other
  imap.next k, v, p, depth
  call h, mix(h, k)
  call h, mix(h, v)
  i64.add i, i, 1
  jump pairs
i64s:
  cell.cast x, c
  arr.i64.len n, x
  call h, mix(h, n)
  call n, bound(n, depth)
ints:
  br.i64.ge i, n, other
  arr.i64.get v, x, i
  call h, mix(h, v)
  i64.add i, i, 1
  jump ints
f64s:
  cell.cast y, c
  arr.f64.len n, y
  call h, mix(h, n)
  call n, bound(n, depth)
floats:
  br.i64.ge i, n, other
  arr.f64.get f, y, i
  f64.bits v, f
  call h, mix(h, v)
  i64.add i, i, 1
  jump floats
u8s:
  cell.cast z, c
  arr.u8.len n, z
  call h, mix(h, n)
  call n, bound(n, depth)
octets:
  br.i64.ge i, n, other
  arr.u8.get v, z, i
  call h, mix(h, v)
  i64.add i, i, 1
  jump octets
obj:
  br.i64.le depth, 0, other
  i64.sub depth, depth, 1
  prop.get e, c, \"i\"
  call v, digest(e, depth)
  call h, mix(h, v)
  prop.get e, c, \"f\"
  call v, digest(e, depth)
  call h, mix(h, v)
  prop.get e, c, \"a\"
  call v, digest(e, depth)
  call h, mix(h, v)
  ret h
end
func mix(h: i64, v: i64) -> i64
  i64.xor h, h, v
  i64.mul h, h, 31
  i64.rotl h, h, 29
  i64.add h, h, 7
  ret h
end
func bound(n: i64, depth: i64) -> i64
  local most: i64
  br.i64.le depth, 0, none
  i64.const most, 8
  i64.min n, n, most
  ret n
none:
  ret most
end
";
