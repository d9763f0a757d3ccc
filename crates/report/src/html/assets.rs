//! The page's template, style and scripts, and how they become one file.
//!
//! The scripts are plain ES modules, which node's tests import as they are. A file opened from a disk cannot
//! import a second file, so they are joined into one inline module: each after those it imports, its one-line
//! `import … from './….js';` lines left out, `export ` dropped at the start of a line, and lines that are all
//! comment left out (half of the text, in every page), as is the indentation. Nothing else is changed, so top-level names must be
//! unique over all files, and no text may go over several lines; a test says so.
//!
//! A file that was cut short anywhere behind its first kilobyte says so: within the head, where there is no text, by a first
//! style of two lines; behind that by the paragraph that the script takes away when all has been read.
//!
//! The policy in the page allows exactly this script and these styles, by hash: even a name that got into the
//! markup somehow could not run anything, and nothing can be loaded from anywhere. Where the browser knows trusted types,
//! not even this script could make markup of a text.

use std::io::{self, Write};

use minijinja::value::Value;
use minijinja::{Environment, context};

use super::sha256::sha256_base64;

/// All that is before the data.
const TEMPLATE: &str = include_str!("../../assets/page.html");
const END: &str = "</script>\n</body>\n</html>\n";
const STYLE: &str = include_str!("../../assets/page.css");
/// What stands in the page until all of it has been read.
const UNREAD: &str =
    "Reading the data… If these words stay, the file is cut short or damaged, or this browser is too old for it.";

/// File name and text, each module after those it imports.
pub(super) const MODULES: &[(&str, &str)] = &[
    ("words.js", include_str!("../../assets/words.js")),
    ("course.js", include_str!("../../assets/course.js")),
    ("checks.js", include_str!("../../assets/checks.js")),
    ("highest.js", include_str!("../../assets/highest.js")),
    ("data_leaks.js", include_str!("../../assets/data_leaks.js")),
    ("data_types.js", include_str!("../../assets/data_types.js")),
    ("data.js", include_str!("../../assets/data.js")),
    ("calls.js", include_str!("../../assets/calls.js")),
    ("views.js", include_str!("../../assets/views.js")),
    ("prune.js", include_str!("../../assets/prune.js")),
    ("layout.js", include_str!("../../assets/layout.js")),
    ("rows.js", include_str!("../../assets/rows.js")),
    ("address.js", include_str!("../../assets/address.js")),
    ("choices.js", include_str!("../../assets/choices.js")),
    ("changes.js", include_str!("../../assets/changes.js")),
    ("colors.js", include_str!("../../assets/colors.js")),
    ("shapes.js", include_str!("../../assets/shapes.js")),
    ("draw.js", include_str!("../../assets/draw.js")),
    ("range.js", include_str!("../../assets/range.js")),
    ("timeline.js", include_str!("../../assets/timeline.js")),
    ("time_shapes.js", include_str!("../../assets/time_shapes.js")),
    ("selection.js", include_str!("../../assets/selection.js")),
    ("asked.js", include_str!("../../assets/asked.js")),
    ("functions.js", include_str!("../../assets/functions.js")),
    ("outline.js", include_str!("../../assets/outline.js")),
    ("model.js", include_str!("../../assets/model.js")),
    ("found.js", include_str!("../../assets/found.js")),
    ("described.js", include_str!("../../assets/described.js")),
    ("function_cells.js", include_str!("../../assets/function_cells.js")),
    ("records.js", include_str!("../../assets/records.js")),
    ("picture.js", include_str!("../../assets/picture.js")),
    ("panels.js", include_str!("../../assets/panels.js")),
    ("side.js", include_str!("../../assets/side.js")),
    ("graph.js", include_str!("../../assets/graph.js")),
    ("grid.js", include_str!("../../assets/grid.js")),
    ("tree.js", include_str!("../../assets/tree.js")),
    ("table.js", include_str!("../../assets/table.js")),
    ("zoombar.js", include_str!("../../assets/zoombar.js")),
    ("timebar.js", include_str!("../../assets/timebar.js")),
    ("saved_plot.js", include_str!("../../assets/saved_plot.js")),
    ("download.js", include_str!("../../assets/download.js")),
    ("filters.js", include_str!("../../assets/filters.js")),
    ("plot.js", include_str!("../../assets/plot.js")),
    ("lists.js", include_str!("../../assets/lists.js")),
    ("leaks.js", include_str!("../../assets/leaks.js")),
    ("leaks_part.js", include_str!("../../assets/leaks_part.js")),
    ("leaks_view.js", include_str!("../../assets/leaks_view.js")),
    ("types.js", include_str!("../../assets/types.js")),
    ("types_view.js", include_str!("../../assets/types_view.js")),
    ("changes_view.js", include_str!("../../assets/changes_view.js")),
    ("address_bar.js", include_str!("../../assets/address_bar.js")),
    ("tools.js", include_str!("../../assets/tools.js")),
    ("keys.js", include_str!("../../assets/keys.js")),
    ("main.js", include_str!("../../assets/main.js")),
];

/// All modules as one.
pub(super) fn script() -> String {
    let mut script = String::from(
        "\n// heaptide's script for this page, without comments and indentation: crates/report/assets in its repository.\n",
    );
    for (_, module) in MODULES {
        let mut in_comment = false;
        for line in module.lines() {
            let text = line.trim();
            // A comment in front of code on the same line does not end the line.
            in_comment |= text.starts_with("/**") && (text.ends_with("*/") || !text.contains("*/"));
            if in_comment {
                in_comment = !text.ends_with("*/");
            } else if !(text.is_empty() || text.starts_with("//") || line.starts_with("import ")) {
                script.push_str(text.strip_prefix("export ").unwrap_or(text));
                script.push('\n');
            }
        }
    }
    script
}

/// Shows [`UNREAD`] until the document has got past the paragraph with these words. It stands before the large style: of a
/// file that ends within that, this is all that the browser has.
fn first_style() -> String {
    format!(
        "\nbody:not(:has(#failure + *))::before {{ content: \"{UNREAD}\"; display: block; padding: 24px 20px; \
         font: 14px/1.45 system-ui, sans-serif; }}\n"
    )
}

/// Writes the whole page; `data` writes its data, without any `<`.
///
/// # Errors
/// What `out` reports.
pub(super) fn write_page(
    title: &str,
    data: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let script = script();
    let first_style = first_style();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}' 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        sha256_base64(first_style.as_bytes()),
        sha256_base64(STYLE.as_bytes()),
        sha256_base64(script.as_bytes()),
    );
    let mut environment = Environment::new();
    // The name ends in .html: everything not marked safe is escaped.
    environment.add_template("page.html", TEMPLATE).map_err(io::Error::other)?;
    let page = environment.get_template("page.html").map_err(io::Error::other)?;
    let context = context! {
        title,
        policy,
        unread => UNREAD,
        first_style => Value::from_safe_string(first_style),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(script),
    };
    // As a whole and then written, so that an error of `out` arrives as what it is (a full disk, a closed pipe).
    out.write_all(page.render(context).map_err(io::Error::other)?.as_bytes())?;
    data(out)?;
    out.write_all(END.as_bytes())
}
