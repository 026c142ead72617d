#!/usr/bin/env bash
# Builds the tests for 64-bit Arm Linux and runs them: as they are on such a machine, else in an emulated process. Beside
# the tests of machine code it checks that what is emitted for either ISA is the same on both machines.
#
#   bash tests/arm64.sh            everything
#   bash tests/arm64.sh NAME...    only these test programs of tests/tests, such as `suite` or `masm`
#
# Installs the tools that it lacks if it runs as root; else says which lines install them, and ends with status 77.
# OPSTAMP_DIFF_PROGRAMS, OPSTAMP_HOSTILE and OPSTAMP_SWITCHES are as for tests/all.sh, with less by default: emulation is
# slow.

ARM64_TARGET=aarch64-unknown-linux-gnu
ARM64_TESTS="suite programs switches masm emission rare_halves differential out_of_memory hostile hostile_modules"
ARM64_TESTS+=" control traces fuel code_cache caches"

# arm64_tools: finds compiler, linker and emulator; sets the variables that cargo reads and arm64_flags.
arm64_tools() {
    arm64_flags=(--target "$ARM64_TARGET")
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/arm64
    [ "$(uname -m)" = aarch64 ] && return 0
    need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu || return 77
    need_file /usr/aarch64-linux-gnu/lib/libc.so.6 libc6-dev-arm64-cross || return 77
    need qemu-aarch64 qemu-user || return 77
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
    # rustup's standard library for the target if it is installed, else Debian's compiler and its sources.
    [ -d "$(rustc --print sysroot)/lib/rustlib/$ARM64_TARGET/lib" ] && return 0
    need_std_sources || return 77
    arm64_flags=(-Zbuild-std=std,panic_abort,panic_unwind,test "${arm64_flags[@]}")
}

# arm64 NAME...: runs these tests, or all; status 77 if a tool is missing.
arm64() (
    tests=${*:-$ARM64_TESTS}
    # The lines that must not depend on the machine, from this one, before the variables are set.
    if [[ " $tests " == *" emission "* ]]; then
        here=$(cargo test --quiet --package opstamp-tests --test emission -- --nocapture | grep -o 'emission: .*, 0x.*' | sort)
    fi
    arm64_tools || exit $?
    export OPSTAMP_DIFF_PROGRAMS=${OPSTAMP_DIFF_PROGRAMS:-10000} OPSTAMP_HOSTILE=${OPSTAMP_HOSTILE:-4000}
    export OPSTAMP_SWITCHES=${OPSTAMP_SWITCHES:-20}
    if [ $# = 0 ]; then
        cargo test --quiet "${arm64_flags[@]}" --package opstamp-platform --lib --test code_memory \
            --test code_memory_linux --test watched || exit 1
    fi
    for name in $tests; do
        out=$(cargo test --quiet "${arm64_flags[@]}" --package opstamp-tests --test "$name" -- --nocapture 2>&1)
        status=$?
        printf '%s\n' "$out"
        [ "$status" = 0 ] || exit 1
        if [ "$name" = emission ]; then
            there=$(grep -o 'emission: .*, 0x.*' <<<"$out" | sort)
            if [ -z "$here" ] || ! diff <(printf '%s' "$here") <(printf '%s' "$there"); then
                echo "What is emitted depends on the machine that emits it."
                exit 1
            fi
            echo "emission: all $(wc -l <<<"$here") lines are the same on $(uname -m) and arm64"
        fi
    done
)

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -u
    cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
    . tests/setup.sh
    need_build_tools || exit 2
    arm64 "$@"
fi
