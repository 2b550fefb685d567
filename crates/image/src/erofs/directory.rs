//! Directory contents: blocks of sorted entries, each block with its entries first and their names behind.

use super::format::{DIRENT_SIZE, MAXIMUM_NAME};
use crate::bytes::{le16, le64, put, take};

const BLOCK: usize = super::BLOCK_SIZE as usize;

/// One name in a directory. `target` indexes inodes while planning and is a nid once written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child<'a> {
    pub name: &'a [u8],
    pub target: u64,
    pub kind: u8,
}

/// Sorts as Linux searches: bytewise, `.` and `..` at their places among the others.
pub(super) fn sort(children: &mut [Child<'_>]) {
    children.sort_by(|one, other| one.name.cmp(other.name));
}

/// Length of the encoded directory: whole blocks, the last one only as far as it is used.
pub(super) fn encoded_size(children: &[Child<'_>]) -> u64 {
    let (mut full, mut used) = (0u64, 0usize);
    for child in children {
        let need = DIRENT_SIZE + child.name.len();
        if used + need > BLOCK {
            full += BLOCK as u64;
            used = 0;
        }
        used += need;
    }
    full + used as u64
}

/// Encodes sorted children; `nid_of` turns a target into its inode number.
pub(super) fn encode(children: &[Child<'_>], nid_of: impl Fn(u64) -> u64, out: &mut [u8]) {
    let mut rest = children;
    for block in out.chunks_mut(BLOCK) {
        let mut used = 0;
        let count = rest
            .iter()
            .take_while(|child| {
                used += DIRENT_SIZE + child.name.len();
                used <= BLOCK
            })
            .count();
        let (here, later) = rest.split_at(count);
        let mut name_offset = count * DIRENT_SIZE;
        for (index, child) in here.iter().enumerate() {
            let entry = index * DIRENT_SIZE;
            put(block, entry, &nid_of(child.target).to_le_bytes());
            put(block, entry + 8, &(name_offset as u16).to_le_bytes());
            block[entry + 10] = child.kind;
            put(block, name_offset, child.name);
            name_offset += child.name.len();
        }
        rest = later;
    }
}

/// Decodes one block, already cut to its used length. The text is why it can not be a directory block.
pub(super) fn decode(block: &[u8]) -> Result<Vec<Child<'_>>, &'static str> {
    if block.len() < DIRENT_SIZE {
        return Err("directory block shorter than one entry");
    }
    let names_start = usize::from(le16(block, 8));
    if names_start < DIRENT_SIZE || !names_start.is_multiple_of(DIRENT_SIZE) || names_start > block.len() {
        return Err("first name of a directory block out of place");
    }
    let count = names_start / DIRENT_SIZE;
    let mut children = Vec::with_capacity(count);
    let mut expected_start = names_start;
    for index in 0..count {
        let entry: [u8; DIRENT_SIZE] = take(block, index * DIRENT_SIZE);
        let start = usize::from(le16(&entry, 8));
        let end = if index + 1 < count {
            usize::from(le16(block, (index + 1) * DIRENT_SIZE + 8))
        } else {
            block.len()
        };
        if start != expected_start || end < start || end > block.len() {
            return Err("names of a directory block overlap");
        }
        expected_start = end;
        let mut name = &block[start..end];
        if index + 1 == count {
            // Only the last name may be followed by padding.
            let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            name = &name[..length];
        }
        if name.is_empty() || name.len() > MAXIMUM_NAME || name.contains(&b'/') || name.contains(&0) {
            return Err("name that no file can have");
        }
        children.push(Child { name, target: le64(&entry, 0), kind: entry[10] });
    }
    if children.windows(2).any(|pair| pair[0].name >= pair[1].name) {
        return Err("directory entries out of order");
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_and_dot_dot_have_no_privilege_in_the_order() {
        let mut children: Vec<_> = [".", "..", "a", "+plus"]
            .map(|name| Child { name: name.as_bytes(), target: 0, kind: 1 })
            .to_vec();
        sort(&mut children);
        let names: Vec<_> = children.iter().map(|child| child.name).collect();
        assert_eq!(names, [&b"+plus"[..], b".", b"..", b"a"]);
    }

    #[test]
    fn a_directory_of_many_blocks_decodes_to_its_children() {
        let names: Vec<String> = (0..1000).map(|i| format!("file-{i:04}-{}", "x".repeat(i % 200))).collect();
        let mut children: Vec<_> =
            names.iter().map(|name| Child { name: name.as_bytes(), target: 7, kind: 1 }).collect();
        sort(&mut children);
        let mut bytes = vec![0; encoded_size(&children) as usize];
        encode(&children, |target| target, &mut bytes);
        let decoded: Vec<_> = bytes.chunks(BLOCK).flat_map(|block| decode(block).unwrap()).collect();
        assert_eq!(decoded, children);
    }

    #[test]
    fn hostile_directory_blocks_are_refused() {
        let mut block = [0u8; 64];
        for first_name in [0u16, 11, 13, 0xFFFF, 72] {
            put(&mut block, 8, &first_name.to_le_bytes());
            assert!(decode(&block).is_err(), "{first_name}");
        }
        assert!(decode(&[]).is_err());
    }
}
