use super::*;

fn json(report: &SpendReport, path: &Path) {
    OutputFile::open(path).unwrap().write(report, OutputFormat::Json).unwrap();
}

#[test]
fn file_is_replaced_without_leftovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spend.json");
    fs::write(&path, "old").unwrap();
    let november = november(Every::Total);
    json(&november, &path);
    assert_eq!(fs::read_to_string(&path).unwrap(), written(&november, OutputFormat::Json));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn file_of_a_failed_report_keeps_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spend.csv");
    fs::write(&path, "old").unwrap();
    let output = OutputFile::open(&path).unwrap();
    output.write(&november(Every::Day), OutputFormat::Focus).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn file_in_a_missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/spend.csv");
    assert!(OutputFile::open(&path).is_err());
}

#[cfg(unix)]
#[test]
fn new_file_is_private_and_an_existing_file_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spend.json");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    json(&november(Every::Total), &path);
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    json(&november(Every::Day), &path);
    assert_eq!(mode(), 0o644);
}

#[cfg(unix)]
#[test]
fn symbolic_link_is_kept_and_its_target_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target.json");
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink("target.json", &link).unwrap();
    for report in [november(Every::Total), november(Every::Day)] {
        json(&report, &link);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), written(&report, OutputFormat::Json));
    }
}

#[cfg(unix)]
#[test]
fn chain_of_dangling_links_is_kept_and_its_end_is_created() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
    };
    link("inner/second", "first");
    link("../third", "inner/second");
    link(folder.path().join("end.json").to_str().unwrap(), "third");
    link("loop", "loop");
    json(&november(Every::Total), &folder.path().join("first"));
    for name in ["first", "inner/second", "third"] {
        assert!(fs::symlink_metadata(folder.path().join(name)).unwrap().is_symlink(), "{name}");
    }
    assert!(folder.path().join("end.json").is_file());
    assert!(OutputFile::open(&folder.path().join("loop")).is_err());
}

#[cfg(unix)]
#[test]
fn device_is_written_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;

    json(&november(Every::Total), Path::new("/dev/null"));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}
