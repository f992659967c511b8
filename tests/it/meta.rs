//! Tests about the tests: each numbered rule of HTTP handling is proved somewhere.

use std::path::Path;

fn collect(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_rule_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    collect(&root.join("tests/it"), &mut text);
    collect(&root.join("src"), &mut text);
    let missing: Vec<u32> = (1..=45)
        .chain([48, 49, 52])
        .filter(|number| !text.contains(&format!("fn rule_{number:02}_")))
        .collect();
    assert!(missing.is_empty(), "no test proves the rules {missing:?}");
}
