//! Tests about the tests: each numbered rule of HTTP handling and each numbered case of conversion is proved somewhere.

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

/// All Rust there is.
pub(crate) fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    collect(&root.join("tests/it"), &mut text);
    collect(&root.join("src"), &mut text);
    text
}

#[test]
fn every_rule_has_a_test() {
    let text = sources();
    let missing: Vec<u32> = (1..=45)
        .chain([48, 49, 52])
        .filter(|number| !text.contains(&format!("fn rule_{number:02}_")))
        .collect();
    assert!(missing.is_empty(), "no test proves the rules {missing:?}");
}

/// The numbers of the tests called `case_NN_…` and `case_NN_MM_…`.
fn cases(text: &str) -> Vec<u32> {
    let names = text.split("fn case_").skip(1);
    let numbers = names.flat_map(|name| name.split('_').map_while(|word| word.parse().ok()));
    numbers.collect()
}

#[test]
fn every_case_has_a_test() {
    let found = cases(&sources());
    let missing: Vec<u32> = (1..=60).filter(|number| !found.contains(number)).collect();
    assert!(missing.is_empty(), "no test proves the cases {missing:?}");
    let unknown: Vec<&u32> = found.iter().filter(|number| **number > 60).collect();
    assert!(unknown.is_empty(), "there are no cases {unknown:?}");
}

#[test]
fn the_numbers_of_cases_are_read_from_names() {
    let text = ["fn ", "case_07_x() fn ", "case_16_17_y_3() fn other_case_9"].concat();
    assert_eq!(cases(&text), [7, 16, 17]);
}
