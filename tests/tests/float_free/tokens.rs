//! Just enough of Rust's lexical grammar: identifiers and numbers, with comments, strings, characters and lifetimes
//! recognised in order to be skipped.

/// A token that may name or hold a float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Line, from 1.
    pub line: usize,
    /// Identifier (with `r#` stripped) or number.
    pub kind: Kind,
    /// Its text.
    pub text: String,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Identifier,
    Integer,
    Float,
}

/// The identifiers and numbers of a source text, in order.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut scanner = Scanner { rest: source, line: 1, dots: 0, found: Vec::new() };
    while scanner.step() {}
    scanner.found
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    /// Dots directly before `rest`, not counting white space: one means field access, two or three a range.
    dots: usize,
    found: Vec<Token>,
}

impl Scanner<'_> {
    /// Consumes one token or one character; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if let Some(length) = skipped(self.rest) {
            self.take(length);
        } else if first == '.' {
            self.take(1);
            self.dots += 1;
            return true;
        } else if first.is_whitespace() {
            self.take(first.len_utf8());
            return true;
        } else if first.is_ascii_digit() {
            let (length, kind) = number(self.rest, self.dots == 1);
            self.push(length, kind);
        } else if starts_identifier(first) {
            let length = identifier_length(self.rest);
            self.push(length, Kind::Identifier);
        } else {
            self.take(first.len_utf8());
        }
        self.dots = 0;
        true
    }

    fn push(&mut self, length: usize, kind: Kind) {
        let text = self.rest[..length].trim_start_matches("r#").to_string();
        self.found.push(Token { line: self.line, kind, text });
        self.take(length);
    }

    fn take(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
    }
}

fn starts_identifier(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn identifier_length(text: &str) -> usize {
    let prefix = if text.starts_with("r#") { 2 } else { 0 };
    let end = text[prefix..].find(|c: char| c != '_' && !c.is_alphanumeric());
    end.map_or(text.len(), |end| prefix + end)
}

/// Length of the comment, string, character or lifetime that `text` starts with.
fn skipped(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    // Byte and C strings look like plain ones after their prefix.
    let prefix = usize::from(text.starts_with(['b', 'c']));
    let body = &text[prefix..];
    if let Some(length) = raw_string(body).or_else(|| quoted(body, '"')) {
        return Some(prefix + length);
    }
    if text.starts_with("b'") {
        return quoted(body, '\'').map(|length| 1 + length);
    }
    let after = text.strip_prefix('\'')?;
    let mut chars = after.chars();
    let (first, second) = (chars.next()?, chars.next());
    if first == '\\' || second == Some('\'') {
        return quoted(text, '\'');
    }
    // A lifetime or a label: the quote is skipped together with its name.
    Some(1 + identifier_length(after))
}

/// Comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// `r"..."`, `r#"..."#` and so on.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?.chars().take_while(|&c| c == '#').count();
    let start = 1 + hashes;
    let body = text[start..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(body.find(&close).map_or(text.len(), |end| start + 1 + end + close.len()))
}

/// A string or character with escapes.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.strip_prefix(quote)?.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 2),
            _ => {}
        }
    }
    Some(text.len())
}

/// Length and kind of the number that `text` starts with. After a single dot a number is a tuple field, so that
/// `tuple.0.1` holds no float.
fn number(text: &str, field: bool) -> (usize, Kind) {
    let digits = |text: &str| text.find(|c: char| c != '_' && !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(text);
    if field {
        return (whole, Kind::Integer);
    }
    if text.starts_with("0x") || text.starts_with("0b") || text.starts_with("0o") {
        return (identifier_length(text), Kind::Integer);
    }
    let (mut length, mut kind) = (whole, Kind::Integer);
    if let Some(fraction) = text[whole..].strip_prefix('.') {
        // `1..2` is a range and `1.max(2)` a call.
        if !fraction.starts_with(|c: char| c == '.' || starts_identifier(c)) {
            length += 1 + digits(fraction);
            kind = Kind::Float;
        }
    }
    if let Some(exponent) = text[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        if exponent[sign..].trim_start_matches('_').starts_with(|c: char| c.is_ascii_digit()) {
            length += 1 + sign + digits(&exponent[sign..]);
            kind = Kind::Float;
        }
    }
    let suffix = identifier_length(&text[length..]);
    if text[length..].starts_with('f') {
        kind = Kind::Float;
    }
    (length + suffix, kind)
}
