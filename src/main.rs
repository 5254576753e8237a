//! The `corebid` command. Everything it does lives in the library.

/// The allocator: bid cores allocate nothing once warm, the other threads are served from per-thread heaps without a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    corebid::commands::run()
}
