//! Qualified names of code objects, as CPython 3.11 has them in `co_qualname`, from the source they were compiled of.
//!
//! Older versions keep only a function's own name and the line in which its definition begins. Statements are told by
//! their indentation, scopes inside expressions (`lambda`, comprehensions) by brackets and keywords. What two scopes
//! could claim has no answer.

use super::tokens::{Kind, Lines, Token};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// The names of one file.
#[derive(Clone, Debug, Default)]
pub struct QualifiedNames {
    /// By the line in which a definition begins and its own name; `None`: of several, told apart by nothing.
    names: FxHashMap<(u32, Box<str>), Option<Box<str>>>,
}

/// Deepest nesting of scopes and brackets that is followed. CPython compiles no more than 100 levels of indentation and
/// 200 of brackets.
const DEEPEST: usize = 300;

impl QualifiedNames {
    /// Those of this source text. Costs a pass over it; whatever it is, there is an answer.
    pub fn of(text: &str) -> Self {
        let mut names = Self::default();
        let (mut lines, mut tokens) = (Lines::new(text), Vec::new());
        let mut statements = Statements { names: &mut names, bodies: Vec::new(), decorated: None };
        while let Some(column) = lines.next(&mut tokens) {
            if statements.line(&tokens, column).is_none() {
                // No source of CPython's.
                return Self::default();
            }
        }
        // In the order of the text, so the last that begins early enough is the one that a line can be in.
        let is_unclear = |line: u32| {
            let behind = lines.unclear.partition_point(|(first, _)| *first <= line);
            behind.checked_sub(1).is_some_and(|place| lines.unclear[place].1 >= line)
        };
        names.names.retain(|(line, name), _| !(name.starts_with('<') && is_unclear(*line)));
        names
    }

    /// The qualified name of the code with this own name (`co_name`) whose definition begins in this line
    /// (`co_firstlineno`, with decorators that of the first). `None` if there is none such, or several.
    pub fn get(&self, first_line: u32, name: &str) -> Option<&str> {
        // The key is owned, but a lookup is rare beside the pass that made the table.
        self.names.get(&(first_line, name.into()))?.as_deref()
    }

    fn add(&mut self, line: u32, name: &str, qualified: &str) {
        // A character that could not be read: another encoding.
        if qualified.contains('\u{fffd}') {
            return;
        }
        self.names
            .entry((line, name.into()))
            .and_modify(|known| {
                if known.as_deref() != Some(qualified) {
                    *known = None;
                }
            })
            .or_insert_with(|| Some(qualified.into()));
    }
}

/// What names are qualified by.
#[derive(Clone, Debug)]
enum Scope {
    Module,
    /// A class, or a comprehension: CPython puts no `<locals>` behind their names, though those of the latter are.
    Plain(Rc<str>),
    Function(Rc<str>),
}

impl Scope {
    fn qualified(&self, name: &str) -> Rc<str> {
        match self {
            Self::Module => name.into(),
            Self::Plain(outer) => format!("{outer}.{name}").into(),
            Self::Function(outer) => format!("{outer}.<locals>.{name}").into(),
        }
    }
}

/// The body of a function or class.
struct Body<'s> {
    /// Column of the statement whose body it is.
    column: u32,
    scope: Scope,
    /// Names declared `global` in it.
    globals: Vec<&'s str>,
}

struct Statements<'s, 'n> {
    names: &'n mut QualifiedNames,
    /// The outermost first.
    bodies: Vec<Body<'s>>,
    /// Line of the first decorator of the definition that comes.
    decorated: Option<u32>,
}

impl<'s> Statements<'s, '_> {
    /// Takes a logical line in; `None` if nothing can be made of the text any more.
    fn line(&mut self, tokens: &[Token<'s>], column: u32) -> Option<()> {
        while self.bodies.last().is_some_and(|body| body.column >= column) {
            self.bodies.pop();
        }
        let scope = self.bodies.last().map_or(Scope::Module, |body| body.scope.clone());
        if tokens[0].kind == Kind::Mark(b'@') {
            self.decorated.get_or_insert(tokens.get(1).map_or(tokens[0].line, |token| token.line));
            return walk(self.names, tokens, scope, false).map(drop);
        }
        let first_line = self.decorated.take().unwrap_or(tokens[0].line);
        let keyword = usize::from(tokens[0].kind == Kind::Name("async"));
        let word = |place: usize| match tokens.get(place).map(|token| token.kind) {
            Some(Kind::Name(name)) => Some(name),
            _ => None,
        };
        let (Some(kind @ ("def" | "class")), Some(name)) = (word(keyword), word(keyword + 1)) else {
            self.note_globals(tokens);
            return walk(self.names, tokens, scope, false).map(drop);
        };
        let is_global = self.bodies.last().is_some_and(|body| body.globals.contains(&name));
        let qualified = if is_global { name.into() } else { scope.qualified(name) };
        self.names.add(first_line, name, &qualified);
        // Defaults, annotations and bases are evaluated where the definition stands.
        let header = &tokens[keyword + 2..];
        let colon = walk(self.names, header, scope, true)?;
        let scope = if kind == "class" { Scope::Plain(qualified) } else { Scope::Function(qualified) };
        let body = header.get(colon + 1..).unwrap_or_default();
        if !body.is_empty() {
            return walk(self.names, body, scope, false).map(drop);
        }
        if self.bodies.len() == DEEPEST {
            return None;
        }
        self.bodies.push(Body { column, scope, globals: Vec::new() });
        Some(())
    }

    fn note_globals(&mut self, tokens: &[Token<'s>]) {
        let Some(body) = self.bodies.last_mut() else { return };
        let mut declares = false;
        for token in tokens {
            match token.kind {
                Kind::Name("global") => declares = true,
                Kind::Name(name) if declares => body.globals.push(name),
                Kind::Mark(b';') => declares = false,
                _ => {}
            }
        }
    }
}

/// What is open at a place in an expression.
enum Open {
    /// The parameters of a `lambda`: its scope begins behind the colon.
    Parameters { body: Scope, outer: Scope },
    /// The body of a `lambda`.
    Lambda { outer: Scope },
    /// A bracket.
    Bracket { outer: Scope, comprehension: Option<(Scope, Part)> },
}

/// Where in a comprehension.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Element,
    FirstTarget,
    /// Evaluated in the scope around the comprehension, unlike all else in it.
    FirstIterable,
    Rest,
}

/// Adds the scopes in an expression or simple statements. Ends at the first colon that is in nothing, if asked to, and
/// returns its place, else the number of tokens; `None` if it is nested too deep.
fn walk(names: &mut QualifiedNames, tokens: &[Token<'_>], scope: Scope, to_colon: bool) -> Option<usize> {
    let comprehensions = comprehensions(tokens);
    let mut scope = scope;
    let mut open: Vec<Open> = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        if open.len() > DEEPEST {
            return None;
        }
        match token.kind {
            Kind::Name("lambda") => {
                let qualified = scope.qualified("<lambda>");
                names.add(token.line, "<lambda>", &qualified);
                open.push(Open::Parameters { body: Scope::Function(qualified), outer: scope.clone() });
            }
            Kind::Mark(b':') => loop {
                match open.pop() {
                    Some(Open::Parameters { body, outer }) => {
                        scope = body;
                        open.push(Open::Lambda { outer });
                        break;
                    }
                    // The colon is of what the lambda is in.
                    Some(Open::Lambda { outer }) => scope = outer,
                    Some(bracket @ Open::Bracket { .. }) => {
                        open.push(bracket);
                        break;
                    }
                    None if to_colon => return Some(place),
                    None => break,
                }
            },
            Kind::Mark(b',' | b';') => leave_lambdas(&mut open, &mut scope),
            Kind::Mark(b'(' | b'[' | b'{') => {
                let outer = scope.clone();
                let comprehension = comprehensions.get(&place).map(|name| {
                    let qualified = scope.qualified(name);
                    names.add(token.line, name, &qualified);
                    scope = Scope::Plain(qualified);
                    (scope.clone(), Part::Element)
                });
                open.push(Open::Bracket { outer, comprehension });
            }
            Kind::Mark(b')' | b']' | b'}') => {
                while let Some(closed) = open.pop() {
                    let (Open::Parameters { outer, .. } | Open::Lambda { outer } | Open::Bracket { outer, .. }) =
                        &closed;
                    scope = outer.clone();
                    if matches!(closed, Open::Bracket { .. }) {
                        break;
                    }
                }
            }
            Kind::Name(word @ ("for" | "in" | "if" | "async")) => {
                if matches!(word, "for" | "async") {
                    leave_lambdas(&mut open, &mut scope);
                }
                if let Some(Open::Bracket { outer, comprehension: Some((inner, part)) }) = open.last_mut() {
                    match (word, *part) {
                        ("for", Part::Element) => *part = Part::FirstTarget,
                        ("in", Part::FirstTarget) => (*part, scope) = (Part::FirstIterable, outer.clone()),
                        ("for" | "if" | "async", Part::FirstIterable) => (*part, scope) = (Part::Rest, inner.clone()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(tokens.len())
}

/// Ends the bodies of lambdas that reach up to here.
fn leave_lambdas(open: &mut Vec<Open>, scope: &mut Scope) {
    while let Some(Open::Lambda { outer }) = open.last() {
        *scope = outer.clone();
        open.pop();
    }
}

/// The brackets that are comprehensions, by place, and what CPython calls their code.
fn comprehensions(tokens: &[Token<'_>]) -> FxHashMap<usize, &'static str> {
    struct Bracket {
        place: usize,
        mark: u8,
        /// Lambdas whose colon has not come.
        lambdas: u32,
        /// A colon of its own: a dictionary.
        pairs: bool,
    }
    let mut found = FxHashMap::default();
    let mut open: Vec<Bracket> = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Mark(mark @ (b'(' | b'[' | b'{')) => {
                open.push(Bracket { place, mark, lambdas: 0, pairs: false });
            }
            Kind::Mark(b')' | b']' | b'}') => drop(open.pop()),
            _ => {}
        }
        let Some(bracket) = open.last_mut() else { continue };
        match token.kind {
            Kind::Name("lambda") => bracket.lambdas += 1,
            Kind::Mark(b':') if bracket.lambdas > 0 => bracket.lambdas -= 1,
            Kind::Mark(b':') => bracket.pairs = true,
            Kind::Name("for") => {
                let name = match (bracket.mark, bracket.pairs) {
                    (b'(', _) => "<genexpr>",
                    (b'[', _) => "<listcomp>",
                    (_, true) => "<dictcomp>",
                    (_, false) => "<setcomp>",
                };
                found.entry(bracket.place).or_insert(name);
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(u32, &str, Option<&str>)]) {
        let names = QualifiedNames::of(text);
        for (line, name, qualified) in expected {
            assert_eq!(names.get(*line, name), *qualified, "{name} in line {line} of\n{text}");
        }
    }

    #[test]
    fn classes_and_functions() {
        check(
            "class Outer(Base):\n    class Inner:\n        def method(self): pass\n    async def later(self):\n        def inner():\n            pass\n\ndef f(): pass\n",
            &[
                (1, "Outer", Some("Outer")),
                (2, "Inner", Some("Outer.Inner")),
                (3, "method", Some("Outer.Inner.method")),
                (4, "later", Some("Outer.later")),
                (5, "inner", Some("Outer.later.<locals>.inner")),
                (8, "f", Some("f")),
                (8, "g", None),
                (7, "f", None),
            ],
        );
    }

    #[test]
    fn a_definition_begins_with_its_first_decorator() {
        check(
            "class A:\n  @one(lambda: 1)\n  # two\n  @two\n  def f(self,\n        g=lambda: 2):\n    return lambda: 3\n",
            &[
                (2, "f", Some("A.f")),
                (5, "f", None),
                (2, "<lambda>", Some("A.<lambda>")),
                (6, "<lambda>", Some("A.<lambda>")),
                (7, "<lambda>", Some("A.f.<locals>.<lambda>")),
            ],
        );
    }

    #[test]
    fn names_declared_global_are() {
        check(
            "def f():\n  global g, h\n  def g(): return lambda: 0\n  class k: pass\n",
            &[(3, "g", Some("g")), (3, "<lambda>", Some("g.<locals>.<lambda>")), (4, "k", Some("f.<locals>.k"))],
        );
    }

    #[test]
    fn lambdas_end_where_their_body_does() {
        check(
            "a = lambda x=lambda: 1: (\n lambda: 2,\n), [\n lambda: 3]\n",
            &[
                (1, "<lambda>", Some("<lambda>")),
                (2, "<lambda>", Some("<lambda>.<locals>.<lambda>")),
                (4, "<lambda>", Some("<lambda>")),
            ],
        );
        check(
            "d = {lambda: 1:\n lambda: 2}\nif lambda: 3: x = (\n lambda: 4)",
            &[(2, "<lambda>", Some("<lambda>")), (4, "<lambda>", Some("<lambda>"))],
        );
    }

    #[test]
    fn of_a_comprehension_only_the_first_iterable_is_outside() {
        check(
            "def f():\n  return [\n    lambda: 1 for x in\n    g(lambda: 2) for y in\n    g(lambda: 3) if\n    g(lambda: 4)]\n",
            &[
                (2, "<listcomp>", Some("f.<locals>.<listcomp>")),
                (3, "<lambda>", Some("f.<locals>.<listcomp>.<lambda>")),
                (4, "<lambda>", Some("f.<locals>.<lambda>")),
                (5, "<lambda>", Some("f.<locals>.<listcomp>.<lambda>")),
                (6, "<lambda>", Some("f.<locals>.<listcomp>.<lambda>")),
            ],
        );
        check(
            "a = {x: 1 for x in y}\nb = {(lambda: x) for x in y}\nc = f(x for x in y)\n",
            &[
                (1, "<dictcomp>", Some("<dictcomp>")),
                (2, "<setcomp>", Some("<setcomp>")),
                (3, "<genexpr>", Some("<genexpr>")),
            ],
        );
    }

    const PARTS: &[&str] = &[
        "def ", "class ", "async ", "f", "(", ")", "[", "]", "{", "}", ":", ",", "@", "lambda ", "for ", "in ", "if ",
        "global ", "\n", "\r", "\t", " ", "\"", "'''", "f'", "\\", "é", "\u{fffd}", "0x", "1e", "#", ";",
    ];

    proptest::proptest! {
        #[test]
        fn any_text_has_an_answer(
            parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..80),
            line in 0u32..9,
        ) {
            QualifiedNames::of(&parts.concat()).get(line, "f");
        }
    }

    #[test]
    fn what_cannot_be_told_has_no_answer() {
        // Two in one line with different names.
        check("def f(a=lambda: 1): return lambda: 2\n", &[(1, "<lambda>", None), (1, "f", Some("f"))]);
        // One may be in the formatted string.
        check("def f(): return f'{[x for x in y]}', [x for x in y]\n", &[(1, "<listcomp>", None)]);
        check(&"(".repeat(100_000), &[(1, "f", None)]);
        check(&format!("{}def f(): pass", "class A: pass\n)]}:".repeat(9)), &[(1, "A", Some("A"))]);
    }
}
