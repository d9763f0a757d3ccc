//! What reports look at: the call tree of a capture by name, with the amounts of every metric.
//!
//! Stacks that differ only in instructions of one line, in threads or in processes are one path here.

use crate::byte_seconds::ByteSeconds;
use crate::call_tree::{CallTree, NodeId};
use crate::error::CaptureError;
use crate::frames::{Frame, FrameKind, Frames, LookUp};
use crate::histories::NO_GROUP;
use crate::instants::{Position, Span};
use crate::reader::{Capture, Progress};
use crate::symbols::Settings;
use crate::tally::Account;
use heaptide_format::capture::summary::{Amount, Row};
use heaptide_format::ids::{ImageIndex, Nanos, StackId};
use rustc_hash::FxHashMap;

/// Which bytes are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Live at the instant of most live bytes.
    Peak,
    /// Live at the end.
    Leaked,
    /// All that was ever allocated.
    Allocated,
    /// Freed soon after by the thread that allocated it, see [`Options::temporary_within`].
    Temporary,
    /// What it costs over time: bytes times the seconds that they were live. Its amounts are byte-seconds and
    /// block-seconds. Only in profiles that were asked for it, see [`Options::byte_seconds`].
    ByteSeconds,
}

impl Metric {
    /// Those of every profile of a whole run.
    pub const ALL: [Self; 4] = [Self::Peak, Self::Leaked, Self::Allocated, Self::Temporary];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peak => "peak",
            Self::Leaked => "leaked",
            Self::Allocated => "allocated",
            Self::Temporary => "temporary",
            Self::ByteSeconds => "byte_seconds",
        }
    }
}

/// One amount for each [`Metric`], in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts([Amount; 5]);

impl Amounts {
    /// That of one metric.
    pub fn of(&self, metric: Metric) -> Amount {
        self.0[metric as usize]
    }
}

impl std::ops::AddAssign for Amounts {
    fn add_assign(&mut self, other: Self) {
        for (sum, amount) in self.0.iter_mut().zip(other.0) {
            *sum += amount;
        }
    }
}

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Which part of the run. Of an instant there is what was live then, as both peak and leaked; of a window what
    /// [`crate::replay::Replay::between`] says.
    pub span: Span,
    /// [`Metric::ByteSeconds`] is wanted, which costs a replay of the events.
    pub byte_seconds: bool,
    /// Only this process; its peak is then its own, not its part in that of the whole tree. `None`: all processes.
    pub pid: Option<u32>,
    /// Temporary is what was freed with at most so many other allocations of its thread between. Up to 1 is in the
    /// capture; more costs a replay of its events.
    pub temporary_within: u32,
    /// Read the program's Python source files: for the lines of frames, and for the classes of methods of versions
    /// before 3.11. The files are those the capture names.
    pub sources: bool,
    /// Where names of native code are looked for besides the capture and the objects; `None`: nowhere.
    pub symbols: Option<&'a Settings>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { span: Span::Whole, byte_seconds: false, pid: None, temporary_within: 1, sources: false, symbols: None }
    }
}

/// The call tree of a capture.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The frames of the tree, each once.
    pub frames: Vec<Frame>,
    /// Its nodes.
    pub tree: CallTree,
    /// Own amounts of each node, by [`NodeId`].
    pub own: Vec<Amounts>,
    /// What was allocated on stacks without any frame.
    pub bare: Amounts,
    /// All nodes and `bare` together.
    pub total: Amounts,
    /// When the peak was.
    pub peak_at: Nanos,
    /// Which part of the run it is of.
    pub span: Span,
    /// The metrics it has amounts of; the others are zero.
    pub metrics: Vec<Metric>,
    /// A Python interpreter is among the processes, so that native stacks may be its own doing.
    pub python: bool,
    /// For each node, whether its stack itself occurs in a process with a Python interpreter.
    pub in_python: Vec<bool>,
    /// What the reader has to know of the names, one sentence each.
    pub notes: Vec<String>,
    /// The node of each stack of the capture, by its number; `None` for stacks without frames and those of no interest.
    pub places: Vec<Option<NodeId>>,
}

impl Profile {
    /// Names and joins the stacks of a capture. `progress` is told of a replay, if one is needed.
    ///
    /// # Errors
    /// [`CaptureError::NoSuchProcess`]; [`CaptureError::NoEvents`] if a replay is needed and cannot be.
    pub fn of(
        capture: &Capture,
        options: &Options<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, CaptureError> {
        let images = capture.images_of(options.pid)?;
        let events = Events::of(capture, options, progress)?;
        let account = events.account.as_ref().unwrap_or(&capture.account);
        let peak_image = options.pid.and_then(|_| image_of_highest_peak(account, &images));
        let chosen: Vec<bool> =
            capture.names.images().iter().map(|image| options.pid.is_none_or(|pid| image.pid == pid)).collect();
        // When all have ended nothing is live. What the last had when its program ended is meant.
        let ended = |image: ImageIndex| account.images.get(image.index()).and_then(|totals| totals.ended);
        let last = images.iter().filter_map(|image| ended(*image)).max();
        let is_last = |image: ImageIndex| ended(image).is_none_or(|ended| Some(ended) == last);
        let mut rows: Vec<StackAmounts> = Vec::with_capacity(account.rows.len());
        for row in account.rows.iter().filter(|row| chosen.get(row.image.index()) == Some(&true)) {
            let peak = match options.pid {
                None => row.at_peak,
                Some(_) if Some(row.image) == peak_image => row.at_image_peak,
                Some(_) => Amount::default(),
            };
            let in_python = capture.names.image(row.image).is_some_and(|image| image.python != 0);
            let amounts = match options.span {
                Span::At(Position::End) => {
                    let left = if is_last(row.image) { row.leaked } else { Amount::default() };
                    Amounts([left, left, Amount::default(), Amount::default(), Amount::default()])
                }
                Span::At(_) => Amounts([peak, peak, Amount::default(), Amount::default(), Amount::default()]),
                _ => {
                    let temporary = events.temporary(row, options.temporary_within);
                    let cost = events.byte_seconds.get(&(row.image, row.stack)).copied().unwrap_or_default();
                    Amounts([peak, row.leaked, row.allocated, temporary, cost])
                }
            };
            rows.push(StackAmounts { stack: row.stack, in_python, amounts });
        }
        let mut profile = Self::joined(capture, &rows, options);
        profile.python = images.iter().filter_map(|image| capture.names.image(*image)).any(|image| image.python != 0);
        profile.peak_at = match peak_image.and_then(|image| account.images.get(image.index())) {
            Some(image) => image.peak_at,
            None => account.totals.peak_at,
        };
        profile.span = options.span;
        profile.metrics = match options.span {
            Span::At(_) => vec![Metric::Peak],
            _ => Metric::ALL.into_iter().chain(options.byte_seconds.then_some(Metric::ByteSeconds)).collect(),
        };
        profile.notes.extend(events.note);
        Ok(profile)
    }

    fn joined(capture: &Capture, rows: &[StackAmounts], options: &Options<'_>) -> Self {
        let names = &capture.names;
        let mut wanted_stacks = vec![false; names.stacks() + 1];
        let mut wanted_frames = vec![false; names.frames()];
        for row in rows {
            let mut stack = row.stack;
            // Up to a stack that was met before: its callers were as well.
            while let Some(node) = names.node(stack)
                && !wanted_stacks[stack.index()]
            {
                wanted_stacks[stack.index()] = true;
                wanted_frames[node.frame.index()] = true;
                stack = node.parent;
            }
        }
        // Without the date of the run nothing tells whether a file is still the one that ran.
        let ran_at = capture.run.started_unix;
        let look_up = LookUp { ran_at, sources: options.sources && ran_at > 0, symbols: options.symbols };
        let mut frames = Frames::resolve(names, &wanted_frames, &look_up);
        if capture.damaged_names {
            frames.notes.push("names of native functions that are embedded in the capture are damaged.".into());
        }
        let mut inlined_left = names.stacks().saturating_mul(16).saturating_add(1 << 20);
        let mut tree = CallTree::default();
        let mut startup = Startup::default();
        // Parents have smaller numbers, so they are placed before their children ask for them.
        let mut places: Vec<Option<NodeId>> = vec![None; names.stacks() + 1];
        for stack in (0u32..).map(StackId).take(names.stacks() + 1) {
            if let Some(node) = names.node(stack)
                && wanted_stacks[stack.index()]
            {
                let mut place = places[node.parent.index()];
                let (from, mut to) = frames.range(node.frame);
                match inlined_left.checked_sub(to - from - 1) {
                    Some(left) => inlined_left = left,
                    // More than any program inlines: names that were made up to fill memory.
                    None => to = from + 1,
                }
                for level in from..to {
                    let frame = startup.owner(place, frames.at(level), &mut frames.distinct);
                    let inner = tree.insert(place, frame);
                    startup.note(inner, place, &frames.distinct[frame as usize]);
                    place = Some(inner);
                }
                places[stack.index()] = place;
            }
        }
        let nodes = tree.nodes().len();
        let mut profile =
            Self { own: vec![Amounts::default(); nodes], in_python: vec![false; nodes], ..Self::default() };
        for row in rows {
            match places[row.stack.index()] {
                Some(node) => {
                    profile.own[node.index()] += row.amounts;
                    profile.in_python[node.index()] |= row.in_python;
                }
                None => profile.bare += row.amounts,
            }
            profile.total += row.amounts;
        }
        Self { frames: frames.distinct, notes: frames.notes, tree, places, ..profile }
    }

    /// The same without the frames of this kind: what they hold and whom they call is their nearest other caller's,
    /// and where there is none what they hold is in `bare`. Costs as much as the tree is large.
    pub fn without(&self, kind: FrameKind) -> Self {
        let mut shown = Self {
            tree: CallTree::default(),
            own: Vec::with_capacity(self.own.len()),
            in_python: Vec::with_capacity(self.in_python.len()),
            places: Vec::new(),
            ..self.clone()
        };
        // Callers stand before callees, so theirs are known.
        let mut places: Vec<Option<NodeId>> = Vec::with_capacity(self.own.len());
        for (id, node) in self.nodes().zip(self.tree.nodes()) {
            let caller = node.parent.and_then(|parent| places[parent.index()]);
            let place = match self.frame(id).kind == kind {
                true => caller,
                false => Some(shown.tree.insert(caller, node.frame)),
            };
            shown.own.resize(shown.tree.nodes().len(), Amounts::default());
            shown.in_python.resize(shown.tree.nodes().len(), false);
            match place {
                Some(place) => {
                    shown.own[place.index()] += self.own[id.index()];
                    shown.in_python[place.index()] |= self.in_python[id.index()];
                }
                None => shown.bare += self.own[id.index()],
            }
            places.push(place);
        }
        shown
    }

    /// Own amounts of one metric, by [`NodeId`].
    pub fn own(&self, metric: Metric) -> Vec<Amount> {
        self.own.iter().map(|amounts| amounts.of(metric)).collect()
    }

    /// The frame of a node.
    pub fn frame(&self, node: NodeId) -> &Frame {
        &self.frames[self.tree.nodes()[node.index()].frame as usize]
    }

    /// The frames from a node outwards, innermost first.
    pub fn path(&self, node: NodeId) -> impl Iterator<Item = &Frame> {
        self.tree.path(node).map(|frame| &self.frames[frame as usize])
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.tree.nodes().len() as u32).map(NodeId)
    }

    /// The sites, each once, whatever their nodes.
    pub fn grouped_by_site(&self) -> SiteGroups {
        let mut known: FxHashMap<u32, u32> = FxHashMap::default();
        let mut groups = SiteGroups::default();
        for site in self.sites() {
            let group = *known.entry(self.tree.nodes()[site.index()].frame).or_insert_with(|| {
                groups.sites.push(site);
                groups.sites.len() as u32 - 1
            });
            groups.of_node.push(group);
        }
        groups
    }

    /// For each stack of the capture, by its number, the group of its node; [`NO_GROUP`] for those without one.
    pub fn by_stack(&self, group_of: impl Fn(NodeId) -> Option<u32>) -> Vec<u32> {
        let group = |place: &Option<NodeId>| place.and_then(&group_of).unwrap_or(NO_GROUP);
        self.places.iter().map(group).collect()
    }

    /// For each node, that of the frame that the user owns and that is nearest to the allocation: the innermost of the
    /// project, else of a library, else of the standard library, else the innermost of all.
    pub fn sites(&self) -> Vec<NodeId> {
        let rank = |node: NodeId| match self.frame(node).kind {
            FrameKind::Project => 0,
            FrameKind::Library => 1,
            FrameKind::Stdlib => 2,
            _ => 3,
        };
        // From the caller's site to its callees': a walk outwards from each node would take for ever in deep recursions.
        let mut sites: Vec<NodeId> = Vec::with_capacity(self.tree.nodes().len());
        for (id, node) in self.nodes().zip(self.tree.nodes()) {
            let callers = node.parent.map(|parent| sites[parent.index()]);
            sites.push(callers.filter(|site| rank(*site) < rank(id)).unwrap_or(id));
        }
        sites
    }
}

/// Nodes put together by their site, see [`Profile::sites`].
#[derive(Clone, Debug, Default)]
pub struct SiteGroups {
    /// A node of each site.
    pub sites: Vec<NodeId>,
    /// By [`NodeId`]: the place of its site among those.
    pub of_node: Vec<u32>,
}

/// A row of the capture, as far as it matters here.
struct StackAmounts {
    stack: StackId,
    in_python: bool,
    amounts: Amounts,
}

/// Code that installed packages run while the interpreter starts: lines of `.pth` files, which have no file of their
/// own and would pass for the user's.
#[derive(Default)]
struct Startup {
    /// By [`NodeId`].
    nodes: Vec<bool>,
    /// For frames that would pass for the user's, the same frames of a library.
    library: FxHashMap<u32, u32>,
}

impl Startup {
    fn is_within(&self, node: Option<NodeId>) -> bool {
        node.is_some_and(|node| self.nodes.get(node.index()) == Some(&true))
    }

    /// The frame to show for this one, called from that node.
    fn owner(&mut self, caller: Option<NodeId>, frame: u32, frames: &mut Vec<Frame>) -> u32 {
        if !self.is_within(caller) || frames[frame as usize].kind != FrameKind::Project {
            return frame;
        }
        *self.library.entry(frame).or_insert_with(|| {
            frames.push(Frame { kind: FrameKind::Library, ..frames[frame as usize].clone() });
            frames.len() as u32 - 1
        })
    }

    /// Notes a node that was placed.
    fn note(&mut self, node: NodeId, caller: Option<NodeId>, frame: &Frame) {
        let begins =
            &*frame.function == "addpackage" && (&*frame.file == "<frozen site>" || frame.file.ends_with("/site.py"));
        if self.nodes.len() <= node.index() {
            self.nodes.resize(node.index() + 1, false);
        }
        self.nodes[node.index()] = begins || self.is_within(caller);
    }
}

/// What the footer does not say: from a replay, if one is needed.
#[derive(Default)]
struct Events {
    /// Of the part of the run that is asked for; `None`: the footer's.
    account: Option<Account>,
    temporary: FxHashMap<(ImageIndex, StackId), Amount>,
    byte_seconds: FxHashMap<(ImageIndex, StackId), Amount>,
    /// What the reader has to know of it.
    note: Option<String>,
}

impl Events {
    fn of(capture: &Capture, options: &Options<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Self, CaptureError> {
        let answered = match options.span {
            Span::Whole => options.temporary_within <= 1 && !options.byte_seconds,
            Span::At(Position::Peak { .. } | Position::End) => true,
            _ => false,
        };
        if answered {
            return Ok(Self::default());
        }
        let watch = options.byte_seconds.then(ByteSeconds::default);
        let replayed = capture.replay(options.span, options.temporary_within, watch, progress)?;
        let cost = replayed.watch.iter().flat_map(ByteSeconds::rows);
        let damage = replayed.damage.filter(|_| capture.ends_early.is_none());
        Ok(Self {
            account: (options.span != Span::Whole).then_some(replayed.account),
            byte_seconds: cost.map(|(image, stack, amount)| ((image, stack), amount)).collect(),
            temporary: replayed.temporary.into_iter().map(|(image, stack, amount)| ((image, stack), amount)).collect(),
            note: damage.map(|error| format!("events are missing: {error}.")),
        })
    }

    fn temporary(&self, row: &Row, within: u32) -> Amount {
        match within {
            0 => row.temporary,
            1 => [row.temporary, row.temporary_1].into_iter().sum(),
            _ => self.temporary.get(&(row.image, row.stack)).copied().unwrap_or_default(),
        }
    }
}

/// The programs that a process ran one after the other peak each at its own time: its peak is the highest of them.
fn image_of_highest_peak(account: &Account, images: &[ImageIndex]) -> Option<ImageIndex> {
    let peak = |image: &ImageIndex| account.images.get(image.index()).map_or(0, |totals| totals.peak.bytes);
    // The first of several equal ones: `max_by_key` would take the last.
    images.iter().copied().rev().max_by_key(peak)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::frames::KnownBy;

    /// A Python frame.
    pub(crate) fn python(function: &str, file: &str, line: u32) -> Frame {
        let kind = FrameKind::of_python(file);
        Frame {
            function: function.into(),
            file: file.into(),
            object: "".into(),
            line,
            first_line: 0,
            kind,
            known_by: KnownBy::Name,
            source: None,
        }
    }

    /// A native frame.
    pub(crate) fn native(function: &str, file: &str) -> Frame {
        Frame {
            function: function.into(),
            file: file.into(),
            object: file.into(),
            line: 0,
            first_line: 0,
            kind: FrameKind::Native,
            known_by: KnownBy::Name,
            source: None,
        }
    }

    /// Stacks, outermost frame first, each with one block of so many bytes in every metric.
    pub(crate) fn profile(stacks: &[(&[&Frame], u64)]) -> Profile {
        let mut profile = Profile { python: true, ..Profile::default() };
        for (stack, bytes) in stacks {
            let mut node = None;
            for frame in *stack {
                let place = profile.frames.iter().position(|known| known == *frame).unwrap_or_else(|| {
                    profile.frames.push((*frame).clone());
                    profile.frames.len() - 1
                });
                node = Some(profile.tree.insert(node, place as u32));
            }
            profile.own.resize(profile.tree.nodes().len(), Amounts::default());
            profile.in_python.resize(profile.tree.nodes().len(), true);
            let amounts = Amounts([Amount { bytes: *bytes, count: 1 }; 5]);
            profile.own[node.expect("a stack has a frame").index()] += amounts;
            profile.total += amounts;
        }
        profile
    }

    #[test]
    fn hidden_frames_give_what_they_hold_to_their_caller() {
        let [main, load] = [python("main", "/app/main.py", 1), python("load", "/app/load.py", 2)];
        let import = python("_find_and_load", "<frozen importlib._bootstrap>", 3);
        let profile = profile(&[
            (&[&import], 3),
            (&[&import, &main], 1),
            (&[&import, &main, &import], 10),
            (&[&import, &main, &import, &load], 100),
            (&[&import, &main, &load], 1_000),
        ]);
        let shown = profile.without(FrameKind::Interpreter);
        let own = shown.own(Metric::Peak);
        let nodes: Vec<_> = shown.nodes().map(|node| (&*shown.frame(node).function, own[node.index()].bytes)).collect();
        // The import's own 10 are main's, load is called by main twice over.
        assert_eq!(nodes, [("main", 11), ("load", 1_100)]);
        assert_eq!(shown.tree.nodes()[1].parent, Some(NodeId(0)));
        assert_eq!((shown.bare.of(Metric::Peak).bytes, shown.total.of(Metric::Peak).bytes), (3, 1_114));
    }

    #[test]
    fn a_site_is_the_innermost_frame_that_the_user_owns() {
        let [outer, inner] = [python("main", "/app/main.py", 1), python("load", "/app/load.py", 2)];
        let library = python("array", "/venv/lib/python3.11/site-packages/numpy/core.py", 3);
        let libc = native("malloc", "/lib/libc.so.6");
        let profile = profile(&[(&[&outer, &inner, &library, &libc], 1), (&[&library, &libc], 1), (&[&libc], 1)]);
        let sites: Vec<&str> = profile.sites().iter().map(|site| &*profile.frame(*site).function).collect();
        assert_eq!(sites, ["main", "load", "load", "load", "array", "array", "malloc"]);
    }
}
