//! What is done once this process has ended, however it did: a shell waits for that.

use std::io;
use std::process::{Child, Command, Stdio};

/// What interrupts us interrupts our whole group, and the shell has to outlive that. Our end closes its input.
const WAIT: &str = "trap '' INT TERM HUP; cat >/dev/null; exec \"$@\"";

/// Done when this is dropped, at the latest.
#[derive(Debug)]
pub struct Afterwards(Child);

impl Afterwards {
    pub fn run(command: &Command) -> io::Result<Afterwards> {
        let mut shell = Command::new("sh");
        shell.args(["-c", WAIT, "afterwards"]).arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Afterwards)
    }

    /// It is not needed any more.
    pub fn forget(mut self) {
        let _ = self.0.kill();
    }
}

impl Drop for Afterwards {
    /// Best effort: there is nobody to tell.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_when_dropped_and_not_when_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("done");
        let mut command = Command::new("touch");
        command.arg(&file);
        Afterwards::run(&command).unwrap().forget();
        assert!(!file.exists());
        drop(Afterwards::run(&command).unwrap());
        assert!(file.exists());
    }
}
