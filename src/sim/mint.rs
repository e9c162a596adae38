//! Everything that Google would draw at random: ids, names of operations, fingerprints, addresses.
//!
//! What is drawn follows from the seed, from what draws it (a call, or something that happens on the
//! clock) and from how often that came. So the same calls give the same bytes; and a call that does not
//! arrive changes nothing of what others draw, as in a real cloud, where somebody may already have read
//! it.

use std::collections::HashMap;

use crate::world::Timestamp;

/// How many sources are told apart; then all begin anew, and draw otherwise than before.
const SOURCES: usize = 100_000;

#[derive(Clone, Debug)]
pub struct Mint {
    seed: u64,
    source: [u8; 32],
    count: u64,
    /// How often each source came in this age.
    came: HashMap<[u8; 32], u64>,
    age: u64,
}

impl Mint {
    pub fn new(seed: u64) -> Self {
        Mint {
            seed,
            source: [0; 32],
            count: 0,
            came: HashMap::new(),
            age: 0,
        }
    }

    /// What draws from now on.
    pub fn begin(&mut self, source: &str) {
        if self.came.len() >= SOURCES {
            self.came.clear();
            self.age += 1;
        }
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.age.to_be_bytes())
            .update(source.as_bytes());
        let came = self.came.entry(*hasher.finalize().as_bytes()).or_insert(0);
        *came += 1;
        hasher.update(&came.to_be_bytes());
        self.source = *hasher.finalize().as_bytes();
        self.count = 0;
    }

    fn draw(&mut self) -> [u8; 32] {
        self.count += 1;
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.seed.to_be_bytes())
            .update(&self.source)
            .update(&self.count.to_be_bytes());
        *hasher.finalize().as_bytes()
    }

    pub fn number(&mut self) -> u64 {
        let bytes = self.draw();
        u64::from_be_bytes([
            bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
        ])
    }

    /// A resource's numeric id, as text: nineteen digits at most, never zero.
    pub fn id(&mut self) -> String {
        (self.number() % 9_000_000_000_000_000_000 + 1_000_000_000).to_string()
    }

    /// `operation-<unix ms>-<13 hex>-<8 hex>-<8 hex>` (seen in public issues).
    pub fn compute_operation(&mut self, now: Timestamp) -> String {
        let hex = self.hex(29);
        format!(
            "operation-{}-{}-{}-{}",
            now.0,
            &hex[..13],
            &hex[13..21],
            &hex[21..29]
        )
    }

    /// `length` hexadecimal digits, 64 at most.
    pub fn hex(&mut self, length: usize) -> String {
        let text: String = self.draw().iter().map(|b| format!("{b:02x}")).collect();
        text[..length.min(64)].to_string()
    }

    pub fn uuid(&mut self) -> String {
        let b = self.draw();
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&b[..16]);
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    /// Four characters as managed groups put them behind a base name.
    pub fn suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz0123456789";
        self.draw()[..4]
            .iter()
            .map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()]))
            .collect()
    }

    /// Eight bytes in the URL alphabet of base64, with its `=`.
    pub fn fingerprint(&mut self) -> String {
        let b = self.draw();
        base64_url(&b[..8])
    }

    /// An address out of Google's public ranges.
    pub fn public_address(&mut self) -> String {
        let b = self.draw();
        format!("34.{}.{}.{}", 64 + b[0] % 64, b[1], 1 + b[2] % 254)
    }
}

fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .enumerate()
            .fold(0u32, |w, (i, b)| w | (u32::from(*b) << (16 - 8 * i)));
        for i in 0..4 {
            if i <= chunk.len() {
                let index = (word >> (18 - 6 * i)) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// The bytes of a text in either alphabet of base64, with or without its `=`; none when it is none.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut word, mut bits) = (0u32, 0u32);
    for c in text.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_base64() {
        assert_eq!(base64_url(b"Man"), "TWFu");
        assert_eq!(base64_url(b"Ma"), "TWE=");
        assert_eq!(base64_url(b"M"), "TQ==");
        assert_eq!(Mint::new(1).fingerprint().len(), 12);
        for text in ["", "M", "Ma", "Man", "a longer text"] {
            let coded = base64_url(text.as_bytes());
            assert_eq!(from_base64(&coded).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(from_base64("a b"), None);
    }

    #[test]
    fn same_seed_same_draws() {
        let (mut a, mut b) = (Mint::new(7), Mint::new(7));
        assert_eq!(a.id(), b.id());
        assert_eq!(a.uuid(), b.uuid());
        assert_ne!(a.id(), Mint::new(8).id());
    }

    #[test]
    fn what_draws_does_not_depend_on_who_drew_before() {
        let drawn = |sources: &[&str]| {
            let mut mint = Mint::new(7);
            let mut all = Vec::new();
            for source in sources {
                mint.begin(source);
                all.push((mint.public_address(), mint.id()));
            }
            all
        };
        assert_eq!(drawn(&["a", "b"])[1], drawn(&["b"])[0]);
        let again = drawn(&["a", "b", "a"]);
        assert_ne!(again[0], again[2]);
        assert_ne!(again[0], again[1]);
    }
}
