use serde_json::json;

use super::*;

const NASTY: &str = "pa\"ss w/ör+d\n=";

fn vault() -> Vault {
    let secrets = [
        ("password", NASTY),
        ("token", "s3cr3t"),
        ("longer", "s3cr3t-and-more"),
        ("pin", "4711"),
    ];
    Vault::new(
        Key::new([9; 32]),
        secrets
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect(),
    )
    .expect("a vault")
}

#[test]
fn empty_and_reserved_secrets_are_refused() {
    let make =
        |value: &str| Vault::new(Key::new([0; 32]), vec![("a".into(), value.into())]).map(|_| ());
    assert_eq!(make(""), Err(VaultError::Empty("a".into())));
    assert_eq!(make("x\u{E105}"), Err(VaultError::PrivateUse("a".into())));
}

#[test]
fn the_longest_secret_counts() {
    let vault = vault();
    let sealed = vault.seal("a s3cr3t-and-more b s3cr3t c");
    assert!(!sealed.contains("and-more") && !sealed.contains("s3cr3t"));
    assert_eq!(vault.mask(&sealed), "a ••• b ••• c");
    assert_eq!(
        vault.unseal(&sealed).as_deref(),
        Ok("a s3cr3t-and-more b s3cr3t c")
    );
}

#[test]
fn encoded_forms_are_found() {
    let vault = vault();
    // `user:s3cr3t-and-more` and the nasty one, as real encoders write them.
    for text in [
        "Basic dXNlcjpzM2NyM3QtYW5kLW1vcmU=",
        r#"{\"p\": \"pa\"ss w/ör+d\n=\"}"#,
        "q=pa%22ss%20w%2F%C3%B6r%2Bd%0A%3D&x",
        "q=pa%22ss+w%2F%C3%B6r%2Bd%0A%3D&x",
        r#"pa\"ss w/ör+d\n="#,
        "czNjcjN0LWFuZC1tb3Jl",
    ] {
        assert_ne!(vault.mask(text), text);
        assert_eq!(vault.unseal(&vault.seal(text)).as_deref(), Ok(text));
    }
    assert_eq!(
        vault.mask("Basic dXNlcjpzM2NyM3QtYW5kLW1vcmU="),
        "Basic dXNlcjp•••U="
    );
}

#[test]
fn markers_in_the_text_itself_stay_text() {
    let vault = vault();
    let forged = vault.seal("s3cr3t");
    let sealed = vault.seal(&forged);
    assert_eq!(vault.unseal(&sealed), Ok(forged));
}

#[test]
fn another_or_no_value_is_told_apart() {
    let sealed = vault().seal("s3cr3t");
    let changed =
        Vault::new(Key::new([9; 32]), vec![("token".into(), "new".into())]).expect("a vault");
    assert_eq!(
        changed.unseal(&sealed),
        Err(UnknownSecret::Changed("token".into()))
    );
    assert_eq!(
        Vault::empty(Key::new([9; 32])).unseal(&sealed),
        Err(UnknownSecret::Missing("token".into()))
    );
    assert_eq!(Vault::empty(Key::new([9; 32])).mask(&sealed), "•••");
    assert_eq!(vault().unseal("\u{E000}x"), Err(UnknownSecret::Broken));
    assert_eq!(vault().unseal("x\u{E002}"), Err(UnknownSecret::Broken));
}

#[test]
fn documents_seal_and_unseal() {
    let vault = vault();
    let doc = json!({
        "s3cr3t": [NASTY, 4711, 47110, 1.5, null, true],
        "script": format!("PASS={NASTY}\u{E003}"),
        "plain": "\u{E003}4711",
    });
    let sealed = vault.seal_json(&doc);
    let text = sealed.to_string();
    assert!(
        !text.contains("s3cr3t") && !text.contains("w/ör") && !text.contains("4711,"),
        "{text}"
    );
    assert_eq!(vault.unseal_json(&sealed), Ok(doc.clone()));
    assert_eq!(vault.mask_json(&doc)["•••"][1], json!("•••"));
    assert_eq!(
        vault.mask_json(&vault.seal_json(&json!([4711, format!("P={NASTY}")]))),
        json!(["•••", "P=•••"])
    );
}

/// A small generator with a fixed seed: texts that are dense in whole, cut and overlapping secrets.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn text(&mut self, pieces: &[&str]) -> String {
        let count = self.roll(12);
        (0..count)
            .map(|_| pieces[self.roll(pieces.len())])
            .collect()
    }
}

#[test]
fn sealing_is_undone_and_hides_every_value() {
    let mut dice = Dice(1);
    for _ in 0..crate::world::cases(3000) {
        let alphabet = [
            "a", "b", "ab", "ba", "aab", "\"", "\\", "ö", "=", "0", "1", "%", "+",
        ];
        let mut secrets = Vec::new();
        for n in 0..1 + dice.roll(3) {
            let value = format!("{}{}", alphabet[dice.roll(13)], dice.text(&alphabet[..8]));
            secrets.push((format!("s{n}"), value));
        }
        let values: Vec<String> = secrets.iter().map(|(_, v)| v.clone()).collect();
        let vault = Vault::new(Key::new([3; 32]), secrets).expect("a vault");
        let mut pieces: Vec<&str> = values.iter().map(String::as_str).collect();
        pieces.extend(alphabet);
        pieces.extend([
            "\u{E000}", "\u{E001}", "\u{E002}", "\u{E003}", "\u{E130}", "x",
        ]);
        let text = dice.text(&pieces);
        let sealed = vault.seal(&text);
        assert_eq!(
            vault.unseal(&sealed).as_deref(),
            Ok(text.as_str()),
            "{values:?}"
        );
        for value in &values {
            assert!(!sealed.contains(value.as_str()), "{value:?} in {sealed:?}");
        }
    }
}
