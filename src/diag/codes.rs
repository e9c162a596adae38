//! Every diagnostic code, with the page that `r5flow explain` prints.

/// A diagnostic code such as `R0201`. The first two digits name the room that raises it:
/// 01 text, 02 names, 03 types, 04 the API catalogue, 05 steps and their order, 06 inputs,
/// 07 lints, 08 modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "R{:04}", self.0)
    }
}

impl std::str::FromStr for Code {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix(['R', 'r']).unwrap_or(text);
        digits.parse().map(Code).map_err(|_| ())
    }
}

macro_rules! codes {
    ($($name:ident = $number:literal;)*) => {
        impl Code { $(#[allow(clippy::zero_prefixed_literal, reason = "the leading zero is part of the code")] pub const $name: Code = Code($number);)* }
        /// Every code and its page in `docs/errors/`, in order.
        #[allow(clippy::zero_prefixed_literal, reason = "the leading zero is part of the code")]
        pub const CODES: &[(Code, &str)] = &[
            $((Code($number), include_str!(concat!("../../docs/errors/R", stringify!($number), ".md"))),)*
        ];
    };
}

codes! {
    SYNTAX = 0101;
    UNCLOSED = 0102;
    BAD_UNIT = 0103;
    NESTING = 0104;
    NUMBER_RANGE = 0105;
    NOT_TEXT = 0106;
    EXTRA_CLOSE = 0107;
    BAD_ESCAPE = 0108;
    RAW_INDENT = 0109;
    DUPLICATE_NAME = 0201;
    UNKNOWN_NAME = 0202;
    MISSING_MODULE = 0801;
}

/// The long story of a code.
pub fn story(code: Code) -> Option<&'static str> {
    CODES
        .iter()
        .find(|(c, _)| *c == code)
        .map(|(_, page)| *page)
}
