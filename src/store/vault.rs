//! Secrets out of everything recorded, and back into everything sent.
//!
//! A sealed text holds a marker where a secret's value stood; the marker tells the secret's name,
//! the form in which it stood, and a keyed digest of its value. Markers consist of private-use
//! characters alone, so no secret can occur in one or across its border; private-use characters of
//! the text itself are escaped, so no text can forge a marker, and sealing can always be undone.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Map, Number, Value as Json};

const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';
const ESCAPE: char = '\u{E002}';
/// Begins a JSON string that stands for a number.
const NUMBER: char = '\u{E003}';
/// Bytes inside a marker, and escaped characters, are shifted here.
const SHIFT: u32 = 0xE100;
/// Begins the name of what was computed from a secret; no input is called so.
const DERIVED: &str = "~";
const MASK: &str = "•••";

/// 256 bits that key the digests of secrets.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    pub fn new(bytes: [u8; 32]) -> Self {
        Key(bytes)
    }

    /// A digest that tells equal values apart from different ones, and nothing else to who lacks
    /// the key: 32 hexadecimal digits.
    pub fn digest(&self, name: &str, value: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(value.as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Encrypts, and decrypts what it encrypted. The digest of the plain text is the nonce, so no
    /// two texts share a key stream, and tells whether the key was the right one.
    fn cipher(&self, digest: &str, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"derived secret ");
        hasher.update(digest.as_bytes());
        let mut stream = vec![0; bytes.len()];
        hasher.finalize_xof().fill(&mut stream);
        bytes.iter().zip(stream).map(|(a, b)| a ^ b).collect()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the secret `{0}` is empty; give it a value, or leave its input out")]
    Empty(String),
    #[error(
        "the secret `{0}` contains a private-use character (U+E000 to U+E1FF), which markers need"
    )]
    PrivateUse(String),
}

/// A marker whose secret is not here, or is not the one that was sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownSecret {
    #[error("the secret `{0}` is needed again, and was not given")]
    Missing(String),
    #[error("the secret `{0}` is not the one that was used before")]
    Changed(String),
    #[error("the recorded text holds a broken secret marker")]
    Broken,
}

type Encode = fn(&str) -> String;

/// How a secret's value may stand in a text. The letters are part of recorded markers: they never
/// change their meaning.
const FORMS: &[(char, Encode)] = &[
    ('v', |v| v.to_owned()),
    ('j', json_escaped),
    ('p', |v| percent(v, false, true)),
    ('q', |v| percent(v, false, false)),
    ('f', |v| percent(v, true, true)),
    ('b', |v| base64(v, 0, STANDARD)),
    ('c', |v| base64(v, 1, STANDARD)),
    ('d', |v| base64(v, 2, STANDARD)),
    ('u', |v| base64(v, 0, URL_SAFE)),
    ('w', |v| base64(v, 1, URL_SAFE)),
    ('x', |v| base64(v, 2, URL_SAFE)),
];

/// Encoded forms shorter than this are not looked for: they would match by chance.
const SHORTEST_ENCODED: usize = 4;

#[derive(Clone)]
struct Form {
    text: String,
    marker: String,
    name: String,
}

/// Whether a text holds the marker of a secret whose value is not here.
pub fn holds_marker(text: &str) -> bool {
    text.contains(OPEN)
}

/// The secrets of one run.
pub struct Vault {
    key: Key,
    secrets: Vec<(String, String)>,
    /// Longest first.
    forms: RefCell<Rc<Vec<Form>>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.secrets.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Vault {
    /// `secrets` are names and values.
    pub fn new(key: Key, secrets: Vec<(String, String)>) -> Result<Vault, VaultError> {
        let mut forms: Vec<Form> = Vec::new();
        for (name, value) in &secrets {
            if value.is_empty() {
                return Err(VaultError::Empty(name.clone()));
            }
            if value.chars().any(is_reserved) {
                return Err(VaultError::PrivateUse(name.clone()));
            }
            let digest = key.digest(name, value);
            for (letter, make) in FORMS {
                let text = make(value);
                let chance = *letter != 'v' && text.len() < SHORTEST_ENCODED;
                if chance || forms.iter().any(|f| f.text == text) {
                    continue;
                }
                let marker = marker(name, *letter, &digest);
                forms.push(Form {
                    text,
                    marker,
                    name: name.clone(),
                });
            }
        }
        sort(&mut forms);
        Ok(Vault {
            key,
            secrets,
            forms: RefCell::new(Rc::new(forms)),
        })
    }

    /// A vault without secrets; sealing still escapes private-use characters.
    pub fn empty(key: Key) -> Vault {
        Vault {
            key,
            secrets: Vec::new(),
            forms: RefCell::default(),
        }
    }

    /// A value that was computed from a secret becomes one: its markers carry it encrypted, since
    /// nobody can be asked for it again.
    pub fn derive(&self, value: &str) {
        if value.len() < SHORTEST_ENCODED || value.chars().any(is_reserved) {
            return;
        }
        let mut forms = Vec::new();
        for (letter, make) in FORMS {
            let text = make(value);
            let known = self
                .forms()
                .iter()
                .chain(&forms)
                .any(|f: &Form| f.text == text);
            if text.len() < SHORTEST_ENCODED || known {
                continue;
            }
            let digest = self.key.digest(DERIVED, value);
            let cipher = self.key.cipher(&digest, value.as_bytes());
            forms.push(Form {
                text,
                marker: marker(&format!("{DERIVED}{}", hex(&cipher)), *letter, &digest),
                name: DERIVED.into(),
            });
        }
        let mut all = self.forms.borrow_mut();
        let all = Rc::make_mut(&mut all);
        all.extend(forms);
        sort(all);
    }

    fn forms(&self) -> Rc<Vec<Form>> {
        Rc::clone(&self.forms.borrow())
    }

    /// Whether nothing is secret.
    pub fn is_empty(&self) -> bool {
        self.forms.borrow().is_empty()
    }

    /// See [`Key::digest`].
    pub fn digest(&self, name: &str, value: &str) -> String {
        self.key.digest(name, value)
    }

    /// Whether the text holds a secret in any form.
    pub fn holds_secret(&self, text: &str) -> bool {
        self.forms().iter().any(|form| text.contains(&form.text))
    }

    /// The names of the secrets that stand in the text, in order, each once.
    pub fn names_in(&self, text: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .forms()
            .iter()
            .filter(|form| text.contains(&form.text))
            .map(|form| form.name.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Replaces every occurrence of a secret, leftmost and longest first, by its marker.
    pub fn seal(&self, text: &str) -> String {
        self.replace(text, |form| &form.marker, escape)
    }

    /// Whether sealing changes nothing in this text, nor in the parts of it when it is JSON.
    pub fn leaves_alone(&self, text: &str) -> bool {
        self.forms.borrow().is_empty() && !text.contains([OPEN, CLOSE, ESCAPE, NUMBER])
    }

    /// Puts the values back.
    pub fn unseal(&self, sealed: &str) -> Result<String, UnknownSecret> {
        let mut out = String::with_capacity(sealed.len());
        let mut chars = sealed.chars();
        while let Some(c) = chars.next() {
            match c {
                OPEN => out.push_str(&self.open(&mut chars)?),
                ESCAPE => out.push(
                    chars
                        .next()
                        .and_then(unescaped)
                        .ok_or(UnknownSecret::Broken)?,
                ),
                c => out.push(c),
            }
        }
        Ok(out)
    }

    /// For people: values and markers as `•••`.
    pub fn mask(&self, text: &str) -> String {
        mask_markers(&self.replace(text, |_| MASK, str::to_owned))
    }

    /// Seals every string and every key; a number that is a secret becomes a string that says so.
    pub fn seal_json(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => Json::String(self.seal(text)),
            Json::Number(n) => match self.seal(&n.to_string()) {
                sealed if sealed.starts_with(OPEN) && sealed.ends_with(CLOSE) => {
                    Json::String(format!("{NUMBER}{sealed}"))
                }
                _ => json.clone(),
            },
            Json::Array(items) => items.iter().map(|item| self.seal_json(item)).collect(),
            Json::Object(fields) => fields
                .iter()
                .map(|(key, value)| (self.seal(key), self.seal_json(value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// Undoes [`Vault::seal_json`].
    pub fn unseal_json(&self, json: &Json) -> Result<Json, UnknownSecret> {
        Ok(match json {
            Json::String(text) => match text.strip_prefix(NUMBER) {
                Some(sealed) => {
                    let text = self.unseal(sealed)?;
                    Json::Number(text.parse::<Number>().map_err(|_| UnknownSecret::Broken)?)
                }
                None => Json::String(self.unseal(text)?),
            },
            Json::Array(items) => Json::Array(
                items
                    .iter()
                    .map(|item| self.unseal_json(item))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(fields) => {
                let mut out = Map::new();
                for (key, value) in fields {
                    out.insert(self.unseal(key)?, self.unseal_json(value)?);
                }
                Json::Object(out)
            }
            other => other.clone(),
        })
    }

    /// The same where secrets may have changed since: a marker whose value is not here stays, and is
    /// no value's equal.
    pub fn unseal_known(&self, json: &Json) -> Result<Json, UnknownSecret> {
        match json {
            Json::Array(items) => items.iter().map(|item| self.unseal_known(item)).collect(),
            Json::Object(fields) => {
                let known = fields.iter().map(|(key, value)| {
                    let key = self.unseal(key).unwrap_or_else(|_| key.clone());
                    Ok((key, self.unseal_known(value)?))
                });
                Ok(Json::Object(known.collect::<Result<_, _>>()?))
            }
            leaf => match self.unseal_json(leaf) {
                Err(UnknownSecret::Missing(_) | UnknownSecret::Changed(_)) => Ok(leaf.clone()),
                other => other,
            },
        }
    }

    /// For people: [`Vault::mask`] over a whole document.
    pub fn mask_json(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => Json::String(self.mask(text)),
            Json::Number(n) if self.forms().iter().any(|f| f.text == n.to_string()) => {
                Json::String(MASK.into())
            }
            Json::Array(items) => items.iter().map(|item| self.mask_json(item)).collect(),
            Json::Object(fields) => fields
                .iter()
                .map(|(key, value)| (self.mask(key), self.mask_json(value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// One pass from the left: where several forms begin, the longest counts.
    fn replace(
        &self,
        text: &str,
        with: impl Fn(&Form) -> &str,
        plain: impl Fn(&str) -> String,
    ) -> String {
        let forms = self.forms();
        let mut upcoming: Vec<(Option<usize>, &Form)> = forms
            .iter()
            .map(|form| (text.find(&form.text), form))
            .collect();
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        loop {
            for (next, form) in &mut upcoming {
                if next.is_some_and(|start| start < at) {
                    *next = text[at..].find(&form.text).map(|start| start + at);
                }
            }
            // `forms` is sorted by length, and `min_by_key` keeps the first of equals.
            let nearest = upcoming
                .iter()
                .filter_map(|(start, form)| start.map(|start| (start, *form)))
                .min_by_key(|(start, _)| *start);
            let Some((start, form)) = nearest else { break };
            out.push_str(&plain(&text[at..start]));
            out.push_str(with(form));
            at = start + form.text.len();
        }
        out.push_str(&plain(&text[at..]));
        out
    }

    /// Reads a marker after its opening character and gives what it stands for.
    fn open(&self, chars: &mut std::str::Chars<'_>) -> Result<String, UnknownSecret> {
        let mut bytes = Vec::new();
        loop {
            match chars.next() {
                Some(CLOSE) => break,
                Some(c) => {
                    let byte = (c as u32)
                        .checked_sub(SHIFT)
                        .and_then(|b| u8::try_from(b).ok());
                    bytes.push(byte.ok_or(UnknownSecret::Broken)?);
                }
                None => return Err(UnknownSecret::Broken),
            }
        }
        let inner = String::from_utf8(bytes).map_err(|_| UnknownSecret::Broken)?;
        let (digest, rest) = inner.split_once(':').ok_or(UnknownSecret::Broken)?;
        let (letter, name) = rest.split_once(':').ok_or(UnknownSecret::Broken)?;
        let make = FORMS
            .iter()
            .find(|(l, _)| letter.chars().eq([*l]))
            .ok_or(UnknownSecret::Broken)?
            .1;
        if let Some(cipher) = name.strip_prefix(DERIVED) {
            let value = unhex(cipher)
                .map(|bytes| self.key.cipher(digest, &bytes))
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .filter(|value| self.key.digest(DERIVED, value) == digest);
            let value = value.ok_or(UnknownSecret::Broken)?;
            self.derive(&value);
            return Ok(make(&value));
        }
        let mut same_name = self.secrets.iter().filter(|(n, _)| n == name).peekable();
        if same_name.peek().is_none() {
            return Err(UnknownSecret::Missing(name.into()));
        }
        same_name
            .find(|(name, value)| self.key.digest(name, value) == digest)
            .map(|(_, value)| make(value))
            .ok_or_else(|| UnknownSecret::Changed(name.into()))
    }
}

fn is_reserved(c: char) -> bool {
    ('\u{E000}'..='\u{E1FF}').contains(&c)
}

fn sort(forms: &mut [Form]) {
    forms.sort_by(|a, b| {
        b.text
            .len()
            .cmp(&a.text.len())
            .then_with(|| a.text.cmp(&b.text))
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok())
        .collect()
}

fn marker(name: &str, letter: char, digest: &str) -> String {
    let inner = format!("{digest}:{letter}:{name}");
    let shifted = inner
        .bytes()
        .filter_map(|b| char::from_u32(SHIFT + u32::from(b)));
    std::iter::once(OPEN)
        .chain(shifted)
        .chain([CLOSE])
        .collect()
}

fn escape(text: &str) -> String {
    if !text.contains([OPEN, CLOSE, ESCAPE, NUMBER]) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, OPEN | CLOSE | ESCAPE | NUMBER) {
            out.push(ESCAPE);
            out.extend(char::from_u32(c as u32 - OPEN as u32 + SHIFT));
        } else {
            out.push(c);
        }
    }
    out
}

fn unescaped(c: char) -> Option<char> {
    let offset = (c as u32).checked_sub(SHIFT)?;
    char::from_u32(OPEN as u32 + offset).filter(|c| matches!(*c, OPEN | CLOSE | ESCAPE | NUMBER))
}

fn mask_markers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPEN) {
        out.push_str(rest[..start].trim_end_matches(NUMBER));
        out.push_str(MASK);
        rest = rest[start..]
            .find(CLOSE)
            .map_or("", |end| &rest[start + end + CLOSE.len_utf8()..]);
    }
    out.push_str(rest);
    out
}

fn json_escaped(value: &str) -> String {
    let quoted = Json::String(value.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// RFC 3986; with `plus` a blank becomes `+`, as forms write it.
fn percent(value: &str, plus: bool, upper: bool) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte as char)
            }
            b' ' if plus => out.push('+'),
            _ if upper => out.push_str(&format!("%{byte:02X}")),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The digits of base64 that depend on the value alone when it stands `skip` bytes after a border of
/// three: what `user:password` looks like in a basic authorisation. Padding never belongs to it.
fn base64(value: &str, skip: usize, alphabet: &[u8; 64]) -> String {
    let mut bits: Vec<u8> = vec![0; skip];
    bits.extend(value.bytes());
    let first = (skip * 8).div_ceil(6);
    let last = bits.len() * 8 / 6;
    (first..last)
        .map(|digit| {
            let bit = digit * 6;
            let high = u16::from(bits[bit / 8]) << 8;
            let low = bits.get(bit / 8 + 1).map_or(0, |b| u16::from(*b));
            let index = ((high | low) >> (10 - bit % 8)) & 0x3F;
            alphabet[usize::from(index)] as char
        })
        .collect()
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
