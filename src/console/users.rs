//! The local file of users, for a machine of one's own: one a line, with a hashed password. Nothing in it is a
//! secret by itself, and nothing of a password is ever printed.

use super::access::Role;
use aws_lc_rs::{constant_time, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// What OWASP asks of PBKDF2 with HMAC-SHA-256 (2023).
pub const ITERATIONS: u32 = 600_000;
const FEWEST: u32 = 100_000;
/// So that a line in the file cannot make each login take minutes.
const MOST: u32 = 10_000_000;
const SCHEME: &str = "pbkdf2-sha256";
const SALT: usize = 16;
const HASH: usize = 32;
pub const SHORTEST: usize = 12;
/// More would only cost time to hash.
pub const LONGEST: usize = 256;
const MOST_NAME: usize = 64;

/// `$pbkdf2-sha256$i=600000$<salt>$<hash>`, both in base64 without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hash]")
    }
}

impl Hash {
    pub fn of(password: &str) -> io::Result<Hash> {
        Hash::with(password, NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN))
    }

    fn with(password: &str, iterations: NonZeroU32) -> io::Result<Hash> {
        let mut salt = vec![0; SALT];
        rand::fill(&mut salt).map_err(|_| io::Error::other("the system has no random numbers"))?;
        let mut hash = vec![0; HASH];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut hash);
        Ok(Hash { iterations, salt, hash })
    }

    pub fn parse(text: &str) -> Option<Hash> {
        let mut parts = text.strip_prefix('$')?.split('$');
        let (scheme, iterations) = (parts.next()?, parts.next()?.strip_prefix("i=")?.parse().ok()?);
        let mut bytes = || STANDARD_NO_PAD.decode(parts.next()?).ok();
        let (salt, hash) = (bytes()?, bytes()?);
        let well_formed = scheme == SCHEME
            && (FEWEST..=MOST).contains(&iterations)
            && salt.len() >= SALT
            && hash.len() == HASH
            && parts.next().is_none();
        let iterations = NonZeroU32::new(iterations)?;
        well_formed.then_some(Hash { iterations, salt, hash })
    }

    /// Takes a good part of a second, on purpose.
    pub fn verify(&self, password: &str) -> bool {
        let mut made = [0; HASH];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, self.iterations, &self.salt, password.as_bytes(), &mut made);
        constant_time::verify_slices_are_equal(&made, &self.hash).is_ok()
    }

    fn line(&self) -> String {
        let (salt, hash) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.hash));
        format!("${SCHEME}$i={}${salt}${hash}", self.iterations)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub roles: Vec<Role>,
    pub hash: Hash,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    #[error("{0}:{1}: {2}")]
    Line(PathBuf, usize, &'static str),
    #[error("a name has at most 64 letters, digits, `.`, `-`, `_` or `@`, and begins with a letter or digit")]
    Name,
    #[error("there is a user of this name")]
    Known,
    #[error("there is no user of this name")]
    Unknown,
    #[error("a password has from 12 to 256 characters")]
    Password,
}

/// `name:role,role:hash` a line; empty lines and those that begin with `#` say nothing.
#[derive(Clone, Debug, Default)]
pub struct Users(pub BTreeMap<String, User>);

impl Users {
    pub fn read(path: &Path) -> Result<Users, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Io(path.to_owned(), error))?;
        let mut users = BTreeMap::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let wrong = |what| Error::Line(path.to_owned(), at + 1, what);
            let mut parts = line.trim().splitn(3, ':');
            let mut part = || parts.next().ok_or_else(|| wrong("a line is name:role,role:hash"));
            let (name, roles, hash) = (part()?, part()?, part()?);
            if !is_name(name) {
                return Err(wrong("this is no name"));
            }
            let roles: Option<Vec<Role>> = roles.split(',').map(Role::parse).collect();
            let roles = roles.ok_or_else(|| wrong("there is no such role"))?;
            let hash = Hash::parse(hash).ok_or_else(|| wrong("the hash cannot be read"))?;
            if users.insert(name.to_owned(), User { roles, hash }).is_some() {
                return Err(wrong("the name is there twice"));
            }
        }
        Ok(Users(users))
    }

    pub fn add(&mut self, name: &str, roles: Vec<Role>, password: &str) -> Result<(), Error> {
        if !is_name(name) {
            return Err(Error::Name);
        }
        if !(SHORTEST..=LONGEST).contains(&password.chars().count()) {
            return Err(Error::Password);
        }
        if self.0.contains_key(name) {
            return Err(Error::Known);
        }
        let hash = Hash::of(password).map_err(|error| Error::Io(PathBuf::new(), error))?;
        self.0.insert(name.to_owned(), User { roles, hash });
        Ok(())
    }

    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.0.remove(name).map(drop).ok_or(Error::Unknown)
    }

    /// Whole or not at all, and readable by its owner only.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let io = |error| Error::Io(path.to_owned(), error);
        let new = path.with_extension("new");
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(io)?;
        let line = |(name, user): (&String, &User)| {
            let roles: Vec<&str> = user.roles.iter().map(|role| role.as_str()).collect();
            format!("{name}:{}:{}\n", roles.join(","), user.hash.line())
        };
        let text: String = self.0.iter().map(line).collect();
        out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(io)?;
        std::fs::rename(&new, path).map_err(io)
    }
}

fn is_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric();
    name.len() <= MOST_NAME
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|b| letter(b) || b".-_@".contains(&b))
}

/// The file as it is now: who was removed is out at once.
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    known: RwLock<(Option<SystemTime>, Arc<Users>)>,
    /// Of nobody: so that a name that is not there takes as long as one that is.
    nobody: Hash,
}

impl UsersFile {
    pub fn open(path: &Path) -> Result<UsersFile, Error> {
        let users = Users::read(path)?;
        let nobody = Hash::of("").map_err(|error| Error::Io(path.to_owned(), error))?;
        let read_at = modified(path);
        Ok(UsersFile { path: path.to_owned(), known: RwLock::new((read_at, Arc::new(users))), nobody })
    }

    /// Where it cannot be read any more, nobody is anybody.
    pub fn users(&self) -> Arc<Users> {
        let modified = modified(&self.path);
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if known.0 == modified && modified.is_some() {
                return known.1.clone();
            }
        }
        let users = Users::read(&self.path).unwrap_or_else(|error| {
            tracing::error!(%error, "the file of users cannot be read: nobody of it is let in");
            Users::default()
        });
        let users = Arc::new(users);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = (modified, users.clone());
        users
    }

    /// Slow: not to be called where others wait.
    pub fn verify(&self, name: &str, password: &str) -> bool {
        let users = self.users();
        let user = users.0.get(name);
        let right = user.map_or(&self.nobody, |user| &user.hash).verify(password);
        right && user.is_some()
    }

    /// `None` where there is no such user any more.
    pub fn roles(&self, name: &str) -> Option<Vec<Role>> {
        self.users().0.get(name).map(|user| user.roles.clone())
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|about| about.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: NonZeroU32 = NonZeroU32::MIN.saturating_add(FEWEST - 1);

    fn hash(password: &str) -> Hash {
        Hash::with(password, FEW).unwrap()
    }

    #[test]
    fn the_right_password_and_no_other() {
        let made = hash("correct paard batterij");
        let read = Hash::parse(&made.line()).unwrap();
        assert!(read.verify("correct paard batterij"));
        for wrong in ["", "correct paard batterij ", "Correct paard batterij"] {
            assert!(!read.verify(wrong), "{wrong:?}");
        }
        assert_ne!(made.line(), hash("correct paard batterij").line(), "each has a salt of its own");
    }

    #[test]
    fn an_outside_implementation_makes_the_same_hash() {
        // python3 -c 'import hashlib,base64; print(base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"wachtwoord",
        // bytes(range(16)), 100000)))'
        let line = "$pbkdf2-sha256$i=100000$AAECAwQFBgcICQoLDA0ODw$PP9uebKc2fCh0wzxd8LpueE7cKJ/BZwv2UGMLovqqwQ";
        assert!(Hash::parse(line).unwrap().verify("wachtwoord"));
    }

    #[test]
    fn lines_that_are_none_are_refused() {
        let good = hash("x").line();
        let cases = [
            ("j.jansen", "a line is"),
            ("j.jansen:operator", "a line is"),
            (&format!("j jansen:operator:{good}"), "no name"),
            (&format!(":operator:{good}"), "no name"),
            (&format!("j.jansen:boss:{good}"), "no such role"),
            (&format!("j.jansen::{good}"), "no such role"),
            ("j.jansen:operator:secret", "hash"),
            (&format!("j.jansen:operator:{}", good.replace("i=100000", "i=1")), "hash"),
            (&format!("j.jansen:operator:{}", good.replace("i=100000", "i=4000000000")), "hash"),
            (&format!("a:viewer:{good}\na:operator:{good}"), "twice"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            let error = Users::read(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn who_is_removed_is_out_at_once_and_the_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let mut users = Users::default();
        users
            .0
            .insert("a".to_owned(), User { roles: vec![Role::Viewer, Role::Operator], hash: hash("lang genoeg 12") });
        users.write(&path).unwrap();
        let file = UsersFile::open(&path).unwrap();
        assert!(file.verify("a", "lang genoeg 12") && !file.verify("b", ""));
        assert_eq!(file.roles("a"), Some(vec![Role::Viewer, Role::Operator]));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        users.remove("a").unwrap();
        users.write(&path).unwrap();
        // A file system may know no finer time than that of the first writing.
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_eq!(file.roles("a"), None);
        assert!(!file.verify("a", "lang genoeg 12"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.roles("a"), None);
    }
}
