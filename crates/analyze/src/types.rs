//! Which types of Python objects grew, from the censuses of a run: by how many between one and the next, and who holds what
//! is new of them.
//!
//! A capture has for each census what has changed since the one before; here every type has its numbers at every census.

use heaptide_format::capture::census::{Census, CensusReason, Holding, Hop};
use heaptide_format::ids::{ImageIndex, Nanos, StackId};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// A census as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Why.
    pub reason: CensusReason,
    /// When.
    pub time: Nanos,
    /// Objects of all types.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long the program stood still.
    pub cost: Nanos,
    /// Private bytes that the tracer held for it.
    pub own_bytes: u64,
    /// It does not have all.
    pub cut: bool,
}

/// Objects of a type, as at one census.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// Their bytes, as `sys.getsizeof` counts them.
    pub bytes: u64,
}

/// What comes to `before` to make it `after`; at the most what 64 bits can say.
pub fn difference(before: u64, after: u64) -> i64 {
    let difference = i128::from(after) - i128::from(before);
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// A type over all censuses of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeGrowth {
    /// `module.qualified name`; builtin ones without module.
    pub name: String,
    /// Where its numbers changed: the place of the census, and what they were from then on. Before the first there were none.
    pub changes: Vec<(usize, Counted)>,
    /// How many censuses there were.
    pub censuses: usize,
    /// What is known of objects that were new: from the last census in which it had grown.
    pub new: Option<New>,
}

/// New objects of a type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct New {
    /// Which census: its place.
    pub census: usize,
    /// How many were new since the one before.
    pub count: u64,
    /// Ways of a few of them, see [`way`]. Each once.
    pub holders: Vec<Way>,
    /// So many had their blocks looked up.
    pub looked_up: u64,
    /// Where those were allocated, the most first.
    pub stacks: Vec<(StackId, u64)>,
}

impl TypeGrowth {
    /// At the census of this place.
    pub fn at(&self, census: usize) -> Counted {
        let later = self.changes.partition_point(|(at, _)| *at <= census);
        later.checked_sub(1).map_or(Counted::default(), |place| self.changes[place].1)
    }

    /// At the first and at the last census.
    pub fn ends(&self) -> (Counted, Counted) {
        (self.at(0), self.changes.last().map_or(Counted::default(), |(_, counted)| *counted))
    }

    /// Objects and bytes by which it grew from the first to the last census; negative if it shrank.
    pub fn growth(&self) -> (i64, i64) {
        let (first, last) = self.ends();
        (difference(first.count, last.count), difference(first.bytes, last.bytes))
    }

    /// Its objects never became fewer, and more both in the first and in the second half of the censuses, of which there are
    /// three or more: what a leak looks like, and a start or a cache that has filled does not.
    pub fn is_steady(&self) -> bool {
        let never_falls = self.changes.windows(2).all(|pair| pair[0].1.count <= pair[1].1.count);
        let middle = self.at(self.censuses / 2).count;
        let (first, last) = self.ends();
        never_falls && first.count < middle && middle < last.count
    }
}

/// The censuses of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Types {
    /// In the order in which they were made.
    pub taken: Vec<Taken>,
    /// All types: those that grow steadily before the others, those that grew most in bytes first, then by number of objects
    /// and name.
    pub types: Vec<TypeGrowth>,
}

impl Types {
    /// Of an image; without any if it had none.
    pub fn of(censuses: &[Census], image: ImageIndex) -> Self {
        let mut taken: Vec<Taken> = Vec::new();
        let mut places: FxHashMap<&str, usize> = FxHashMap::default();
        let mut types: Vec<TypeGrowth> = Vec::new();
        for (at, census) in censuses.iter().filter(|census| census.image == image).enumerate() {
            let Census { reason, time, objects, bytes, cost, own_bytes, cut, .. } = *census;
            taken.push(Taken { reason, time, objects, bytes, cost, own_bytes, cut });
            let mut place = |name| {
                *places.entry(name).or_insert_with(|| {
                    let name = String::from(name);
                    types.push(TypeGrowth { name, changes: Vec::new(), censuses: 0, new: None });
                    types.len() - 1
                })
            };
            let changed: Vec<(usize, Counted)> = (census.types.iter())
                .map(|of| (place(&of.name), Counted { count: of.count, bytes: of.bytes }))
                .collect();
            let grown: Vec<(usize, New)> = (census.grown.iter())
                .map(|grown| {
                    let mut holders: Vec<Way> = Vec::new();
                    for way in grown.holders.iter().map(|hops| way(hops)) {
                        if !holders.contains(&way) {
                            holders.push(way);
                        }
                    }
                    let (count, looked_up, stacks) = (grown.new, grown.looked_up, grown.stacks.clone());
                    (place(&grown.name), New { census: at, count, holders, looked_up, stacks })
                })
                .collect();
            for (place, counted) in changed {
                types[place].changes.push((at, counted));
            }
            for (place, new) in grown {
                types[place].new = Some(new);
            }
        }
        types.iter_mut().for_each(|growth| growth.censuses = taken.len());
        types.sort_by(|a, b| {
            let key = |of: &TypeGrowth| (Reverse(of.is_steady()), Reverse(of.growth().1), Reverse(of.growth().0));
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        Self { taken, types }
    }

    /// Seconds between the first and the last census; 0 with fewer than two.
    pub fn seconds(&self) -> f64 {
        match (self.taken.first(), self.taken.last()) {
            (Some(first), Some(last)) => Nanos(last.time.0.saturating_sub(first.time.0)).seconds(),
            _ => 0.0,
        }
    }
}

/// How an object is held: itself first, then each holder, outwards. What belongs together is one step: a module and
/// the dict of its names, an instance and its `__dict__`, a function, its closure and the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// In words.
    pub steps: Vec<String>,
    /// It ends at a module or in a running function. Else something outside of Python holds the last, or it is garbage
    /// that has not been collected yet.
    pub is_rooted: bool,
}

impl std::fmt::Display for Way {
    /// `app.Item ← list[3] ← module app.CACHE`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.steps.join(" ← "))?;
        if self.is_rooted { Ok(()) } else { f.write_str(" ← (nothing that Python shows)") }
    }
}

/// The way in words.
pub fn way(hops: &[Hop]) -> Way {
    let mut steps = Vec::new();
    let mut at = 0;
    while let Some(hop) = hops.get(at) {
        let [next, after] = [hops.get(at + 1), hops.get(at + 2)];
        let (step, taken) = match (hop.holding, next, after) {
            // The dict of names, and whose it is.
            (Holding::Key, Some(owner), _) if owner.holding == Holding::Namespace => {
                (format!("{}.{}", title(owner), hop.label), 2)
            }
            // The cell, the tuple of cells, the function.
            (Holding::Unknown, Some(cells), Some(function))
                if hop.of_type == "cell" && cells.of_type == "tuple" && function.holding == Holding::Closure =>
            {
                (format!("closure variable {} of {}", function.label, title(function)), 3)
            }
            (Holding::Local, ..) => (format!("local {} of {}()", hop.label, hop.name), 1),
            (Holding::Index, ..) => (format!("{}[{}]", title(hop), hop.label), 1),
            (Holding::Key, ..) => (format!("{}[{:?}]", title(hop), hop.label), 1),
            (Holding::KeyOfType, ..) => (format!("{}[<{}>]", title(hop), hop.label), 1),
            (Holding::IsKey, ..) => (format!("key of {}", title(hop)), 1),
            (Holding::Attribute, ..) => (format!("{}.{}", title(hop), hop.label), 1),
            (Holding::Closure, ..) => (format!("closure of {}", title(hop)), 1),
            (Holding::Unknown | Holding::Itself | Holding::Namespace, ..) => (title(hop), 1),
        };
        steps.push(step);
        at += taken;
    }
    let is_rooted =
        hops.last().is_some_and(|root| root.of_type.is_empty() || matches!(root.of_type.as_str(), "module" | "frame"));
    Way { steps, is_rooted }
}

/// What an object is called: its type, or what it is and its name.
fn title(hop: &Hop) -> String {
    match (hop.of_type.as_str(), hop.name.as_str()) {
        ("", name) => format!("frame of {name}()"),
        (of_type, "") => of_type.to_owned(),
        (of_type @ ("module" | "function"), name) => format!("{of_type} {name}"),
        ("frame", name) => format!("frame of {name}()"),
        (_, name) => format!("class {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heaptide_format::capture::census::{GrownType, TypeCount};

    fn hop(of_type: &str, name: &str, holding: Holding, label: &str) -> Hop {
        Hop { of_type: of_type.into(), name: name.into(), holding, label: label.into() }
    }

    #[test]
    fn a_way_reads_from_the_object_to_the_module() {
        let hops = [
            hop("app.Item", "", Holding::Itself, ""),
            hop("list", "", Holding::Index, "3"),
            hop("dict", "", Holding::Key, "orders"),
            hop("dict", "", Holding::Key, "CACHE"),
            hop("module", "app", Holding::Namespace, ""),
        ];
        assert_eq!(way(&hops).to_string(), "app.Item ← list[3] ← dict[\"orders\"] ← module app.CACHE");
        assert_eq!(way(&hops[..2]).to_string(), "app.Item ← list[3] ← (nothing that Python shows)");
    }

    #[test]
    fn cells_and_frames_are_said_by_their_variables() {
        let hops = [
            hop("list", "", Holding::Itself, ""),
            hop("cell", "", Holding::Unknown, ""),
            hop("tuple", "", Holding::Index, "0"),
            hop("function", "make.<locals>.add", Holding::Closure, "seen"),
            hop("", "main", Holding::Local, "add"),
        ];
        let expected = "list ← closure variable seen of function make.<locals>.add ← local add of main()";
        assert_eq!(way(&hops).to_string(), expected);
    }

    fn census(image: u32, time: u64, types: &[(&str, u64, u64)], grown: &[&str]) -> Census {
        let grown = grown.iter().map(|name| GrownType {
            name: (*name).into(),
            new: 5,
            holders: Vec::new(),
            looked_up: 0,
            stacks: Vec::new(),
        });
        let types =
            types.iter().map(|(name, count, bytes)| TypeCount { name: (*name).into(), count: *count, bytes: *bytes });
        Census {
            image: ImageIndex(image),
            reason: CensusReason::Period,
            time: Nanos(time),
            event: 0,
            live: 0,
            objects: 0,
            bytes: 0,
            cost: Nanos(0),
            own_bytes: 0,
            cut: false,
            types: types.collect(),
            grown: grown.collect(),
        }
    }

    #[test]
    fn what_is_not_mentioned_stays_as_it_was() {
        let censuses = [
            census(0, 0, &[("a.A", 10, 480), ("str", 100, 6_000)], &[]),
            census(1, 5, &[("a.A", 1_000, 48_000)], &[]),
            census(0, 1_000_000_000, &[("a.A", 15, 720), ("b.B", 1, 64)], &["a.A"]),
            census(0, 2_000_000_000, &[("a.A", 20, 960), ("b.B", 0, 0)], &["a.A"]),
        ];
        let types = Types::of(&censuses, ImageIndex(0));
        let counts = |name: &str| {
            let found = types.types.iter().find(|growth| growth.name == name).unwrap();
            ((0..3).map(|at| found.at(at).count).collect::<Vec<_>>(), found.is_steady())
        };
        assert_eq!(counts("a.A"), (vec![10, 15, 20], true));
        assert_eq!(counts("str"), (vec![100, 100, 100], false));
        assert_eq!(counts("b.B"), (vec![0, 1, 0], false));
        assert_eq!((types.types[0].name.as_str(), types.types[0].growth()), ("a.A", (10, 480)));
        assert_eq!(types.types[0].new.as_ref().map(|new| (new.census, new.count)), Some((2, 5)));
        assert_eq!(types.seconds(), 2.0);
        assert_eq!(Types::of(&censuses, ImageIndex(2)), Types::default());
    }
}
