use super::{exit, print_text};
use crate::console::access::Role;
use crate::console::users::{Error, LONGEST, Users};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add somebody who may use the console; the password is read from standard input
    #[command(
        after_help = "Makes the file where there is none. The password is the first line of standard input, never an argument, \
        which others on the machine can read; it has at least 12 characters. A running gateway sees the change at once.\n\n\
        Example:\n  ketenpoort users add users.txt j.jansen --role operator < password.txt"
    )]
    Add {
        file: PathBuf,
        name: String,
        /// What he may; may be given more than once
        #[arg(long, required = true, value_parser = role)]
        role: Vec<Role>,
    },
    /// List who may use the console, and as what
    #[command(after_help = "Example:\n  ketenpoort users list users.txt")]
    List { file: PathBuf },
    /// Take somebody out: what he has open in a browser ends at once
    #[command(after_help = "Example:\n  ketenpoort users remove users.txt j.jansen")]
    Remove { file: PathBuf, name: String },
}

fn role(name: &str) -> Result<Role, String> {
    let names = || Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    Role::parse(name).ok_or_else(|| format!("one of {}", names()))
}

pub fn run(command: Command) -> u8 {
    let done = match command {
        Command::Add { file, name, role } => add(&file, &name, role),
        Command::List { file } => Users::read(&file).map(|users| {
            for (name, user) in &users.0 {
                let roles: Vec<&str> = user.roles.iter().map(|role| role.as_str()).collect();
                print_text(&format!("{name}  {}\n", roles.join(", ")));
            }
        }),
        Command::Remove { file, name } => Users::read(&file).and_then(|mut users| {
            users.remove(&name)?;
            users.write(&file)
        }),
    };
    match done {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("{error}");
            exit::INPUT
        }
    }
}

fn add(file: &Path, name: &str, mut roles: Vec<Role>) -> Result<(), Error> {
    let mut users = if file.exists() { Users::read(file)? } else { Users::default() };
    roles.sort();
    roles.dedup();
    users.add(name, roles, &password().map_err(|error| Error::Io(PathBuf::from("standard input"), error))?)?;
    users.write(file)
}

/// At a terminal without showing it, as `stty` has it; where there is none, it would be seen by nobody anyway.
fn password() -> std::io::Result<String> {
    let mut input = std::io::stdin();
    let hidden = input.is_terminal() && stty("-echo");
    if input.is_terminal() {
        eprint!("Password: ");
    }
    let mut text = String::new();
    let read = if hidden { input.read_line(&mut text) } else { first_line(&mut input, &mut text) };
    if hidden {
        stty("echo");
        eprintln!();
    }
    read?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn first_line(input: &mut impl Read, text: &mut String) -> std::io::Result<usize> {
    let most = u64::try_from(LONGEST * 4 + 2).unwrap_or(u64::MAX);
    let mut all = String::new();
    let read = input.take(most).read_to_string(&mut all)?;
    text.push_str(all.lines().next().unwrap_or_default());
    Ok(read)
}

fn stty(setting: &str) -> bool {
    std::process::Command::new("stty").arg(setting).status().is_ok_and(|status| status.success())
}
