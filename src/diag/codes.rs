//! Every diagnostic code, with the page that `r5flow explain` prints.

/// A diagnostic code such as `R0201`. The first two digits name the room that raises it:
/// 01 text, 02 names, 03 types, 04 the API catalogue, 05 steps and their order, 06 inputs,
/// 07 lints, 08 modules, 09 policies, 10 tests, 11 libraries.
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
    NOT_A_VALUE = 0203;
    IT_OUT_OF_PLACE = 0204;
    TYPE_MISMATCH = 0301;
    UNKNOWN_FIELD = 0302;
    MAYBE_NULL = 0303;
    BAD_OPERANDS = 0304;
    BAD_ARGUMENTS = 0305;
    OVER_A_LOOP = 0306;
    BAD_UNSET = 0307;
    NOT_IN_TEXT = 0308;
    BAD_VALUE = 0309;
    BAD_TYPE = 0310;
    SECRET_LEAK = 0311;
    UNKNOWN_TARGET = 0401;
    WRONG_TARGET = 0402;
    MISSING_PARAMETER = 0403;
    UNKNOWN_PARAMETER = 0404;
    UNKNOWN_BODY_FIELD = 0405;
    OUTPUT_ONLY = 0406;
    WRONG_ENUM = 0407;
    BAD_PATTERN = 0408;
    WRONG_UNIT = 0409;
    MISSING_FIELD = 0410;
    NO_BODY = 0411;
    NULL_SENT = 0412;
    IDENTITY_IN_BODY = 0413;
    DEPRECATED = 0414;
    BAD_CLAUSE = 0501;
    CYCLE = 0502;
    SAME_RESOURCE_TWICE = 0503;
    NEEDS_KEY = 0504;
    TOO_LATE = 0505;
    RECURSION = 0506;
    NOT_A_STEP = 0507;
    CHECKPOINT_PLACE = 0508;
    BAD_LOCATION = 0509;
    UNSAFE_RETRY = 0510;
    UNSETTLED = 0511;
    BAD_HOOK = 0512;
    UNKNOWN_EVENT = 0513;
    BAD_MOVE = 0514;
    UNKNOWN_INPUT = 0601;
    MISSING_INPUT = 0602;
    BAD_INPUT = 0603;
    UNUSED_INPUT = 0701;
    UNUSED_LET = 0702;
    UNUSED_IMPORT = 0703;
    LINKS_AS_TEXT = 0704;
    MISSING_MODULE = 0801;
    POLICY = 0901;
    BAD_POLICY = 0902;
    UNKNOWN_POLICY = 0903;
    NO_REASON = 0904;
    IDLE_ALLOW = 0905;
    FAILED_TEST = 1001;
    BAD_FAULT = 1002;
    NO_GATE = 1003;
    BAD_SCENARIO = 1004;
    EXPECTS_NOTHING = 1005;
    LIBRARY_UNAVAILABLE = 1101;
    NOT_EXPORTED = 1102;
    LEAVES_LIBRARY = 1103;
    NOT_NEEDED = 1104;
}

/// The long story of a code.
pub fn story(code: Code) -> Option<&'static str> {
    CODES
        .iter()
        .find(|(c, _)| *c == code)
        .map(|(_, page)| *page)
}
