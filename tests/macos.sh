#!/usr/bin/env bash
# macOS: builds and links the command for arm64 and x86-64, and looks at what came of it. Runs nothing. Ends with status 77
# if a tool is missing.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
. tests/setup.sh
need_build_tools || exit 77

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/macos
missing=no
need_std_sources || missing=yes
need llvm-objdump llvm || missing=yes
need_zig "${target%/*}/zig" || missing=yes
[ "$missing" = no ] || exit 77
export CARGO_TARGET_DIR=$target

# The standard library names libiconv, which zig has no stub of; nothing in it is used.
mkdir -p "$target/stubs"
cat >"$target/stubs/libiconv.tbd" <<EOF
--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '/usr/lib/libiconv.2.dylib'
...
EOF

# links ISA VARIABLE: builds the command; VARIABLE is cargo's setting of the linker. Without Apple's SDK the compiler warns
# that it cannot ask for it.
links() {
    zig_linker "$target/link-$1" "$1-macos" "-L$target/stubs"
    env "$2=$target/link-$1" cargo build -Zbuild-std=std,panic_abort --quiet --target "$1-apple-darwin" \
        --package opstamp-platform || return 1
    # The tests of the platform are for this system too, as far as a compiler can say.
    cargo check -Zbuild-std=std,panic_abort --quiet --target "$1-apple-darwin" --package opstamp-platform --tests
}

# imports ISA: the symbols that the command takes from the system.
imports() {
    llvm-nm --undefined-only "$target/$1-apple-darwin/debug/opstamp" | awk '{ print $NF }'
}

# expect ISA YES NO...: it is a program, it imports YES, and none of the others.
expect() {
    local isa=$1 yes=$2 symbol
    shift 2
    if ! llvm-objdump --macho --private-headers "$target/$isa-apple-darwin/debug/opstamp" | grep -q LC_MAIN; then
        echo "$isa: not a Mach-O program"
        return 1
    fi
    if ! imports "$isa" | grep -qx "$yes"; then
        echo "$isa: does not use $yes"
        return 1
    fi
    for symbol; do
        if imports "$isa" | grep -qx "$symbol"; then
            echo "$isa: uses $symbol"
            return 1
        fi
    done
    echo "$isa: built and linked, not run"
}

links aarch64 CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER || exit 1
links x86_64 CARGO_TARGET_X86_64_APPLE_DARWIN_LINKER || exit 1
expect aarch64 _pthread_jit_write_protect_np || exit 1
imports aarch64 | grep -qx _sys_icache_invalidate || { echo "aarch64: does not use sys_icache_invalidate" && exit 1; }
expect x86_64 _mprotect _pthread_jit_write_protect_np _sys_icache_invalidate || exit 1
python3 - platform/macos/entitlements.plist <<EOF || exit 1
import plistlib, sys
found = plistlib.load(open(sys.argv[1], "rb"))
assert found == {"com.apple.security.cs.allow-jit": True}, found
EOF
