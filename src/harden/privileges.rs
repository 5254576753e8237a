//! From root to a user who owns the data directory and the secrets, and nothing else.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::Config;

/// Neither this process nor what it might start can gain rights by executing a file.
///
/// # Errors
/// The kernel is older than 3.5.
pub fn no_new_privs() -> io::Result<()> {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Whether this process is root.
pub fn is_root() -> bool {
    effective() == 0
}

fn effective() -> libc::uid_t {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Who somebody is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    user: libc::uid_t,
    group: libc::gid_t,
}

/// Gives up root for good: the groups, the group, the user, in the order in which each is still allowed. A process that is that
/// user already stays so. Returns what to tell.
///
/// # Errors
/// There is no such user, or the process is neither root nor that user.
pub fn become_user(name: &str) -> Result<String, String> {
    let Ids { user, group } = look_up(name)?;
    if effective() == user && user != 0 {
        return Ok(format!("user {name}"));
    }
    if user == 0 {
        return Err(format!("process.user {name}: that is root"));
    }
    if !is_root() {
        return Err(format!("process.user {name}: only root can become somebody else; start it as root or as {name}"));
    }
    let fail = |error: io::Error| format!("process.user {name}: {error}");
    // SAFETY: no group is read from the null pointer.
    check(unsafe { libc::setgroups(0, std::ptr::null()) }).map_err(fail)?;
    // SAFETY: no pointer is passed.
    check(unsafe { libc::setresgid(group, group, group) }).map_err(fail)?;
    // SAFETY: no pointer is passed.
    check(unsafe { libc::setresuid(user, user, user) }).map_err(fail)?;
    // SAFETY: no pointer is passed.
    if unsafe { libc::setuid(0) } == 0 {
        return Err(format!("process.user {name}: root could be had again"));
    }
    Ok(format!("user {name}"))
}

/// Whether the data directory, what is in it, and the secrets belong to the user this process has become: what could be read at
/// the start as root could not be read again.
///
/// # Errors
/// What does not, and what to do.
pub fn check_owner(name: &str, config: &Config) -> Result<(), String> {
    let data = &config.data;
    let within = std::fs::read_dir(&data.dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let valkey = config.stores.valkey.iter().filter_map(|valkey| valkey.password_file.as_ref());
    let dynamodb = config.stores.dynamodb.iter().map(|dynamodb| &dynamodb.credentials_file);
    let secrets = [&data.notice_key_file, &data.user_key_file].into_iter();
    let ingress = config.ingress.iter().map(|ingress| &ingress.key_file);
    let secrets = secrets.chain(&config.profiles.key_file).chain(valkey).chain(dynamodb).chain(ingress).cloned();
    let ours = |path: &Path| match std::fs::metadata(path) {
        Ok(found) if found.uid() != effective() => {
            Err(format!("{}: it belongs to uid {}, and process.user is {name}: chown it", path.display(), found.uid()))
        }
        // What is missing is told by who needs it.
        _ => Ok(()),
    };
    [data.dir.clone()].into_iter().chain(within).chain(secrets).try_for_each(|path| ours(&path))
}

/// A user by name, or by number if it has no name.
fn look_up(name: &str) -> Result<Ids, String> {
    let nobody = || format!("process.user {name}: there is no such user");
    let wanted = CString::new(name).map_err(|_| nobody())?;
    // Room for the strings of an entry; 16 KiB is four times what glibc itself begins with.
    let mut text = [0; 16 * 1024];
    // SAFETY: a passwd of zeros holds numbers and null pointers.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: the name ends with a zero; the entry, the room and the result are writable for the length of the call.
    let failed = unsafe { libc::getpwnam_r(wanted.as_ptr(), &mut entry, text.as_mut_ptr(), text.len(), &mut found) };
    if failed != 0 {
        return Err(format!("process.user {name}: {}", io::Error::from_raw_os_error(failed)));
    }
    if found.is_null() {
        // Where users are numbers only, as in a container, the group has the same.
        return name.parse().map(|number| Ids { user: number, group: number }).map_err(|_| nobody());
    }
    Ok(Ids { user: entry.pw_uid, group: entry.pw_gid })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_or_number() {
        assert_eq!(look_up("root"), Ok(Ids { user: 0, group: 0 }));
        assert_eq!(look_up("54321"), Ok(Ids { user: 54_321, group: 54_321 }));
        for bad in ["nobody-of-this-name", "-1", "a\0b"] {
            assert!(look_up(bad).unwrap_err().contains("no such user"), "{bad:?}");
        }
    }
}
