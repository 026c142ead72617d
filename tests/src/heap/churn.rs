//! Maps under long random sequences of changes, beside a plain model.

use crate::{Maker, returns};
use opstamp::Value;
use opstamp::vm3::op::Op;

/// Keys that the sequences use.
const KEYS: usize = 61;

/// The guest: as many steps as it is told, from a seed. Each step draws a number; its bits say what is done to which key.
const TEXT: &str = "
func $O_churn(steps: i64, seed: i64, spread: i64) -> i64
  local m: $M, k: $K, v: $V, n: i64, t: i64, u: i64, h: i64, cur: i64, w: i64
  $M.new m, 0
  i64.const w, 6364136223846793005
more:
  br.i64.le steps, 0, done
  i64.sub steps, steps, 1
  i64.mul seed, seed, w
  i64.add seed, seed, 12345
  i64.ushr n, seed, 33
  i64.urem t, n, 61
  i64.mul t, t, spread
  $A k, t
  i64.ushr u, n, 8
  i64.and u, u, 7
  switch u, [set, set, set, del, del, has, get], next
set:
  $B v, n
  $M.set m, k, v
  jump more
del:
  $M.del u, m, k
  call h, mix(h, u)
  jump more
has:
  $M.has u, m, k
  call h, mix(h, u)
  jump more
get:
  $M.get v, m, k
  $M.has u, m, k
  br.i64.eq u, 0, more
  $D u, v
  call h, mix(h, u)
  jump more
next:
  $M.next k, v, m, cur
  br.i64.lt cur, 0, again
  $C t, k
  call h, mix(h, t)
  $D t, v
  call h, mix(h, t)
  jump more
again:
  i64.const cur, 0
  $M.len t, m
  call h, mix(h, t)
  jump more
done:
  ret h
end
func mix(h: i64, v: i64) -> i64
  i64.xor h, h, v
  i64.mul h, h, 31
  i64.rotl h, h, 29
  i64.add h, h, 7
  ret h
end
";

/// Entries in order of insertion; a deleted one stays in its place with no key.
struct Model {
    entries: [(Option<usize>, i64); ROOM],
    used: usize,
}

/// Entries that a model can hold, deleted ones included, before it drops those that are deleted.
const ROOM: usize = 512;

impl Model {
    fn find(&self, key: usize) -> Option<usize> {
        self.entries[..self.used].iter().position(|entry| entry.0 == Some(key))
    }

    /// Drops the deleted entries. The place that the cursor stands at moves with them.
    fn pack(&mut self, cursor: &mut usize) {
        let (mut kept, mut moved) = (0, None);
        for at in 0..self.used {
            if at == *cursor {
                moved = Some(kept);
            }
            if self.entries[at].0.is_some() {
                self.entries[kept] = self.entries[at];
                kept += 1;
            }
        }
        *cursor = moved.unwrap_or(kept);
        self.used = kept;
    }
}

/// What the guest gives.
fn model(steps: i64, mut seed: i64, spread: i64) -> i64 {
    let mut model = Model { entries: [(None, 0); ROOM], used: 0 };
    let (mut h, mut cursor) = (0, 0);
    for _ in 0..steps {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(12345);
        let n = ((seed as u64) >> 33) as i64;
        let key = n as usize % KEYS;
        let found = model.find(key);
        match n >> 8 & 7 {
            0..=2 => match found {
                Some(at) => model.entries[at].1 = n,
                None => {
                    if model.used == ROOM {
                        model.pack(&mut cursor);
                    }
                    model.entries[model.used] = (Some(key), n);
                    model.used += 1;
                }
            },
            3 | 4 => {
                if let Some(at) = found {
                    model.entries[at].0 = None;
                }
                h = crate::digest::mix(h, found.is_some().into());
            }
            5 => h = crate::digest::mix(h, found.is_some().into()),
            6 => {
                if let Some(at) = found {
                    h = crate::digest::mix(h, model.entries[at].1);
                }
            }
            _ => {
                let next = (cursor..model.used).find(|&at| model.entries[at].0.is_some());
                if let Some((at, (Some(key), value))) = next.map(|at| (at, model.entries[at])) {
                    cursor = at + 1;
                    h = crate::digest::mix(h, (key as i64).wrapping_mul(spread));
                    h = crate::digest::mix(h, value);
                } else {
                    cursor = 0;
                    let len = model.entries[..model.used].iter().filter(|entry| entry.0.is_some()).count();
                    h = crate::digest::mix(h, len as i64);
                }
            }
        }
    }
    h
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    for (replaced, func, op) in
        [(&super::MAPS[0], "IMap_churn", Op::IMapNext), (&super::MAPS[1], "Map_churn", Op::MapNext)]
    {
        maker.group(
            func,
            None,
            |text| super::expected::fill(text, TEXT, replaced),
            |(), visit| {
                for (steps, seed) in [(10, 1), (100, 2), (1000, 3), (1000, 4), (9000, 5)] {
                    for spread in [1, -1, 1 << 40, 0x0123_4567_89AB_CDEF] {
                        let args = [steps, seed, spread].map(Value::I64);
                        returns(visit, op, func, &args, model(steps, seed, spread));
                    }
                }
            },
        );
    }
}
