//! Stable names: each set is an enum, so that documentation and code can be compared.

/// Declares an enum of names with their text and one line of meaning, and the list of all of them.
macro_rules! names {
    ($(#[$meta:meta])* $vis:vis enum $set:ident {
        $(#[doc = $meaning:literal] $variant:ident = $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $set {
            $(#[doc = $meaning] $variant,)*
        }

        impl $set {
            /// Every name of the set.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as logs, metrics and documentation show it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// What it means: its one line of documentation.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning.trim_ascii(),)*
                }
            }
        }
    };
}

pub(crate) use names;
