//! How many iterations a program runs: the times that a function is entered or the head of a loop is passed. The program
//! counts them itself, by ops that are put into its text.

const COUNTER: &str = "iterations__";

/// The module with a counter as its first global.
pub fn counting(source: &str) -> String {
    let lines = statements(source);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut heads = vec![false; lines.len()];
    let mut start = 0;
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("func ") {
            start = at;
        }
        for target in targets(line) {
            // A label of this function that stands before the branch.
            if let Some(head) = (start..at).find(|&other| lines[other].strip_suffix(':') == Some(target)) {
                heads[head] = true;
            }
        }
    }
    let count =
        format!("global.get {COUNTER}, {COUNTER}\ni64.add {COUNTER}, {COUNTER}, 1\nglobal.set {COUNTER}, {COUNTER}\n");
    let mut text = format!("global {COUNTER}: i64\n");
    let mut at_entry = false;
    for (line, head) in lines.iter().zip(heads) {
        if at_entry && !line.is_empty() && !line.starts_with("local ") {
            text += &format!("local {COUNTER}: i64\n{count}");
            at_entry = false;
        }
        text += line;
        text += "\n";
        if line.starts_with("func ") {
            at_entry = true;
        }
        if head {
            text += &count;
        }
    }
    text
}

/// The statements of a text, one line each: a newline inside brackets ends none.
fn statements(source: &str) -> Vec<String> {
    let (mut all, mut open) = (vec![String::new()], 0_usize);
    for line in source.lines() {
        let (mut in_string, mut escaped, mut end) = (false, false, line.len());
        for (at, c) in line.char_indices() {
            match c {
                '"' if !escaped => in_string = !in_string,
                ';' if !in_string => {
                    end = at;
                    break;
                }
                '(' | '[' | '{' if !in_string => open += 1,
                ')' | ']' | '}' if !in_string => open = open.saturating_sub(1),
                _ => {}
            }
            escaped = in_string && c == '\\' && !escaped;
        }
        let line = line[..end].trim();
        let last = all.last_mut().expect("a statement");
        last.push_str(line);
        last.push(' ');
        if open == 0 {
            last.truncate(last.trim_end().len());
            all.push(String::new());
        }
    }
    all
}

/// The labels that an op of one line may branch to.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let (op, operands) = line.split_once(' ').unwrap_or((line, ""));
    // The operand that is switched on, or the operands that are compared, come before the labels.
    let labels = match op {
        "switch" => operands.split_once(',').map_or("", |(_, labels)| labels),
        "jump" => operands,
        _ if op.starts_with("br.") => operands.rsplit_once(',').map_or("", |(_, label)| label),
        _ => "",
    };
    labels.split([',', '[', ']', ' ']).filter(|label| !label.is_empty())
}
