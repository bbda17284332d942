//! The files that say what messages are, read into memory; the rest of the core never touches a disk.

use crate::code::Code;
use crate::outcome::Problem;
use std::collections::BTreeMap;
use std::path::Path;

/// Text of every file, by its path relative to its folder.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub schemas: BTreeMap<String, String>,
    pub policies: BTreeMap<String, String>,
    pub mappings: BTreeMap<String, String>,
}

/// Something wrong in a file: which file, which line if known, and what.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub file: String,
    pub line: Option<u64>,
    #[serde(flatten)]
    pub problem: Problem,
}

impl Finding {
    pub fn new(file: impl Into<String>, line: Option<u64>, problem: Problem) -> Self {
        Finding { file: file.into(), line, problem }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let Problem { code, place, hint } = &self.problem;
        write!(f, ": {code} {}: ", code.title())?;
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        f.write_str(hint)
    }
}

impl Sources {
    pub fn read(schemas: &Path, policies: &Path, mappings: &Path) -> Result<Sources, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut kept = |read: Result<_, Finding>| read.map_err(|finding| findings.push(finding)).unwrap_or_default();
        let sources = Sources {
            schemas: kept(folder(schemas, Code::SchemaInvalid, &["json"])),
            policies: kept(folder(policies, Code::PolicyInvalid, POLICIES)),
            mappings: kept(folder(mappings, Code::MappingInvalid, &["yaml", "csv", "xml", "json", "txt"])),
        };
        if findings.is_empty() { Ok(sources) } else { Err(findings) }
    }

    /// The policies alone; there are then no message types.
    pub fn read_policies(policies: &Path) -> Result<Sources, Vec<Finding>> {
        let policies = folder(policies, Code::PolicyInvalid, POLICIES).map_err(|finding| vec![finding])?;
        Ok(Sources { policies, ..Sources::default() })
    }
}

const POLICIES: &[&str] = &["cedar", "cedarschema", "yaml"];

fn folder(root: &Path, code: Code, endings: &[&str]) -> Result<BTreeMap<String, String>, Finding> {
    let mut files = BTreeMap::new();
    let wrong = |error: std::io::Error| {
        Finding::new(root.display().to_string(), None, Problem::new(code, "", error.to_string()))
    };
    read_folder(root, root, endings, &mut files).map_err(wrong)?;
    Ok(files)
}

fn read_folder(
    root: &Path,
    folder: &Path,
    endings: &[&str],
    files: &mut BTreeMap<String, String>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(root, &path, endings, files)?;
            continue;
        }
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if endings.contains(&ending) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.insert(name, std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Short digest over named texts: the version that receipts name.
pub fn version<'a>(files: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for (name, text) in files {
        for part in [name, text] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
    }
    context.finish().as_ref()[..6].iter().map(|b| format!("{b:02x}")).collect()
}
