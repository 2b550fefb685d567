//! dpkg's database (`/var/lib/dpkg`), written as if dpkg had unpacked the packages itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ControlFiles;
use super::stage::Staged;
use crate::base::BaseError;
use crate::base::error::At;

/// Writes to the database of one root. dpkg MUST NOT run while a method does.
pub struct Database {
    directory: PathBuf,
    /// Paragraphs not yet in the status file.
    pending: String,
    /// Interests by file path, and by trigger name: packages with their `/noawait`.
    file_interests: BTreeMap<String, BTreeSet<String>>,
    named_interests: BTreeMap<String, BTreeSet<String>>,
    /// Activations not yet in `triggers/Unincorp`: trigger, packages that wait for it.
    activations: BTreeMap<String, BTreeSet<String>>,
}

impl Database {
    /// Makes an empty database in `root`.
    pub fn new(root: &Path) -> Result<Self, BaseError> {
        let directory = root.join("var/lib/dpkg");
        for (name, text) in [
            ("status", ""),
            ("available", ""),
            ("info/format", "1\n"),
            ("triggers/File", ""),
            ("triggers/Lock", ""),
        ] {
            let path = directory.join(name);
            std::fs::write(&path, text).at("write", &path)?;
        }
        Ok(Self {
            directory,
            pending: String::new(),
            file_interests: BTreeMap::new(),
            named_interests: BTreeMap::new(),
            activations: BTreeMap::new(),
        })
    }

    /// Puts control files where a preinst script expects them.
    pub fn write_preinst_area(&self, files: &ControlFiles) -> Result<PathBuf, BaseError> {
        let area = self.directory.join("tmp.ci");
        std::fs::create_dir_all(&area).at("create", &area)?;
        for (name, file) in files {
            write_with_mode(&area.join(name), &file.bytes, file.mode)?;
        }
        Ok(area)
    }

    /// Records `staged` as unpacked. Visible to dpkg after [`Database::flush`].
    pub fn record(&mut self, staged: &Staged) -> Result<(), BaseError> {
        let control = &staged.control;
        let stem = if control.is_multi_arch_same {
            format!("{}:{}", control.name, control.architecture)
        } else {
            control.name.clone()
        };
        let info = self.directory.join("info");
        for (name, file) in staged.files.iter().filter(|(name, _)| *name != "control") {
            write_with_mode(&info.join(format!("{stem}.{name}")), &file.bytes, file.mode)?;
        }
        write_with_mode(&info.join(format!("{stem}.list")), staged.list.as_bytes(), 0o644)?;
        self.paragraph(staged);
        self.triggers(staged)
    }

    fn paragraph(&mut self, staged: &Staged) {
        // dpkg writes `Status` right after the name; any place will do for reading.
        let mut lines = staged.control.text.lines();
        let mut paragraph = String::new();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(paragraph, "{first}\nStatus: install ok unpacked");
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let _ = writeln!(paragraph, "{line}");
        }
        let conffiles = staged.files.get("conffiles").map(|file| String::from_utf8_lossy(&file.bytes));
        let hash_of: BTreeMap<&str, &str> =
            staged.conffile_hashes.iter().map(|(path, hash)| (path.as_str(), hash.as_str())).collect();
        let known: Vec<(&str, &str)> = conffiles
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| Some((line.trim(), *hash_of.get(line.trim())?)))
            .collect();
        if !known.is_empty() {
            paragraph.push_str("Conffiles:\n");
            for (path, hash) in known {
                // The final hash, not `newconffile`: conffiles are in place already, and dpkg leaves a conffile
                // without `.dpkg-new` alone when it configures.
                let _ = writeln!(paragraph, " {path} {hash}");
            }
        }
        paragraph.push('\n');
        self.pending.push_str(&paragraph);
    }

    fn triggers(&mut self, staged: &Staged) -> Result<(), BaseError> {
        let control = &staged.control;
        let package = match control.is_multi_arch_same {
            true => format!("{}:{}", control.name, control.architecture),
            false => control.name.clone(),
        };
        let text = staged.files.get("triggers").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        for line in text.unwrap_or_default().lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(directive), Some(trigger)) = (words.next(), words.next()) else { continue };
            let (action, awaits) = match directive.split_once('-') {
                None => (directive, true),
                Some((action, "await")) => (action, true),
                Some((action, _)) => (action, false),
            };
            match action {
                "interest" => {
                    let interests = if trigger.starts_with('/') {
                        &mut self.file_interests
                    } else {
                        &mut self.named_interests
                    };
                    let suffix = if awaits { "" } else { "/noawait" };
                    interests.entry(trigger.to_owned()).or_default().insert(format!("{package}{suffix}"));
                }
                "activate" => self.activate(trigger, awaits.then_some(package.as_str())),
                _ => {}
            }
        }
        let touched: Vec<String> = self
            .file_interests
            .keys()
            .filter(|interest| {
                let is_below = |line: &str| {
                    line.strip_prefix(interest.as_str()).is_some_and(|rest| rest.starts_with('/'))
                };
                staged.list.lines().any(|line| line == interest.as_str() || is_below(line))
            })
            .cloned()
            .collect();
        for interest in touched {
            let awaits = self.file_interests[&interest].iter().any(|package| !package.ends_with("/noawait"));
            self.activate(&interest, awaits.then_some(package.as_str()));
        }
        Ok(())
    }

    fn activate(&mut self, trigger: &str, waiting: Option<&str>) {
        self.activations.entry(trigger.to_owned()).or_default().insert(waiting.unwrap_or("-").to_owned());
    }

    /// Makes everything recorded visible to dpkg.
    pub fn flush(&mut self) -> Result<(), BaseError> {
        let status = self.directory.join("status");
        let mut file = OpenOptions::new().append(true).open(&status).at("open", &status)?;
        file.write_all(std::mem::take(&mut self.pending).as_bytes()).at("write", &status)?;
        let triggers = self.directory.join("triggers");
        let mut lines = String::new();
        for (path, packages) in &self.file_interests {
            for package in packages {
                let _ = writeln!(lines, "{path} {package}");
            }
        }
        let file = triggers.join("File");
        std::fs::write(&file, lines).at("write", file)?;
        for (trigger, packages) in &self.named_interests {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+:".contains(&byte);
            if trigger.starts_with('.') || !trigger.bytes().all(is_plain) {
                continue;
            }
            let lines: String = packages.iter().map(|package| format!("{package}\n")).collect();
            let file = triggers.join(trigger);
            std::fs::write(&file, lines).at("write", file)?;
        }
        let unincorporated = triggers.join("Unincorp");
        let mut lines = String::new();
        for (trigger, packages) in std::mem::take(&mut self.activations) {
            let packages: Vec<String> = packages.into_iter().collect();
            let _ = writeln!(lines, "{trigger} {}", packages.join(" "));
        }
        let mut file =
            OpenOptions::new().append(true).create(true).open(&unincorporated).at("open", &unincorporated)?;
        file.write_all(lines.as_bytes()).at("write", unincorporated)
    }
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), BaseError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .at("create", path)?;
    file.write_all(bytes).at("write", path)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode)).at("set the mode of", path)
}
