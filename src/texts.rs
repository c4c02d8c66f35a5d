//! Texts for people, in their language: Fluent files that a translator can edit, read once.

use std::collections::HashMap;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use fluent_syntax::ast;

use crate::domain::Language;

/// The texts of one door.
pub struct Texts {
    /// What needs no argument, ready made: it is looked up with every answer.
    ready: HashMap<Language, HashMap<String, Box<str>>>,
    bundles: HashMap<Language, FluentBundle<FluentResource>>,
}

impl Texts {
    /// Reads the files of a door. Languages without a file fall back to English.
    ///
    /// # Panics
    /// When a file is not Fluent: they are part of the binary, and a test reads them all.
    pub fn new(files: &[(Language, &str)]) -> Self {
        let mut texts = Self { ready: HashMap::new(), bundles: HashMap::new() };
        for (language, source) in files {
            let resource = FluentResource::try_new((*source).to_owned()).expect("the texts are Fluent");
            let ids: Vec<String> = resource.entries().filter_map(message_id).collect();
            let tag = language.as_str().parse().expect("a language's tag is one");
            let mut bundle = FluentBundle::new_concurrent(vec![tag]);
            // Isolation marks are for mixed scripts on a page; clients compare these texts.
            bundle.set_use_isolating(false);
            bundle.add_resource(resource).expect("no text stands twice");
            for id in ids {
                if let Some(text) = format(&bundle, &id, None) {
                    texts.ready.entry(*language).or_default().insert(id, text.into());
                }
            }
            texts.bundles.insert(*language, bundle);
        }
        texts
    }

    /// A text without arguments; its id when there is no such text.
    pub fn get<'t>(&'t self, language: Language, id: &'t str) -> &'t str {
        self.find(language, id).unwrap_or(id)
    }

    /// A text without arguments, in that language or in English.
    pub fn find(&self, language: Language, id: &str) -> Option<&str> {
        let in_language = |language| self.ready.get(&language)?.get(id).map(AsRef::as_ref);
        in_language(language).or_else(|| in_language(Language::En))
    }

    /// A text with arguments.
    pub fn with(&self, language: Language, id: &str, arguments: &[(&'static str, &str)]) -> String {
        let mut args = FluentArgs::new();
        for (name, value) in arguments {
            args.set(*name, *value);
        }
        let formatted = |language| self.bundles.get(&language).and_then(|bundle| format(bundle, id, Some(&args)));
        formatted(language).or_else(|| formatted(Language::En)).unwrap_or_else(|| id.to_owned())
    }

    /// Every id of a language, to compare files by.
    pub fn has(&self, language: Language, id: &str) -> bool {
        self.bundles.get(&language).is_some_and(|bundle| bundle.has_message(id))
    }
}

fn message_id(entry: &ast::Entry<&str>) -> Option<String> {
    match entry {
        ast::Entry::Message(message) => Some(message.id.name.to_owned()),
        _ => None,
    }
}

fn format(bundle: &FluentBundle<FluentResource>, id: &str, args: Option<&FluentArgs<'_>>) -> Option<String> {
    let pattern = bundle.get_message(id)?.value()?;
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, args, &mut errors).into_owned();
    errors.is_empty().then_some(text)
}
