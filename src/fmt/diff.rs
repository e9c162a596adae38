//! Unified differences of two texts.

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// Above this many cells the table of common lines would be too large; then all between the common
/// beginning and end counts as changed.
const CELLS: usize = 16_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// What `diff -u` prints; empty when the texts are equal.
pub fn diff(old: &str, new: &str, name: &str) -> String {
    if old == new {
        return String::new();
    }
    let (a, b): (Vec<_>, Vec<_>) = (
        old.split_inclusive('\n').collect(),
        new.split_inclusive('\n').collect(),
    );
    let edits = edits(&a, &b);
    let mut out = format!("--- {name}\n+++ {name}\n");
    let mut at = 0;
    while let Some(change) = (at..edits.len()).find(|n| edits[*n].0 != Edit::Keep) {
        let start = change.saturating_sub(CONTEXT).max(at);
        let end = hunk_end(&edits, change);
        hunk(&edits[start..end], (&a, &b), &mut out);
        at = end;
    }
    out
}

/// Where a hunk ends: behind the context of its last change.
fn hunk_end(edits: &[(Edit, usize, usize)], change: usize) -> usize {
    let mut last = change;
    for (n, edit) in edits.iter().enumerate().skip(change) {
        if edit.0 != Edit::Keep {
            last = n;
        } else if n - last > 2 * CONTEXT {
            break;
        }
    }
    (last + 1 + CONTEXT).min(edits.len())
}

fn hunk(edits: &[(Edit, usize, usize)], (a, b): (&[&str], &[&str]), out: &mut String) {
    let Some((_, i, j)) = edits.first() else {
        return;
    };
    let olds = edits.iter().filter(|e| e.0 != Edit::Add).count();
    let news = edits.iter().filter(|e| e.0 != Edit::Remove).count();
    let first = |at: usize, count: usize| if count == 0 { at } else { at + 1 };
    out.push_str(&format!(
        "@@ -{},{olds} +{},{news} @@\n",
        first(*i, olds),
        first(*j, news)
    ));
    for (edit, i, j) in edits {
        let (sign, line) = match edit {
            Edit::Keep => (' ', a[*i]),
            Edit::Remove => ('-', a[*i]),
            Edit::Add => ('+', b[*j]),
        };
        out.push(sign);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// Each edit with the lines of both texts at which it stands.
fn edits(a: &[&str], b: &[&str]) -> Vec<(Edit, usize, usize)> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..]
        .iter()
        .rev()
        .zip(b[head..].iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let (n, m) = (a.len() - head - tail, b.len() - head - tail);
    let mut out: Vec<_> = (0..head).map(|k| (Edit::Keep, k, k)).collect();
    let table = table(&a[head..head + n], &b[head..head + m]);
    let (mut i, mut j) = (0, 0);
    while i < n || j < m {
        let edit = match &table {
            Some(_) if i < n && j < m && a[head + i] == b[head + j] => Edit::Keep,
            Some(t) if i < n && j < m && t[(i + 1) * (m + 1) + j] < t[i * (m + 1) + j + 1] => {
                Edit::Add
            }
            _ if i < n => Edit::Remove,
            _ => Edit::Add,
        };
        out.push((edit, head + i, head + j));
        i += usize::from(edit != Edit::Add);
        j += usize::from(edit != Edit::Remove);
    }
    out.extend((0..tail).map(|k| (Edit::Keep, head + n + k, head + m + k)));
    out
}

/// Lengths of the longest common sequences of the rests.
fn table(a: &[&str], b: &[&str]) -> Option<Vec<u32>> {
    let width = b.len() + 1;
    if (a.len() + 1).saturating_mul(width) > CELLS {
        return None;
    }
    let mut table = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i * width + j] = if a[i] == b[j] {
                table[(i + 1) * width + j + 1] + 1
            } else {
                table[(i + 1) * width + j].max(table[i * width + j + 1])
            };
        }
    }
    Some(table)
}
