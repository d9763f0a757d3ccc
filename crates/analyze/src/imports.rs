//! What imports cost: the tree of modules, each with what was asked for while it was loaded and its body ran.
//!
//! Told from stacks alone. The body of a module is a frame `<module>` that the import system called; one that nobody
//! imported is the program's. Between the importer and the body stand frames of the import system, from
//! `_find_and_load` on: a *load*. What a load asks for beside the body (the code object above all) is the module's own if
//! the stack leads to one module only. Several modules that one line imports have the same stack until their bodies run,
//! so what was asked for before is theirs together. A load without a body is one of an extension module, or of one that
//! was not found.
//!
//! A module is where it was imported first: who imports it again finds it loaded.

use crate::call_tree::NodeId;
use crate::frames::{Frame, FrameKind};
use crate::packages::{Owner, owners};
use crate::profile::{Metric, Profile};
use heaptide_format::capture::summary::Amount;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A module whose body was seen.
    Module,
    /// A script or the like, which nobody imported. What it asks for itself is no import's: it has no own amount.
    Program,
    /// A module written in C: an extension, or one built into the interpreter. Its name is known if the line that imports it could be read, or from native frames.
    Extension,
    /// The loads of several modules by one line, until their bodies ran.
    Loads,
    /// A search that led to no module, or one whose loader is not CPython's.
    Search,
}

impl What {
    /// One lower-case word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Program => "program",
            Self::Extension => "extension",
            Self::Loads => "loads",
            Self::Search => "search",
        }
    }
}

/// A module, or what comes nearest to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who imported it, a smaller number; `None` for the program and for what the interpreter imports at its start.
    pub parent: Option<usize>,
    /// What it is.
    pub what: What,
    /// As it is imported, told by its file (see [`crate::packages`]); of [`What::Loads`] all of them; empty if not known.
    pub name: String,
    /// The package that it belongs to, told likewise; that of its importer if it has no name.
    pub package: Arc<str>,
    /// Its file; empty of what is no module with a body.
    pub file: Arc<str>,
    /// The frame that imported it; `None` if that is not Python or not known.
    pub importer: Option<Frame>,
    /// Asked for while it was loaded and its body ran, without what it imports.
    pub own: Amount,
    /// With all it imports, at any depth.
    pub total: Amount,
}

/// The cost of imports in one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// Importers before what they import; siblings with the largest total first.
    pub entries: Vec<Entry>,
    /// All imports together.
    pub imports: Amount,
    /// The rest: what the program asked for, and the interpreter for itself.
    pub rest: Amount,
}

/// A package and what its modules cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: Arc<str>,
    /// How many modules of it cost something.
    pub modules: usize,
    /// Asked for by its modules themselves.
    pub own: Amount,
    /// And by all they import; each block once.
    pub total: Amount,
}

/// The place of a node: before it is known what it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// The body of a module, and whether it was imported; a frame stands for its file.
    Body { file: Arc<str>, imported: bool },
    /// A load, by the frame that asked for it: the next outside the import system.
    Load { caller: Option<u32> },
    /// The part of a load that makes a module which is not Python's.
    Extension,
}

struct Draft {
    parent: Option<usize>,
    place: Place,
    /// A frame of it: of a body its own, of the others that of who asked for the load.
    frame: Option<u32>,
    own: Amount,
    /// Of an extension: what its `PyInit_` is called.
    init: Option<String>,
}

impl Imports {
    /// Those of a profile in this metric. Costs as much as the tree is large.
    pub fn of(profile: &Profile, metric: Metric) -> Self {
        let (drafts, mut rest) = drafts(profile, metric);
        rest += profile.bare.of(metric);
        let mut imports = Self { rest, ..finished(profile, drafts) };
        let own = imports.entries.iter().map(|entry| entry.own);
        imports.imports = own.sum();
        imports
    }

    /// By package, the largest total first.
    pub fn packages(&self) -> Vec<Package> {
        let mut packages: Vec<Package> = Vec::new();
        let mut known: FxHashMap<Arc<str>, usize> = FxHashMap::default();
        for entry in self.entries.iter().filter(|entry| entry.what != What::Program) {
            let place = *known.entry(entry.package.clone()).or_insert_with(|| {
                let (name, none) = (entry.package.clone(), Amount::default());
                packages.push(Package { name, modules: 0, own: none, total: none });
                packages.len() - 1
            });
            let package = &mut packages[place];
            package.modules += usize::from(matches!(entry.what, What::Module | What::Extension));
            package.own += entry.own;
            let mut importers = std::iter::successors(entry.parent, |parent| self.entries[*parent].parent);
            let is_within = importers.any(|importer| {
                let importer = &self.entries[importer];
                importer.what != What::Program && importer.package == entry.package
            });
            if !is_within {
                package.total += entry.total;
            }
        }
        packages.sort_by(|a, b| b.total.bytes.cmp(&a.total.bytes).then_with(|| a.name.cmp(&b.name)));
        packages
    }
}

/// Walks the call tree from callers to callees: which bodies and loads there are, and what each asked for itself. Last,
/// what is in none or in the program's body.
fn drafts(profile: &Profile, metric: Metric) -> (Vec<Draft>, Amount) {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut known: FxHashMap<(Option<usize>, Place), usize> = FxHashMap::default();
    let mut rest = Amount::default();
    // By node, the innermost draft that it is in.
    let mut within: Vec<Option<usize>> = Vec::with_capacity(profile.tree.nodes().len());
    // And the innermost frame outside the import system.
    let mut askers: Vec<Option<u32>> = Vec::with_capacity(profile.tree.nodes().len());
    for (index, node) in profile.tree.nodes().iter().enumerate() {
        let frame = profile.frame(NodeId(index as u32));
        let outside = node.parent.and_then(|parent| within[parent.index()]);
        let caller = node.parent.map(|parent| profile.frame(parent));
        let by_importer = caller.is_some_and(is_import_system);
        let asker = node.parent.and_then(|parent| askers[parent.index()]);
        askers.push(if is_import_system(frame) { asker } else { Some(node.frame) });
        let opens = match last_part(&frame.function) {
            "<module>" if by_importer || !in_body(&drafts, outside) => {
                Some((Place::Body { file: frame.file.clone(), imported: by_importer }, Some(node.frame)))
            }
            "_find_and_load" if is_import_system(frame) => Some((Place::Load { caller: asker }, asker)),
            // Of `ExtensionFileLoader` and `BuiltinImporter`; the `create_module` of other loaders makes nothing. Up to 3.10
            // `exec_module` alone does not tell whose it is.
            "create_module" | "exec_module" if is_import_system(frame) && is_of_extension(frame) => {
                let load = outside.filter(|outside| matches!(drafts[*outside].place, Place::Load { .. }));
                load.map(|load| (Place::Extension, drafts[load].frame))
            }
            _ => None,
        };
        let place = match opens {
            None => outside,
            Some((place, of)) => Some(*known.entry((outside, place.clone())).or_insert_with(|| {
                drafts.push(Draft { parent: outside, place, frame: of, own: Amount::default(), init: None });
                drafts.len() - 1
            })),
        };
        within.push(place);
        let own = profile.own[index].of(metric);
        let Some(draft) = place.map(|place| &mut drafts[place]) else {
            rest += own;
            continue;
        };
        match draft.place {
            Place::Body { imported: false, .. } => rest += own,
            _ => draft.own += own,
        }
        if let Some(name) = frame.function.strip_prefix("PyInit_").filter(|_| draft.place == Place::Extension) {
            draft.init.get_or_insert_with(|| name.to_owned());
        }
    }
    (drafts, rest)
}

fn is_of_extension(frame: &Frame) -> bool {
    matches!(
        &*frame.function,
        "create_module"
            | "ExtensionFileLoader.create_module"
            | "ExtensionFileLoader.exec_module"
            | "BuiltinImporter.create_module"
            | "BuiltinImporter.exec_module"
    )
}

/// Whether the draft is a body or within one.
fn in_body(drafts: &[Draft], draft: Option<usize>) -> bool {
    let mut around = std::iter::successors(draft, |draft| drafts[*draft].parent);
    around.any(|draft| matches!(drafts[draft].place, Place::Body { .. }))
}

/// Makes entries of drafts: loads are put together with what they load.
fn finished(profile: &Profile, drafts: Vec<Draft>) -> Imports {
    let naming = Naming { profile, owners: owners(&profile.frames), drafts: &drafts };
    // Of each load the bodies and the extension.
    let mut bodies: Vec<Vec<usize>> = vec![Vec::new(); drafts.len()];
    let mut extension: Vec<Option<usize>> = vec![None; drafts.len()];
    for (index, draft) in drafts.iter().enumerate() {
        match (&draft.place, draft.parent) {
            (Place::Body { .. }, Some(parent)) => bodies[parent].push(index),
            (Place::Extension, Some(parent)) => extension[parent] = Some(index),
            _ => {}
        }
    }
    // Whom a load's own amount goes to: the body, if it is one only, else the extension.
    let heir = |load: usize| match (&bodies[load][..], extension[load]) {
        ([body], _) => Some(*body),
        ([], Some(extension)) => Some(extension),
        _ => None,
    };
    // Who stands for a draft as an importer: for a load whoever asked for it.
    let mut stands: Vec<Option<usize>> = Vec::with_capacity(drafts.len());
    let mut entries: Vec<Entry> = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        let parent = draft.parent.and_then(|parent| stands[parent]);
        let load = draft.parent.filter(|parent| matches!(drafts[*parent].place, Place::Load { .. }));
        let of_load = load.filter(|load| heir(*load) == Some(index)).map(|load| drafts[load].own).unwrap_or_default();
        let what = match &draft.place {
            Place::Body { imported, .. } => {
                if *imported {
                    What::Module
                } else {
                    What::Program
                }
            }
            Place::Extension => What::Extension,
            Place::Load { .. } if heir(index).is_some() || draft.own == Amount::default() => {
                stands.push(parent);
                continue;
            }
            Place::Load { .. } if bodies[index].is_empty() => What::Search,
            Place::Load { .. } => What::Loads,
        };
        let entry = naming.entry(what, index, &bodies[index]);
        let own: Amount = [draft.own, of_load].into_iter().sum();
        entries.push(Entry { parent, own, total: own, ..entry });
        // What is imported while a load searches is not imported by what it finds.
        stands.push(if matches!(draft.place, Place::Load { .. }) { parent } else { Some(entries.len() - 1) });
    }
    for index in (0..entries.len()).rev() {
        let total = entries[index].total;
        if let Some(parent) = entries[index].parent {
            entries[parent].total += total;
        }
    }
    Imports { entries: sorted(entries), ..Imports::default() }
}

struct Naming<'p> {
    profile: &'p Profile,
    owners: Vec<Owner>,
    drafts: &'p [Draft],
}

impl Naming<'_> {
    /// An entry without its amounts; `bodies` are those of a load.
    fn entry(&self, what: What, index: usize, bodies: &[usize]) -> Entry {
        let draft = &self.drafts[index];
        let frame = draft.frame.map(|frame| &self.profile.frames[frame as usize]);
        let owner = draft.frame.map(|frame| &self.owners[frame as usize]);
        let package = owner.map_or_else(|| "".into(), |owner| owner.package.clone());
        let none = Amount::default();
        let importer = match what {
            What::Program => None,
            What::Module => draft.parent.and_then(|load| self.drafts[load].frame),
            _ => draft.frame,
        };
        let importer = importer.map(|caller| self.profile.frames[caller as usize].clone());
        let (name, package, file) = match what {
            What::Module | What::Program => (self.module(index), package, frame.map(|frame| frame.file.clone())),
            What::Loads => {
                let modules: Vec<String> = bodies.iter().map(|body| self.module(*body)).collect();
                (modules.join(", "), package, None)
            }
            What::Extension | What::Search => {
                let of_line = || imported_name(frame?.source.as_deref()?);
                let name = draft.init.clone().or_else(of_line).unwrap_or_default();
                let is_told = what == What::Extension && !name.is_empty();
                let package = if is_told { name.split('.').next().unwrap_or(&name).into() } else { package };
                (name, package, None)
            }
        };
        let file = file.unwrap_or_else(|| "".into());
        Entry { parent: None, what, name, package, file, importer, own: none, total: none }
    }

    fn module(&self, body: usize) -> String {
        self.drafts[body].frame.map_or(String::new(), |frame| self.owners[frame as usize].module.to_string())
    }
}

/// The same with siblings in order, and without what cost nothing.
fn sorted(entries: Vec<Entry>) -> Vec<Entry> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); entries.len() + 1];
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.total != Amount::default()) {
        children[entry.parent.map_or(entries.len(), |parent| parent)].push(index);
    }
    let key = |index: &usize| (entries[*index].total.bytes, std::cmp::Reverse(entries[*index].name.clone()));
    children.iter_mut().for_each(|children| children.sort_by_key(key));
    let mut order: Vec<Entry> = Vec::with_capacity(entries.len());
    // The last is looked at next; with the new number of its parent.
    let mut open: Vec<(usize, Option<usize>)> = children[entries.len()].iter().map(|child| (*child, None)).collect();
    while let Some((index, parent)) = open.pop() {
        order.push(Entry { parent, ..entries[index].clone() });
        let place = order.len() - 1;
        open.extend(children[index].iter().map(|child| (*child, Some(place))));
    }
    order
}

/// Code of `importlib._bootstrap` and `_bootstrap_external`, frozen as everybody has it.
fn is_import_system(frame: &Frame) -> bool {
    frame.kind == FrameKind::Interpreter && frame.file.starts_with("<frozen importlib._bootstrap")
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The one module that a line of source imports; `None` if it is several, or no such line.
fn imported_name(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or(line);
    let mut words = line.split_whitespace();
    // `try: import x` and the like begin with something else.
    let word = words.by_ref().find(|word| matches!(*word, "import" | "from"))?;
    if word == "import" && line.contains(',') {
        return None;
    }
    let name = words.next()?.trim_end_matches([';', ')']);
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') && !name.starts_with('.');
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
