//! Python source as logical lines of tokens: names, brackets and the few marks that tell scopes apart. Strings,
//! numbers and other operators are passed over; nothing is checked beyond what that needs.

/// A token and the line, from 1, in which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub line: u32,
    pub kind: Kind<'s>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'s> {
    /// An identifier or a keyword.
    Name(&'s str),
    /// One of `( [ { ) ] } : , ; @`.
    Mark(u8),
    /// Any other operator, a number, a string.
    Other,
}

/// Reads source text line by line.
pub(super) struct Lines<'s> {
    text: &'s str,
    at: usize,
    line: u32,
    /// First and last line of each formatted string in which the words `for` or `lambda` occur: before 3.12 what is
    /// in there has places of its own.
    pub unclear: Vec<(u32, u32)>,
}

impl<'s> Lines<'s> {
    /// From its beginning; a byte order mark is no part of it.
    pub fn new(text: &'s str) -> Self {
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 1, unclear: Vec::new() }
    }

    /// The next logical line into `tokens`, and the column at which it begins; `None` at the end.
    pub fn next(&mut self, tokens: &mut Vec<Token<'s>>) -> Option<u32> {
        tokens.clear();
        let mut column = self.indentation()?;
        let mut depth = 0u32;
        while let Some(byte) = self.byte(0) {
            let line = self.line;
            let kind = match byte {
                b'\n' | b'\r' => {
                    self.end_of_line();
                    if depth > 0 {
                        continue;
                    }
                    if !tokens.is_empty() {
                        break;
                    }
                    column = self.indentation()?;
                    continue;
                }
                b'#' => {
                    self.skip_while(|byte| byte != b'\n' && byte != b'\r');
                    continue;
                }
                b' ' | b'\t' | 0x0c => {
                    self.at += 1;
                    continue;
                }
                b'\\' => {
                    self.at += 1;
                    if matches!(self.byte(0), Some(b'\n' | b'\r')) {
                        self.end_of_line();
                    }
                    continue;
                }
                b'(' | b'[' | b'{' => {
                    self.at += 1;
                    depth += 1;
                    Kind::Mark(byte)
                }
                b')' | b']' | b'}' => {
                    self.at += 1;
                    depth = depth.saturating_sub(1);
                    Kind::Mark(byte)
                }
                // `:=` names no scope and ends none.
                b':' if self.byte(1) == Some(b'=') => {
                    self.at += 2;
                    Kind::Other
                }
                b':' | b',' | b';' | b'@' => {
                    self.at += 1;
                    Kind::Mark(byte)
                }
                b'"' | b'\'' => self.string(""),
                b'0'..=b'9' => self.number(),
                _ if is_word(byte) => self.word(),
                _ => {
                    self.at += 1;
                    Kind::Other
                }
            };
            tokens.push(Token { line, kind });
        }
        (!tokens.is_empty()).then_some(column)
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, holds: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&holds) {
            self.at += 1;
        }
    }

    /// Passes over `\n`, `\r` or `\r\n`.
    fn end_of_line(&mut self) {
        self.at += if self.byte(0) == Some(b'\r') && self.byte(1) == Some(b'\n') { 2 } else { 1 };
        self.line += 1;
    }

    /// Passes over blanks: the column behind them, as CPython counts it. `None` at the end of the text.
    fn indentation(&mut self) -> Option<u32> {
        let mut column = 0;
        loop {
            column = match self.byte(0)? {
                b' ' => column + 1,
                b'\t' => (column / 8 + 1) * 8,
                0x0c => 0,
                _ => return Some(column),
            };
            self.at += 1;
        }
    }

    /// A name, or the letters before a string and the string.
    fn word(&mut self) -> Kind<'s> {
        let start = self.at;
        self.skip_while(|byte| is_word(byte) || byte.is_ascii_digit());
        // All bytes beyond ASCII are of words, so no character is cut.
        let word = &self.text[start..self.at];
        let quoted = matches!(self.byte(0), Some(b'"' | b'\''));
        let is_prefix = word.len() <= 2 && word.bytes().all(|byte| b"rRbBuUfF".contains(&byte));
        if quoted && is_prefix { self.string(word) } else { Kind::Name(word) }
    }

    /// A number. A keyword may follow it without a blank: `1if x else 2`.
    fn number(&mut self) -> Kind<'s> {
        if self.byte(0) == Some(b'0') && matches!(self.byte(1), Some(b'x' | b'X')) {
            self.at += 2;
            self.skip_while(|byte| byte.is_ascii_hexdigit() || byte == b'_');
            return Kind::Other;
        }
        let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'_' || byte == b'.';
        self.skip_while(is_digit);
        let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
        if matches!(self.byte(0), Some(b'e' | b'E')) && self.byte(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1 + sign;
            self.skip_while(is_digit);
        }
        if matches!(self.byte(0), Some(b'j' | b'J')) {
            self.at += 1;
        }
        Kind::Other
    }

    /// A string from its first quote on. In raw strings as well a backslash keeps a quote from ending them.
    fn string(&mut self, prefix: &str) -> Kind<'s> {
        let (start, first_line) = (self.at, self.line);
        let quote = self.byte(0).unwrap_or(b'"');
        let triple = self.byte(1) == Some(quote) && self.byte(2) == Some(quote);
        self.at += if triple { 3 } else { 1 };
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\\' => {
                    self.at += 1;
                    match self.byte(0) {
                        Some(b'\n' | b'\r') => self.end_of_line(),
                        Some(_) => self.at += 1,
                        None => {}
                    }
                }
                // Without its end: the line end is not part of it.
                b'\n' | b'\r' if !triple => break,
                b'\n' | b'\r' => self.end_of_line(),
                _ if byte != quote => self.at += 1,
                _ if !triple => {
                    self.at += 1;
                    break;
                }
                _ if self.byte(1) == Some(quote) && self.byte(2) == Some(quote) => {
                    self.at += 3;
                    break;
                }
                _ => self.at += 1,
            }
        }
        if prefix.contains(['f', 'F']) {
            // By bytes: a backslash may have stepped into a character.
            let text = &self.text.as_bytes()[start..self.at];
            let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
            if has(b"for") || has(b"lambda") {
                self.unclear.push((first_line, self.line));
            }
        }
        Kind::Other
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each logical line as `column: names and marks`, a dot for anything else.
    fn check(text: &str, expected: &[&str]) {
        let (mut lines, mut tokens, mut found) = (Lines::new(text), Vec::new(), Vec::new());
        while let Some(column) = lines.next(&mut tokens) {
            let words: Vec<String> = tokens
                .iter()
                .map(|token| match token.kind {
                    Kind::Name(name) => name.to_owned(),
                    Kind::Mark(mark) => char::from(mark).to_string(),
                    Kind::Other => ".".to_owned(),
                })
                .collect();
            found.push(format!("{} {column}: {}", tokens[0].line, words.join(" ")));
        }
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn logical_lines() {
        check("a\n\n  # no\n\tb ; c\n", &["1 0: a", "4 8: b ; c"]);
        check("a(b,\n# no\nc)\nd", &["1 0: a ( b , c )", "4 0: d"]);
        check("a \\\n b\r\nc\rd", &["1 0: a b", "3 0: c", "4 0: d"]);
        check("\u{feff}def größe(): pass", &["1 0: def größe ( ) : pass"]);
        check(" \n# nothing", &[]);
    }

    #[test]
    fn strings_and_numbers() {
        check("x = 'a\\'(' + rb\"\\\\\" + '''\n:'(\\''' '''\ny", &["1 0: x . . . . . .", "3 0: y"]);
        check("'not ended (\ny", &["1 0: .", "2 0: y"]);
        check("[1for x in 0xfor 1e5if 2.j]", &["1 0: [ . for x in . or . if . ]"]);
        check("(y := f'{x}')", &["1 0: ( y . . )"]);
        check("'\\", &["1 0: ."]);
        check("f'\\é'", &["1 0: ."]);
    }
}
