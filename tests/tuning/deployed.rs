//! What is shipped beside `tune` wants the same as it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use corebid::doctor::cpus::CpuSet;
use corebid::doctor::{Severity, declared};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

#[test]
fn the_tuned_profile_wants_what_the_knobs_want() {
    let profile = fs::read_to_string(deploy("tuned/corebid/tuned.conf")).unwrap();
    let (_, sysctls) = profile.split_once("[sysctl]").expect("sysctls");
    let mut held = 0;
    for line in sysctls.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let file = format!("/proc/sys/{}", key.replace('.', "/"));
        let knob = declared::all().find(|knob| knob.file == file).unwrap_or_else(|| panic!("{file} is no knob"));
        // A choice is not made for anybody.
        let holds = knob.rule.holds(value, knob.want, knob.accept, &CpuSet::default());
        assert_eq!(holds, Some(knob.severity != Severity::Choice), "{line}");
        held += 1;
    }
    // All that `tune` would set in /proc/sys of a whole host, but for what is so by default.
    for knob in declared::all().filter(|knob| knob.file.starts_with("/proc/sys/") && knob.severity != Severity::Choice)
    {
        let name = knob.file.trim_start_matches("/proc/sys/").replace('/', ".");
        let default = ["port-range", "rmem-max", "wmem-max", "rt-throttling", "io-uring", "watchdog-cpus"];
        assert!(default.contains(&knob.name) || sysctls.contains(&format!("\n{name}=")), "{name}");
    }
    assert!(held >= 14);
    assert!(profile.contains("\ntransparent_hugepages=madvise\n") && profile.contains("\ngovernor=performance\n"));
}

#[test]
fn systemd_understands_the_unit() {
    // It looks for the programs that units name; those are not installed here.
    let folder = crate::support::Folder::new("units");
    let unit = fs::read_to_string(deploy("systemd/corebid-tuning.service")).unwrap();
    let drop_in = fs::read_to_string(deploy("systemd/corebid.service.d/cores.conf")).unwrap();
    let both = unit.replace("/usr/local/lib/corebid-tuning/tune", "/bin/true");
    let path = folder.write("corebid-tuning.service", both);
    fs::create_dir(folder.path("corebid-tuning.service.d")).unwrap();
    folder.write("corebid-tuning.service.d/cores.conf", drop_in.replace("corebid-tuning.service", "other.service"));
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let ours = told.lines().filter(|line| line.contains("corebid-tuning") || line.contains("cores.conf"));
            let ours: Vec<&str> = ours.filter(|line| !line.contains("not found")).collect();
            assert!(ours.is_empty(), "{told}");
        }
        Err(error) => eprintln!("skipped: no systemd-analyze: {error}"),
    }
}
