//! Programs that must not do their work during a build, replaced while scripts run and put back afterwards.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::base::BaseError;
use crate::base::error::At;

/// Path, text, and whether it is there even when no package brings the program.
const STAND_INS: [(&str, &str, Presence); 6] = [
    // The appliance boots Ampoule's initrd; building another takes seconds.
    ("usr/sbin/update-initramfs", "#!/bin/sh\nexit 0\n", Presence::WhenInstalled),
    // No service starts while a system is built. 101 means "forbidden by policy".
    ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", Presence::Always),
    // Both are shell and perl for questions that a fresh system never raises; PHP's packages call them dozens of times.
    ("usr/bin/ucf", UCF, Presence::WhenInstalled),
    ("usr/bin/ucfr", UCFR, Presence::WhenInstalled),
    // Asked hundreds of times, and starts a dozen processes for each answer.
    ("usr/sbin/phpquery", PHPQUERY, Presence::WhenInstalled),
    // Asks running processes to start again; there are none.
    ("usr/sbin/needrestart", "#!/bin/sh\nexit 0\n", Presence::WhenInstalled),
];

/// Copies a configuration file that is not there yet and notes its hash, as ucf would; leaves every other case to ucf.
const UCF: &str = r#"#!/bin/sh
original=/usr/bin/ucf.ampoule-original
new= dest= count=0
for argument do
    case $argument in
        --debconf-ok | --three-way) ;;
        -*) exec $original "$@" ;;
        *) count=$((count + 1)); new=$dest dest=$argument ;;
    esac
done
case $count$new$dest in 2/*/*) ;; *) exec $original "$@" ;; esac
if [ -e "$dest" ] || [ -L "$dest" ] || [ -L "$new" ] || [ ! -f "$new" ] || [ ! -d "${dest%/*}" ] ||
    grep -qsxF -e "$dest" /var/lib/dpkg/diversions || grep -qsF -e "  $dest" /var/lib/ucf/hashfile; then
    exec $original "$@"
fi
echo "Creating config file $dest with new version" >&2
cp -pf "$new" "$dest" || exit
sum=$(md5sum "$new") || exit
mkdir -p /var/lib/ucf/cache
echo "${sum%% *}  $dest" >> /var/lib/ucf/hashfile
"#;

/// Notes which package a configuration file belongs to when nobody noted it yet.
const UCFR: &str = r#"#!/bin/sh
original=/usr/bin/ucfr.ampoule-original
package= file= count=0
for argument do
    case $argument in
        --force | -f) ;;
        -*) exec $original "$@" ;;
        *) count=$((count + 1)); package=$file file=$argument ;;
    esac
done
if [ $count != 2 ] || [ -L "$file" ] || grep -qsF -e "$file" /var/lib/ucf/registry; then
    exec $original "$@"
fi
mkdir -p /var/lib/ucf
printf '%s \t %s\n' "$package" "$file" >> /var/lib/ucf/registry
"#;

/// Answers which interfaces PHP has, and whether a module that nobody ever switched off is enabled for one of them;
/// leaves every other question to phpquery.
const PHPQUERY: &str = r#"#!/bin/sh
original=/usr/sbin/phpquery.ampoule-original
quiet= list= version= sapi= module=
while getopts :qSv:s:m: option; do
    case $option in
        q) quiet=1 ;;
        S) list=1 ;;
        v) version=$OPTARG ;;
        s) sapi=$OPTARG ;;
        m) module=$OPTARG ;;
        *) exec $original "$@" ;;
    esac
done
case $OPTIND-$#-$list-$version-$sapi-$module in
    6-5--?*-?*-?* | 7-6--?*-?*-?* | 8-7--?*-?*-?* | 4-3-1-?*-- | 5-4-1-?*--) ;;
    *) exec $original "$@" ;;
esac
folder=/usr/lib/php/$version/sapi
if [ "$list" ]; then
    for path in "$folder"/*; do
        case $path in *.* | *~ | *%) case ${path##*/} in *.* | *~ | *%) exec $original "$@" ;; esac ;; esac
        [ -e "$path" ] && echo "${path##*/}"
    done
    exit 0
fi
file=/etc/php/$version/mods-available/$module.ini
state=/var/lib/php/modules/$version/$sapi
if [ ! -r "$file" ] || [ ! -e "$folder/$sapi" ] ||
    [ -e "$state/disabled_by_admin/$module" ] || [ -e "$state/disabled_by_maint/$module" ]; then
    exec $original "$@"
fi
priority=
while IFS= read -r line || [ "$line" ]; do
    case $priority-$line in
        -\;priority=[0-9][0-9]) priority=${line#*=} ;;
        -\;\ priority=[0-9][0-9]) priority=${line#*=} ;;
        *priority*) exec $original "$@" ;;
    esac
done < "$file"
link=/etc/php/$version/$sapi/conf.d/${priority:-20}-$module.ini
if [ ! -e "$link" ] && [ ! -L "$link" ]; then
    [ "$quiet" ] || echo "No module matches $module (Disabled for $sapi by unknown)"
    exit 1
fi
if [ "$quiet" ] && [ -L "$link" ] && [ "$(readlink "$link")" = "$file" ]; then
    exit 0
fi
exec $original "$@"
"#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    WhenInstalled,
    Always,
}

/// The stand-ins of one root.
pub(super) struct StandIns {
    root: PathBuf,
    /// Which are in place, and whether an original waits aside.
    active: [Option<Original>; STAND_INS.len()],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Original {
    Absent,
    Aside,
}

impl StandIns {
    /// None is in place yet.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), active: [None; STAND_INS.len()] }
    }

    /// Puts every stand-in in place whose time has come. Cheap when there is nothing to do.
    pub(super) fn install(&mut self) -> Result<(), BaseError> {
        for (index, (name, text, presence)) in STAND_INS.iter().enumerate() {
            let path = self.root.join(name);
            let exists = path.symlink_metadata().is_ok();
            if self.active[index].is_some() || !(exists || *presence == Presence::Always) {
                continue;
            }
            if exists {
                std::fs::rename(&path, original_path(&path)).at("move aside", &path)?;
            }
            let mut file = std::fs::OpenOptions::new();
            let mut file = file.write(true).create_new(true).mode(0o755).open(&path).at("create", &path)?;
            file.write_all(text.as_bytes()).at("write", &path)?;
            self.active[index] = Some(if exists { Original::Aside } else { Original::Absent });
        }
        Ok(())
    }

    /// Puts the originals back. A package that replaced a stand-in with its own file keeps that.
    pub(super) fn restore(&mut self) -> Result<(), BaseError> {
        for (index, (name, text, _)) in STAND_INS.iter().enumerate() {
            let Some(original) = self.active[index].take() else { continue };
            let path = self.root.join(name);
            if std::fs::read(&path).is_ok_and(|bytes| bytes != text.as_bytes()) {
                continue;
            }
            match original {
                Original::Aside => std::fs::rename(original_path(&path), &path).at("put back", &path)?,
                Original::Absent => std::fs::remove_file(&path).at("remove", &path)?,
            }
        }
        Ok(())
    }
}

/// Stand-ins call their originals there.
fn original_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ampoule-original");
    name.into()
}
