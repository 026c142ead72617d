#!/usr/bin/env bash
# Passes every test of opstamp. Installs the tools that it lacks if it runs as root; else it says which lines install
# them and which parts it left out. With CI set, a part that was left out is a failure.
#
#   bash tests/all.sh            everything
#   bash tests/all.sh NAME...    only these parts
#
# OPSTAMP_DIFF_PROGRAMS=N sets the number of programs of the differential test, OPSTAMP_SWITCHES=N that of the ops of each
# program at which machine code is left, OPSTAMP_SEED the seed of all random tests.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
. tests/setup.sh
. tests/arm64.sh

passed=0
failed=0
report=""
known=""
build_dir=${CARGO_TARGET_DIR:-target}

# part NAME TITLE COMMAND...: runs one part. Status 77 means that a tool is missing.
part() {
    local name=$1 title=$2 status start
    shift 2
    known+=" $name"
    if [ "${#chosen[@]}" != 0 ] && [[ " ${chosen[*]} " != *" $name "* ]]; then
        return
    fi
    printf '\n== %s: %s\n' "$name" "$title"
    start=$SECONDS
    "$@"
    status=$?
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        report+="ok       $name ($((SECONDS - start)) s)"$'\n'
    elif [ "$status" = 77 ]; then
        skipped+=" $name"
        report+="SKIPPED  $name: a tool is missing, see above"$'\n'
    else
        failed=$((failed + 1))
        report+="FAILED   $name (status $status)"$'\n'
    fi
}

programs() {
    cargo build --release --quiet --package opstamp-platform || return 1
    "$build_dir/release/opstamp" test tests/programs || return 1
    local expected found
    expected=$(sed -n 's/^;! main() = //p' tests/programs/mandelbrot.vm3 | head -n 1)
    found=$("$build_dir/release/opstamp" run tests/programs/mandelbrot.vm3) || return 1
    if [ "$found" != "$expected" ]; then
        echo "mandelbrot printed '$found', expected '$expected'"
        return 1
    fi
    # What the program prints, then its result.
    "$build_dir/release/opstamp" run tests/programs/print_host.vm3 |
        diff - <(cat tests/programs/print_host.stdout && sed -n 's/^;! main() = //p' tests/programs/print_host.vm3)
}

expectations() {
    need python3 python3 || return 77
    python3 tests/programs/expect.py
}

rustdoc() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
}

hosted() {
    # Without it the encoders' tests say what they leave out.
    need llvm-mc llvm
    local missing=$?
    cargo test --workspace --quiet -- --show-output || return 1
    [ "$missing" = 0 ] || return 77
}

# Every interleaving of the protocol by which bytes of evicted machine code are used again.
model() {
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$build_dir/loom \
        cargo test --quiet --release --package opstamp --lib reclaim
}

# The library crates for a bare target: with rustup's own standard library where it is installed, else with Debian's
# compiler and its sources.
bare() {
    local target=$1
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
        cargo build --package opstamp --package opstamp-qemu --target "$target"
        return
    fi
    (need_std_sources) || return 77
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$build_dir/bare \
        cargo build -Zbuild-std=core --package opstamp --package opstamp-qemu --target "$target"
}

# Boots both machines. `cargo qemu` finds the compiler for them by itself; here is what it needs if rustup has no library
# of theirs.
machines() {
    local target
    need qemu-system-x86_64 qemu-system-x86 || return 77
    need qemu-system-aarch64 qemu-system-arm || return 77
    for target in x86_64-unknown-none aarch64-unknown-none; do
        [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] && continue
        (need_std_sources) || return 77
        need ld.lld lld || return 77
    done
    cargo qemu test
}

# Lints of what is compiled for a bare machine alone, with rustup's own library.
bare_lints() {
    local target
    for target in x86_64-unknown-none aarch64-unknown-none; do
        if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
            echo "NOTE: what is compiled for $target alone is not linted. For that: rustup target add $target"
            continue
        fi
        cargo clippy --package opstamp-platform --package opstamp-qemu --no-default-features \
            --features opstamp-qemu/kernel,opstamp-qemu/default --lib --bins --target "$target" --quiet -- -D warnings || return 1
    done
}

lints() {
    cargo clippy --workspace --all-targets --quiet -- -D warnings && bare_lints
}

# The engine with some of its features: warnings, then what runs without a heap and without stencils.
features() {
    local set packages=(--package opstamp --package opstamp-tests --no-default-features --lib --test suite --test masm)
    for set in "" heap stencils; do
        cargo clippy --quiet "${packages[@]}" --features "$set" -- -D warnings || return 1
    done
    cargo test --quiet "${packages[@]}"
}

chosen=("$@")
need_build_tools || exit 2
part format "formatting" cargo fmt --all --check
part clippy "lints, warnings denied" lints
part features "the engine without some of its features" features
part docs "documentation, warnings denied" rustdoc
part bare-x86-64 "core and its bare embedding build for x86_64-unknown-none" bare x86_64-unknown-none
part bare-arm64 "core and its bare embedding build for aarch64-unknown-none" bare aarch64-unknown-none
part expectations "the programs' expected values, worked out again in Python" expectations
part programs "the command, over tests/programs" programs
part hosted "unit, suite, differential, hostile-input and encoder tests" hosted
part model "the protocol of eviction, in a model checker" model
part arm64 "the same of machine code on 64-bit Arm Linux, emulated where this is none" arm64
part machines "the suite, protection, preemption and several cores on bare x86-64 and arm64, under QEMU" machines
part windows "the suite, the command and the platform's tests as Windows processes; a build for arm64" bash tests/windows.sh
part macos "builds for macOS, linked and looked at" bash tests/macos.sh

for name in "${chosen[@]}"; do
    if [[ " $known " != *" $name "* ]]; then
        printf '\n%s is none of the parts:%s\n' "$name" "$known"
        failed=$((failed + 1))
    fi
done
printf '\n%s' "$report"
missing=$(wc -w <<<"$skipped")
if [ "$missing" != 0 ]; then
    printf '\nLEFT OUT:%s. The lines that begin with MISSING say what to install.\n' "$skipped"
fi
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$missing"
[ "$failed" = 0 ] || exit 1
if [ "$missing" != 0 ] && [ -n "${CI:-}" ]; then
    echo "In CI nothing may be left out."
    exit 1
fi
