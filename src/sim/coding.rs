//! Content codings: bodies that clients send compressed, and answers to clients that take them so.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Whether the value of an `accept-encoding` header takes gzip.
pub fn takes_gzip(accept: &str) -> bool {
    accept.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|c| c.eq_ignore_ascii_case("gzip") || c == "*");
        let refused = parts.any(|p| {
            p.strip_prefix("q=")
                .and_then(|q| q.parse::<f32>().ok())
                .is_some_and(|q| q == 0.0)
        });
        named && !refused
    })
}

/// The body in gzip; none when it cannot be packed.
pub fn pack(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// What a gzip body holds; none when it is no gzip or holds more than `largest` bytes.
pub fn unpack(body: &[u8], largest: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let limit = largest as u64 + 1;
    MultiGzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut out)
        .ok()?;
    (out.len() <= largest).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let packed = pack(b"abcabcabc").expect("packed");
        assert_eq!(unpack(&packed, 100).as_deref(), Some(&b"abcabcabc"[..]));
        assert_eq!(unpack(&packed, 5), None);
        assert_eq!(unpack(b"plain", 100), None);
    }

    #[test]
    fn what_a_client_takes() {
        assert!(takes_gzip("gzip, deflate"));
        assert!(takes_gzip("deflate, GZIP;q=0.5"));
        assert!(!takes_gzip("gzip;q=0"));
        assert!(!takes_gzip("identity"));
    }
}
