//! LightGBM's texts: the first byte says whether tree_sizes is made right before. What is taken is walked to an end, and is the same
//! after an import; without its last byte it is no model. A mistake is told with a line that exists.

use corebid::model::forest::Library;
use corebid::model::import_bytes;

#[path = "support/walked.rs"]
mod walked;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&first, text)) = input.split_first() else { return };
    let mended = if first & 1 == 1 { std::str::from_utf8(text).ok().and_then(resized) } else { None };
    let text = mended.as_deref().map_or(text, str::as_bytes);
    match import_bytes(Library::LightGbm, text) {
        Ok(model) => {
            walked::check(&model);
            assert!(import_bytes(Library::LightGbm, &text[..text.len() - 1]).is_err(), "without its last byte");
        }
        Err(error) => {
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!(error.line <= lines, "line {} of {lines}", error.line);
            assert!(!error.to_string().contains('\n'), "{error:?}");
        }
    }
}

/// The text with the sizes of what begins with `Tree=`.
fn resized(text: &str) -> Option<String> {
    let (head, trees) = text.split_once("\n\n")?;
    let (trees, tail) = trees.split_once("end of trees\n")?;
    let begins: Vec<usize> = trees.match_indices("Tree=").map(|(at, _)| at).chain([trees.len()]).collect();
    let sizes: Vec<String> = begins.windows(2).map(|pair| (pair[1] - pair[0]).to_string()).collect();
    let is_sizes = |line: &&str| line.starts_with("tree_sizes=");
    let head: Vec<&str> = head.lines().filter(|line| !is_sizes(line)).collect();
    Some(format!("{}\ntree_sizes={}\n\n{trees}end of trees\n{tail}", head.join("\n"), sizes.join(" ")))
}
