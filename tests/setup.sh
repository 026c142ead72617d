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
