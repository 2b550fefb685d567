//! Files rendered from settings, and the appliance's own: as values first, then written all or none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use model::Definition;
use model::definition::{SEALED_TEMPLATES, SettingValues};
use model::template::{Context, TEMPLATE_LIMIT, Template, TemplateError};
use serde::{Deserialize, Serialize};

use crate::accounts::{Accounts, Owner, UnknownAccount};
use crate::firewall;
use crate::init::state::make_directories;

/// Where the list of rendered paths is kept, for the report of undeclared writes.
pub const LIST_PATH: &str = "/run/ampoule/rendered.json";

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedFile {
    /// Absolute path.
    pub path: String,
    /// Numeric owner.
    pub user: u32,
    /// Numeric group.
    pub group: u32,
    /// Mode.
    pub mode: u32,
    /// Content.
    pub content: String,
}

/// A template can not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Its text is not in the image.
    #[error("the template of {target} can not be read")]
    Text {
        /// The file it makes.
        target: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It does not work with these values.
    #[error("the template of {target} can not be rendered")]
    Template {
        /// The file it makes.
        target: String,
        /// The cause.
        #[source]
        source: TemplateError,
    },
    /// Its owner is not in the image.
    #[error("{target} can not get its owner")]
    Owner {
        /// The file it makes.
        target: String,
        /// The cause.
        #[source]
        source: UnknownAccount,
    },
}

/// What rendering needs besides values.
#[derive(Debug)]
pub struct Renderer {
    /// The sealed definition.
    pub definition: Definition,
    /// Texts by index in the definition.
    texts: Vec<Result<String, String>>,
    accounts: Accounts,
}

impl Renderer {
    /// Reads the definition's templates below `root`.
    pub fn load(definition: Definition, root: &Path) -> io::Result<Renderer> {
        let read = |index: usize| {
            let path = root.join(SEALED_TEMPLATES).join(format!("{index:04}"));
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() > TEMPLATE_LIMIT as u64 => Err("it is too long".to_owned()),
                _ => fs::read_to_string(&path).map_err(|error| error.to_string()),
            }
        };
        let texts = (0..definition.templates.len()).map(read).collect();
        Ok(Renderer { definition, texts, accounts: Accounts::load(root)? })
    }

    /// A renderer from values, for tests and rehearsals.
    pub fn new(definition: Definition, texts: Vec<String>, accounts: Accounts) -> Renderer {
        Renderer { definition, texts: texts.into_iter().map(Ok).collect(), accounts }
    }

    /// The accounts of the image.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Host name by the settings: the setting named `hostname`, or the appliance's name.
    pub fn hostname(&self, values: &SettingValues) -> String {
        values.get("hostname").map_or_else(|| self.definition.appliance.name.clone(), ToString::to_string)
    }

    /// Renders every template; one result each.
    pub fn templates(&self, values: &SettingValues) -> Vec<Result<RenderedFile, RenderError>> {
        let hostname = self.hostname(values);
        let context = Context {
            settings: &self.definition.settings,
            values,
            appliance: &self.definition.appliance,
            hostname: &hostname,
        };
        let one = |(template, text): (&model::definition::Template, &Result<String, String>)| {
            let target = || template.target.clone();
            let text = text.as_ref().map_err(|why| RenderError::Text {
                target: target(),
                source: io::Error::other(why.clone()),
            })?;
            let content = Template::parse(text)
                .and_then(|parsed| parsed.render(&context))
                .map_err(|source| RenderError::Template { target: target(), source })?;
            let Owner { user, group } = self
                .accounts
                .owner(&template.owner)
                .map_err(|source| RenderError::Owner { target: target(), source })?;
            Ok(RenderedFile { path: target(), user, group, mode: template.mode, content })
        };
        self.definition.templates.iter().zip(&self.texts).map(one).collect()
    }

    /// Files the appliance itself needs. A maker's template of the same path takes their place, except the firewall's.
    pub fn own_files(&self, values: &SettingValues, image: ImageNetwork) -> Vec<RenderedFile> {
        let hostname = self.hostname(values);
        let file = |path: &str, content: String| RenderedFile {
            path: path.to_owned(),
            user: 0,
            group: 0,
            mode: 0o644,
            content,
        };
        let mut files = vec![
            file("/etc/hostname", format!("{hostname}\n")),
            file(
                "/etc/hosts",
                format!(
                    "127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost ip6-loopback\n"
                ),
            ),
            // Nobody logs in; the status card says what there is to say.
            file("/etc/issue", String::new()),
        ];
        if image == ImageNetwork::Unset {
            let network = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n\n\
                [DHCPv4]\nClientIdentifier=mac\nUseDomains=yes\n";
            files.push(file("/etc/systemd/network/80-ampoule.network", network.to_owned()));
        }
        files.retain(|file| !self.definition.templates.iter().any(|template| template.target == file.path));
        files.push(file(firewall::PATH, firewall::render(&self.definition.ports)));
        files
    }
}

/// Whether the image configures its network itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageNetwork {
    /// `/etc/systemd/network` has a `.network` file.
    Set,
    /// It has none: Ethernet is configured by DHCP.
    Unset,
}

impl ImageNetwork {
    /// Looks below `root`. Files of earlier renderings are not the image's.
    pub fn look(root: &Path) -> ImageNetwork {
        let entries = fs::read_dir(root.join("etc/systemd/network")).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        match names.any(|name| name.ends_with(".network") && name != "80-ampoule.network") {
            true => ImageNetwork::Set,
            false => ImageNetwork::Unset,
        }
    }
}

/// Writes files below `root`: all are prepared beside their names before the first one takes its name, so that a full
/// disk changes nothing.
pub fn place(root: &Path, files: &[RenderedFile]) -> io::Result<()> {
    let mut prepared: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let outcome = files.iter().try_for_each(|file| {
        let target = root.join(file.path.trim_start_matches('/'));
        let temporary = prepare(&target, file)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.path)))?;
        prepared.insert(temporary, target);
        Ok(())
    });
    let outcome = outcome.and_then(|()| prepared.iter().try_for_each(|(from, to)| fs::rename(from, to)));
    if outcome.is_err() {
        prepared.keys().for_each(|temporary| drop(fs::remove_file(temporary)));
    }
    outcome
}

fn prepare(target: &Path, file: &RenderedFile) -> io::Result<PathBuf> {
    let folder = target.parent().ok_or_else(|| io::Error::other("it is no path of a file"))?;
    let name = target.file_name().ok_or_else(|| io::Error::other("it is no path of a file"))?;
    make_directories(folder)?;
    let temporary = folder.join(format!(".{}.ampoule-new", name.to_string_lossy()));
    let _left_over = fs::remove_file(&temporary);
    let write = || -> io::Result<()> {
        // Private until it has its owner: it may hold a key.
        let mut open = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        open.write_all(file.content.as_bytes())?;
        fchown(&open, Some(file.user), Some(file.group))?;
        open.set_permissions(fs::Permissions::from_mode(file.mode))
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use model::settings::Value;
    use serde_json::json;

    use super::*;
    use crate::testing::{definition, string};

    fn renderer(text: &str) -> Renderer {
        let mut definition = definition(json!({"templates": [
            {"source": "a", "target": "/etc/shop.conf", "owner": "root", "mode": 0o640}
        ]}));
        definition.settings = vec![string("site-name", ".*")];
        Renderer::new(definition, vec![text.to_owned()], Accounts::parse("root:x:0:0::/:/\n", ""))
    }

    fn values() -> SettingValues {
        [("site-name".to_owned(), Value::String("Shop".to_owned()))].into()
    }

    #[test]
    fn templates_see_settings_and_get_owner_and_mode() {
        let file = renderer("name {{ site_name }} on {{ hostname }}\n")
            .templates(&values())
            .remove(0)
            .expect("rendered");
        assert_eq!(file.content, "name Shop on shop\n");
        assert_eq!((file.path.as_str(), file.mode), ("/etc/shop.conf", 0o640));
    }

    #[test]
    fn a_template_that_fails_is_named_by_its_target() {
        let error =
            renderer("{{ site_name }}").templates(&SettingValues::new()).remove(0).expect_err("no value");
        assert_eq!(error.to_string(), "the template of /etc/shop.conf can not be rendered");
    }

    fn file(path: &str) -> RenderedFile {
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        RenderedFile { path: path.to_owned(), user, group, mode: 0o640, content: "new".to_owned() }
    }

    #[test]
    fn files_are_written_with_their_mode() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        place(root.path(), &[file("/etc/a/b.conf")]).expect("the file system works");
        let metadata = fs::metadata(root.path().join("etc/a/b.conf")).expect("there");
        assert_eq!(metadata.mode() & 0o7777, 0o640);
    }

    #[test]
    fn when_one_file_can_not_be_written_none_is_changed() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(root.path().join("first"), "old").expect("written");
        fs::write(root.path().join("in-the-way"), "").expect("written");
        place(root.path(), &[file("/first"), file("/in-the-way/second")]).expect_err("a file is no folder");
        assert_eq!(fs::read_to_string(root.path().join("first")).expect("there"), "old");
        let names = fs::read_dir(root.path()).expect("readable").count();
        assert_eq!(names, 2, "nothing is left over");
    }

    #[test]
    fn the_firewall_can_not_be_replaced_by_a_template() {
        let mut renderer = renderer("");
        renderer.definition.templates[0].target = firewall::PATH.to_owned();
        let files = renderer.own_files(&values(), ImageNetwork::Unset);
        assert!(files.iter().any(|file| file.path == firewall::PATH));
        assert!(files.iter().any(|file| file.path.ends_with("80-ampoule.network")));
        let files = renderer.own_files(&values(), ImageNetwork::Set);
        assert!(!files.iter().any(|file| file.path.ends_with("80-ampoule.network")));
    }
}
