//! Several models as one site: a page each, and one that shows them all.

use super::{ExportError, Options, Package, Page, STYLE, Trained, escaped, filled, page};
use crate::words::{count, size};
use std::fmt::Write;

/// Makes the site of some models: `index.html`, and a page of each.
pub(in crate::export) fn gallery(all: &mut [Trained], options: &Options) -> Result<Package, ExportError> {
    let mut package = Package::default();
    let mut cards = String::new();
    for trained in all {
        let name = trained.name();
        let file = file(&name, &package);
        let Page { about, image, still, html, remarks } =
            page(trained, options).map_err(|why| ExportError::Of { model: name.clone(), why: Box::new(why) })?;
        package.remarks.extend(remarks.into_iter().map(|remark| format!("{name}: {remark}")));
        let figure = about.figures.first().map_or(String::new(), |f| format!("{} {:.4} {}", f.name, f.value, f.unit));
        let facts = [image, format!("{} parameters", count(about.parameters as u64)), figure, size(html.len() as u64)];
        let facts: Vec<&str> = facts.iter().map(String::as_str).filter(|fact| !fact.is_empty()).collect();
        let _ = writeln!(
            cards,
            "<li><a href=\"{file}\"><img src=\"data:image/png;base64,{still}\" alt=\"samples of {title}\"><strong>{title}\
             </strong></a><p>{words}</p><p class=\"soft\">{facts}</p></li>",
            title = escaped(&name),
            words = escaped(&about.words),
            facts = escaped(&facts.join(", ")),
        );
        package.files.push((file, html.into_bytes()));
    }
    let parts = [("style", STYLE), ("cards", cards.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
    package.files.push(("index.html".into(), filled(include_str!("index.html"), &parts).into_bytes()));
    Ok(package)
}

/// A file for a model of this name that no other has, in letters that need no escaping anywhere.
fn file(name: &str, package: &Package) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    let plain = if plain == "index" { "index-".into() } else { plain };
    let taken = |file: &str| package.files.iter().any(|(other, _)| other.eq_ignore_ascii_case(file));
    let numbered = (2..).map(|k| format!("{plain}-{k}.html"));
    let mut names = std::iter::once(format!("{plain}.html")).chain(numbered);
    names.find(|file| !taken(file)).unwrap_or_default()
}
