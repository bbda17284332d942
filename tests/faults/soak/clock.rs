//! The gateway's own clock, which jumps. Only the time of day: what is waited for goes by another one, as on any
//! system. By libfaketime, which answers for the system.

use crate::scene::ROOT;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Clock {
    library: PathBuf,
    file: PathBuf,
    /// In seconds.
    ahead: i64,
}

impl Clock {
    pub fn new(folder: &Path) -> Clock {
        let script = ". deploy/install.sh; need_faketime";
        let found = Command::new("sh").args(["-ec", script]).current_dir(ROOT).output().unwrap();
        let said = String::from_utf8_lossy(&found.stderr);
        assert!(found.status.success(), "libfaketime: {said}");
        let library = String::from_utf8_lossy(&found.stdout).lines().last().unwrap().into();
        let clock = Clock { library, file: folder.join("clock"), ahead: 0 };
        clock.write();
        clock
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let environment = [
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", path(&self.file)),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ];
        environment.map(|(name, value)| (name.to_owned(), value)).into()
    }

    pub fn jump(&mut self, seconds: i64) {
        // It comes back from the future in steps of an hour, and at the end at once.
        self.ahead += seconds;
        self.write();
    }

    pub fn right(&mut self) {
        self.jump(-self.ahead);
    }

    fn write(&self) {
        std::fs::write(&self.file, format!("{:+}", self.ahead)).unwrap();
    }
}
