//! The offsets in CPython's structures, against the headers of every interpreter that has them.

use crate::traced::{Traced, announce, debug_pythons, pythons};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

#[path = "../shim/src/python/offsets.rs"]
#[allow(dead_code, reason = "the shim uses the rest")]
mod offsets;

#[path = "../shim/src/python/collection.rs"]
#[allow(dead_code, reason = "the shim uses the rest")]
mod collection;

#[path = "../shim/src/python/tasks/layout.rs"]
mod layout;

#[path = "../shim/src/python/census/layout.rs"]
#[allow(dead_code, reason = "the shim uses the rest")]
mod census;

#[test]
fn rows_are_those_of_the_headers() {
    let mut compared = 0;
    // A debug build has headers of its own.
    for python in pythons().iter().chain(debug_pythons()) {
        let question = "import sysconfig; print(sysconfig.get_paths()['include'])";
        let answer = Command::new(&python.path).args(["-I", "-c", question]).output().unwrap();
        let include = String::from_utf8(answer.stdout).unwrap().trim().to_owned();
        if !Path::new(&include).join("internal/pycore_pystate.h").exists() {
            announce(&format!("skipped: {} has no headers", python.path.display()));
            continue;
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program =
            directory.join(format!("python_offsets_{}_{}_{}", python.minor, python.debug, std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/c/python_offsets.c");
        let mut compiler = Command::new("cc");
        compiler
            .arg("-w")
            .arg(format!("-I{include}"))
            .arg(format!("-I{include}/internal"))
            // Debian keeps pyconfig.h in a folder of the processor's there.
            .arg("-idirafter")
            .arg(Path::new(&include).parent().expect("above the headers"))
            .arg(source)
            .arg("-o")
            .arg(&program);
        let compiled = compiler.output().unwrap();
        assert!(compiled.status.success(), "{compiler:?}\n{}", String::from_utf8_lossy(&compiled.stderr));
        let printed = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
        std::fs::remove_file(&program).unwrap();
        let (printed, for_census) = printed.split_once("\n\n").expect("two parts");
        check(printed, python.minor);
        check_census(for_census, python.minor);
        compared += 1;
    }
    assert!(compared > 0, "no interpreter has its headers");
}

/// Compares the row of Python 3.`minor` with what the fixture printed: a name and a number a line, -1 for none.
fn check(printed: &str, minor: u32) {
    let values: HashMap<&str, i64> = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let row = offsets::of_version(0x0300 | minor as u16).expect("a row for each version from 3.8 to 3.15");
    let layout = layout::of_version(row.version).expect("a layout of tasks for each version");
    let number = |offset: usize| offset as i64;
    let or_none = |offset: Option<usize>| offset.map_or(-1, number);
    // A version whose code objects have no qualified name, or whose frames are all shown, has -1 there.
    let name = if values["code_qualname"] < 0 { "code_name" } else { "code_qualname" };
    let mut expected = vec![
        ("version", i64::from(row.version)),
        ("runtime_finalizing", number(row.runtime_finalizing)),
        ("thread_frame", number(row.thread_frame)),
        ("cframe_frame", or_none(row.cframe_frame)),
        ("frame_previous", number(row.frame_previous)),
        ("frame_code", number(row.frame_code)),
        ("frame_instruction", number(row.frame_instruction)),
        ("frame_first_local", number(layout.first_local)),
        ("owner_entry", row.entry_frame.map_or(-1, |(_, owner)| i64::from(owner))),
        ("code_first_instruction", or_none(row.code_first_instruction)),
        (name, number(row.code_name)),
        ("code_filename", number(row.code_file)),
        ("code_first_line", number(row.code_first_line)),
        ("code_linetable", number(row.code_line_table)),
        ("unicode_length", number(offsets::STR_LENGTH)),
        ("unicode_state", number(offsets::STR_STATE)),
        ("unicode_ascii_data", number(row.ascii_data)),
        ("unicode_compact_data", number(row.compact_data)),
        ("bytes_length", number(offsets::BYTES_LENGTH)),
        ("bytes_data", number(offsets::BYTES_DATA)),
        ("object_type", number(offsets::OBJECT_TYPE)),
        ("type_name", number(offsets::TYPE_NAME)),
        ("type_flags", number(offsets::TYPE_FLAGS)),
        ("type_dealloc", number(offsets::TYPE_DEALLOC)),
    ];
    if let Some(report) = &row.report {
        expected.extend([
            ("report_runtime", number(report.runtime)),
            ("report_thread", number(report.thread)),
            ("report_frame", number(report.frame)),
            ("report_code", number(report.code)),
            ("report_object", number(report.object)),
            ("report_type", number(report.kind)),
            ("report_bytes", number(report.bytes)),
            ("report_str", number(report.text)),
        ]);
    }
    if let Some((owner, _)) = row.entry_frame {
        expected.push(("frame_owner", number(owner)));
    }
    if let Some(evaluation) = &row.evaluation {
        expected.extend([
            ("frame_stack_top", number(evaluation.top)),
            ("frame_slots", number(evaluation.slots)),
            ("frame_owner", number(evaluation.owner)),
            ("frame_is_entry", or_none(evaluation.is_entry)),
            ("code_locals", number(evaluation.code_locals)),
            ("code_stack_size", number(evaluation.code_stack_size)),
        ]);
    }
    for (name, value) in &expected {
        assert_eq!(values.get(name), Some(value), "{name} of 3.{minor}; the headers say\n{printed}");
    }
    if let Some(layout) = collection::of_version(row.version) {
        expected.extend([
            ("runtime_main", or_none(layout.runtime_main)),
            ("gc_enabled", number(layout.enabled)),
            ("gc_collections", number(layout.collections)),
            ("gc_collecting", number(layout.collections + collection::COLLECTING)),
        ]);
    }
    // Nothing that is printed goes unused, but for the names of versions that have two and the owner of those without.
    let unused = values.keys().filter(|name| expected.iter().all(|(known, _)| known != *name));
    let allowed = ["code_name", "code_qualname", "frame_owner"];
    let unused: Vec<_> = unused.filter(|name| !allowed.contains(name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// No header has the structure of a task: the interpreter says how long it is, and its memory where the name lies.
#[test]
fn tasks_are_laid_out_as_in_memory() {
    for python in pythons().iter().chain(debug_pythons()) {
        let told = Traced::python("task_layout.py", python).bare();
        told.exits(0);
        let row = layout::of_version(0x0300 | python.minor as u16).expect("a layout of tasks for each version");
        let expected = format!("{} bytes, the name at [{}]\n", row.task, row.task_name);
        assert_eq!(told.stdout(), expected, "{}", python.path.display());
    }
}

#[test]
fn locals_are_addresses_or_references_with_a_tag() {
    for (reference, object) in [
        (0, 0),
        (0x7F00_1230, 0x7F00_1230),
        // Borrowed, or of an object that lives for ever; null.
        (0x7F00_1231, 0x7F00_1230),
        (1, 0),
        // The numbers 0 and 5; an error, a pointer in a wrapping.
        (3, 0),
        (5 << 2 | 3, 0),
        (2, 0),
        (0x7F00_1232, 0),
    ] {
        assert_eq!(offsets::local(reference), object, "{reference:#x}");
    }
}

/// Compares what a census reads with what the fixture printed.
fn check_census(printed: &str, minor: u32) {
    use census::{Generations, InlineValues, LocalNames};
    let values: HashMap<&str, i64> = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let row = census::of_version(0x0300 | minor as u16).expect("a row for each version from 3.8 to 3.15");
    let mut expected = vec![
        ("thread_next", census::THREAD_NEXT),
        ("thread_interpreter", census::THREAD_INTERPRETER),
        ("type_basic_size", census::TYPE_BASIC_SIZE),
        ("type_item_size", census::TYPE_ITEM_SIZE),
        ("type_traverse", census::TYPE_TRAVERSE),
        ("type_members", census::TYPE_MEMBERS),
        ("type_base", census::TYPE_BASE),
        ("type_dict", census::TYPE_DICT),
        ("type_dict_offset", census::TYPE_DICT_OFFSET),
        ("type_is_gc", census::TYPE_IS_GC),
        ("type_order", census::TYPE_ORDER),
        ("type_qualified_name", row.qualified_name),
        ("type_shared_keys", row.shared_keys),
        ("descriptor_method", census::DESCRIPTOR_METHOD),
        ("list_items", census::LIST_ITEMS),
        ("list_room", census::LIST_ROOM),
        ("tuple_items", row.tuple_items),
        ("member_bytes", census::MEMBER_BYTES),
        ("member_type", census::MEMBER_TYPE),
        ("member_offset", census::MEMBER_OFFSET),
        ("function_code", row.function_code),
        ("function_name", row.function_name),
        ("function_closure", row.function_closure),
        ("frame_first_slot", row.frame_slots),
    ];
    match row.generations {
        Generations::Runtime { young, permanent } | Generations::Interpreter { young, permanent } => {
            // `enabled` is written twelve bytes in front of the lists, up to 3.9.
            expected.extend([("collector_young", young), ("collector_permanent", permanent)]);
            expected.push(("collector_enabled", young - 12));
        }
        Generations::Shown => assert!(!values.contains_key("collector_young"), "3.{minor}"),
    }
    match row.local_names {
        LocalNames::Apart { locals, cells, free } => {
            expected.extend([("names_of_locals", locals), ("names_of_cells", cells), ("names_of_free", free)]);
        }
        LocalNames::Together { names, count, free } => {
            expected.extend([("names_of_locals", names), ("count_of_locals", count), ("count_of_free", free)]);
            expected.extend([("keys_index_bytes", census::KEYS_INDEX_BYTES), ("keys_kind", census::KEYS_KIND)]);
            expected.extend([("keys_used", census::KEYS_USED), ("keys_index", census::KEYS_INDEX)]);
            expected.push(("long_head", row.long_head));
            let behind = matches!(row.inline_values, InlineValues::Behind);
            expected.push(("values", if behind { 8 } else { 0 }));
        }
    }
    assert_eq!(row.finishing.map(|offset| offset as i64), values.get("pending_finishing").copied(), "3.{minor}");
    for (name, offset) in expected {
        assert_eq!(values.get(name).copied(), Some(offset as i64), "3.{minor}: {name}");
    }
}
