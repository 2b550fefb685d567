//! The named trim rules that every image starts from. A definition switches them off by name and adds its own.

use model::definition::Trim;
use tree::trim::{Emptied, Rule, Stage};
use tree::{Origin, Pattern, Tree};

use super::ComposeError;
use super::file_rules::FILE_RULES;
use super::start_rules::START_RULES;

/// When a rule is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// While packages are unpacked: maintainer scripts do not need these files, and what is never written is fastest.
    Unpack,
    /// After the maker's files are in.
    Compose,
}

/// A rule that comes with Ampoule.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinRule {
    /// Lower-case letters and hyphens.
    pub name: &'static str,
    /// Why an appliance does not need it.
    pub why: &'static str,
    /// When.
    pub phase: Phase,
    /// Patterns of paths.
    pub paths: &'static [&'static str],
    /// Patterns kept although `paths` names them.
    pub except: &'static [&'static str],
    /// Packages whose files go, all of them.
    pub packages: &'static [&'static str],
    /// The rule is skipped when one of these packages is installed: it would need what the rule removes.
    pub unless: &'static [&'static str],
}

/// The empty rule, for tables.
pub(super) const NO_RULE: BuiltinRule = BuiltinRule {
    name: "",
    why: "",
    phase: Phase::Compose,
    paths: &[],
    except: &[],
    packages: &[],
    unless: &[],
};

/// All of them, in the order in which they are applied. A file counts for the first rule that names it.
pub fn builtin_rules() -> impl Iterator<Item = &'static BuiltinRule> {
    FILE_RULES.iter().chain(START_RULES)
}

/// The rules that apply while packages are unpacked.
pub fn unpack_rules(trim: &Trim) -> Result<Vec<Rule>, ComposeError> {
    kept_builtin(trim).filter(|rule| rule.phase == Phase::Unpack).map(compile_builtin).collect()
}

/// The rules that apply to the composed tree: the rest of the built in ones, then the maker's own.
pub fn compose_rules(trim: &Trim, tree: &Tree) -> Result<Vec<Rule>, ComposeError> {
    let has_package = |name: &&str| {
        tree.entries
            .values()
            .any(|entry| matches!(&entry.origin, Origin::Package(package) if package == *name))
    };
    let builtin = kept_builtin(trim)
        .filter(|rule| rule.phase == Phase::Compose && !rule.unless.iter().any(&has_package))
        .map(compile_builtin);
    let own = trim.rules.iter().map(|rule| {
        let own = Parts { paths: &rule.paths, except: &rule.except, packages: &rule.packages };
        compile(&rule.name, &rule.why, own, Stage::Late)
    });
    builtin.chain(own).collect()
}

/// Names in `trim.keep` that no built in rule has.
pub fn unknown_kept_rules(trim: &Trim) -> Vec<String> {
    let is_known = |name: &&String| builtin_rules().any(|rule| rule.name == **name);
    trim.keep.iter().filter(|name| !is_known(name)).cloned().collect()
}

fn kept_builtin(trim: &Trim) -> impl Iterator<Item = &'static BuiltinRule> {
    builtin_rules().filter(|rule| !trim.keep.iter().any(|kept| kept == rule.name))
}

struct Parts<'a> {
    paths: &'a [String],
    except: &'a [String],
    packages: &'a [String],
}

fn compile_builtin(rule: &BuiltinRule) -> Result<Rule, ComposeError> {
    let expanded = |texts: &[&str]| texts.iter().flat_map(|text| expand(text)).collect::<Vec<String>>();
    let packages: Vec<String> = rule.packages.iter().map(|name| name.to_string()).collect();
    let stage = if rule.phase == Phase::Unpack { Stage::Early } else { Stage::Late };
    let parts = Parts { paths: &expanded(rule.paths), except: &expanded(rule.except), packages: &packages };
    compile(rule.name, rule.why, parts, stage)
}

fn compile(name: &str, why: &str, parts: Parts<'_>, stage: Stage) -> Result<Rule, ComposeError> {
    let patterns = |texts: &[String]| -> Result<Vec<Pattern>, ComposeError> {
        let bad = |source| ComposeError::Pattern { rule: name.to_owned(), source };
        texts.iter().map(|text| text.parse().map_err(bad)).collect()
    };
    Ok(Rule {
        name: name.to_owned(),
        why: why.to_owned(),
        paths: patterns(parts.paths)?,
        except: patterns(parts.except)?,
        packages: parts.packages.to_vec(),
        stage,
        emptied: Emptied::Remove,
    })
}

/// Writes out alternatives: `a/{b,c}` is `a/b` and `a/c`. Only the tables above use them.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![pattern.to_owned()] };
    let tails = expand(after);
    choices
        .split(',')
        .flat_map(|choice| tails.iter().map(move |tail| format!("{before}{choice}{tail}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_rule_compiles_and_has_its_own_name() {
        let mut names: Vec<&str> = builtin_rules().map(|rule| rule.name).collect();
        for rule in builtin_rules() {
            compile_builtin(rule).unwrap();
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), builtin_rules().count());
    }

    #[test]
    fn alternatives_are_written_out() {
        assert_eq!(expand("/a/{b,c}/{d,e}*"), ["/a/b/d*", "/a/b/e*", "/a/c/d*", "/a/c/e*"]);
    }

    #[test]
    fn what_hypervisors_and_clouds_need_is_never_trimmed() {
        let rules = unpack_rules(&Trim::default()).unwrap();
        let rule_for = |path: &str| {
            let path = format!("usr/lib/modules/6.12/kernel/{path}").parse().unwrap();
            tree::trim::rule_for(&rules, &path).map(|rule| rule.name.clone())
        };
        for kept in [
            "drivers/char/virtio_console.ko",
            "drivers/virtio/virtio_pci.ko",
            "drivers/net/virtio_net.ko",
            "drivers/net/vmxnet3/vmxnet3.ko",
            "drivers/net/hyperv/hv_netvsc.ko",
            "drivers/net/xen-netfront.ko",
            "drivers/block/xen-blkfront.ko",
            "drivers/net/ethernet/intel/e1000/e1000.ko",
            "drivers/net/ethernet/amazon/ena/ena.ko",
            "drivers/net/ethernet/google/gve/gve.ko",
            "drivers/hv/hv_vmbus.ko",
            "drivers/scsi/hv_storvsc.ko",
            "drivers/scsi/vmw_pvscsi.ko",
            "drivers/nvme/host/nvme.ko",
            "drivers/md/dm-verity.ko",
            "drivers/firmware/qemu_fw_cfg.ko",
            "fs/overlayfs/overlay.ko",
            "fs/btrfs/btrfs.ko",
            "fs/isofs/isofs.ko",
            "fs/fat/vfat.ko",
            "net/netfilter/nf_tables.ko",
        ] {
            assert_eq!(rule_for(kept), None, "{kept}");
        }
        assert_eq!(rule_for("sound/soundcore.ko").as_deref(), Some("kernel-modules-without-use"));
    }

    #[test]
    fn a_kept_rule_is_not_applied_and_an_unknown_one_is_noticed() {
        let trim = Trim { keep: vec!["documentation".into(), "documents".into()], rules: Vec::new() };
        assert!(!unpack_rules(&trim).unwrap().iter().any(|rule| rule.name == "documentation"));
        assert_eq!(unknown_kept_rules(&trim), ["documents"]);
    }
}
