//! Patterns as a shell and Python's `fnmatch` have them: `*` any characters, `?` one, `[a-c]` one of these, `[!a-c]` none of
//! them. A `[` that nothing closes stands for itself. `/` is a character as any other; case matters.

/// Whether the whole text is as the pattern says. Costs at most their lengths multiplied.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and what it has been stretched to: only the last has to be tried longer, since what stands
    // before it fits already.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        let next = match text.get(t) {
            Some(c) => one(&pattern[p..], *c),
            None if p == pattern.len() => return true,
            None => return false,
        };
        match (next, &mut star) {
            (Some(length), _) => (p, t) = (p + length, t + 1),
            (None, Some((after, stretched))) => {
                *stretched += 1;
                (p, t) = (*after, *stretched);
            }
            (None, None) => return false,
        }
    }
}

/// How many characters of the pattern this character takes, if it fits the first part of it.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class(&pattern[1..]) {
            Some((length, set)) => set.holds(c).then_some(length + 1),
            None => (c == '[').then_some(1),
        },
        literal => (*literal == c).then_some(1),
    }
}

/// What stands between brackets.
struct Set<'p> {
    characters: &'p [char],
    negated: bool,
}

impl Set<'_> {
    fn holds(&self, c: char) -> bool {
        let mut rest = self.characters;
        let mut found = false;
        while let [first, tail @ ..] = rest {
            (found, rest) = match tail {
                ['-', last, tail @ ..] => (found || (*first..=*last).contains(&c), tail),
                _ => (found || *first == c, tail),
            };
        }
        found != self.negated
    }
}

/// The set that begins behind a `[`, and its length with the `]`; `None` if there is none. A `]` right at the beginning
/// is in the set.
fn class(rest: &[char]) -> Option<(usize, Set<'_>)> {
    let negated = rest.first() == Some(&'!');
    let start = usize::from(negated);
    let end = start + 1 + rest.get(start + 1..)?.iter().position(|c| *c == ']')?;
    Some((end + 1, Set { characters: &rest[start..end], negated }))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn as_fnmatch_does() {
        let fits = [
            ("", ""),
            ("*", ""),
            ("*", "a/b"),
            ("*.py", "/app/main.py"),
            ("a*b*c", "a-b-b-c"),
            ("?[0-9]", "x7"),
            ("[!a-c]", "d"),
            ("[]]", "]"),
            ("[a-]", "-"),
            ("a[", "a["),
            ("[ab", "[ab"),
            ("é?", "éß"),
            ("**x", "x"),
        ];
        for (pattern, text) in fits {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        let does_not = [
            ("", "a"),
            ("a", ""),
            ("*.py", "main.pyc"),
            ("?", ""),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("a*b", "a"),
            ("A", "a"),
        ];
        for (pattern, text) in does_not {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    /// One that tries each star anew for each other takes longer than the universe is old.
    #[test]
    fn many_stars_cost_little() {
        assert!(!matches(&"*a".repeat(60), &"b".repeat(5_000)));
        assert!(!matches(&format!("{}b", "*a".repeat(60)), &"a".repeat(5_000)));
    }
}
