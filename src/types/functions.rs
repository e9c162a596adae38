//! The pure functions that every flow may call, as data: the checker types them, the evaluator
//! computes them, the reference lists them.

macro_rules! functions {
    ($($variant:ident $name:literal ($($param:literal),*) $summary:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Function { $($variant),* }

        impl Function {
            pub const ALL: &[Function] = &[$(Function::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $(Function::$variant => $name),* }
            }

            /// Parameter names in order; one that ends in `?` may be left out.
            pub fn params(self) -> &'static [&'static str] {
                match self { $(Function::$variant => &[$($param),*]),* }
            }

            /// One sentence for the reference.
            pub fn summary(self) -> &'static str {
                match self { $(Function::$variant => $summary),* }
            }
        }
    };
}

functions! {
    Abs "abs" ("number") "The number without its sign.";
    Basename "basename" ("path") "The part behind the last slash: the name of a resource from its link.";
    Ceil "ceil" ("number") "The smallest whole number that is not below it.";
    Distinct "distinct" ("list") "The list without repetitions, each element where it first stood.";
    Earlier "earlier" ("type") "In a policy: every body of the type that steps before this one send, and every part of one.";
    EndsWith "ends_with" ("text", "end") "Whether the text ends so.";
    Fill "fill" ("text", "values") "The text with each `@NAME@` replaced; every placeholder must have a value, and every value a placeholder.";
    Flatten "flatten" ("lists") "One list of all elements of the lists.";
    Floor "floor" ("number") "The largest whole number that is not above it.";
    Found "found" ("type") "In a policy: every resource of the type that the run read.";
    Fresh "fresh" ("step") "The step's resource, read again just before the request is sent.";
    Int "int" ("value") "A whole number from a number without fraction or from text such as \"16\".";
    Join "join" ("list", "between") "The elements as one text.";
    Keys "keys" ("map") "The keys, in order.";
    Len "len" ("value") "How many elements a list or map has, or characters a text.";
    Lower "lower" ("text") "The text in small letters.";
    Matches "matches" ("text", "pattern") "Whether the whole text matches the regular expression.";
    MergeBy "merge_by" ("key", "list", "more") "The list with the elements of `more` added, each replacing the one that has the same key; a missing list counts as empty.";
    Number "number" ("value") "A number from text.";
    Planned "planned" ("type") "In a policy: every body of the type that the program sends, and every part of one.";
    Range "range" ("from", "to") "The whole numbers from the first up to, but without, the second.";
    Replace "replace" ("text", "what", "by") "The text with every occurrence replaced.";
    Reverse "reverse" ("list") "The list from its end.";
    Round "round" ("number") "The nearest whole number.";
    SameResource "same_resource" ("a", "b") "Whether two links name one resource, whatever their host, version or form.";
    Seconds "seconds" ("duration") "The duration as a number of seconds.";
    Sort "sort" ("list") "The list in ascending order, of numbers or of text.";
    Sources "sources" ("value", "type") "In a policy: the bodies of the type that the value comes from, as far as it is not known yet.";
    Split "split" ("text", "between") "The parts of the text.";
    StartsWith "starts_with" ("text", "start") "Whether the text begins so.";
    Text "text" ("value") "The value as interpolation prints it.";
    Trim "trim" ("text") "The text without white space at its ends.";
    Upper "upper" ("text") "The text in capital letters.";
    Values "values" ("map") "The values, in the order of the keys.";
}

impl Function {
    pub fn by_name(name: &str) -> Option<Function> {
        Function::ALL.iter().copied().find(|f| f.name() == name)
    }
}
