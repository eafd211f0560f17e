//! What every page is framed by: its head, its style, and the facts that its script draws.

use super::ReportError;
use crate::files;
use serde::Serialize;
use std::path::Path;

/// A page with this title, what stands in it, the script that draws it, and the facts it draws.
pub(super) fn page(title: &str, body: &str, script: &str, facts: &impl Serialize) -> String {
    let title = escaped(title);
    let body = filled(body, &[("title", &title)]);
    let parts = [
        ("title", title.as_str()),
        ("style", include_str!("page/style.css")),
        ("body", &body),
        ("script", script),
        ("facts", &embedded(facts)),
    ];
    filled(include_str!("page/frame.html"), &parts)
}

/// Writes a page to `out`, in one piece.
///
/// # Errors
/// [`ReportError::Write`].
pub(super) fn put(page: &str, out: &Path) -> Result<(), ReportError> {
    let written = files::replace(out, |file| file.write_all(page.as_bytes()));
    written.map_err(|source| ReportError::Write { path: out.into(), source })
}

/// A template with its parts in their places, `{{name}}` each. What a part holds is text, and no
/// place for another.
pub(crate) fn filled(template: &str, parts: &[(&str, &str)]) -> String {
    let mut pieces = template.split("{{");
    let mut text = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let known = piece.split_once("}}").and_then(|(name, after)| {
            let (_, part) = parts.iter().find(|(known, _)| *known == name)?;
            Some([*part, after])
        });
        text.extend(known.unwrap_or(["{{", piece]));
    }
    text
}

/// Text in HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// JSON inside of a script element, which nothing in it can end.
fn embedded(value: &impl Serialize) -> String {
    // Everything here is made of strings, numbers and lists of them.
    serde_json::to_string(value).unwrap_or_default().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_run_ends_the_script_that_it_stands_in() {
        assert_eq!(embedded(&["</script><b>"]), r#"["\u003c/script>\u003cb>"]"#);
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }

    #[test]
    fn a_name_that_looks_like_a_place_in_the_template_is_none() {
        let page = page("{{facts}} {{x", "<h1>{{title}}</h1>", "draw();", &["{{script}}"]);
        assert!(
            page.contains("<title>{{facts}} {{x · limn</title>") && page.contains("<h1>{{facts}} {{x</h1>"),
            "{page}"
        );
        assert!(page.contains(r#">["{{script}}"]</script>"#) && page.matches("draw();").count() == 1, "{page}");
    }
}
