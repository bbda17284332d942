//! The example that partners get, docs/examples/partner_keys.py, as a program to run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// With jwcrypto.
pub fn python() -> PathBuf {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let setup = Command::new(root().join("tests/judges/setup.sh")).status().unwrap();
        assert!(setup.success(), "the judges cannot be installed");
    });
    root().join("target/judges/venv/bin/python")
}

/// What it printed, or why it refused.
pub fn partner(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let script = root().join("docs/examples/partner_keys.py");
    let output = Command::new(python()).arg(script).args(arguments).current_dir(folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(output.stdout) } else { Err(told) }
}
