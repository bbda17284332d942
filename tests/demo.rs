//! The demo through the real program: a broker, a gateway and everything around them, and each message ends as
//! `deploy/demo/messages.yaml` expects.

use std::process::Command;

#[test]
fn every_message_of_the_demo_ends_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("demo");
    let output = Command::new(env!("CARGO_BIN_EXE_ketenpoort"))
        .args(["demo", "--once", "--home"])
        .arg(&home)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{complaints}");
    for line in [
        "16 messages, each ended as expected.",
        "the very same receipts came again, byte for byte; nothing was forwarded again",
        "woningcorporatie:havenlicht as zvh-deelnemer: refused",
        "gemeente:0344 as gemeente-gemandateerde: awaiting_assessment",
    ] {
        assert!(shown.contains(line), "{line:?} is not in:\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    // Nobody of whom a message told something is shown.
    assert!(!shown.contains("Dijkhuizen") && !shown.contains("999993653"), "{shown}");
}
