#!/usr/bin/env bash
# Windows: runs the command, the suite and the platform's tests as x86-64 Windows processes under wine; builds and links the
# command for arm64. Ends with status 77 if a tool is missing.
#
#   bash tests/windows.sh [TEST...]    TEST: tests of opstamp-tests to run; by default the suite
#
# The x86-64 target is the one for Windows 7: the standard library for newer systems imports a library that wine 8 lacks.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
. tests/setup.sh
need_build_tools || exit 77
tests=("$@")
[ "${#tests[@]}" != 0 ] || tests=(suite)

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/windows
missing=no
need_std_sources || missing=yes
need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64-posix || missing=yes
need wine wine wine64 || missing=yes
need_zig "${target%/*}/zig" || missing=yes
[ "$missing" = no ] || exit 77

x64=x86_64-win7-windows-gnu
arm64=aarch64-pc-windows-gnullvm
# No display is there to ask on whether .NET and a browser are to be installed; nothing here uses them.
export CARGO_TARGET_DIR=$target WINEPREFIX=$target/wine WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml=
export CARGO_TARGET_X86_64_WIN7_WINDOWS_GNU_RUNNER=wine
build=(-Zbuild-std=std,panic_abort --quiet)

cargo test "${build[@]}" --target "$x64" --package opstamp-platform --tests || exit 1
cargo test "${build[@]}" --target "$x64" --package opstamp-tests "${tests[@]/#/--test=}" -- --show-output || exit 1
# Optimized, as the tests are: the interpreter takes many minutes for the programs otherwise.
cargo build "${build[@]}" --profile test --target "$x64" --package opstamp-platform || exit 1
wine "$target/$x64/debug/opstamp.exe" test tests/programs || exit 1

# zig brings its own C library, in place of those that the compiler names.
zig_linker "$target/link-arm64" aarch64-windows-gnu '!-nolibc' '!--unwindlib=none' '!-lmsvcrt' '!-lmingw32' '!-lmingwex'
CARGO_TARGET_AARCH64_PC_WINDOWS_GNULLVM_LINKER=$target/link-arm64 \
    cargo build "${build[@]}" --target "$arm64" --package opstamp-platform || exit 1
echo "arm64: built and linked, not run"
