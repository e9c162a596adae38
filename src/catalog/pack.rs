//! The catalogue file: a head, an index, and deflated blocks of records.
//!
//! ```text
//! "r5cat\n"  format:u16  head:u32+JSON  index:u32+deflated  blocks:u32+bytes  blake3 of all before
//! index: count:u32 (offset:u32 packed:u32 plain:u32)…   count:u32 (kind:u8 name:u16+text block:u32 offset:u32 length:u32)…
//! ```
//! Numbers are little-endian. Records of one kind stand in the order of their names. Opening reads
//! the head alone; the index and each block are inflated when first asked for.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::CatalogError;
use super::model::ServiceInfo;

const MAGIC: &[u8; 6] = b"r5cat\n";
const FORMAT: u16 = 1;
const HASH: usize = 32;
/// A block is closed when it is at least this long.
const BLOCK: usize = 24 * 1024;
/// Nothing that this program writes inflates to more; a file that claims more is damaged.
const PLAIN_MAX: u32 = 16 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RecordKind {
    Method = 0,
    Schema = 1,
}

/// Writes one service. `records` must be in the order of kind and name.
pub(super) fn write(
    info: &ServiceInfo,
    records: &[(RecordKind, String, Vec<u8>)],
) -> std::io::Result<Vec<u8>> {
    let mut blocks: Vec<u8> = Vec::new();
    let mut table: Vec<(u32, u32, u32)> = Vec::new();
    let mut entries: Vec<u8> = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    for (kind, name, record) in records {
        entries.push(*kind as u8);
        entries.extend((name.len() as u16).to_le_bytes());
        entries.extend(name.as_bytes());
        for n in [table.len(), open.len(), record.len()] {
            entries.extend((n as u32).to_le_bytes());
        }
        open.extend(record);
        if open.len() >= BLOCK {
            close_block(&mut open, &mut blocks, &mut table)?;
        }
    }
    close_block(&mut open, &mut blocks, &mut table)?;

    let mut index = (table.len() as u32).to_le_bytes().to_vec();
    for (offset, packed, plain) in table {
        for n in [offset, packed, plain] {
            index.extend(n.to_le_bytes());
        }
    }
    index.extend((records.len() as u32).to_le_bytes());
    index.extend(entries);

    let mut file = MAGIC.to_vec();
    file.extend(FORMAT.to_le_bytes());
    for part in [serde_json::to_vec(info)?, deflate(&index)?, blocks] {
        file.extend((part.len() as u32).to_le_bytes());
        file.extend(part);
    }
    let hash = blake3::hash(&file);
    file.extend(hash.as_bytes());
    Ok(file)
}

fn close_block(
    open: &mut Vec<u8>,
    blocks: &mut Vec<u8>,
    table: &mut Vec<(u32, u32, u32)>,
) -> std::io::Result<()> {
    let packed = deflate(open)?;
    table.push((blocks.len() as u32, packed.len() as u32, open.len() as u32));
    blocks.extend(packed);
    open.clear();
    Ok(())
}

fn deflate(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Inflates to exactly `plain` bytes.
fn inflate(bytes: &[u8], plain: u32) -> Option<Vec<u8>> {
    if plain > PLAIN_MAX {
        return None;
    }
    let mut out = Vec::with_capacity(plain.min(1 << 16) as usize);
    let limit = u64::from(plain) + 1;
    DeflateDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut out)
        .ok()?;
    (out.len() == plain as usize).then_some(out)
}

/// A cursor that never reads past the end.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()? as usize;
        self.bytes(n)
    }
}

/// An open file of one service.
#[derive(Debug)]
pub(super) struct Pack {
    pub info: ServiceInfo,
    bytes: Cow<'static, [u8]>,
    /// Ranges of `bytes`.
    index_at: std::ops::Range<usize>,
    blocks_at: std::ops::Range<usize>,
    index: OnceLock<Option<Index>>,
}

#[derive(Debug)]
struct Index {
    blocks: Vec<Block>,
    entries: Vec<Entry>,
    methods: usize,
}

#[derive(Debug)]
struct Block {
    at: std::ops::Range<usize>,
    plain: u32,
    content: OnceLock<Option<Vec<u8>>>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub kind: RecordKind,
    pub name: Arc<str>,
    block: usize,
    at: std::ops::Range<usize>,
}

impl Pack {
    /// Reads the head. `origin` names the file in errors; `check` compares the checksum too.
    pub fn open(
        bytes: Cow<'static, [u8]>,
        origin: &str,
        check: bool,
    ) -> Result<Pack, CatalogError> {
        let damaged = || CatalogError::Damaged {
            file: origin.to_owned(),
        };
        let mut cursor = Cursor(&bytes);
        if cursor.bytes(MAGIC.len()) != Some(MAGIC) {
            return Err(CatalogError::NotACatalog {
                file: origin.to_owned(),
            });
        }
        match cursor.u16() {
            Some(FORMAT) => {}
            Some(format) => {
                return Err(CatalogError::Format {
                    file: origin.to_owned(),
                    found: format,
                    expected: FORMAT,
                });
            }
            None => return Err(damaged()),
        }
        let total = bytes.len();
        let head = cursor.part().ok_or_else(damaged)?;
        let index = cursor.part().ok_or_else(damaged)?;
        let index_end = total - cursor.0.len();
        let blocks = cursor.part().ok_or_else(damaged)?;
        let blocks_end = total - cursor.0.len();
        if cursor.0.len() != HASH {
            return Err(damaged());
        }
        if check && blake3::hash(&bytes[..blocks_end]).as_bytes() != cursor.0 {
            return Err(damaged());
        }
        let info = serde_json::from_slice(head).map_err(|_| damaged())?;
        let index_at = index_end - index.len()..index_end;
        let blocks_at = blocks_end - blocks.len()..blocks_end;
        Ok(Pack {
            info,
            index_at,
            blocks_at,
            bytes,
            index: OnceLock::new(),
        })
    }

    fn index(&self) -> Option<&Index> {
        self.index
            .get_or_init(|| {
                let packed = self.bytes.get(self.index_at.clone())?;
                let mut plain = Vec::new();
                let limit = u64::from(PLAIN_MAX);
                DeflateDecoder::new(packed)
                    .take(limit)
                    .read_to_end(&mut plain)
                    .ok()?;
                read_index(&plain, &self.blocks_at)
            })
            .as_ref()
    }

    /// All entries of a kind, by name.
    pub fn entries(&self, kind: RecordKind) -> &[Entry] {
        let Some(index) = self.index() else {
            return &[];
        };
        match kind {
            RecordKind::Method => &index.entries[..index.methods],
            RecordKind::Schema => &index.entries[index.methods..],
        }
    }

    pub fn position(&self, kind: RecordKind, name: &str) -> Option<usize> {
        self.entries(kind)
            .binary_search_by(|e| (*e.name).cmp(name))
            .ok()
    }

    pub fn record(&self, entry: &Entry) -> Option<&[u8]> {
        let block = self.index()?.blocks.get(entry.block)?;
        block
            .content
            .get_or_init(|| inflate(self.bytes.get(block.at.clone())?, block.plain))
            .as_ref()?
            .get(entry.at.clone())
    }

    /// Whether the index itself can be read.
    pub fn is_sound(&self) -> bool {
        self.index().is_some()
    }

    /// How many blocks have been inflated so far.
    #[cfg(test)]
    pub fn inflated(&self) -> usize {
        self.index.get().and_then(Option::as_ref).map_or(0, |i| {
            i.blocks
                .iter()
                .filter(|b| b.content.get().is_some())
                .count()
        })
    }
}

fn read_index(plain: &[u8], blocks_at: &std::ops::Range<usize>) -> Option<Index> {
    let mut cursor = Cursor(plain);
    let mut blocks = Vec::new();
    for _ in 0..cursor.u32()? {
        let start = blocks_at.start.checked_add(cursor.u32()? as usize)?;
        let end = start.checked_add(cursor.u32()? as usize)?;
        let plain = cursor.u32()?;
        if end > blocks_at.end || plain > PLAIN_MAX {
            return None;
        }
        blocks.push(Block {
            at: start..end,
            plain,
            content: OnceLock::new(),
        });
    }
    let mut entries: Vec<Entry> = Vec::new();
    for _ in 0..cursor.u32()? {
        let entry = read_entry(&mut cursor, &blocks)?;
        let follows = entries
            .last()
            .is_none_or(|last| (last.kind, &last.name) < (entry.kind, &entry.name));
        if !follows {
            return None;
        }
        entries.push(entry);
    }
    let methods = entries
        .iter()
        .filter(|e| e.kind == RecordKind::Method)
        .count();
    cursor.0.is_empty().then_some(Index {
        blocks,
        entries,
        methods,
    })
}

fn read_entry(cursor: &mut Cursor<'_>, blocks: &[Block]) -> Option<Entry> {
    let kind = match cursor.bytes(1)? {
        [0] => RecordKind::Method,
        [1] => RecordKind::Schema,
        _ => return None,
    };
    let length = cursor.u16()? as usize;
    let name = std::str::from_utf8(cursor.bytes(length)?).ok()?;
    let block = cursor.u32()? as usize;
    let start = cursor.u32()? as usize;
    let end = start.checked_add(cursor.u32()? as usize)?;
    if end > blocks.get(block)?.plain as usize {
        return None;
    }
    Some(Entry {
        kind,
        name: name.into(),
        block,
        at: start..end,
    })
}
