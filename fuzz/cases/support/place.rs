//! A folder of this thread for files that a reader takes only from a disk. It is removed with the thread.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static FOLDERS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static PLACE: Place = Place::new();
}

struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("corebid-{}-{}-{number}", module_path!().replace("::", "-"), std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        Place(folder)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs with the path of a file of this name that holds these bytes, which only its owner may read.
pub(crate) fn with_file<T>(name: &str, bytes: &[u8], run: impl FnOnce(&Path) -> T) -> T {
    PLACE.with(|place| {
        let path = place.0.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder within");
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).expect("room for a file");
        run(&path)
    })
}
