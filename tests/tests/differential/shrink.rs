//! Makes a failing program smaller while it still fails.

use crate::program::{Program, Stmt};

/// Tries, at most.
const TRIES: usize = 3000;

/// The smallest program found, by greedy steps, for which `fails` still holds.
pub fn shrink(mut program: Program, fails: &mut dyn FnMut(&Program) -> bool) -> Program {
    let mut tries = 0;
    loop {
        let before = tries;
        let mut smaller = false;
        let mut at = 0;
        while let Some(candidate) = step(&program, at) {
            tries += 1;
            if tries > TRIES {
                return program;
            }
            if fails(&candidate) {
                program = candidate;
                smaller = true;
            } else {
                at += 1;
            }
        }
        if !smaller || tries == before {
            return program;
        }
    }
}

/// The program after step number `at`: leaving out a call, emptying a function, or a step inside a body.
fn step(program: &Program, at: usize) -> Option<Program> {
    let mut candidate = program.clone();
    let calls = if program.calls.len() > 1 { program.calls.len() } else { 0 };
    if at < calls {
        candidate.calls.remove(at);
        return Some(candidate);
    }
    let mut left = at - calls;
    for func in &mut candidate.funcs {
        if !func.body.is_empty() {
            if left == 0 {
                func.body.clear();
                return Some(candidate);
            }
            left -= 1;
        }
    }
    for func in &mut candidate.funcs {
        if in_block(&mut func.body, &mut left) {
            return Some(candidate);
        }
    }
    None
}

/// Takes the step number `left` of those that a block offers; else counts them off.
fn in_block(block: &mut Vec<Stmt>, left: &mut usize) -> bool {
    let mut at = 0;
    while at < block.len() {
        if *left == 0 {
            block.remove(at);
            return true;
        }
        *left -= 1;
        if *left < inner(&block[at]).len() {
            let mut parts = inner(&block[at]);
            let part = parts.swap_remove(*left);
            block.splice(at..=at, part);
            return true;
        }
        *left -= inner(&block[at]).len();
        if let Stmt::Loop { trips, .. } = &mut block[at]
            && *trips > 1
        {
            if *left == 0 {
                *trips = 1;
                return true;
            }
            *left -= 1;
        }
        let found = match &mut block[at] {
            Stmt::Do(_) => false,
            Stmt::Loop { body, .. } => in_block(body, left),
            Stmt::If { then, otherwise, .. } => in_block(then, left) || in_block(otherwise, left),
            Stmt::Switch { arms, .. } => arms.iter_mut().any(|arm| in_block(arm, left)),
        };
        if found {
            return true;
        }
        at += 1;
    }
    false
}

/// The blocks that can stand for a statement.
fn inner(stmt: &Stmt) -> Vec<Vec<Stmt>> {
    match stmt {
        Stmt::Do(_) => vec![],
        Stmt::Loop { body, .. } => vec![body.clone()],
        Stmt::If { then, otherwise, .. } => vec![then.clone(), otherwise.clone()],
        Stmt::Switch { arms, .. } => arms.clone(),
    }
}
