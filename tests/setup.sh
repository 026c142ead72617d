# Functions for the scripts beside this file: finding tools, and installing the ones that are missing.

# What could not be run, one a line.
skipped=""
packages_known=no

# need TOOL PACKAGE...: true if the command TOOL is there, after installing the Debian packages if it has to be. As
# another user than root, and where the packages cannot be had, prints the line that installs them.
need() {
    local tool=$1
    shift
    command -v "$tool" >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        if [ "$packages_known" = no ]; then
            apt-get update -qq >/dev/null 2>&1
            packages_known=yes
        fi
        echo "installing $* (for $tool)" >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
        command -v "$tool" >/dev/null 2>&1 && return 0
    fi
    echo "MISSING: $tool. Install it with: sudo apt-get install -y $*" >&2
    return 1
}

# need_file FILE PACKAGE...: the same for a file.
need_file() {
    local file=$1
    shift
    [ -e "$file" ] && return 0
    need "no-such-command-but-$file" "$@" 2>/dev/null
    [ -e "$file" ] && return 0
    echo "MISSING: $file. Install it with: sudo apt-get install -y $*" >&2
    return 1
}

# What every cargo build needs.
need_build_tools() {
    if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    command -v cargo >/dev/null 2>&1 || {
        echo "MISSING: cargo. Install rustup, see https://rustup.rs" >&2
        return 1
    }
    need cc gcc libc6-dev
}

# Whether Debian's compiler is of the version that the workspace asks for, or a later one.
debian_rustc_is_new() {
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    printf '%s\n%s\n' "$oldest" "$(/usr/bin/rustc --version | cut -d' ' -f2)" | sort -VC
}

# A compiler that builds the standard library from its sources, for targets that rustup has no build of. Sets what cargo
# needs for it; the option -Zbuild-std goes with it.
need_std_sources() {
    local status=0
    need_file /usr/bin/rustc rustc-web || status=1
    # Debian has an older compiler of that name too.
    if [ -e /usr/bin/rustc ] && ! debian_rustc_is_new; then
        need "no-such-command-but-a-newer-rustc" rustc-web 2>/dev/null
        if ! debian_rustc_is_new; then
            echo "MISSING: a newer /usr/bin/rustc. Install it with: sudo apt-get install -y rustc-web" >&2
            status=1
        fi
    fi
    need_file /usr/lib/rustlib/src/rust/library/core/src/lib.rs rust-web-src || status=1
    [ "$status" = 0 ] || return 1
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
}

# need_zig DIRECTORY: zig, which links for systems other than this one. Installs it to DIRECTORY if it has to be.
need_zig() {
    local package=ziglang==0.17.1
    need python3 python3 || return 1
    export PYTHONPATH="$1${PYTHONPATH:+:$PYTHONPATH}"
    python3 -m ziglang version >/dev/null 2>&1 && return 0
    python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
    if [ "$(id -u)" = 0 ]; then
        echo "installing $package to $1" >&2
        python3 -m pip install --quiet --target "$1" "$package" >/dev/null 2>&1
        python3 -m ziglang version >/dev/null 2>&1 && return 0
    fi
    echo "MISSING: zig. Install it with: python3 -m pip install --target $1 $package" >&2
    return 1
}

# zig_linker FILE TARGET [OPTION...]: writes a linker for one of zig's targets. Options of the form !WORD take that word
# out of what it is called with.
zig_linker() {
    local file=$1 target=$2 option drop="" add=""
    shift 2
    for option; do
        case $option in
        !*) drop+="${drop:+|}${option#!}" ;;
        *) add+=" '$option'" ;;
        esac
    done
    mkdir -p "$(dirname "$file")"
    cat >"$file" <<EOF
#!/usr/bin/env bash
args=()
for arg in "\$@"; do case \$arg in ${drop:-no-such-option}) ;; *) args+=("\$arg") ;; esac; done
exec python3 -m ziglang cc -target $target$add "\${args[@]}"
EOF
    chmod +x "$file"
}
