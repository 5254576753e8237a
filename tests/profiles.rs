//! `corebid profiles` from outside: a base is built from lines, holds what they said, and says what is wrong with it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use corebid::profile::value::Profile;
use corebid::snapshot::profiles::UserKeys;
use corebid::snapshot::profiles::base::Base;
use corebid::units::Region;
use serde_json::{Value, json};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("profiles-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("user.key"), "07".repeat(32)).unwrap();
        fs::set_permissions(path.join("user.key"), fs::Permissions::from_mode(0o600)).unwrap();
        Folder(path)
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corebid"));
        command.arg("profiles").args(args).current_dir(&self.0);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // Who refuses before reading closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn good(&self, args: &[&str], input: &str) -> Value {
        let output = self.run(args, input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        said
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const BUILD: &[&str] = &["build", "--out", "base", "--user-key", "user.key", "--json", "-"];

#[test]
fn a_base_holds_what_the_lines_said() {
    let folder = Folder::new("held");
    let lines: String = (0..2000u32)
        .map(|n| {
            let segments: Vec<u32> = (0..n % 50).map(|at| at * 7 + n).collect();
            json!({ "user": format!("u{}", n % 1500), "exchange": "x", "segments": segments }).to_string() + "\n"
        })
        .collect();
    let built = folder.good(BUILD, &lines);
    assert_eq!((&built["users"], &built["replaced"], &built["files"]), (&json!(1500), &json!(500), &json!(1)));
    let shown = folder.good(&["show", "base", "--json"], "");
    let size = fs::metadata(folder.0.join("base/profiles-0000.base")).unwrap().len();
    assert_eq!(
        shown,
        json!({
            "sealed": false, "files": 1, "bytes": size, "users": 1500, "value_bytes": built["value_bytes"],
            "damaged": 0, "broken": 0,
        })
    );
    let base = Base::open(&folder.0.join("base")).unwrap();
    let keys = UserKeys::new(&[7; 16]);
    for n in 500..2000u32 {
        let value = base.get(keys.key(Region::Eu, "x", format!("u{}", n % 1500).as_bytes())).unwrap().unwrap();
        let said = (0..n % 50).map(|at| at * 7 + n);
        assert!(Profile::check(value).unwrap().segments.iter().map(|segment| segment.0).eq(said), "user {n}");
    }
    assert_eq!(base.get(keys.key(Region::Eu, "y", b"u1")), Ok(None));
    assert!(folder.refused(BUILD, &lines).contains("not empty"));
}

#[test]
fn mistakes_and_damage_are_told() {
    let folder = Folder::new("told");
    let said = folder.refused(BUILD, "{\"user\":\"a\",\"segments\":[1]}\n\n{\"user\":\"b\"}\n");
    assert!(said.contains("standard input:3: missing field `segments`"), "{said}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "only the key is there");

    folder.good(BUILD, "{\"user\":\"a\",\"segments\":[1,2,3]}\n");
    let path = folder.0.join("base/profiles-0000.base");
    let mut bytes = fs::read(&path).unwrap();
    bytes[128 + 6] ^= 4;
    fs::write(&path, &bytes).unwrap();
    assert!(folder.refused(&["show", "base"], "").contains("base: 1 values cannot be used"));
    fs::write(&path, &bytes[..150]).unwrap();
    assert!(folder.refused(&["show", "base"], "").contains("profiles-0000.base: "));
    assert!(folder.refused(&["show", "nowhere"], "").contains("nowhere: cannot read it"));
}
