//! Kernel modules: which ones the devices ask for, and in which order they go in.
//!
//! Owns `modules.dep` and `modules.alias` as depmod writes them (man modules.dep, depmod(8)). Refuses options,
//! blacklists and soft dependencies: a sealed image has the modules it needs and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Deepest chain of dependencies that is followed: a loop in `modules.dep` must not end in a full stack.
const DEPTH_LIMIT: usize = 32;

/// What is known of the modules in one folder.
#[derive(Clone, Debug, Default)]
pub struct ModuleIndex {
    /// Module name to its file and the files it needs, as they are in `modules.dep`.
    files: BTreeMap<String, ModuleFile>,
    /// Pattern of device aliases and module name.
    aliases: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct ModuleFile {
    path: String,
    needs: Vec<String>,
}

/// Puts one module file into the kernel.
///
/// Implementers MUST return `Ok` also when the module is in already. Callers MUST load what a module needs first.
pub trait ModuleLoader {
    /// `path` is relative to the folder of `modules.dep`.
    fn load(&mut self, path: &str) -> io::Result<()>;
}

/// A module did not go in.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Not in `modules.dep`.
    #[error("there is no kernel module `{name}`")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// `modules.dep` goes in circles.
    #[error("kernel module `{name}` depends on itself")]
    Circle {
        /// Where it was noticed.
        name: String,
    },
    /// The kernel refused it.
    #[error("the kernel refused module `{path}`")]
    Refused {
        /// File below the module folder.
        path: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl ModuleIndex {
    /// Reads the texts of `modules.dep` and `modules.alias`.
    pub fn parse(dependencies: &str, aliases: &str) -> ModuleIndex {
        let files = dependencies.lines().filter_map(|line| {
            let (path, needs) = line.split_once(':')?;
            let needs = needs.split_ascii_whitespace().map(module_name).collect();
            Some((module_name(path), ModuleFile { path: path.to_owned(), needs }))
        });
        let aliases = aliases.lines().filter_map(|line| {
            let mut words = line.strip_prefix("alias ")?.split_ascii_whitespace();
            Some((words.next()?.to_owned(), module_name(words.next()?)))
        });
        ModuleIndex { files: files.collect(), aliases: aliases.collect() }
    }

    /// The index with the aliases of those modules only whose path has one of `parts`. What they need stays known.
    pub fn only_below(mut self, parts: &[&str]) -> ModuleIndex {
        let is_below = |name: &String| {
            self.files.get(name).is_some_and(|file| parts.iter().any(|part| file.path.contains(part)))
        };
        self.aliases.retain(|(_, name)| is_below(name));
        self
    }

    /// Whether the folder has the module.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(&module_name(name))
    }

    /// Modules whose alias patterns fit a device's alias.
    pub fn wanted_by(&self, modalias: &str) -> impl Iterator<Item = &str> {
        self.aliases
            .iter()
            .filter(move |(pattern, _)| pattern_fits(pattern.as_bytes(), modalias.as_bytes()))
            .map(|(_, name)| name.as_str())
    }

    /// Files to load for a module, what it needs first.
    pub fn load_order(&self, name: &str) -> Result<Vec<&str>, ModuleError> {
        let mut order = Vec::new();
        self.add_in_order(&module_name(name), 0, &mut order)?;
        Ok(order)
    }

    fn add_in_order<'a>(
        &'a self,
        name: &str,
        depth: usize,
        order: &mut Vec<&'a str>,
    ) -> Result<(), ModuleError> {
        let file = self.files.get(name).ok_or_else(|| ModuleError::Unknown { name: name.to_owned() })?;
        if order.contains(&file.path.as_str()) {
            return Ok(());
        }
        if depth > DEPTH_LIMIT {
            return Err(ModuleError::Circle { name: name.to_owned() });
        }
        for needed in &file.needs {
            self.add_in_order(needed, depth + 1, order)?;
        }
        if !order.contains(&file.path.as_str()) {
            order.push(&file.path);
        }
        Ok(())
    }
}

/// Loads modules once, and answers each device alias once.
#[derive(Debug, Default)]
pub struct Loaded {
    files: BTreeSet<String>,
    aliases: BTreeSet<String>,
}

impl Loaded {
    /// Loads a module and what it needs.
    pub fn ensure(
        &mut self,
        index: &ModuleIndex,
        name: &str,
        loader: &mut dyn ModuleLoader,
    ) -> Result<(), ModuleError> {
        for path in index.load_order(name)? {
            if !self.files.contains(path) {
                loader.load(path).map_err(|source| ModuleError::Refused { path: path.to_owned(), source })?;
                self.files.insert(path.to_owned());
            }
        }
        Ok(())
    }

    /// Loads what new device aliases ask for, and returns whether there was any new one: a bus driver that went in may
    /// have brought further devices. A module that is refused (its hardware is disabled, for instance) stops nothing.
    pub fn answer_devices(
        &mut self,
        index: &ModuleIndex,
        modaliases: impl IntoIterator<Item = String>,
        loader: &mut dyn ModuleLoader,
    ) -> Found {
        let mut found = Found::Nothing;
        for modalias in modaliases {
            if !self.aliases.insert(modalias.clone()) {
                continue;
            }
            for name in index.wanted_by(&modalias) {
                found = Found::Devices;
                let _refused = self.ensure(index, name, loader);
            }
        }
        found
    }
}

/// Whether a pass over the devices loaded something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No alias that was new and has a module.
    Nothing,
    /// At least one.
    Devices,
}

/// `kernel/fs/over-lay.ko.xz` to `over_lay`: the kernel's own form, hyphens being underscores.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// Shell patterns with `*`, `?` and `[...]`, as depmod writes them. Linear in time but for `*`, where it goes back to
/// the last one only.
fn pattern_fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at_pattern) {
            Some(b'*') => {
                retry = Some((at_pattern + 1, at_text));
                at_pattern += 1;
                continue;
            }
            None if at_text == text.len() => return true,
            None => None,
            Some(_) if at_text == text.len() => None,
            Some(b'?') => Some(1),
            Some(b'[') => set_fits(&pattern[at_pattern..], text[at_text]),
            Some(byte) if *byte == text[at_text] => Some(1),
            Some(_) => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                at_pattern += length;
                at_text += 1;
            }
            (None, Some((after_star, taken))) if taken < text.len() => {
                retry = Some((after_star, taken + 1));
                at_pattern = after_star;
                at_text = taken + 1;
            }
            (None, _) => return false,
        }
    }
}

/// Length of the set at the start of `pattern` when `byte` is in it.
fn set_fits(pattern: &[u8], byte: u8) -> Option<usize> {
    let end = pattern.iter().position(|&at| at == b']')?;
    let set = &pattern[1..end];
    let mut at = 0;
    while at < set.len() {
        let (low, high, length) = match set.get(at + 1..at + 3) {
            Some([b'-', high]) => (set[at], *high, 3),
            _ => (set[at], set[at], 1),
        };
        if (low..=high).contains(&byte) {
            return Some(end + 1);
        }
        at += length;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct FakeKernel {
        loaded: Vec<String>,
        refuses: Option<&'static str>,
    }

    impl ModuleLoader for FakeKernel {
        fn load(&mut self, path: &str) -> io::Result<()> {
            if self.refuses == Some(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.loaded.push(path.to_owned());
            Ok(())
        }
    }

    fn index() -> ModuleIndex {
        ModuleIndex::parse(
            "virtio_ring.ko: virtio.ko\nvirtio.ko:\nvirtio_pci.ko: virtio_pci_modern_dev.ko virtio_ring.ko virtio.ko\n\
             virtio_pci_modern_dev.ko:\nvirtio_blk.ko: virtio_ring.ko virtio.ko\nloop-a.ko: loop-b.ko\nloop-b.ko: loop-a.ko\n",
            "# Aliases\nalias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\nalias virtio:d00000002v* virtio_blk\n",
        )
    }

    #[test]
    fn a_module_goes_in_after_everything_it_needs() {
        let index = index();
        let order = index.load_order("virtio-pci").expect("all are there");
        assert_eq!(order, ["virtio_pci_modern_dev.ko", "virtio.ko", "virtio_ring.ko", "virtio_pci.ko"]);
    }

    #[test]
    fn a_circle_of_dependencies_ends_with_an_error() {
        assert!(matches!(index().load_order("loop_a"), Err(ModuleError::Circle { .. })));
    }

    #[test]
    fn each_module_is_loaded_once_and_each_alias_answered_once() {
        let (index, mut loaded, mut kernel) = (index(), Loaded::default(), FakeKernel::default());
        let pci = "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00".to_owned();
        assert_eq!(loaded.answer_devices(&index, [pci.clone()], &mut kernel), Found::Devices);
        let virtio = "virtio:d00000002v00001AF4".to_owned();
        assert_eq!(loaded.answer_devices(&index, [pci.clone(), virtio.clone()], &mut kernel), Found::Devices);
        assert_eq!(loaded.answer_devices(&index, [pci, virtio], &mut kernel), Found::Nothing);
        assert_eq!(
            kernel.loaded,
            ["virtio_pci_modern_dev.ko", "virtio.ko", "virtio_ring.ko", "virtio_pci.ko", "virtio_blk.ko"]
        );
    }

    #[test]
    fn only_the_modules_of_some_folders_answer_devices() {
        let index = ModuleIndex::parse(
            "kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko\nkernel/net/core/failover.ko:\n\
             kernel/drivers/gpu/virtio-gpu.ko:\n",
            "alias virtio:d00000001v* virtio_net\nalias virtio:d00000010v* virtio_gpu\n",
        )
        .only_below(&["drivers/net/"]);
        let (mut loaded, mut kernel) = (Loaded::default(), FakeKernel::default());
        let devices = ["virtio:d00000001v00001AF4", "virtio:d00000010v00001AF4"].map(str::to_owned);
        loaded.answer_devices(&index, devices, &mut kernel);
        assert_eq!(kernel.loaded, ["kernel/net/core/failover.ko", "kernel/drivers/net/virtio_net.ko"]);
    }

    #[test]
    fn a_refused_module_is_named_and_tried_again() {
        let (index, mut loaded) = (index(), Loaded::default());
        let mut kernel = FakeKernel { refuses: Some("virtio.ko"), ..FakeKernel::default() };
        let error = loaded.ensure(&index, "virtio_blk", &mut kernel).expect_err("virtio is refused");
        assert_eq!(error.to_string(), "the kernel refused module `virtio.ko`");
        kernel.refuses = None;
        loaded.ensure(&index, "virtio_blk", &mut kernel).expect("nothing is refused any more");
        assert_eq!(kernel.loaded, ["virtio.ko", "virtio_ring.ko", "virtio_blk.ko"]);
    }

    #[test]
    fn patterns_are_shell_patterns() {
        let fits = |pattern: &str, text: &str| pattern_fits(pattern.as_bytes(), text.as_bytes());
        assert!(fits("scsi:t-0x00*", "scsi:t-0x00"));
        assert!(!fits("scsi:t-0x00*", "scsi:t-0x05"));
        assert!(fits("usb:v*p*d*dc[0-9A-F]?", "usb:v1p2d3dcA7"));
        assert!(!fits("usb:v*p*d*dc[0-9A-F]?", "usb:v1p2d3dcZ7"));
        assert!(fits("a*b*c", "axxbyyc"));
        assert!(!fits("a*b*c", "axxbyy"));
        assert!(fits("*", ""));
    }
}
