//! Names that arguments may have: a shell completes them, and a path goes as well.

use crate::data;
use crate::train::presets;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use std::ffi::OsStr;

/// A text for which there are some names.
#[derive(Clone, Copy)]
pub struct Named(fn() -> Vec<&'static str>);

/// A preset, or the path of a file or a folder.
pub const PRESETS: Named = Named(|| presets().iter().map(|(name, _)| *name).collect());

/// A known set, or a path.
pub const DATA: Named = Named(|| data::list().iter().map(|set| set.name).collect());

impl TypedValueParser for Named {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}
