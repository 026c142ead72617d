//! The kernel's command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The most bytes of a command line that all kernels take.
const MOST: usize = 2047;

/// Words as a command line from which the kernel reads the same words: each in quotes, with a backslash before a quote or
/// backslash in it.
pub fn quote<W: AsRef<OsStr>>(words: &[W]) -> Result<OsString, String> {
    let mut line = Vec::new();
    for word in words {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.push(b'"');
        for &byte in word.as_ref().as_bytes() {
            if byte == b'"' || byte == b'\\' {
                line.push(b'\\');
            }
            line.push(byte);
        }
        line.push(b'"');
    }
    if line.len() > MOST {
        return Err(format!("the arguments take {} bytes, the kernel's command line has room for {MOST}", line.len()));
    }
    Ok(OsString::from_vec(line))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted() {
        assert_eq!(quote(&["a b", "", r#"say "x""#, r"back\"]).expect("short"), r#""a b" "" "say \"x\"" "back\\""#);
        assert!(quote(&["x".repeat(2045)]).is_ok());
        let error = quote(&["x".repeat(2046)]).expect_err("long");
        assert_eq!(error, "the arguments take 2048 bytes, the kernel's command line has room for 2047");
    }
}
