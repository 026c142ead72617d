use opstamp_qemu::command_line::Word;
use opstamp_qemu::memory::Region;
pub fn run(_region: &mut Region, _word: Word<'_>) -> bool {
    false
}
