//! Everything that the fuzz targets have in their corpus goes through the same checks here.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/checks/websocket.rs"]
mod websocket;

#[test]
fn frames() {
    each("websocket", websocket::check);
}

fn each(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder that can be read").path();
        check(&fs::read(&path).expect("a file that was just listed"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}
