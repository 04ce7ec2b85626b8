//! Names and digests as text for people. Names come from foreign files and may hold anything.

use std::borrow::Cow;

/// The text with control characters as escapes, so that a name cannot steer a terminal, break a line or reorder it.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// As [`shown`], but line ends stay: for reports of several lines.
pub fn shown_lines(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// Control characters, those that turn the direction of writing, line separators, and what XML cannot hold.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// The text inside an XML element.
pub fn xml(text: &str) -> String {
    shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON for a terminal: `serde_json` escapes only what JSON demands. Outside of strings, JSON has none of these.
pub fn json(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in format!("{value:#}").chars() {
        match c {
            '\n' => text.push(c),
            c if steers(c) => text += &format!("\\u{:04x}", u32::from(c)),
            c => text.push(c),
        }
    }
    text
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The source nodes that a step stands for.
pub fn sources(name: &str) -> Vec<&str> {
    name.split(',').collect()
}

/// Extents with `x` between them.
pub fn extents<T: ToString>(shape: &[T]) -> String {
    shape.iter().map(T::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_the_rest_stays() {
        assert_eq!(shown("stop; 50 km/h \u{fc}\u{4e2d}"), "stop; 50 km/h \u{fc}\u{4e2d}");
        assert_eq!(shown("a\x1b[31mb\nc\u{202e}d\u{9b}"), "a\\u{1b}[31mb\\nc\\u{202e}d\\u{9b}");
        assert_eq!(shown_lines("one\ntwo\r"), "one\ntwo\\r");
        let value = serde_json::json!({ "k": "\u{9b}\u{202e}\n\x1b\u{fc}" });
        assert_eq!(json(&value), "{\n  \"k\": \"\\u009b\\u202e\\n\\u001b\u{fc}\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&value)).unwrap(), value);
        assert_eq!(xml("<a&b>\0"), "&lt;a&amp;b&gt;\\u{0}");
    }
}
