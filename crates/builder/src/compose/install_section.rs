//! The `[Install]` section of unit files: which links enable a unit, as systemd.unit(5) describes.
//!
//! Pure: the text of a unit in, links out.

/// What the `[Install]` section asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallSection {
    /// `WantedBy=`
    pub wanted_by: Vec<String>,
    /// `RequiredBy=`
    pub required_by: Vec<String>,
    /// `Alias=`
    pub aliases: Vec<String>,
    /// `Also=`: units enabled together with this one.
    pub also: Vec<String>,
    /// `DefaultInstance=`
    pub default_instance: Option<String>,
}

impl InstallSection {
    /// Reads the section; an empty assignment resets a list.
    pub fn parse(text: &str) -> Self {
        let mut section = Self::default();
        let mut is_install = false;
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim) {
            if line.starts_with('[') {
                is_install = line == "[Install]";
            } else if is_install && let Some((key, value)) = line.split_once('=') {
                section.assign(key.trim(), value.trim());
            }
        }
        section
    }

    /// Whether enabling the unit would do anything.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Links below `/etc/systemd/system` that enable the unit, as relative names.
    pub fn links(&self, unit: &str) -> Vec<String> {
        let name = self.instance_of(unit);
        let folder = |targets: &[String], kind: &str| -> Vec<String> {
            targets.iter().map(|target| format!("{target}.{kind}/{name}")).collect()
        };
        let mut links = folder(&self.wanted_by, "wants");
        links.extend(folder(&self.required_by, "requires"));
        links.extend(self.aliases.iter().filter(|alias| *alias != unit).cloned());
        links
    }

    fn instance_of(&self, unit: &str) -> String {
        match (&self.default_instance, unit.split_once("@.")) {
            (Some(instance), Some((prefix, suffix))) => format!("{prefix}@{instance}.{suffix}"),
            _ => unit.to_owned(),
        }
    }

    fn assign(&mut self, key: &str, value: &str) {
        let list = match key {
            "WantedBy" => &mut self.wanted_by,
            "RequiredBy" => &mut self.required_by,
            "Alias" => &mut self.aliases,
            "Also" => &mut self.also,
            "DefaultInstance" => {
                self.default_instance = (!value.is_empty()).then(|| value.to_owned());
                return;
            }
            _ => return,
        };
        if value.is_empty() {
            list.clear();
        }
        list.extend(value.split_whitespace().map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_follow_the_install_section_only() {
        let section = InstallSection::parse(
            "[Unit]\nAlias=not-this\n[Install]\nWantedBy=a.target \\\n  b.target\nRequiredBy=c.target\nAlias=other.service web.service\nAlso=web.socket\n",
        );
        assert_eq!(
            section.links("web.service"),
            [
                "a.target.wants/web.service",
                "b.target.wants/web.service",
                "c.target.requires/web.service",
                "other.service"
            ]
        );
        assert_eq!(section.also, ["web.socket"]);
    }

    #[test]
    fn a_template_is_enabled_as_its_default_instance() {
        let section = InstallSection::parse("[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n");
        assert_eq!(section.links("getty@.service"), ["getty.target.wants/getty@tty1.service"]);
    }

    #[test]
    fn a_unit_without_install_section_asks_for_nothing() {
        assert!(InstallSection::parse("[Service]\nWantedBy=x\n").is_empty());
    }
}
