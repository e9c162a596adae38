//! pest's refusals, in the words of the language.
