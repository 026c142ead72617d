//! Patching: open, write, publish, synchronize, in this order and nothing else, whatever the host.

use crate::recorder::{PAGE, REFUSED, Recording, Request, UNUSED};
use opstamp::code::{CodeMemory, CodeRange, Patch, PatchError, patch};

/// arm64 instructions by an assembler (llvm-mc -triple=aarch64 --show-encoding).
const NOP: u32 = 0xD503_201F;
const B_8: u32 = 0x1400_0002;
const B_BACK_4: u32 = 0x17FF_FFFF;
const BL_64: u32 = 0x9400_0010;
const OTHERS: [(&str, u32); 8] = [
    ("ret", 0xD65F_03C0),
    ("b.eq #8", 0x5400_0040),
    ("cbz x0, #8", 0xB400_0040),
    ("tbz x0, #0, #8", 0x3600_0040),
    ("br x16", 0xD61F_0200),
    ("movz x0, #1", 0xD280_0020),
    ("yield", 0xD503_203F),
    ("udf #0", 0),
];

/// A window of which the first page was written, published and forgotten about.
fn published(bytes: &[u8]) -> Recording {
    let mut code = Recording::new(4 * PAGE, usize::MAX);
    let page = CodeRange { start: 0, end: PAGE };
    code.open(page).unwrap()[..bytes.len()].copy_from_slice(bytes);
    code.publish(page).unwrap();
    code.take_log();
    code
}

fn words(words: [u32; 4]) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The requests of one patch of `len` bytes at `at`, of which those from `changed.0` to `changed.1` are others then.
fn order(at: usize, len: usize, changed: (usize, usize)) -> [Request; 4] {
    let range = CodeRange { start: at, end: at + len };
    let written = CodeRange { start: at + changed.0, end: at + changed.1 };
    [Request::Open(range), Request::Write(written), Request::Publish(range), Request::Sync]
}

#[test]
fn an_instruction_is_opened_written_published_and_made_known() {
    let mut code = published(&words([NOP, NOP, BL_64, NOP]));
    assert_eq!(patch(&mut code, 4, Patch::Instruction(B_8)), Ok(Patch::Instruction(NOP)));
    // 1F 20 03 D5 and 02 00 00 14 differ in every byte.
    assert_eq!(code.take_log(), order(4, 4, (0, 4)));
    assert_eq!(code.bytes()[..PAGE], words([NOP, B_8, BL_64, NOP]));
    assert_eq!(patch(&mut code, 4, Patch::Instruction(B_BACK_4)), Ok(Patch::Instruction(B_8)));
    assert_eq!(code.take_log(), order(4, 4, (0, 4)));
    assert_eq!(patch(&mut code, 8, Patch::Instruction(NOP)), Ok(Patch::Instruction(BL_64)));
    assert_eq!(code.take_log(), order(8, 4, (0, 4)));
    assert_eq!(code.bytes()[..PAGE], words([NOP, B_BACK_4, NOP, NOP]));
    // One that changes nothing is published all the same: it was open.
    assert_eq!(patch(&mut code, 12, Patch::Instruction(NOP)), Ok(Patch::Instruction(NOP)));
    let range = CodeRange { start: 12, end: 16 };
    assert_eq!(code.take_log(), [Request::Open(range), Request::Publish(range), Request::Sync]);
    assert!(!code.anything_writable());
}

#[test]
fn a_data_word_is_opened_written_published_and_made_known() {
    let mut bytes = vec![0x90; 8];
    bytes.extend(0x1122_3344_5566_7788_u64.to_le_bytes());
    let mut code = published(&bytes);
    let replaced = patch(&mut code, 8, Patch::Data(0x1122_3344_0000_0088));
    assert_eq!(replaced, Ok(Patch::Data(0x1122_3344_5566_7788)));
    // Of 88 77 66 55 the last three bytes.
    assert_eq!(code.take_log(), order(8, 8, (1, 4)));
    assert_eq!(
        code.bytes()[..PAGE],
        [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x88, 0, 0, 0, 0x44, 0x33, 0x22, 0x11]
    );
    assert!(!code.anything_writable());
}

#[test]
fn each_request_may_fail_and_nothing_stays_writable() {
    for (bytes, at, new) in [(words([NOP; 4]), 4, Patch::Instruction(B_8)), (vec![7; 16], 8, Patch::Data(1 << 40))] {
        for (fails, failed) in ["open", "publish", "sync"].into_iter().enumerate() {
            let mut code = published(&bytes);
            code.fail_after(fails);
            assert_eq!(patch(&mut code, at, new), Err(PatchError::Memory(REFUSED)), "{failed}");
            let log = code.take_log();
            assert_eq!(log.iter().filter(|request| !matches!(request, Request::Write(_))).count(), fails + 1);
            assert_eq!(code.bytes()[..PAGE] == bytes, failed == "open", "{failed}");
            // Where publishing itself fails there is nothing left to ask.
            assert_eq!(code.anything_writable(), failed == "publish", "{failed}");
        }
    }
}

#[test]
fn no_other_instruction_is_put_or_replaced() {
    for (name, word) in OTHERS {
        let mut code = published(&words([NOP; 4]));
        let refused = Err(PatchError::Instruction { offset: 4, word });
        assert_eq!(patch(&mut code, 4, Patch::Instruction(word)), refused, "{name}");
        assert_eq!(code.take_log(), [], "{name}: refused before anything is opened");

        let mut code = published(&words([NOP, word, NOP, NOP]));
        assert_eq!(patch(&mut code, 4, Patch::Instruction(B_8)), refused, "{name}");
        assert!(!code.anything_writable());
        assert_eq!(code.bytes()[..PAGE], words([NOP, word, NOP, NOP]), "{name} stays");
    }
}

#[test]
fn a_site_is_aligned_and_inside() {
    for offset in [1, 2, 3, 5, 7] {
        let mut code = published(&words([NOP; 4]));
        let refused = Err(PatchError::Misaligned { offset, align: 4 });
        assert_eq!(patch(&mut code, offset, Patch::Instruction(B_8)), refused);
        let refused = Err(PatchError::Misaligned { offset, align: 8 });
        assert_eq!(patch(&mut code, offset, Patch::Data(1)), refused);
        assert_eq!(code.take_log(), []);
        assert_eq!(code.bytes()[..PAGE], words([NOP; 4]));
    }
    let mut code = published(&words([NOP; 4]));
    let refused = Err(PatchError::Misaligned { offset: 4, align: 8 });
    assert_eq!(patch(&mut code, 4, Patch::Data(1)), refused);
    let text = patch(&mut code, 4, Patch::Data(1)).unwrap_err().to_string();
    assert_eq!(text, "the patch site at offset 0x4 is not a multiple of 8");
    let text = patch(&mut code, 4, Patch::Instruction(0xD65F_03C0)).unwrap_err().to_string();
    assert!(text.contains("offset 0x4: instruction 0xd65f03c0 is not one of B, BL and NOP"), "{text}");
}

#[test]
fn released_pages_are_unused_until_they_are_opened_again() {
    let mut code = published(&[1; PAGE]);
    code.open(CodeRange { start: PAGE, end: 3 * PAGE }).unwrap().fill(2);
    // The whole pages inside go, the others stay.
    let range = CodeRange { start: 1, end: 2 * PAGE };
    code.release(range).unwrap();
    assert_eq!(code.take_log().last(), Some(&Request::Release(range)));
    assert_eq!(code.bytes()[..PAGE], [1; PAGE]);
    assert_eq!(code.bytes()[PAGE..2 * PAGE], [UNUSED; PAGE]);
    assert_eq!(code.bytes()[2 * PAGE..3 * PAGE], [2; PAGE]);
    let page = CodeRange { start: PAGE, end: 2 * PAGE };
    code.open(page).unwrap().fill(3);
    code.publish(CodeRange { start: PAGE, end: 3 * PAGE }).unwrap();
    assert!(!code.anything_writable());
}
