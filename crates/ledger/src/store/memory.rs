//! A disk in memory that can be cut off after any step, and then has lost what a real one might have lost.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Store;
use crate::read::{AccessError, ReadLog};

type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Default)]
struct State {
    /// What a reader sees.
    visible: Files,
    /// What a power cut leaves for certain.
    durable: Files,
    /// Steps until the cut; none for never.
    left: Option<usize>,
    steps: usize,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<State>>);

/// What is left after a cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// The process was killed: everything that was written is there.
    Nothing,
    /// The power went: only what was synced is there.
    Unsynced,
    /// The power went: of what was not synced, some is there.
    Some(u64),
}

impl Disk {
    pub(crate) fn cut_after(&self, steps: usize) {
        self.0.borrow_mut().left = Some(steps);
    }

    pub(crate) fn steps(&self) -> usize {
        self.0.borrow().steps
    }

    /// What the next process finds.
    pub(crate) fn after(&self, loss: Loss) -> Self {
        let state = self.0.borrow();
        let files = match loss {
            Loss::Nothing => state.visible.clone(),
            Loss::Unsynced => state.durable.clone(),
            Loss::Some(seed) => {
                let mut seed = seed;
                let mut files = state.durable.clone();
                let names: Vec<_> = state.visible.keys().chain(state.durable.keys()).cloned().collect();
                for name in names {
                    seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    if seed >> 63 == 1 {
                        match state.visible.get(&name) {
                            Some(bytes) => files.insert(name, bytes.clone()),
                            None => files.remove(&name),
                        };
                    }
                }
                files
            }
        };
        let state = State { visible: files.clone(), durable: files, ..State::default() };
        Self(Rc::new(RefCell::new(state)))
    }

    pub(crate) fn files(&self) -> Files {
        self.0.borrow().visible.clone()
    }

    /// Somebody changes a file behind the back of the log.
    pub(crate) fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.0.borrow_mut().visible.get_mut(path).unwrap_or_else(|| panic!("there is no {path}")));
    }

    pub(crate) fn replace(&self, files: Files) {
        self.0.borrow_mut().visible = files;
    }

    fn step(&self, path: &str) -> Result<std::cell::RefMut<'_, State>, AccessError> {
        let mut state = self.0.borrow_mut();
        if state.left == Some(0) {
            return Err(AccessError::Failed {
                path: path.into(),
                action: "written",
                source: "cut off".into(),
            });
        }
        state.left = state.left.map(|left| left - 1);
        state.steps += 1;
        Ok(state)
    }
}

impl ReadLog for Disk {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, AccessError> {
        let bytes = self.0.borrow().visible.get(path).cloned();
        match bytes {
            Some(bytes) if bytes.len() > limit => Err(AccessError::TooLong { path: path.into(), limit }),
            found => Ok(found),
        }
    }
}

impl Store for Disk {
    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), AccessError> {
        self.step(path)?.visible.insert(path.into(), bytes.to_vec());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AccessError> {
        let mut state = self.step("all")?;
        state.durable = state.visible.clone();
        Ok(())
    }

    fn remove_folder(&mut self, path: &str) -> Result<(), AccessError> {
        let folder = format!("{path}/");
        self.step(path)?.visible.retain(|name, _| !name.starts_with(&folder));
        Ok(())
    }
}
